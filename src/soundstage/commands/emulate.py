"""`soundstage emulate`: starts the emulator and serves until it is stopped."""

from __future__ import annotations

import argparse
import math
import tempfile
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, TextIO

from soundstage.arguments import Parser, whole
from soundstage.errors import UsageError
from soundstage.output import visible
from soundstage.output.streams import say

if TYPE_CHECKING:
    from soundstage.emulator import Emulator

HELP = "start the emulator of the API"


def parser() -> Parser:
    """The options of `soundstage emulate`, before anything is parsed."""
    from soundstage.emulator.pace.profiles import profiles

    options = Parser(
        prog="soundstage emulate",
        description="Start a stand-in for the API on this machine and serve until stopped. It "
        "prints `listening on http://HOST:PORT` when it is ready.",
        epilog=_epilog(),
    )
    add = options.add_argument
    add("--host", default="127.0.0.1", help="address to listen on (default: %(default)s)")
    add("--port", type=_port, default=8000, help="0 takes a free one (default: %(default)s)")
    add(
        "--seed", type=whole, help="same seed and requests: same bytes and delays (default: random)"
    )
    text = "divide every delay by N (default 1)"
    add("--speed", type=_speed, default=1.0, metavar="N", help=text)
    default = next(iter(profiles()))
    text = "delays, slots and failures: one of those below, or a file (default: %(default)s)"
    add("--profile", type=_profile, default=default, metavar="NAME|FILE.json", help=text)
    text = "fit a profile to the run bundle of a recorded run, and serve with it"
    add("--profile-from", type=Path, metavar="BUNDLE", help=text)
    text = "with --profile-from: write the profile to this file instead of serving"
    add("--profile-to", type=Path, metavar="FILE.json", help=text)
    add(
        "--framing",
        choices=("sse", "lines"),
        help="of streams that allow it (default: their first)",
    )
    add("--error", metavar="NAME", help="answer every generation request with this error")
    add("--stamp", action="store_true", help="send `: sent=NANOSECONDS` with each chunk")
    text = "serve this version (repeatable; default: all)"
    add("--api", action="append", default=[], dest="apis", metavar="API", help=text)
    text = "break answers in this way of the catalogue (repeatable, see below)"
    add("--fault", action="append", default=[], dest="faults", metavar="FAULT", help=text)
    _add_accounts(options)
    _add_operation(options)
    text = "serve recorded answers instead: transcripts, HAR files, saved responses, or a folder"
    add("--replay", type=Path, metavar="PLACE", help=text)
    add("--loop", action="store_true", help="with --replay: after the last recording, the first")
    return options


def parse_args(argv: list[str]) -> argparse.Namespace:
    """The options of the emulator; exits with 2 where they are wrong."""
    options = parser()
    args = options.parse_args(argv)
    if args.profile_to is not None and args.profile_from is None:
        options.error("--profile-to needs --profile-from")
    if args.profile_to is not None and args.profile_to.suffix != ".json":
        options.error("--profile-to: the name of a profile's file ends in .json")
    if args.profile_from is not None and args.replay is not None:
        options.error("--replay serves what was recorded: no --profile-from")
    if args.loop and args.replay is None:
        options.error("--loop needs --replay")
    if args.log_format is not None and args.log is None:
        options.error("--log-format needs --log")
    args.log_format = args.log_format or "text"
    if args.replay is not None and (args.error or args.faults or args.stamp):
        options.error("--replay serves what was recorded: no --error, --fault or --stamp")
    return args


def _add_accounts(parser: argparse.ArgumentParser) -> None:
    add = parser.add_argument_group("keys, balances, rate limits").add_argument
    text = "accept this key (repeatable; default: any on loopback, see below)"
    add("--key", action="append", default=[], dest="keys", metavar="KEY[:BALANCE]", help=text)
    add("--accounts", type=Path, metavar="FILE.toml", help="accept the keys of this file")
    text = "credits of a key that has none of its own (default: plenty)"
    add("--balance", type=_balance, metavar="N", help=text)
    text = "of a key that has none of its own: COUNT/second, /minute, /hour or /day"
    add("--rate-limit", type=_rate, metavar="RATE", help=text)
    text = "more keys and words that refuse or fail on purpose"
    add("--triggers", type=Path, metavar="FILE.json", help=text)


def _add_operation(parser: argparse.ArgumentParser) -> None:
    add = parser.add_argument_group("operation").add_argument
    text = "answer the admin API beyond loopback too, to who has its token"
    add("--admin", action="store_true", help=text)
    text = "token of the admin API (or $SOUNDSTAGE_ADMIN_TOKEN)"
    add("--admin-token-file", type=Path, metavar="FILE", help=text)
    text = "write a line for each request to this file (default of FILE: standard error)"
    add("--log", nargs="?", const="-", metavar="FILE", help=text)
    text = "of these lines: for people, or JSON (default: text)"
    add("--log-format", choices=("text", "json"), help=text)
    text = "let pages of this origin call, `none` for no page (repeatable; default: all)"
    add("--cors", action="append", default=[], metavar="ORIGIN", help=text)


