"""`soundstage demo`: the whole thing once, against the emulator: check, load, report."""

from __future__ import annotations

import argparse
import signal
import subprocess
import sys
from contextlib import suppress
from pathlib import Path
from typing import TextIO

from soundstage.arguments import Parser, at_most, between, whole
from soundstage.exchange.spawn import spawned_emulator
from soundstage.exit_codes import worst
from soundstage.output.streams import say
from soundstage.output.visible import painted
from soundstage.process import lifeline, signals
from soundstage.proof.one_conforming import unkept_apis
from soundstage.results.bundle import new_folder

HELP = "show everything once, against the emulator"

_EXAMPLES = """examples:
  soundstage demo
  soundstage demo --seconds 60 --rate 10

Nothing leaves this machine, and nothing costs money.
"""
#: A command that is told to stop gets so long to report, in seconds.
_STOP_S = 20.0


def parse_args(argv: list[str]) -> argparse.Namespace:
    parser = Parser(
        prog="soundstage demo",
        description="Start the emulator, check both API versions, run a short load, and report.",
        epilog=_EXAMPLES,
    )
    parser.add_argument(
        "--seconds", type=at_most(3600), default=15, metavar="N", help="of load (default 15)"
    )
    parser.add_argument(
        "--rate", type=between(0.01, 1000), default=4.0, metavar="R", help="requests a second"
    )
    parser.add_argument(
        "--speed", type=between(0.1, 1000), default=40.0, help="of the emulator (default 40)"
    )
    parser.add_argument("--seed", type=whole, default=7, help="of emulator and load (default 7)")
    parser.add_argument("--runs", default="runs", metavar="DIR", help="where bundles go (runs/)")
    return parser.parse_args(argv)


def run(args: argparse.Namespace, stdout: TextIO, stderr: TextIO) -> int:
    parent = Path(args.runs)
    seed = str(args.seed)
    options = ["--speed", str(args.speed), "--seed", seed]
    with spawned_emulator(options, left_out=unkept_apis()) as url:
        _say(stdout, f"emulator at {url}, {args.speed:g} times as fast as the real thing")
        _say(stdout, "contract check: every rule of every version")
        folder = new_folder("check", parent)
        checked = _call(
            "check", "--target", url, "--out", str(folder), "--seed", seed, "--explore", "2"
        )
        _say(stdout, f"load: {args.rate:g} requests a second for {args.seconds} s, open loop")
        load_folder = new_folder("load", parent)
        loaded = _call(
            "load",
            *("--target", url, "--rate", str(args.rate), "--duration", f"{args.seconds}s"),
            *("--seed", seed, "--out", str(load_folder)),
        )
    _say(stdout, "reports")
    for each in (folder, load_folder):
        say(f"  {each / 'report.html'}", stdout)
    return worst((checked, loaded))


def _call(*arguments: str) -> int:
    """Run a command in a process of its own, with our output: Locust patches the whole process.
    It ends with us; where we are told to stop, it is told so and reports first.
    """
    command = [sys.executable, "-P", "-m", "soundstage", *arguments, lifeline.OPTION]
    with subprocess.Popen(command, stdin=subprocess.PIPE) as child:
        try:
            return child.wait()
        except KeyboardInterrupt:
            # From a terminal it has heard already; one that comes twice is an echo.
            with suppress(ProcessLookupError):
                child.send_signal(signals.heard() or signal.SIGINT)
            with suppress(subprocess.TimeoutExpired):
                child.wait(_STOP_S)
            child.kill()
            raise


def _say(stdout: TextIO, text: str) -> None:
    bold = painted(text, "1") if stdout.isatty() else text
    say("", stdout)
    say(f"== {bold}", stdout, flush=True)
