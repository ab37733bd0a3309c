"""`soundstage load`: a load run in this process, its verdict and its report.

Locust is imported when the command runs, not before: importing it patches the sockets of the
whole process, and `--help` has no need of it.
"""

from __future__ import annotations

import argparse
import io
import json
import re
import shlex
import signal
from contextlib import ExitStack
from pathlib import Path
from typing import TYPE_CHECKING, Any, TextIO

from soundstage import cli
from soundstage.contract import available
from soundstage.errors import UsageError
from soundstage.exchange import consent
from soundstage.exchange.budget import is_loopback
from soundstage.exchange.spawn import spawned_emulator

if TYPE_CHECKING:
    from soundstage.loadtests.loadrun import LoadOptions, LoadRun

HELP = "run a load test"

EMULATOR = "emulator"
_DEFAULT_RATE = 5.0
#: Users of a closed loop start within this many seconds, so that they do not move in step.
_SPREAD_S = 5.0
_UNITS = {"ms": 0.001, "s": 1.0, "m": 60.0, "h": 3600.0, "": 1.0}
_DURATION = re.compile(r"([0-9]+(?:\.[0-9]+)?)(ms|s|m|h|)")

_EXAMPLES = """examples:
  soundstage load --target emulator --emulator-args "--speed 20" --rate 5 --duration 30s
  soundstage load --target http://127.0.0.1:8000 --api v6 --rate 50 --duration 2m --warmup 10s
  soundstage load --target http://127.0.0.1:8000 --users 20 --endpoint sync
  SOUNDVERSE_API_KEY=... soundstage load --target https://api.soundverse.ai --api v6 \\
      --rate 0.1 --duration 5m --budget 30

Requests start on a schedule that does not wait for answers (an open loop), and times count from
the scheduled start. --users makes it a closed loop instead. Every exchange is held against the
contract. Ctrl-C ends the run early with a report; once more cuts what is in flight.

The key is read from SOUNDVERSE_API_KEY or --key-file, never from the command line.

exit codes: 0 pass, 1 contract broken, 2 wrong usage, 4 inconclusive, 5 no data,
6 target failed, budget spent or generator saturated, 130 interrupted
"""


def duration(text: str) -> float:
    """Seconds of `30s`, `2m`, `500ms`, `1h` or `30`."""
    match = _DURATION.fullmatch(text.strip())
    if match is None:
        raise argparse.ArgumentTypeError(f"{text!r} is no duration; try 30s, 2m or 500ms")
    return float(match[1]) * _UNITS[match[2]]