def run(args: argparse.Namespace, stdout: TextIO, stderr: TextIO) -> int:
    """Serve until a signal asks to stop; 0 then. Raises SoundstageError where it cannot start."""
    from soundstage.emulator.options import Options
    from soundstage.emulator.service.app import Emulator
    from soundstage.emulator.service.server import READY, serve

    def ready(url: str, emulator: Emulator | None = None) -> None:
        say(f"{READY}{url}", stdout, flush=True)
        if stderr.isatty() and emulator is not None:
            print(_hint(emulator, url), file=stderr, flush=True)

    def serving(emulator: Emulator) -> None:
        options = emulator.options
        serve(emulator, options.host, options.port, lambda url: ready(url, emulator))

    if args.replay is not None:
        _replay(args, ready, stderr)
        return 0
    _refuse_unkept(args.apis)
    if args.profile_from is not None:
        from soundstage.commands import fit_profile

        data = fit_profile.fitted_profile(args.profile_from)
        if args.profile_to is not None:
            fit_profile.write(data, args.profile_to)
            print(fit_profile.told(data), file=stdout)
            say(f"written to {args.profile_to}", stdout)
            return 0
        print(fit_profile.told(data), file=stderr, flush=True)
    named = vars(args)
    lists = {name: tuple(named[name]) for name in ("keys", "apis", "faults", "cors")}
    options = Options(**{name: named[name] for name in Options.__slots__} | lists)
    if args.profile_from is None:
        serving(Emulator(options))
        return 0
    with tempfile.TemporaryDirectory(prefix="soundstage-") as folder:
        # Options name a profile, or a file that holds one.
        file = Path(folder) / "fitted.json"
        fit_profile.write(data, file)
        serving(Emulator(replace(options, profile=str(file))))
    return 0


def _replay(args: argparse.Namespace, ready: Callable[[str], None], stderr: TextIO) -> None:
    from soundstage.contract import load, load_all
    from soundstage.emulator.http.access_log import access_log
    from soundstage.emulator.replay import recordings, replay

    contracts = [load(api) for api in args.apis] or list(load_all().values())
    found = recordings.find(args.replay, contracts)
    for line in found.skipped:
        say(f"soundstage emulate: {line}", stderr, flush=True)
    log = access_log(args.log, args.log_format, stderr)
    served = replay.Replay(found.recordings, found.jobs, speed=args.speed, loop=args.loop, log=log)
    if stderr.isatty():
        print(visible.lines(["recorded:", *served.paths()]), file=stderr, flush=True)
    replay.serve(served, args.host, args.port, ready)


def _refuse_unkept(apis: list[str]) -> None:
    """Raises ContractDataError for a contract that was added and that nobody could keep."""
    from soundstage.contract import available
    from soundstage.contract.contract import is_added

    if added := [api for api in apis or available() if is_added(api)]:
        from soundstage.proof.one_conforming import refuse_unkept

        refuse_unkept(added)


def _port(text: str) -> int:
    port = int(text)
    if not 0 <= port <= 65535:
        raise argparse.ArgumentTypeError(f"{port} is not a port: they go from 0 to 65535")
    return port


def _speed(text: str) -> float:
    speed = float(text)
    if not 0 < speed < math.inf:
        raise argparse.ArgumentTypeError(f"{text} is no speed: it must be above zero")
    return speed


def _balance(text: str) -> int:
    balance = int(text)
    if not 0 <= balance <= 10**15:
        raise argparse.ArgumentTypeError(f"{text} is no number of credits")
    return balance


def _rate(text: str) -> str:
    from soundstage.emulator.accounts import rates

    try:
        rates.parse(text, "the rate limit")
    except UsageError as error:
        raise argparse.ArgumentTypeError(str(error)) from None
    return text


def _profile(text: str) -> str:
    from soundstage.emulator.pace.profiles import profile

    try:
        profile(text)
    except UsageError as error:
        raise argparse.ArgumentTypeError(str(error)) from None
    return text


def _epilog() -> str:
    from soundstage.emulator.accounts.triggers import triggers
    from soundstage.emulator.pace.profiles import profiles

    known = triggers()
    keys = "\n".join(f"  {key:<24}{entry.says}" for key, entry in known.keys.items())
    paces = "\n".join(
        f"  {each.name:<24}{_brief(each.description)}" for each in profiles().values()
    )
    words = "\n".join(f"  {word:<24}{entry.says}" for word, entry in known.words.items())
    return f"""\
keys: on loopback any key will do; elsewhere those of --key, or {known.default_key}.
These behave on purpose:
{keys}

words that do something:
{words}

profiles:
{paces}

The request header `Soundstage-Error: NAME` gives any error that the contract knows, before
anything else about the request is looked at. `Soundstage-Fault: FAULT` breaks the answer to one
request. A FAULT is NAME[=SECONDS][@STAGE][#TRACK][:PROBABILITY][*COUNT];
`soundstage faults --list` has all names.

examples:
  soundstage emulate --port 8000 --speed 10
  soundstage emulate --port 0 --profile instant --seed 7
  soundstage emulate --error service_unavailable
  soundstage emulate --key mine:100 --rate-limit 10/minute
  soundstage emulate --replay recordings/ --speed 10 --loop
  soundstage emulate --profile-from runs/2026-11-21T08-36-15-load-3f2a --profile-to live.json
  soundstage emulate --fault index/gap --fault track/lost:0.1
  soundstage emulate --fault wire/reset@running:0.5*3
  soundstage emulate --log
  soundstage emulate --log requests.jsonl --log-format json

exit codes: 0 stopped, or the profile is written, 2 wrong usage, 6 the address cannot be had
"""


def _brief(text: str) -> str:
    return text.partition(". ")[0].removesuffix(".")


def _hint(emulator: Emulator, url: str) -> str:
    calls = emulator.calls(url)
    said = [f"try: {calls[0].on_one_line}"] if calls else []
    return visible.lines([*said, "stop with Ctrl-C"])
