"""What a Locust process was started with and keeps: whom the key and the budget are for, and which
files it reads and writes. No form of the web UI and no message of a master changes any of it.
"""

from __future__ import annotations

import os
from argparse import ArgumentParser, Namespace
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final
from urllib.parse import urlsplit
from weakref import WeakKeyDictionary

from locust.env import Environment
from locust.runners import WorkerRunner

from soundstage.contract import load_sound
from soundstage.errors import BudgetError, UsageError
from soundstage.exchange.budget import is_loopback
from soundstage.output.cutting import head
from soundstage.output.outgoing import KEY_VARIABLE

_PORTS: Final = {"http": 80, "https": 443}
#: The configuration file of whoever uses this machine; others that Locust finds by itself lie in
#: the folder that it is started in, which may be a stranger's.
_OWN_FILE: Final = "~/.locust.conf"
_SHOWN: Final = 200


class ProcessBudget:
    """The budget of a whole process, of which each test gets what those before it have left.
    `limit` None: none was named.
    """

    def __init__(self, limit: int | None) -> None:
        self.limit = limit
        self._left = limit

    def lend(self) -> int | None:
        """All that is left, until it is `returned`. Raises BudgetError if others have or had it."""
        if not self._left and self.limit:
            raise BudgetError(
                f"the budget of {self.limit} billable requests is spent, or held by a test before"
                " this one"
            )
        lent, self._left = self._left, self._left and 0
        return lent

    def returned(self, many: int) -> None:
        """So many of what was lent were not spent."""
        if self._left is not None:
            self._left += max(0, many)

    def take(self) -> None:
        """Spend one. Raises BudgetError if none is left."""
        if self._left is not None:
            if self._left == 0:
                raise BudgetError(f"this worker's own budget of {self.limit} requests is spent")
            self._left -= 1


@dataclass(frozen=True, slots=True)
class Terms:
    """`host` is a base URL, None if none was given; `found_in` the file of the working folder that
    alone names it. Of the files None is the default.
    """

    host: str | None = None
    found_in: str | None = None
    key_file: str | None = None
    out: str | None = None
    config: str | None = None
    corpus: str | None = None
    purse: ProcessBudget = field(default_factory=lambda: ProcessBudget(None))

    @classmethod
    def of(cls, given: Any, found_in: str | None = None) -> Terms:
        """Those of options that were just read."""

        def named(name: str) -> str | None:
            return getattr(given, f"soundstage_{name}", None) or None

        budget = getattr(given, "soundstage_budget", -1)
        return cls(
            host=getattr(given, "host", None) or None,
            found_in=found_in,
            key_file=named("key_file"),
            out=named("out"),
            config=named("config"),
            corpus=named("corpus"),
            purse=ProcessBudget(budget if budget >= 0 else None),
        )

    def objection(self, host: str, environ: Mapping[str, str] = os.environ) -> str | None:
        """Why nothing may be sent to `host`, a sentence; None if it may. With a key that means the
        host of the start, or this machine if there was none; without one there is nothing to keep.
        """
        shown = head(host, _SHOWN)
        if self.host is not None and _origin(host) != _origin(self.host):
            return (
                f"the key and the budget are for {self.host}, which Locust was started with; for"
                f" {shown!r} start it with --host"
            )
        if is_loopback(host) or not (self.key_file or environ.get(KEY_VARIABLE, "").strip()):
            return None
        if self.host is None:
            return (
                "Locust was started without --host, so the key goes to this machine only; for"
                f" {shown!r} start it with --host"
            )
        if self.found_in is not None and not _is_documented(host):
            return (
                f"{self.found_in} names the host {shown!r}, which is no reason to send it the key;"
                f" give it by --host {shown} or LOCUST_HOST"
            )
        return None


class Given(Namespace):
    """Locust's options. The terms of the start are beside them, not among them: what a form or a
    master changes is `vars()` of this.
    """

    __slots__ = ("terms",)

    terms: Terms


def remember(parser: ArgumentParser) -> None:
    """Have `parser` (Locust's) note the terms with the options that it reads."""
    read: Any = parser.parse_known_args

    def parse_known_args(
        args: Any = None, namespace: Any = None, **more: Any
    ) -> tuple[Namespace, list[str]]:
        given, rest = read(args=args, namespace=namespace or Given(), **more)
        _settle(given)
        if isinstance(given, Given):
            given.terms = Terms.of(given, _found_in(parser, given))
        return given, rest

    parser.parse_known_args = parse_known_args  # type: ignore[assignment,method-assign]


def _settle(given: Any) -> None:
    """The workers of `--processes` are on this machine, and so is who may join them; those of
    `--master` are not. Unless somebody has said where the master listens.
    """
    if getattr(given, "master_bind_host", "") is None:
        alone = given.processes and not given.worker
        given.master_bind_host = "127.0.0.1" if alone else "*"


def _found_in(parser: Any, given: Any) -> str | None:
    """The file that names the host, if only one does that lies where Locust was started."""
    named = {Path(_OWN_FILE).expanduser(), *([Path(given.config)] if given.config else ())}
    for source, settings in parser.get_source_to_settings_dict().items():
        kind, _, path = source.partition("|")
        names = {action.dest for action, _ in settings.values() if action is not None}
        if kind == "config_file" and "host" in names:
            return None if Path(path).expanduser() in named else str(path)
    return None


#: The terms where the options were not read by Locust's parser.
_noted: WeakKeyDictionary[Environment, Terms] = WeakKeyDictionary()


def terms_of(environment: Environment) -> Terms:
    """The terms of the start; what holds when this is first asked, if nobody noted them before."""
    terms = getattr(environment.parsed_options, "terms", None)
    if isinstance(terms, Terms):
        return terms
    if environment not in _noted:
        _noted[environment] = Terms.of(environment.parsed_options)
    return _noted[environment]


def target_of(environment: Environment, host: str | None = None) -> str:
    """Where this process may send what it is told to; `host` is what a form says of it. Raises
    UsageError if that is nowhere.
    """
    terms = terms_of(environment)
    host = host or environment.host or terms.host
    if not host:
        raise UsageError("--host is needed: the base URL of the API or an emulator")
    if (objection := terms.objection(host)) is not None:
        where = "the master names another host: " if _is_worker(environment) else ""
        raise UsageError(where + objection)
    return host


def _is_worker(environment: Environment) -> bool:
    return isinstance(environment.runner, WorkerRunner)


def _origin(url: str) -> tuple[str, str, int | None] | None:
    """Scheme, host and port of a base URL; None for what is none."""
    try:
        parts = urlsplit(url.strip())
        if parts.username is not None or parts.password is not None or not parts.hostname:
            return None
        return parts.scheme, parts.hostname, parts.port or _PORTS.get(parts.scheme)
    except ValueError:
        return None


def _is_documented(url: str) -> bool:
    """Whether a contract names this host as the API's own."""
    return _origin(url) in {_origin(each.base_url) for each in load_sound()[0].values()}