def parse_args(argv: list[str]) -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        prog="soundstage load",
        description="Load a target, measure its milestones, and hold every exchange against the "
        "contract.",
        epilog=_EXAMPLES,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    add = parser.add_argument
    add("--target", metavar="URL", help="base URL of the API; `emulator` starts one (free)")
    many = "(repeatable; default: all)"
    add("--api", action="append", metavar="API", help=f"{', '.join(available())} {many}")
    add(
        "--endpoint",
        action="append",
        choices=("stream", "sync"),
        help="(repeatable; default: stream)",
    )
    add("--rate", type=_positive, metavar="R", help="arrivals a second (default 5)")
    add("--duration", type=duration, default=30.0, help="of arrivals after warm-up (default 30s)")
    add("--arrivals", choices=("poisson", "constant"), help="(default: poisson)")
    add("--users", type=_count, metavar="N", help="a closed loop of N users instead of --rate")
    text = "drop arrivals beyond N exchanges in flight, and count them"
    add("--max-in-flight", type=_count, metavar="N", help=text)
    add("--seed", type=int, default=0, help="of arrivals and requests (default 0)")
    text = "leave requests of this first while out of the figures (default 0s)"
    add("--warmup", type=duration, default=0.0, metavar="DURATION", help=text)
    text = "wait this long for what is in flight at the end (default 120s)"
    add("--drain", type=duration, default=120.0, metavar="DURATION", help=text)
    text = "longest time of an exchange (default 10m)"
    add("--timeout", type=duration, default=600.0, metavar="DURATION", help=text)
    text = "longest silence in an exchange (default 180s)"
    add("--idle-timeout", type=duration, default=180.0, metavar="DURATION", help=text)
    add("--dry-run", action="store_true", help="say what would be sent, and stop")
    add("--yes", action="store_true", help="do not ask before a live run")
    add("--budget", type=int, metavar="N", help="billable requests that may be sent")
    add("--key-file", metavar="FILE", help="file with the API key")
    add("--header", action="append", default=[], metavar="'NAME: VALUE'", help="send it along")
    add("--ca-file", metavar="PEM", help="authorities to trust instead of the system's")
    add("--client-cert", nargs=2, metavar=("CERT", "KEY"), help="PEM files")
    add("--insecure", action="store_true", help="do not verify certificates")
    add("--keep-private", action="store_true", help="do not redact prompts in bundles")
    text = "options for --target emulator, see `soundstage emulate --help`"
    add("--emulator-args", default="", metavar="ARGS", help=text)
    add("--out", metavar="DIR", help="folder of the run bundle (default: in runs/)")
    add("--on-inconclusive", choices=("fail", "warn"), default="fail", help="warn: exit 0, not 4")
    add("--format", choices=("text", "json"), default="text", help="json prints run.json")
    args = parser.parse_args(argv)
    if args.users is not None and args.rate is not None:
        parser.error("--rate is an open loop, --users a closed one: take one of them")
    if args.users is not None and args.arrivals is not None:
        parser.error("--arrivals is for --rate: the users of a closed loop have no schedule")
    if args.users is not None and args.max_in_flight is not None:
        parser.error("--max-in-flight is for --rate: N users have at most N in flight")
    if args.budget is not None and args.budget < 0:
        parser.error("--budget: 0 or more")
    args.command = shlex.join(["soundstage", "load", *_shown(argv)])
    return args


def run(args: argparse.Namespace, stdout: TextIO, stderr: TextIO) -> int:
    """Run the load, report it; returns the exit code of design 12."""
    if not args.target:
        raise UsageError("--target is needed: a base URL, or `--target emulator`, which is free")
    if args.dry_run:
        print(_planned(args), file=stdout)
        return 0
    if args.budget and args.target != EMULATOR and not (args.yes or is_loopback(args.target)):
        consent.ask(_planned(args), stderr)

    import locust  # noqa: F401 - patches sockets, and must before anything uses one

    with ExitStack() as stack:
        url = args.target
        if url == EMULATOR:
            url = stack.enter_context(spawned_emulator(shlex.split(args.emulator_args)))
        code, path = _load(_options(args, url), args, stderr)
    if args.format == "json":
        cli.run("report", [str(path)], io.StringIO(), stderr)
        print(json.dumps(json.loads((path / "run.json").read_bytes())), file=stdout)
    else:
        cli.run("report", [str(path)], stdout, stderr)
    return 0 if code == 4 and args.on_inconclusive == "warn" else code


def _planned(args: argparse.Namespace) -> str:
    """What would be sent, how long it takes and what it may cost, in words."""
    seconds = args.warmup + args.duration
    kinds = " and ".join(args.endpoint or ["stream"])
    apis = ", ".join(args.api or available())
    if args.users is not None:
        load = f"{args.users} users, one request after another,"
    else:
        rate = args.rate or _DEFAULT_RATE
        load = f"{rate:g} requests a second, about {rate * seconds:.0f} in all,"
    limit = "no budget" if args.budget is None else f"at most {args.budget} of them billable"
    return f"{args.target}: {load} for {seconds:g} s to {kinds} of {apis}; {limit}"


