"""The options of `soundstage load`. Imports nothing that takes long: `--help` comes at once."""

from __future__ import annotations

import argparse
import shlex

from soundstage.arguments import Parser, at_most, count, shown, whole
from soundstage.contract import available
from soundstage.errors import UsageError
from soundstage.loadtests.against import against_options
from soundstage.loadtests.schedule import arrivals, scenario
from soundstage.results.listening.listened import LONGEST_BUFFER_S, START_BUFFER_S
from soundstage.target_options import add_config_option, add_target_options

_EXAMPLES = """examples:
  soundstage load --target emulator --emulator-args "--speed 20" --rate 5 --duration 30s
  soundstage load --target http://127.0.0.1:8000 --api v6 --rate 50 --duration 2m --warmup 10s \\
      --slo 'v6.complete.p95<90s' --slo 'error_rate<1%'
  soundstage load --target http://127.0.0.1:8000 --scenario spike
  soundstage load --target http://127.0.0.1:8000 --scenario my.toml --corpus prompts.txt
  soundstage load --target http://127.0.0.1:8000 --users 20 --endpoint sync
  soundstage load --target emulator --emulator-args "--speed 20 --profile mmc" --api v6 \\
      --endpoint sync --find-capacity --slo 'complete.p95<600ms' --rate 16
  soundstage load --target http://127.0.0.1:8000 --api v6 --rate 1 --against baseline \\
      --gate v6.stream.complete.p50 --gate v6.stream.streaming_ready.p50
      until it is decided whether the target is slower than the run `baseline`
  locust -f "$(soundstage load --locustfile)" --host http://127.0.0.1:8000
  SOUNDVERSE_API_KEY=... soundstage load --target https://api.soundverse.ai --api v6 \\
      --rate 0.1 --duration 5m --budget 30

Requests start on a schedule that does not wait for answers (an open loop), and times count from
the scheduled start. --users makes it a closed loop instead. Every exchange is held against the
contract. Ctrl-C ends the run early with a report; once more cuts what is in flight.

An objective (--slo) is one of
  [API[.ENDPOINT].]MILESTONE.pN<SECONDSs        v6.complete.p95<90s
  [API[.ENDPOINT].]violations[(CODE)]==0        violations(field.missing)==0
  [API[.ENDPOINT].]error_rate<1%                also ok_, violation_, failed_, refused_,
                                                timeout_ and transport_rate
  [API[.ENDPOINT].]goodput(CONDITION, …)>=99%   goodput(complete<=2m, no_violation)>=99%
  [API[.ENDPOINT].]continuity>=99%              songs without a gap; takes --probe-playback
and passes, fails or is inconclusive by its 95% interval (docs/reference/objectives.md).

The key is read from SOUNDVERSE_API_KEY or --key-file, never from the command line.

exit codes: 0 pass, 1 contract broken, 2 wrong usage, 3 an SLO is missed or a gate failed,
4 inconclusive or budget used up, 5 no data, 6 target failed, no budget or generator saturated,
130 interrupted
"""


def parser() -> Parser:
    """The options of `soundstage load`, before anything is parsed."""
    options = Parser(
        prog="soundstage load",
        description="Load a target, measure its milestones, and hold every exchange against the "
        "contract.",
        epilog=_EXAMPLES,
    )
    _of_target(options)
    _of_load(options)
    _of_objectives(options)
    against_options.add_against_options(options)
    _of_capacity(options)
    return options


def start_buffer(args: argparse.Namespace) -> float:
    """Seconds of music that a listener waits for. Raises UsageError where nobody listens."""
    if args.start_buffer is None:
        return START_BUFFER_S
    if not args.probe_playback:
        raise UsageError("--start-buffer is for listeners: add --probe-playback")
    return float(args.start_buffer)


def parse_args(argv: list[str]) -> argparse.Namespace:
    """The arguments after `soundstage load`; `command` is how they may be shown."""
    options = parser()
    args = options.parse_args(argv)
    _agree(args, options)
    against_options.agree(args, options)
    args.command = shlex.join(["soundstage", "load", *shown(argv, args)])
    return args


