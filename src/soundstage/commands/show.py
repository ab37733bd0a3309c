"""`soundstage show`: the exchanges of a bundle that are worth a look, and one of them as a timeline
of its chunks.
"""

from __future__ import annotations

import argparse
import json
import shlex
import shutil
import sys
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any, Final, TextIO

from soundstage.arguments import Parser, count
from soundstage.contract import Contract, load_sound
from soundstage.errors import NoDataError, UsageError
from soundstage.exit_codes import ExitCode
from soundstage.near_names import did_you_mean
from soundstage.output import visible
from soundstage.output.streams import json_line, say
from soundstage.output.written_files import print_document
from soundstage.reports.formats.exchange_list_text import list_lines, moment
from soundstage.reports.formats.exchange_text import VERDICTS, LineStyle, row_lines, story_lines
from soundstage.reports.formats.exchange_text import break_lines as broken_lines
from soundstage.reports.story.exchange_list import (
    STANDINGS,
    ListFilter,
    listed,
    meant,
    standing,
)
from soundstage.reports.story.exchange_story import ExchangeStory, story_of
from soundstage.reports.words import place_words, plain, seconds
from soundstage.results.bundle import RUN, TRANSCRIPTS, Bundle
from soundstage.results.run_history import resolve
from soundstage.saved import look_alikes
from soundstage.saved import saved_file as saved_files
from soundstage.saved.transcript import Transcript

HELP = "show an exchange of a run, chunk by chunk"

_EXAMPLES = """examples:
  soundstage show latest                       the exchanges that are worth a look
  soundstage show latest --failed --api v6
  soundstage show latest --code stage.order
  soundstage show latest e000078               one of them as a timeline
  soundstage show latest e000078 --full | less -R
  soundstage show recordings/001-v6-stream.ndjson
  soundstage record --target emulator --api v6 --out - | soundstage show -

A BUNDLE is the folder of a run, its id, a pin, or: latest. An ID is that of an exchange, the
beginning of one, its number, or the name of its transcript. Bundles keep the bytes of exchanges
that do not conform; of the others they have what a row says.

exit codes: 0 shown, 2 no such bundle or exchange, or no answer in the file, 5 the bundle holds no
exchange
"""
_SHOWN: Final = 20
_WIDTH: Final = 160
Row = Mapping[str, Any]
#: What stands before the text of a chunk, about.
_BEFORE_TEXT: Final = 62


def parser() -> Parser:
    """The options of `soundstage show`, before anything is parsed."""
    options = Parser(
        prog="soundstage show",
        description="Show the exchanges of a run, or one of them chunk by chunk.",
        epilog=_EXAMPLES,
    )
    add = options.add_argument
    add("bundle", metavar="BUNDLE", help="run bundle, or a saved response; - is stdin")
    add("id", nargs="?", metavar="ID", help="an exchange (default: list them)")
    add(
        "--failed",
        action="store_true",
        help="list those that violate, failed or nobody could judge",
    )
    add("--api", help="list those of this API version")
    add("--endpoint", metavar="NAME", help="list those of this endpoint")
    add("--code", help="list those with this violation code, or one below it (stage, stage.order)")
    add("--limit", type=count, default=_SHOWN, metavar="N", help="0: all (default: %(default)s)")
    add("--full", action="store_true", help="every chunk, and all of its text")
    add("--body", action="store_true", help="print the body of the request, and nothing else")
    add("--format", choices=("text", "json"), default="text")
    return options


def parse_args(argv: list[str]) -> argparse.Namespace:
    """The arguments after `soundstage show`."""
    options = parser()
    args = options.parse_args(argv)
    if args.body and args.id is None and not args.bundle.endswith(".ndjson"):
        options.error("--body needs the ID of an exchange")
    return args


def run(args: argparse.Namespace, stdout: TextIO, stderr: TextIO) -> int:
    """Raises SoundstageError where there is nothing to show."""
    path = Path(args.bundle)
    if args.bundle == "-" or path.is_file():
        name = path.name
        kept_in = path.absolute().parent
        if args.bundle != "-" and kept_in.name == TRANSCRIPTS and (kept_in.parent / RUN).is_file():
            return _one(Bundle.open(kept_in.parent), name, args, stdout)
        if args.id is not None:
            raise UsageError(f"{args.bundle}: a file holds one exchange: leave {args.id} out")
        return _file(args, stdout)
    bundle = Bundle.open(resolve(args.bundle))
    if args.id is not None:
        return _one(bundle, args.id, args, stdout)
    return _list(bundle, args, stdout, stderr)


