"""`soundstage demo`: the whole thing once, against the emulator: check, load, report.

It runs the very commands that it names, so that whoever has seen it knows what to type.
"""

from __future__ import annotations

import argparse
import shlex
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import suppress
from importlib import import_module
from pathlib import Path
from typing import TextIO

from soundstage.arguments import Parser, between, from_one, whole
from soundstage.contract import load_sound
from soundstage.errors import SoundstageError
from soundstage.exit_codes import worst
from soundstage.output.streams import say
from soundstage.output.visible import painted
from soundstage.process import lifeline, signals
from soundstage.results.bundle import Bundle, new_folder

HELP = "show everything once, against the emulator"

_EXAMPLES = """examples:
  soundstage demo
  soundstage demo --seconds 60 --rate 10

Nothing leaves this machine, and nothing costs money.

exit codes: 0 pass, 1 contract broken, 2 wrong usage, 3 too slow, 4 inconclusive, 5 no data,
6 the environment failed
"""
#: A command that is told to stop gets so long to report, in seconds.
_STOP_S = 20.0
#: A fault that every reader understands, to be seen next.
_FAULT = "order/streaming/skipped"


def parser() -> Parser:
    """The options of `soundstage demo`, before anything is parsed."""
    options = Parser(
        prog="soundstage demo",
        description="Check both API versions, run a short load, and report: all of it against the "
        "emulator.",
        epilog=_EXAMPLES,
    )
    options.add_argument(
        "--seconds", type=from_one(3600), default=5, metavar="N", help="of load (default 5)"
    )
    options.add_argument(
        "--rate",
        type=between(0.01, 1000),
        default=8.0,
        metavar="R",
        help="requests a second (default 8)",
    )
    text = "of the emulator under load (default 60); the check's takes no time at all"
    options.add_argument("--speed", type=between(0.1, 1000), default=60.0, help=text)
    options.add_argument("--seed", type=whole, default=7, help="of emulator and load (default 7)")
    text = "where bundles go (default: runs/)"
    options.add_argument("--runs", default="runs", metavar="DIR", help=text)
    return options


def parse_args(argv: list[str]) -> argparse.Namespace:
    return parser().parse_args(argv)


def run(args: argparse.Namespace, stdout: TextIO, stderr: TextIO) -> int:
    codes: list[int] = []
    bundles: list[Path] = []
    commands = list(_commands(args))
    not_begun: str | None = None
    try:
        for number, (title, words) in enumerate(commands, 1):
            _head(stdout, f"{number} of {len(commands)}  {title}")
            say(f"$ soundstage {shlex.join(words)}", stdout, flush=True)
            folder = new_folder(words[0], Path(args.runs))
            bundles.append(folder)
            codes.append(_call(*words, "--out", str(folder)))
            if codes[-1] and _opened(folder) is None:
                # What kept it from beginning keeps the others, too.
                not_begun = f"{words[0]} did not begin (exit code {codes[-1]}: see above)"
                if number < len(commands):
                    not_begun += "; nothing more was tried"
                break
    finally:
        # Also of what was interrupted there is something to see.
        _sum_up(bundles, stdout, not_begun)
    return worst(codes)


def _commands(args: argparse.Namespace) -> Iterator[tuple[str, list[str]]]:
    """What is shown, and by which command."""
    target = ["--target", "emulator"]
    seed = ["--seed", str(args.seed)]
    # What may be asked is explored in a few seconds more, in which nobody knows the verdict yet.
    check = ["check", *target, *seed, "--explore", "0"]
    yield "contract check: all that is answered, held to every rule of every version", check
    emulated = shlex.join(["--speed", f"{args.speed:g}", *seed])
    title = (
        f"load: {args.rate:g} requests a second for {args.seconds} s, of an emulator that is "
        f"{args.speed:g} times as fast as the real thing"
    )
    words = ["--rate", f"{args.rate:g}", "--duration", f"{args.seconds}s", *seed]
    yield title, ["load", *target, f"--emulator-args={emulated}", *words]


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


def _opened(folder: Path) -> Bundle | None:
    """The bundle of a command; None where it was over before it had one."""
    with suppress(SoundstageError):
        return Bundle.open(folder)
    return None


def _sum_up(bundles: list[Path], stdout: TextIO, not_begun: str | None = None) -> None:
    """Say what came of each command, which page to open, and what to try next. `not_begun`: the
    command that could not begin, in a sentence.
    """
    _head(stdout, "what came of it")
    headline = import_module("soundstage.reports.words").headline
    pages = []
    for bundle in filter(None, map(_opened, bundles)):
        said = headline(bundle.run)
        sentence = said.sentence.removeprefix(f"{said.tone.capitalize()}: ")
        _row(stdout, bundle.run["kind"], f"{said.tone.upper()}  {sentence}")
        page = bundle.path / "report.html"
        written = page.is_file()
        pages.append(str(page) if written else f"no page yet: soundstage report {bundle.path}")
    for number, each in enumerate(pages):
        _row(stdout, "" if number else "open", each)
    if not_begun is not None:
        _row(stdout, "", not_begun)
        return
    if not pages:
        _row(stdout, "", "it was stopped before anything was judged")
    for number, (words, about) in enumerate(_next()):
        _row(stdout, "" if number else "next", f"soundstage {shlex.join(words)}    {about}")


def _next() -> Iterator[tuple[list[str], str]]:
    """What to try next, and what it shows."""
    contracts = load_sound()[0].values()
    songs = sum(each.billed for contract in contracts for each in contract.endpoints.values())
    broken = ["check", "--target", "emulator", "--fault", _FAULT]
    yield broken, "a contract that is broken"
    target = next(iter(contracts)).base_url
    live = ["check", "--target", target, "--budget", str(songs), "--dry-run"]
    yield live, "what a live check would send, and cost"


def _row(stdout: TextIO, label: str, text: str) -> None:
    say(f"{label:<5}  {text}", stdout)


def _head(stdout: TextIO, text: str) -> None:
    bold = painted(text, "1") if stdout.isatty() else text
    say("", stdout)
    say(f"== {bold}", stdout, flush=True)
