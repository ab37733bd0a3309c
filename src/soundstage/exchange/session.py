"""Everything that is needed to speak with one target: transport, key, budget, client, redactor.

The only place where they are put together, so that `check`, `load` and the pytest plugin speak
to a target in the same way.
"""

from __future__ import annotations

import os
from collections.abc import Iterable
from dataclasses import dataclass, field, replace
from urllib.parse import urlsplit

from soundstage.contract import load_sound
from soundstage.contract.vocabulary import words_of
from soundstage.errors import TargetError
from soundstage.exchange.budget import Budget, is_loopback
from soundstage.exchange.client import Client
from soundstage.exchange.destination import EMULATOR_KEY
from soundstage.exchange.target import Target, find, read_key
from soundstage.exchange.user_secrets import doubts_about, secrets_in
from soundstage.output import outgoing
from soundstage.output.outgoing import KEY_VARIABLE
from soundstage.output.redact import Redactor
from soundstage.wire.settings import SECRET_HEADERS, Limits, TransportSettings
from soundstage.wire.transport import Transport
from soundstage.wire.wakeups import WakeupsOf

#: Seconds that a whole exchange may take, and that may pass without a byte. A synchronous endpoint
#: sends nothing at all until the song is made, so the second is long, too.
TIMEOUT_S = 600.0
IDLE_TIMEOUT_S = 180.0


@dataclass(slots=True)
class Session:
    """One target and the way to speak with it. Safe to use from many threads or greenlets."""

    target: Target
    client: Client
    transport: Transport
    budget: Budget
    redactor: Redactor = field(repr=False)
    #: What the user should know before anything is sent: a line each, without secrets.
    warnings: tuple[str, ...] = ()

    def expire(self) -> None:
        """End exchanges whose deadline is over; to be called every second if `watched`."""
        self.transport.expire()

    def cut(self) -> None:
        """End what is in flight."""
        self.transport.cut()
        self.client.interrupt.now()

    def halt(self, reason: str | None = None) -> None:
        """End what is in flight, and start nothing more. `reason`: what is said of such exchanges,
        if there is more to say than that they were cut.
        """
        self.client.interrupt.halt(reason)
        self.transport.halt()

    def close(self) -> None:
        """Give up idle connections."""
        self.transport.close()


def open_session(
    target_url: str,
    *,
    key_file: str | None = None,
    budget: int | None = None,
    headers: Iterable[tuple[str, str]] = (),
    ca_file: str | None = None,
    client_cert: tuple[str, str] | None = None,
    insecure: bool = False,
    keep_private: bool = False,
    timeout_s: float = TIMEOUT_S,
    idle_timeout_s: float = IDLE_TIMEOUT_S,
    watched: bool = False,
    wakeups: WakeupsOf | None = None,
    treat_as_live: bool = False,
) -> Session:
    """Find the target and make a client for it. Sends nothing that could be billed.

    `budget`: billable requests that may be sent, None for any number to this machine, and to an
    emulator if no key is given; none to any other. `watched`: somebody will call `Session.expire`
    every second or so; `wakeups`: see `TransportSettings`. `treat_as_live`: whatever
    answers is treated as the live API (to rehearse a live run on an emulator).

    Raises UsageError for a wrong URL, key, header or certificate, TargetError if nothing answers
    or a key is needed and missing.
    """
    access = access_to(
        target_url,
        key_file=key_file,
        headers=headers,
        ca_file=ca_file,
        client_cert=client_cert,
        insecure=insecure,
        keep_private=keep_private,
        limits=Limits(total_s=timeout_s, idle_s=idle_timeout_s),
        watched=watched,
        wakeups=wakeups,
    )
    key, transport = access.key, access.transport
    found = find(target_url, transport, live_hosts=access.live_hosts)
    own_key = key not in (None, EMULATOR_KEY)
    if key is None:
        if found.kind != "emulator":
            raise TargetError(no_key(found.url))
        key = EMULATOR_KEY
    target = replace(found, key=key, headers=access.headers)
    if treat_as_live:
        target = replace(target, rehearsal=target.kind != "live")
    counted = Budget(budget, free=_is_free(target, own=own_key) and not treat_as_live)
    client = Client(target, transport, counted, redactor=access.redactor)
    return Session(target, client, transport, counted, access.redactor, access.warnings)