def _list(bundle: Bundle, args: argparse.Namespace, stdout: TextIO, stderr: TextIO) -> int:
    wanted = ListFilter(args.failed, args.api, args.endpoint, args.code)
    found = listed(bundle.exchanges(), wanted, args.limit or sys.maxsize)
    if args.format == "json":
        document = {
            "run": bundle.run["id"],
            "total": found.total,
            "standings": {each: found.standings[each] for each in STANDINGS},
            "exchanges": [{**row, "standing": standing(row)} for row in found.rows],
        }
        say(json_line(document, stdout), stdout)
    if not found.rows:
        raise NoDataError(f"{bundle.path}: {_why_none(bundle, args, wanted)}")
    if args.format == "text":
        for line in list_lines(bundle, found):
            say(line, stdout)
    if bundle.torn:
        say("soundstage show: the run was killed while it wrote: the last row is missing", stderr)
    return ExitCode.PASS


def _why_none(bundle: Bundle, args: argparse.Namespace, wanted: ListFilter) -> str:
    """Why nothing is listed: a name that no exchange has, or a filter that none passes."""
    if wanted == ListFilter():
        return "it holds no exchange"
    for option in ("api", "endpoint"):
        asked = getattr(args, option)
        there = sorted({str(row[option]) for row in bundle.exchanges()})
        if asked is not None and asked not in there:
            listed = plain(", ".join(there) or "none", 300)
            near = plain(did_you_mean(asked, there), 200)
            return f"no exchange of --{option} {plain(asked, 80)}; there are {listed}{near}"
    return "no exchange is like this"


def _one(bundle: Bundle, name: str, args: argparse.Namespace, stdout: TextIO) -> int:
    row = _row(bundle, name)
    place = (row or {}).get("transcript") or f"{TRANSCRIPTS}/{name.rpartition('/')[2]}"
    transcript = _transcript(bundle, str(place))
    if args.body:
        _print_body(transcript, f"{bundle.path} {name}", stdout)
        return ExitCode.PASS
    exchange = name if row is None else row["id"]
    violations = [each for each in bundle.violations() if each["exchange"] == exchange]
    found = None
    if transcript is not None:
        # Rows come when an exchange is over: a run that was killed may lack them.
        found = story_of(transcript, _contracts(), violations if row is not None else None)
    if args.format == "json":
        say(json_line(_to_json(exchange, found, row, violations), stdout), stdout)
        return ExitCode.PASS
    how = _how(args, stdout)
    for line in _title(bundle, exchange, row, found, how):
        say(line, stdout)
    if found is not None:
        for line in story_lines(found, row, how):
            say(line, stdout)
    elif row is not None:
        for line in _of_row(row, violations, how):
            say(line, stdout)
    say("", stdout)
    for line in _next(bundle, exchange, found, str(place), violations, how):
        say(line, stdout)
    return ExitCode.PASS


def _row(bundle: Bundle, name: str) -> Row | None:
    """The row of an exchange; None where a killed run left no more than its transcript."""
    try:
        found: Row = meant(bundle.exchanges(), name, str(bundle.path))
        return found
    except UsageError:
        file = name.rpartition("/")[2]
        for each in (file, f"{file}.ndjson"):
            if f"{TRANSCRIPTS}/{each}" in bundle.transcripts():
                return None
        raise


def _transcript(bundle: Bundle, place: str) -> Transcript | None:
    for each in (place, f"{place}.ndjson"):
        raw = bundle.transcript(each, saved_files.LARGEST + 1)
        if raw is not None:
            name = str(bundle.path / each)
            found = saved_files.read(raw, name)
            if found.form != "transcript" or found.exchange is None:
                raise UsageError(f"{name}: not a transcript")
            return found.exchange
    return None


def _file(args: argparse.Namespace, stdout: TextIO) -> int:
    """Show what a file holds that is in no bundle."""
    if args.bundle == "-":
        raw = sys.stdin.buffer.read(saved_files.LARGEST + 1)
        if not raw:
            raise UsageError("-: nothing came on standard input")
        saved = saved_files.read(raw, "-")
    else:
        saved = saved_files.read_file(args.bundle)
    if saved.exchange is None:
        what = f"{args.bundle}: an archive of {len(saved.entries):,} answers"
        raise UsageError(f"{what}: `soundstage lint {shlex.quote(args.bundle)}` judges each")
    if args.body:
        _print_body(saved.exchange, args.bundle, stdout)
        return ExitCode.PASS
    contracts = _contracts()
    found = story_of(saved.exchange, contracts)
    bare = saved.form == "response" and not saved.has_head
    if bare and found.verdict is None and all(each.kind == "body" for each in found.steps):
        raise UsageError(f"{args.bundle}: {_no_answer(saved, contracts)}")
    if args.format == "json":
        say(json_line(_to_json(args.bundle, found, None, []), stdout), stdout)
        return ExitCode.PASS
    how = _how(args, stdout)
    for line in _title(None, args.bundle, None, found, how):
        say(line, stdout)
    for line in story_lines(found, None, how):
        say(line, stdout)
    return ExitCode.PASS


