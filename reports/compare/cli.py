"""`soundstage compare`: what got worse since the last release. Reads bundles, prints, gates."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import TYPE_CHECKING, TextIO

from soundstage.arguments import Parser
from soundstage.errors import NoDataError, SoundstageError, UsageError
from soundstage.exit_codes import ExitCode, with_report, worst
from soundstage.near_names import did_you_mean
from soundstage.output.streams import say
from soundstage.output.written_files import check_place, print_document, put, put_within
from soundstage.reports.decision.gate_options import add_gate_options, add_look_options
from soundstage.untrusted.strange_files import read_named

if TYPE_CHECKING:
    from soundstage.reports.compare.by_looks import LookedArms
    from soundstage.reports.compare.calibration import Calibration
    from soundstage.reports.compare.comparison import CompareOptions, Comparison
    from soundstage.reports.decision.arms import Arm
    from soundstage.reports.drift.drift import DriftFinding

HELP = "compare two runs: what got worse"

_EPILOG = """\
examples:
  soundstage compare runs/monday runs/tuesday
  soundstage compare runs/v1.4 runs/v1.5 --gate v6.stream.complete.p95 --margin 15%
  soundstage compare --base A1,A2,A3 --candidate B1,B2,B3 --html compare.html
      several runs an arm; made by turns (A1 B1 A2 B2 …) they are compared pair by pair
  soundstage compare --calibrate runs/same-* --out calibration.json
      what this environment can tell at all; then: compare … --calibration calibration.json
  soundstage compare --fidelity runs/live runs/emulated
      how near the emulator comes to the live API
  soundstage compare baseline latest --gate complete.p50 --looks 6
      with how many songs a run of `load --against` would have decided, and what
  soundstage compare baseline latest --no-baseline pass
      in CI: passes until `soundstage runs pin latest --as baseline` has made a base

A gate passes if the candidate is surely not slower by more than the margin, fails if it surely
is, and is inconclusive otherwise; then it says how much more would decide.

A page with charts, and links to the reports of both sides, is left beside the newest run of the
candidate: compare-BASE.html. Where it cannot be, a line says so, and the exit code is the same.