@dataclass(slots=True)
class Access:
    """What is needed to speak with a target before anybody has looked at it. `live_hosts`: those of
    all contracts; `key_headers`: the names, in lower case, of those that may carry a key: what
    every API uses, and those of the contracts.
    """

    key: str | None = field(repr=False)
    headers: tuple[tuple[str, str], ...] = field(repr=False)
    transport: Transport
    redactor: Redactor = field(repr=False)
    live_hosts: frozenset[str]
    key_headers: frozenset[str]
    warnings: tuple[str, ...] = ()


def access_to(
    target_url: str,
    *,
    key_file: str | None = None,
    headers: Iterable[tuple[str, str]] = (),
    ca_file: str | None = None,
    client_cert: tuple[str, str] | None = None,
    insecure: bool = False,
    keep_private: bool = False,
    limits: Limits,
    watched: bool = False,
    wakeups: WakeupsOf | None = None,
) -> Access:
    """Read the key, hide all secrets from what leaves this process, and make a transport. Connects
    to nothing. Raises UsageError for a wrong key, header or certificate.
    """
    given = tuple(headers)
    key = read_key(key_file)
    contracts = list(load_sound()[0].values())
    words = words_of(contracts)
    secrets = [secret for header in given for secret in secrets_in(*header, target_url, words)]
    # Before anything is connected to: whatever goes wrong from here on is said without them.
    known = words | {rule.id for contract in contracts for rule in contract.rules}
    warnings = _hidden(key, key_file, secrets, target_url, known)
    names = tuple(
        dict.fromkeys(
            [*(name.lower() for name, _ in given), *(c.auth.header.lower() for c in contracts)]
        )
    )
    settings = TransportSettings(
        ca_file=ca_file,
        client_cert=client_cert,
        verify=not insecure,
        limits=limits,
        secret_headers=(*SECRET_HEADERS, *names),
        watched=watched,
        wakeups=wakeups,
    )
    transport = Transport(settings.with_proxy_from(os.environ))
    redactor = Redactor(
        [key or EMULATOR_KEY, *secrets, *outgoing.known()],
        keep_private=keep_private,
        headers=names,
        words=words,
    )
    return Access(
        key,
        given,
        transport,
        redactor,
        frozenset(urlsplit(each.base_url).hostname or "" for each in contracts),
        frozenset((*SECRET_HEADERS, *(c.auth.header.lower() for c in contracts))),
        warnings,
    )


def no_key(url: str) -> str:
    """What is said where a key is needed and there is none."""
    return f"no API key for {url}: set {KEY_VARIABLE}, or name a file with --key-file"


def _hidden(
    key: str | None,
    key_file: str | None,
    secrets: list[str],
    target_url: str,
    known: frozenset[str],
) -> tuple[str, ...]:
    """Keep the key and the other secrets out of all that leaves this process; returns what the user
    should know of the key. Raises UsageError for one that is not fit for use.
    """
    doubts: tuple[str, ...] = ()
    if key is not None:
        place = KEY_VARIABLE if key_file is None else f"--key-file {key_file}"
        doubts = doubts_about(key, place, target_url, known)
    outgoing.hide_environment(os.environ)
    # A key that is in doubt stands in good answers, too: hiding it would spoil what is recorded.
    outgoing.hide([None if doubts else key, *secrets], words=known)
    outgoing.over_logs()
    if key is not None and target_url.lower().startswith("http:") and not is_loopback(target_url):
        return (*doubts, "http, not https: the key goes over the network as anybody may read it")
    return doubts


def _is_free(target: Target, *, own: bool) -> bool:
    """Whether nothing that is sent can cost the user money: on this machine, and at an emulator
    that gets no key of the user's (`own`). Any host can call itself an emulator, so a key that was
    given by hand needs a budget there.
    """
    return is_loopback(target.url) or (target.kind == "emulator" and not own)