def _of_target(parser: argparse.ArgumentParser) -> None:
    group = parser.add_argument_group("target")
    add_target_options(group, emulator_args="")
    add = group.add_argument
    add_config_option(group)
    add("--out", metavar="DIR", help="folder of the run bundle (default: in runs/)")
    text = "json prints run.json"
    add("--format", choices=("text", "json"), default="text", help=text)
    text = "serve Prometheus metrics while it runs (HOST default 127.0.0.1: this machine only)"
    add("--metrics-port", type=address, metavar="[HOST:]PORT", help=text)


def _of_load(parser: argparse.ArgumentParser) -> None:
    add = parser.add_argument_group("load").add_argument
    text = "one that comes along (--list-scenarios), or a TOML file; options win over it"
    add("--scenario", metavar="NAME|FILE", help=text)
    add("--list-scenarios", action="store_true", help="show those that come along, and stop")
    text = "say where the locustfile is, for `locust -f` with its web UI or workers, and stop"
    add("--locustfile", action="store_true", help=text)
    many = "(repeatable; default: all)"
    add("--api", action="append", metavar="API", help=f"{', '.join(available())} {many}")
    text = "kind or name of endpoint: stream, sync (repeatable; default: stream)"
    add("--endpoint", action="append", metavar="NAME", help=text)
    text = "a part of the mixture, such as v6.stream=3 (repeatable; instead of the two above)"
    add("--traffic", action="append", metavar="API[.ENDPOINT][=WEIGHT]", help=text)
    add("--rate", type=_positive, metavar="R", help="arrivals a second (default 5)")
    text = "of arrivals after warm-up (default 30s); a scenario's phases are stretched to it"
    add("--duration", type=duration, metavar="DURATION", help=text)
    add("--arrivals", choices=arrivals.PROCESSES, help="(default: poisson)")
    text = "start requests at recorded times: a file of seconds, one a line, or a run bundle"
    add("--replay", metavar="FILE|BUNDLE", help=text)
    add("--users", type=_count, metavar="N", help="a closed loop of N users instead of --rate")
    text = "drop arrivals beyond N exchanges in flight, and count them"
    add("--max-in-flight", type=_count, metavar="N", help=text)
    text = "send from N processes of this machine (default 1)"
    add("--processes", type=_processes, default=1, metavar="N", help=text)
    text = "listen to songs (to all, or to P%%) while they are made: first sound, gaps, continuity"
    add("--probe-playback", type=_share, nargs="?", const=1.0, default=0.0, metavar="P%", help=text)
    text = "seconds of music that a listener waits for before playing (default 2s)"
    add("--start-buffer", type=_buffer, metavar="DURATION", help=text)
    text = (
        "prompts, one a line; .jsonl, .json, .csv: fields by role (default: made up, all different)"
    )
    add("--corpus", metavar="FILE", help=text)
    add("--seed", type=whole, metavar="N", help="of arrivals and requests (default 0)")
    text = "leave requests of this first while out of the figures (default 0s)"
    add("--warmup", type=duration, metavar="DURATION", help=text)
    text = "wait this long for what is in flight at the end (default 120s)"
    add("--drain", type=duration, metavar="DURATION", help=text)
    text = "longest time of an exchange (default 10m)"
    add("--timeout", type=duration, metavar="DURATION", help=text)
    text = "longest silence in an exchange (default 180s)"
    add("--idle-timeout", type=duration, metavar="DURATION", help=text)


def _of_objectives(parser: argparse.ArgumentParser) -> None:
    add = parser.add_argument_group("objectives").add_argument
    text = "an objective, see below (repeatable; instead of the scenario's)"
    add("--slo", action="append", default=[], metavar="SLO", help=text)
    text = "stop once an objective can no longer be met"
    add("--abort-on-hopeless", action="store_true", help=text)
    add("--on-inconclusive", choices=("fail", "warn"), default="fail", help="warn: exit 0, not 4")


def _of_capacity(parser: argparse.ArgumentParser) -> None:
    group = parser.add_argument_group(
        "capacity",
        "The highest arrival rate that meets the objectives: the rate is doubled until one is\n"
        "missed, then the bracket halved. --rate is the first one tried (default 1), --duration\n"
        "and --exchanges are the least length of a trial, --warmup comes before each (default:\n"
        "a third of it).",
    )
    add = group.add_argument
    add("--find-capacity", action="store_true", help="search instead of one run")
    add("--max-rate", type=_positive, metavar="R", help="do not try more (default: no limit)")
    text = "stop at a bracket this narrow (default 5%%)"
    add("--precision", type=_percent, default=0.05, metavar="P%", help=text)
    text = "least number of measured exchanges in a trial (default 1000)"
    add("--exchanges", type=_count, default=1000, metavar="N", help=text)
    text = "further trials that the answer has to pass (default 2)"
    add("--confirm", type=at_most(100), default=2, metavar="N", help=text)