def _load(options: LoadOptions, args: argparse.Namespace, stderr: TextIO) -> tuple[int, Path]:
    """The run itself; its exit code and its bundle."""
    import gc

    import gevent
    from locust.env import Environment

    from soundstage.loadtests import arrivals, progress, users
    from soundstage.loadtests.loadrun import LEAD_S, open_run

    open_loop = args.users is None
    user: Any = users.ArrivalsUser if open_loop else users.SongUser
    user_class = type("Arrivals" if open_loop else "Songs", (user,), {"host": options.target})
    environment = Environment(user_classes=[user_class], host=options.target)
    load = open_run(environment, options)
    seconds = options.warmup_s + args.duration

    def schedule() -> arrivals.Schedule:
        kind, rate = args.arrivals or "poisson", args.rate or _DEFAULT_RATE
        return arrivals.schedule(kind, rate, seconds, options.seed)

    before = {each: signal.getsignal(each) for each in (signal.SIGINT, signal.SIGTERM)}
    watchers = [gevent.signal_handler(each, load.interrupt) for each in before]
    runner = environment.create_local_runner()
    users.attach(environment, load, schedule)
    try:
        with load.recording.bundle, progress.shown(load, seconds, stderr):
            gc.collect()
            gc.freeze()
            load.begin(LEAD_S if open_loop else 0.0)
            if open_loop:
                gevent.spawn(runner.start, 1, 1)
                load.stopping.wait()
            else:
                spread = max(0.001, min(_SPREAD_S, seconds / 4))
                gevent.spawn(runner.start, args.users, args.users / spread)
                load.stopping.wait(seconds)
            load.stop()
            runner.stop()
            load.drain(options.drain_s)
            code = load.conclude()
    finally:
        users.detach(environment)
        runner.quit()
        for watcher in watchers:
            watcher.cancel()
        for each, handler in before.items():
            signal.signal(each, handler)
    _say_why_early(load, stderr)
    return code, load.recording.bundle.path


def _say_why_early(load: LoadRun, stderr: TextIO) -> None:
    if load.failure is not None:
        print(f"soundstage load: stopped early: {load.failure}", file=stderr)


def _options(args: argparse.Namespace, url: str) -> LoadOptions:
    from soundstage.loadtests.loadrun import LoadOptions

    open_loop = args.users is None
    parameters: dict[str, Any] = {
        "loop": "open" if open_loop else "closed",
        "rate": (args.rate or _DEFAULT_RATE) if open_loop else None,
        "arrivals": (args.arrivals or "poisson") if open_loop else None,
        "users": args.users,
        "duration_s": args.duration,
        "warmup_s": args.warmup,
        "drain_s": args.drain,
        "timeout_s": args.timeout,
        "idle_timeout_s": args.idle_timeout,
        "max_in_flight": args.max_in_flight,
        "apis": args.api or available(),
        "endpoints": args.endpoint or ["stream"],
    }
    return LoadOptions(
        target=url,
        apis=tuple(args.api or available()),
        kinds=tuple(args.endpoint or ("stream",)),
        seed=args.seed,
        warmup_s=args.warmup,
        drain_s=args.drain,
        timeout_s=args.timeout,
        idle_timeout_s=args.idle_timeout,
        max_in_flight=args.max_in_flight,
        budget=args.budget,
        key_file=args.key_file,
        headers=tuple(_header(text) for text in args.header),
        ca_file=args.ca_file,
        client_cert=tuple(args.client_cert) if args.client_cert else None,
        insecure=args.insecure,
        keep_private=args.keep_private,
        out=args.out,
        command=args.command,
        parameters=tuple(parameters.items()),
    )


def _header(text: str) -> tuple[str, str]:
    name, colon, value = text.partition(":")
    if not colon or not name.strip():
        raise UsageError(f"--header {name!r}: expected 'NAME: VALUE'")
    return name.strip(), value.strip()


def _shown(argv: list[str]) -> list[str]:
    """The arguments as given, without values of headers, which may be secret."""
    shown, hide = [], False
    for word in argv:
        name = word.partition("=")[0]
        shown.append("[redacted]" if hide else name if name == "--header" else word)
        hide = word == "--header"
    return shown


def _positive(text: str) -> float:
    value = float(text)
    if not 0 < value < float("inf"):
        raise argparse.ArgumentTypeError(f"{text} is not a rate: it must be above zero")
    return value


def _count(text: str) -> int:
    value = int(text)
    if value < 1:
        raise argparse.ArgumentTypeError(f"{text}: 1 or more")
    return value