def _no_answer(saved: saved_files.Saved, contracts: Sequence[Contract]) -> str:
    """What a file looks like that holds nothing to show, and what to do."""
    apis = " or ".join(each.api for each in contracts)
    like = look_alikes.looks_like(saved.body)
    return f"looks like no answer of {apis}, but like {like}"


def _print_body(transcript: Transcript | None, name: str, stdout: TextIO) -> None:
    body = None if transcript is None else (transcript.header.get("request") or {}).get("body")
    if body is None:
        raise NoDataError(f"{name}: no body of a request was kept")
    text = body if isinstance(body, str) else visible.in_json(json.dumps(body))
    print_document(text + "\n", stdout)


def _contracts() -> list[Contract]:
    return list(load_sound()[0].values())


def _how(args: argparse.Namespace, stdout: TextIO) -> LineStyle:
    if not stdout.isatty():
        return LineStyle(_WIDTH, args.full)
    wide = max(40, shutil.get_terminal_size().columns - _BEFORE_TEXT)
    if not visible.coloured(stdout):
        return LineStyle(wide, args.full)
    return LineStyle(wide, args.full, visible.painted)


def _title(
    bundle: Bundle | None,
    exchange: str,
    row: Row | None,
    found: ExchangeStory | None,
    how: LineStyle,
) -> Iterator[str]:
    """What it is, what came of it, and when it was."""
    verdict = row["verdict"] if row is not None else found.verdict if found is not None else None
    reason = row["reason"] if row is not None else found.reason if found is not None else None
    api = row["api"] if row is not None else found and found.api
    endpoint = row["endpoint"] if row is not None else found and found.endpoint
    of = place_words(api or "?", endpoint or "?")
    said = how.paint(verdict, VERDICTS[verdict]) if verdict is not None else "no contract fits it"
    if row is not None and standing(row) == "failed":
        said += f", {row['outcome']}"
    why = f" ({plain(reason, 300)})" if reason else ""
    yield f"{how.paint(plain(exchange, 200), '1')}  {of}: {said}{why}"
    if bundle is not None:
        when = ""
        if row is not None:
            into = seconds(row["intended_ns"] / 1e9)
            when = f" · due {moment(bundle, row):%Y-%m-%d %H:%M:%S} UTC, {into} after the start"
            when += f" · {plain(row['scenario'], 60)}"
            when += ", made to be refused" if row.get("probe") and row["outcome"] != "ok" else ""
        yield f"  run {plain(bundle.run['id'], 200)}{when}"


def _of_row(row: Row, violations: Sequence[Row], how: LineStyle) -> Iterator[str]:
    kept = "it conforms: its bytes were not kept"
    if row["verdict"] != "conforms":
        kept = "its bytes were not kept: a run keeps the first of each kind"
    yield f"  {kept}; this is what the run noted of it"
    yield from row_lines(row, how)
    empty = Transcript({"api": row["api"], "endpoint": row["endpoint"]})
    for each in story_of(empty, (), violations).breaks:
        yield from broken_lines(each, how, "    ")


def _next(
    bundle: Bundle,
    exchange: str,
    found: ExchangeStory | None,
    place: str,
    violations: Sequence[Row],
    how: LineStyle,
) -> Iterator[str]:
    if violations:
        yield f"next: soundstage explain {plain(violations[0]['code'], 60)}"
    if found is not None and not how.full:
        yield f"all of it: soundstage show {_named(bundle)} {plain(exchange, 60)} --full"
    if found is not None:
        yield f"judge it again: soundstage lint {shlex.quote(str(bundle.path / place))}"


def _named(bundle: Bundle) -> str:
    return shlex.quote(str(bundle.path))


def _to_json(
    exchange: str,
    found: ExchangeStory | None,
    row: Row | None,
    violations: Sequence[Row],
) -> dict[str, Any]:
    """The object of `--format json`: `row` is that of the run, `story` null without a transcript.
    Times in it count from when the request was sent.
    """
    told = None
    if found is not None:
        told = asdict(found)
        for step, own in zip(told["steps"], found.steps, strict=True):
            del step["data"]
            step["text"] = own.text
    return {"exchange": exchange, "row": row, "violations": violations, "story": told}