exit codes: 0 no worse, 1 contract broken, 2 wrong usage, 3 worse, 4 inconclusive, 5 no data,
6 not comparable (each reason is named; --allow REASON, --force)
"""


def parser() -> Parser:
    """The options of `soundstage compare`, before anything is parsed."""
    options = Parser(
        prog="soundstage compare",
        description="Compare two runs or sets of runs: contract and times.",
        epilog=_EPILOG,
    )
    add = options.add_argument
    text = "BASE and CANDIDATE: folders of runs, several parted by commas"
    add("arms", nargs="*", metavar="RUNS", help=text)
    add("--base", action="append", metavar="RUNS", help="runs of the base (repeatable)")
    add("--candidate", action="append", metavar="RUNS", help="runs of the candidate (repeatable)")
    add_gate_options(options)
    add_look_options(
        options,
        looks="judge the gates at N looks, as `load --against` does while songs come",
        most="of the looks, the last is at N songs (default 1000, or as many as there are)",
    )
    text = "compare in spite of these reasons, parted by commas (repeatable)"
    add("--allow", action="append", default=[], metavar="REASON", help=text)
    add("--force", action="store_true", help="compare in spite of every reason")
    add("--calibrate", nargs="+", metavar="RUNS", help="measure the noise on A/A runs instead")
    add("--calibration", type=Path, metavar="FILE", help="take the measured noise into account")
    text = "score how near the second run comes to the first instead"
    add("--fidelity", nargs=2, metavar=("LIVE", "EMULATED"), help=text)
    formats = ("text", "json", "html", "markdown")
    add("--format", choices=formats, default="text", help="(default: text)")
    add("--out", metavar="FILE", help="write there and print the text (default: print)")
    place = options.add_mutually_exclusive_group()
    text = "put the page there (default: compare-BASE.html beside the candidate's newest run)"
    place.add_argument("--html", metavar="FILE", help=text)
    place.add_argument("--no-page", action="store_true", help="leave no page")
    text = "without a base, as on a first run: fail (exit 2, default) or pass with a warning"
    add("--no-baseline", choices=("fail", "pass"), default="fail", help=text)
    add("--on-inconclusive", choices=("fail", "warn"), default="fail", help="warn: exit 0, not 4")
    return options


def parse_args(argv: list[str]) -> argparse.Namespace:
    """The arguments after `soundstage compare`."""
    options = parser()
    args = options.parse_args(argv)
    args.allow = frozenset(word for text in args.allow for word in text.split(",") if word)
    _check(options, args)
    return args


def _check(parser: argparse.ArgumentParser, args: argparse.Namespace) -> None:
    if args.calibrate is not None or args.fidelity is not None:
        if args.arms or args.base or args.candidate:
            parser.error("--calibrate and --fidelity take their runs themselves")
        if args.calibrate and args.fidelity:
            parser.error("--calibrate or --fidelity, not both")
        formats = ("text", "json") if args.calibrate else ("text", "json", "markdown")
        if args.html is not None:
            parser.error("--html is for comparisons")
        if args.format not in formats:
            parser.error(f"--format {args.format} is for comparisons: here {', '.join(formats)}")
        return
    if args.looks is None and (args.most is not None or args.every_gate):
        parser.error("--most and --every-gate are for --looks")
    if args.base or args.candidate:
        if args.arms or not (args.base and args.candidate):
            parser.error("give BASE CANDIDATE, or --base and --candidate")
    elif len(args.arms) == 2:
        args.base, args.candidate = args.arms[:1], args.arms[1:]
    else:
        parser.error(f"give BASE and CANDIDATE: two words, not {len(args.arms)}")


def run(args: argparse.Namespace, stdout: TextIO, stderr: TextIO) -> int:
    """Compare, print, and give the exit code of the verdict."""
    if args.out not in (None, "-"):
        check_place(Path(args.out), "--out")
    if args.html is not None:
        check_place(Path(args.html), "--html")
    if args.fidelity is not None:
        return _fidelity(args, stdout)
    from soundstage.reports.compare.comparability import REASONS

    for reason in sorted(args.allow - REASONS.keys()):
        near = did_you_mean(reason, REASONS)
        raise UsageError(f"--allow {reason}: no such reason; there are {', '.join(REASONS)}{near}")
    if args.calibrate is not None:
        return _calibrate(args, stdout, stderr)
    from soundstage.reports.compare.comparison import compare
    from soundstage.reports.decision.arms import missing_base, read_arms, resolve
    from soundstage.results.bundle import Bundle

    if (why := missing_base(args.base)) is not None:
        for path in (path for word in args.candidate for path in resolve(word)):
            Bundle.open(path)  # a candidate that is not there is a mistake
        if args.no_baseline == "fail":
            raise UsageError(f"{why}; until then --no-baseline pass lets a comparison pass")
        return _without_base(why, args, stdout, stderr)
    arms = (args.base, args.candidate)
    base, candidate = read_arms([[path for word in arm for path in resolve(word)] for arm in arms])
    findings, gaps = contract_drift(base, candidate)
    noise = _calibration(args.calibration) if args.calibration else None
    made = compare(
        base,
        candidate,
        _options(args, noise),
        drift=findings,
        gaps=gaps,
        calibration=noise,
        looked=_looked(args, base, candidate),
    )
    code = made.exit_code
    if code == ExitCode.INCONCLUSIVE and args.on_inconclusive == "warn":
        code = ExitCode.PASS
    return with_report(code, _give(made, args, stdout, stderr))


def _without_base(why: str, args: argparse.Namespace, stdout: TextIO, stderr: TextIO) -> int:
    """Say that nothing was compared, in the place of the comparison; there is no page of it."""
    from soundstage.reports.compare.comparison_formats import without_base

    form = "text" if args.format == "html" else args.format
    if args.out not in (None, "-"):
        stdout.write(without_base(why, "text"))
        return _written(args.out, without_base(why, form), stderr)
    if form != "text":
        say(f"soundstage compare: warning: {why}", stderr)
    print_document(without_base(why, form), stdout)
    return ExitCode.PASS


def _options(args: argparse.Namespace, calibration: Calibration | None = None) -> CompareOptions:
    from soundstage.reports.compare.comparison import CompareOptions
    from soundstage.reports.decision.gates import Rules

    noise = calibration.noise() if calibration else {}
    rules = Rules(args.margin, args.rate_margin, args.alpha, noise=noise)
    return CompareOptions(tuple(args.gate), rules, args.allow, args.force)


def _looked(args: argparse.Namespace, base: Arm, candidate: Arm) -> LookedArms | None:
    from soundstage.reports.compare.by_looks import ended_by_looks, looked_arms

    if args.looks is None and not ended_by_looks(base, candidate):
        return None
    return looked_arms(base, candidate, args.looks, args.most, every_gate=args.every_gate)


def contract_drift(base: Arm, candidate: Arm) -> tuple[list[DriftFinding], list[str]]:
    """What changed in what the API sends, worst first, known findings marked as such by the
    waivers of soundstage.toml; and why it could not be told, if so.
    """
    from datetime import UTC, datetime

    from soundstage.config import find_config
    from soundstage.contract import available, load
    from soundstage.reports.drift import drift

    try:
        seen = [drift.observed_of(run.path for run in arm.runs) for arm in (base, candidate)]
    except NoDataError as error:
        return [], [f"payloads were not compared: {error}"]
    apis = [api for api in seen[0].apis if api in seen[1].apis and api in available()]
    findings = drift.drift(seen[0], seen[1], {api: load(api) for api in apis})
    return drift.waived(findings, find_config(), datetime.now(UTC).date()), []


def _calibrate(args: argparse.Namespace, stdout: TextIO, stderr: TextIO) -> int:
    from soundstage.reports.compare.calibration import calibrate
    from soundstage.reports.compare.comparison import gates_of
    from soundstage.reports.compare.comparison_formats import calibration_text
    from soundstage.reports.compare.comparison_json import json_text
    from soundstage.reports.decision.arms import read_arms, resolve

    (arm,) = read_arms([[path for word in args.calibrate for path in resolve(word)]])
    made = calibrate(arm, gates_of(arm, _options(args)), args.margin, args.alpha)
    text = json_text(made.to_json())
    if args.format == "json":
        print_document(text, stdout)
    else:
        stdout.write(calibration_text(made))
    return _written(args.out, text, stderr) if args.out else ExitCode.PASS


#: Bytes of a calibration: a line for each gate.
_CALIBRATION_LIMIT = 16 * 2**20


def _calibration(path: Path) -> Calibration:
    import orjson

    from soundstage.reports.compare.calibration import from_json

    try:
        data = orjson.loads(read_named(path, most=_CALIBRATION_LIMIT))
    except OSError as error:
        raise UsageError(f"{path}: cannot read: {error.strerror}") from error
    except orjson.JSONDecodeError as error:
        raise UsageError(f"{path}:{error.lineno}:{error.colno}: {error.msg}") from error
    return from_json(data, str(path))


def _fidelity(args: argparse.Namespace, stdout: TextIO) -> int:
    from soundstage.reports.compare import fidelity
    from soundstage.reports.decision.arms import resolve

    places = [resolve(word) for word in args.fidelity]
    for word, found in zip(args.fidelity, places, strict=True):
        if len(found) != 1:
            raise UsageError(f"--fidelity {word}: one run, not {len(found)}")
    return fidelity.run(places[0][0], places[1][0], args.format, stdout)


def _give(made: Comparison, args: argparse.Namespace, stdout: TextIO, stderr: TextIO) -> int:
    """Print the comparison and write it where it is asked for; the code that this ended with."""
    from soundstage.reports.compare.comparison_formats import rendered

    if args.out not in (None, "-"):
        stdout.write(rendered(made, "text"))
        code = _written(args.out, rendered(made, args.format, Path(args.out)), stderr)
    elif args.format == "text":
        stdout.write(rendered(made, "text"))
        code = ExitCode.PASS
    else:
        print_document(rendered(made, args.format), stdout)
        code = ExitCode.PASS
    document = args.format != "text" and args.out in (None, "-")
    return worst([code, _page(made, args, stderr if document else stdout, stderr)])


def _page(made: Comparison, args: argparse.Namespace, told: TextIO, stderr: TextIO) -> int:
    """Leave the page, and say where; the code that this ended with. A page that nobody asked for
    changes no exit code.
    """
    from soundstage.reports.compare.comparison_formats import rendered
    from soundstage.reports.compare.page_place import place_of

    if args.no_page or (args.html is None and args.format == "html"):
        return ExitCode.PASS
    if args.html is not None:
        place = Path(args.html)
        code = _written(args.html, rendered(made, "html", place), stderr)
    else:
        place, code = place_of(made), ExitCode.PASS
        try:
            put_within(place.parent, place.name, rendered(made, "html", place))
        except SoundstageError as error:
            say(f"soundstage compare: no page: {error}; --html FILE puts it elsewhere", stderr)
            return code
    if code == ExitCode.PASS:
        say(f"page: {place}", told)
    return code


def _written(place: str, text: str, stderr: TextIO) -> int:
    try:
        put(Path(place), text)
    except SoundstageError as error:
        say(f"soundstage compare: {error}", stderr)
        return int(error.exit_code)
    return ExitCode.PASS
