"""`soundstage emulate`: starts the emulator and serves until it is stopped."""

from __future__ import annotations

import argparse
import math
from collections.abc import Callable
from pathlib import Path
from typing import TextIO

HELP = "start the emulator of the API"


def parse_args(argv: list[str]) -> argparse.Namespace:
    """The options of the emulator; exits with 2 where they are wrong."""
    from soundstage.emulator.pacing import profiles

    parser = argparse.ArgumentParser(
        prog="soundstage emulate",
        description="Start a stand-in for the API on this machine and serve until stopped. It "
        "prints `listening on http://HOST:PORT` when it is ready.",
        epilog=_epilog(),
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    add = parser.add_argument
    add("--host", default="127.0.0.1", help="address to listen on (default: %(default)s)")
    add("--port", type=_port, default=8000, help="0 takes a free one (default: %(default)s)")
    add("--seed", type=int, help="same seed and requests: same bytes and delays (default: random)")
    add("--speed", type=_speed, default=1.0, metavar="N", help="divide every delay by N")
    names = list(profiles())
    add("--profile", choices=names, default=names[0], help="delays (default: %(default)s)")
    add("--framing", choices=("sse", "lines"), default="sse", help="of streams that allow it")
    text = "accept this key (repeatable; default: any on loopback, see below)"
    add("--key", action="append", default=[], dest="keys", metavar="KEY", help=text)
    add("--error", metavar="NAME", help="answer every generation request with this error")
    add("--state", type=Path, metavar="FILE", help="keep balances and charges here")
    add("--stamp", action="store_true", help="send `: sent=NANOSECONDS` with each chunk")
    text = "serve this version (repeatable; default: all)"
    add("--api", action="append", default=[], dest="apis", metavar="API", help=text)
    text = "break answers in this way of the catalogue, NAME[:PROBABILITY] (repeatable)"
    add("--fault", action="append", default=[], dest="faults", metavar="NAME", help=text)
    text = "serve recorded answers instead: a folder of transcripts, a transcript, or a HAR file"
    add("--replay", type=Path, metavar="PLACE", help=text)
    add("--loop", action="store_true", help="with --replay: after the last recording, the first")
    args = parser.parse_args(argv)
    if args.loop and args.replay is None:
        parser.error("--loop needs --replay")
    if args.replay is not None and (args.error or args.faults or args.stamp or args.state):
        parser.error("--replay serves what was recorded: no --error, --fault, --stamp or --state")
    return args


def run(args: argparse.Namespace, stdout: TextIO, stderr: TextIO) -> int:
    """Serve until SIGTERM or SIGINT; 0 then. Raises SoundstageError where it cannot start."""
    from soundstage.emulator.options import Options
    from soundstage.emulator.server import READY, serve

    def ready(url: str) -> None:
        print(f"{READY}{url}", file=stdout, flush=True)
        if stderr.isatty() and args.replay is None:
            print(_hint(url), file=stderr, flush=True)

    if args.replay is not None:
        _replay(args, ready, stderr)
        return 0
    named = vars(args)
    lists = {name: tuple(named[name]) for name in ("keys", "apis", "faults")}
    serve(Options(**{name: named[name] for name in Options.__slots__} | lists), ready)
    return 0


def _replay(args: argparse.Namespace, ready: Callable[[str], None], stderr: TextIO) -> None:
    from soundstage.contract import load, load_all
    from soundstage.emulator import recordings, replay

    contracts = [load(api) for api in args.apis] or list(load_all().values())
    found = recordings.read(args.replay, contracts)
    served = replay.Replay(found, speed=args.speed, loop=args.loop)
    if stderr.isatty():
        print("\n".join(["recorded:", *served.paths()]), file=stderr, flush=True)
    replay.serve(served, args.host, args.port, ready)


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


def _epilog() -> str:
    from soundstage.emulator.requests import triggers

    known = triggers()
    keys = "\n".join(f"  {key:<24}{entry.says}" for key, entry in known.keys.items())
    words = "\n".join(f"  {word:<24}{entry.says}" for word, entry in known.words.items())
    return f"""\
keys: on loopback any key will do; elsewhere those of --key, or {known.default_key}.
These behave on purpose:
{keys}

words that do something:
{words}

The request header `Soundstage-Error: NAME` gives any error that the contract knows, before
anything else about the request is looked at. `Soundstage-Fault: NAME` breaks the answer to one
request; `soundstage faults --list` names all faults.

examples:
  soundstage emulate --port 8000 --speed 10
  soundstage emulate --port 0 --profile instant --seed 7
  soundstage emulate --error service_unavailable
  soundstage emulate --replay recordings/ --speed 10 --loop
  soundstage emulate --fault index/gap --fault track/lost:0.1
"""


def _hint(url: str) -> str:
    from soundstage.contract import load_all

    for contract in load_all().values():
        endpoint = contract.endpoint_of_kind("stream")
        example = next((each.payload for each in contract.examples if each.of == "request"), None)
        if endpoint is not None and example is not None:
            import json

            return (
                f"try: curl -N {url}{endpoint.path} -H 'Authorization: Bearer any-key'"
                f" -H 'Content-Type: application/json' -d '{json.dumps(example)}'\n"
                "stop with Ctrl-C"
            )
    return "stop with Ctrl-C"
