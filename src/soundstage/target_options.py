"""The options that say which API is asked, with which key, and over which connection: those of
`check`, `record` and `load`, and what soundstage.toml may say in their place. Sends nothing.
"""

from __future__ import annotations

import argparse
import os
from collections.abc import Collection, Iterable
from contextlib import suppress
from typing import Any, Protocol, TextIO, TypedDict
from urllib.parse import urlsplit

from soundstage.arguments import Hidden, base_url, count, header, words
from soundstage.config import Config
from soundstage.contract import available, load
from soundstage.contract.contract import folder_of
from soundstage.errors import UsageError
from soundstage.exchange import destination
from soundstage.exchange.spawn import EMULATOR
from soundstage.near_names import did_you_mean, sayable
from soundstage.output.streams import say


class TakesOptions(Protocol):
    """A parser, or one of its groups."""

    def add_argument(self, *names: str, **how: Any) -> argparse.Action: ...


class ConnectionOptions(TypedDict):
    """What a session is opened with, beside its target and its budget."""

    key_file: str | None
    headers: tuple[tuple[str, str], ...]
    ca_file: str | None
    client_cert: tuple[str, str] | None
    insecure: bool
    keep_private: bool


def add_target_options(options: TakesOptions, *, emulator_args: str) -> None:
    """Add them. `emulator_args` is how an emulator is started: fast, where nobody measures it."""
    add_address_options(options, emulator_args=emulator_args)
    add = options.add_argument
    add("--budget", type=count, metavar="N", help="billable requests that may be sent")
    add("--dry-run", action="store_true", help="say what would be sent, and stop")
    add("--yes", action="store_true", help="do not ask before a live run")
    add_connection_options(options)
    text = "do not redact prompts, lyrics and ids of users in what is kept"
    add("--keep-private", action="store_true", help=text)


def add_address_options(options: TakesOptions, *, emulator_args: str) -> None:
    """Add those that say where the API is. `emulator_args`: see `add_target_options`; what a user
    gives comes behind it, and of an option that stands twice the last one counts. So an emulator
    does not become slow because somebody asked for a seed.
    """

    def after_the_usual(text: str) -> list[str]:
        return [*words(emulator_args), *words(text)]

    add = options.add_argument
    text = f"base URL of the API; `{EMULATOR}` starts one (free)"
    add("--target", type=base_url, metavar="URL", help=text)
    usual = f"added to the default, {emulator_args}; " if emulator_args else ""
    text = f"options for --target {EMULATOR} ({usual}see `soundstage emulate --help`)"
    add(
        "--emulator-args",
        type=after_the_usual,
        default=words(emulator_args),
        metavar="ARGS",
        help=text,
    )


def add_connection_options(options: TakesOptions) -> None:
    """Add those that say with which key, and over which connection."""
    add = options.add_argument
    add("--key-file", metavar="FILE", help="file with the API key")
    text = "send it along"
    add("--header", action=Hidden, default=[], metavar="'NAME: VALUE'", help=text)
    add("--ca-file", metavar="PEM", help="authorities to trust instead of the system's")
    add("--client-cert", nargs=2, metavar=("CERT", "KEY"), help="PEM files")
    add("--insecure", action="store_true", help="do not verify certificates")


def add_config_option(options: TakesOptions) -> None:
    """The option that names a soundstage.toml."""
    text = "(default: soundstage.toml here, or above in the repository)"
    options.add_argument("--config", metavar="FILE", help=text)


def target_of(args: argparse.Namespace, config: Config | None = None) -> str:
    """The target that is asked. Raises UsageError where neither says one."""
    if args.target == "":  # the default would be asked, and taken for what was meant
        raise UsageError('--target "" is empty: is a variable not set?')
    target: str | None = args.target or (config.target.url if config else None)
    if not target:
        raise UsageError(f"--target is needed: a base URL, or `--target {EMULATOR}`, which is free")
    if target != EMULATOR and not target.lower().startswith(("http://", "https://")):
        said = sayable(target.rpartition("@")[2].partition("?")[0])
        where = "--target" if args.target or config is None else f"{config.path}: [target][url]:"
        near = did_you_mean(target, [EMULATOR])
        raise UsageError(f"{where} {said}: not an http(s) URL; try http://127.0.0.1:8000{near}")
    return target


def apis_of(asked: Iterable[str] | None, config: Config) -> tuple[str, ...]:
    """The API versions that are asked for. Raises UsageError, with the file, for one of a file that
    there is no contract of; who reads the contract says so of one of an option.
    """
    if asked:
        return tuple(dict.fromkeys(asked))
    for api in config.target.api or ():
        try:
            folder_of(api)
        except UsageError as error:
            raise UsageError(f"{config.path}: [target][api]: {error}") from error
    return config.target.api or tuple(available())


def tell_config(config: Config, command: str, stderr: TextIO) -> None:
    """Say which configuration is used where nobody sees it lie in the current folder."""
    if config.above:
        say(f"{command}: settings of {config.path}", stderr, flush=True)
    elif config.passed_over is not None:
        why = "it belongs to another user; --config FILE reads it all the same"
        say(f"{command}: {config.passed_over} is not read: {why}", stderr, flush=True)


def tell_unknown_rules(config: Config, apis: Collection[str], command: str, stderr: TextIO) -> None:
    """Say which severities of a configuration speak of no rule of the contracts of `apis`: nothing
    would come of them, and nobody would notice. Those of other contracts are left alone.
    """
    rules = [rule.id for api in apis for rule in load(api).rules] if config.severities else []
    for name in config.severities:
        of_ours = name.partition("/")[0] in apis
        if of_ours and not any(rule == name or _is_below(rule, name) for rule in rules):
            near = did_you_mean(name, rules)
            said = f"{config.path}: [severity]: no rule is called {name!r}{near}"
            say(f"{command}: {said}", stderr, flush=True)


def _is_below(rule: str, name: str) -> bool:
    return name.endswith("/") and rule.startswith(name)


def named(target: str) -> str:
    """A target as it can be said before anybody has looked at it: it may hold a password."""
    if target == EMULATOR:
        return "an emulator that is started for it"
    with suppress(ValueError):
        parts = urlsplit(target)
        if parts.hostname:
            return f"{parts.scheme}://{parts.netloc.rpartition('@')[2]}"
    return "the target"


def connection_of(args: argparse.Namespace, config: Config | None = None) -> ConnectionOptions:
    """What is asked of the connection. Raises UsageError for a header that is none, and for a PEM
    file that is not there.
    """
    for option, file in (
        ("--ca-file", args.ca_file),
        *(("--client-cert", each) for each in args.client_cert or ()),
    ):
        if file is not None and not os.path.exists(file):
            raise UsageError(f"{option} {file}: no such file")
    return {
        "key_file": args.key_file or (config.target.key_file if config else None),
        "headers": tuple(map(header, args.header)),
        "ca_file": args.ca_file or (config.target.ca_file if config else None),
        "client_cert": tuple(args.client_cert) if args.client_cert else None,
        "insecure": args.insecure,
        "keep_private": args.keep_private,
    }


def confirm_configured(
    args: argparse.Namespace, config: Config, target: str, stderr: TextIO
) -> None:
    """Ask before a secret goes to a target that only a soundstage.toml names: it may have come
    with somebody's repository. Raises UsageError where the answer is no or nobody can answer.
    """
    if args.target is None and config.path is not None and target != EMULATOR:
        asked = connection_of(args, config)
        destination.confirm(
            target,
            config.path,
            option="--target",
            key_file=asked["key_file"],
            secrets=(*asked["headers"], *(asked["client_cert"] or ())),
            stderr=stderr,
        )