def _agree(args: argparse.Namespace, parser: argparse.ArgumentParser) -> None:
    if args.users is not None and args.rate is not None:
        parser.error("--rate is an open loop, --users a closed one: take one of them")
    if args.replay is not None and (args.users, args.rate, args.duration) != (None, None, None):
        parser.error("--replay says when requests start: no --rate, --duration or --users")
    if args.users is not None and args.arrivals is not None:
        parser.error("--arrivals is for --rate: the users of a closed loop have no schedule")
    if args.users is not None and args.max_in_flight is not None:
        parser.error("--max-in-flight is for --rate: N users have at most N in flight")
    if args.traffic and (args.api or args.endpoint):
        parser.error("--traffic names APIs and endpoints itself: no --api or --endpoint beside it")
    if args.max_in_flight is not None and args.max_in_flight < args.processes:
        parser.error("--max-in-flight: at least one for each of --processes")
    if args.duration is not None and args.duration <= 0:
        parser.error("--duration: more than 0")
    if args.confirm < 0:
        parser.error("--confirm: 0 or more")
    if args.find_capacity:
        if args.users is not None or args.replay is not None:
            parser.error("--find-capacity chooses the rates itself: no --users or --replay")
        if args.processes > 1:
            parser.error("--find-capacity runs in one process: no --processes")
        if args.abort_on_hopeless:
            parser.error("--find-capacity gives up hopeless trials anyway")


#: Beyond these a number is a slip of the hand: nothing could ever come of it.
_MOST_A_SECOND = 1_000_000
_MANY = 100_000_000
_MOST_PROCESSES = 512
_LONGEST_S = 366 * 86_400.0


def duration(text: str) -> float:
    """Seconds of `30s`, `2m`, `500ms`, `1h` or `30`, as a type of argparse."""
    try:
        value = scenario.seconds(text)
    except ValueError as error:
        raise argparse.ArgumentTypeError(str(error)) from None
    if value > _LONGEST_S:
        raise argparse.ArgumentTypeError(f"{text}: at most a year")
    return value


def _positive(text: str) -> float:
    value = float(text)
    if not 0 < value <= _MOST_A_SECOND:
        raise argparse.ArgumentTypeError(
            f"{text} is not a rate: above zero, up to {_MOST_A_SECOND:,} a second"
        )
    return value


def address(text: str) -> tuple[str, int]:
    """Host and port of `9100`, `0.0.0.0:9100` or `[::1]:9100`, as a type of argparse."""
    host, _, port = text.rpartition(":")
    if not port.isascii() or not port.isdigit() or int(port) > 65535:
        raise argparse.ArgumentTypeError(f"{text}: expected PORT or HOST:PORT")
    return host.strip("[]") or "127.0.0.1", int(port)


def _count(text: str) -> int:
    if not 1 <= (value := count(text)) <= _MANY:
        raise argparse.ArgumentTypeError(f"{text}: from 1 to {_MANY:,}")
    return value


def _processes(text: str) -> int:
    if (value := _count(text)) > _MOST_PROCESSES:
        raise argparse.ArgumentTypeError(f"{text}: at most {_MOST_PROCESSES}")
    return value


def _share(text: str) -> float:
    value = float(text.removesuffix("%")) / 100
    if not 0 < value <= 1:
        raise argparse.ArgumentTypeError(f"{text}: above 0%, up to 100%")
    return value


def _buffer(text: str) -> float:
    value = duration(text)
    if value > LONGEST_BUFFER_S:
        raise argparse.ArgumentTypeError(f"{text}: at most {LONGEST_BUFFER_S:g}s")
    return value


def _percent(text: str) -> float:
    value = float(text.removesuffix("%")) / 100
    if not 0.001 <= value <= 0.5:
        raise argparse.ArgumentTypeError(f"{text}: between 0.1% and 50%")
    return value
