"""`soundstage doctor`: finds out why a target cannot be measured, before money is spent on it."""

from __future__ import annotations

import argparse
from contextlib import ExitStack
from typing import TextIO

from soundstage.arguments import Parser
from soundstage.config import find_config
from soundstage.contract import available, load
from soundstage.doctor.diagnosis import diagnose
from soundstage.doctor.free_requests import LIMITS
from soundstage.doctor.health import Diagnosis
from soundstage.exchange.session import access_to
from soundstage.exchange.spawn import EMULATOR, spawned_emulator
from soundstage.output.streams import json_line, say
from soundstage.output.visible import coloured, line, painted
from soundstage.target_options import (
    add_address_options,
    add_config_option,
    add_connection_options,
    apis_of,
    confirm_configured,
    connection_of,
    target_of,
    tell_config,
)

HELP = "find out, for free, why a target cannot be measured"

_EXAMPLES = """examples:
  soundstage doctor --target emulator
  soundstage doctor --target https://api.soundverse.ai
  SOUNDVERSE_API_KEY=... soundstage doctor --target https://api.soundverse.ai --api v6
  soundstage doctor --target https://staging.example/song --schemas contracts --ca-file ours.pem
  soundstage doctor --format json

Nothing that is sent can be billed: a POST carries no key, and a body that the contract does not
allow; a GET carries the key only where the contract has a status endpoint that is not billed. No
redirect is followed. What no free request can tell is said to be not known.

exit codes: 0 all that can be known is well, 1 what answers does not fit the contract,
2 wrong usage, 6 target or environment: the first cause is named, with what to do
"""
_COLOURS = {"ok": "32", "problem": "31", "not known": "33"}
_WIDTH = max(map(len, _COLOURS))


def parser() -> Parser:
    """The options of `soundstage doctor`, before anything is parsed."""
    options = Parser(
        prog="soundstage doctor",
        description="Look, without spending anything, for what keeps a target from being measured.",
        epilog=_EXAMPLES,
    )
    add_address_options(options, emulator_args="--profile instant")
    text = f"contract that it should keep ({', '.join(available())}; default: all)"
    options.add_argument("--api", action="append", metavar="API", help=text)
    add_connection_options(options)
    add_config_option(options)
    options.add_argument("--format", choices=("text", "json"), default="text")
    return options


def parse_args(argv: list[str]) -> argparse.Namespace:
    args = parser().parse_args(argv)
    args.keep_private = False
    return args


def run(args: argparse.Namespace, stdout: TextIO, stderr: TextIO) -> int:
    config = find_config(args.config)
    tell_config(config, "soundstage doctor", stderr)
    target = target_of(args, config)
    apis = apis_of(args.api, config)
    contracts = [load(api) for api in apis]
    confirm_configured(args, config, target, stderr)
    with ExitStack() as stack:
        if target == EMULATOR:
            target = stack.enter_context(spawned_emulator(args.emulator_args, apis))
        access = access_to(target, limits=LIMITS, **connection_of(args, config))
        for warning in access.warnings:
            say(f"soundstage doctor: {warning}", stderr)
        found = diagnose(target, access, contracts)
    if args.format == "json":
        say(json_line(found.to_json(), stdout), stdout)
    else:
        _tell(found, stdout)
    return found.code


def _tell(found: Diagnosis, stdout: TextIO) -> None:
    """Say what was found, a line a check, then the first cause and what to do."""
    say(f"{found.target}, held against {', '.join(found.apis)}", stdout)
    wide = max(len(each.name) for each in found.checks)
    colours = coloured(stdout)
    for each in found.checks:
        word = f"{each.outcome:<{_WIDTH}}"
        shown = painted(word, _COLOURS[each.outcome]) if colours else word
        say(f"  {shown}  {each.name:<{wide}}  {line(each.said)}", stdout)
    first = found.first
    if first is not None and first.cause is not None:
        say(f"cause: {first.cause.name}: {line(first.said)}", stdout)
        say(f"what to do: {first.cause.todo}", stdout)
        return
    open_ones = [each.name for each in found.checks if each.outcome == "not known"]
    left = f"; not known: {', '.join(open_ones)}" if open_ones else ""
    say(f"all that can be known for free is well{left}", stdout)
