"""`soundstage runs`: the history of runs. Lists, tags, pins and prunes bundles."""

from __future__ import annotations

import argparse
import json
import re
import stat
from collections.abc import Sequence
from dataclasses import asdict
from datetime import UTC, datetime, timedelta
from importlib import import_module
from pathlib import Path
from typing import Any, Final, TextIO

from soundstage.arguments import Parser, count
from soundstage.errors import NoDataError
from soundstage.output import visible
from soundstage.output.cutting import head
from soundstage.output.streams import json_line, say
from soundstage.output.written_files import check_place, print_document, put, put_within
from soundstage.results.run_history import ROOT, RunEntry, Runs, utc

HELP = "list, tag, pin and prune the runs there have been"

_EPILOG = """\
A RUN is the id of a run, the beginning of one, a pin, `latest`, or `latest~1` for the one before.

examples:
  soundstage runs                                  the latest 20
  soundstage runs list --kind load --since 7d --format json
  soundstage runs tag latest release-candidate
  soundstage runs pin latest --as baseline         then: soundstage compare baseline latest
  soundstage runs trend                            writes runs/trend.html
  soundstage runs index                            writes runs/index.html: a page that leads to all
  soundstage runs prune --keep 20 --older-than 30d --dry-run

Pinned runs are never pruned. Tags and pins are kept in RUNS/marks.json.
exit codes: 0 done, 2 wrong usage or no such run, 5 there is no folder of runs, or none in it.
"""
_VERDICTS: Final = ("pass", "fail", "inconclusive", "invalid", "none")
_AGE: Final = re.compile(r"([0-9]{1,6})([smhdw])")
_UNITS: Final = {"s": "seconds", "m": "minutes", "h": "hours", "d": "days", "w": "weeks"}
#: What the words behind an action stand for.
_WORDS: Final = {
    "run": "its id, the beginning of one, a pin, or latest",
    "tag": "any word",
    "name": "the name of a pin",
}
_SHOWN: Final = 20
_ON_A_PAGE: Final = 500


def parser() -> Parser:
    """The options of `soundstage runs`, before anything is parsed."""
    options = Parser(
        prog="soundstage runs",
        description="List, tag, pin and prune the runs in a folder.",
        epilog=_EPILOG,
    )
    shared = Parser(add_help=False)
    shared.add_argument(
        "--runs", type=Path, default=ROOT, metavar="DIR", help="folder (default: %(default)s)"
    )
    actions = options.add_subparsers(dest="action", metavar="ACTION")

    def action(name: str, text: str, *words: str) -> argparse.ArgumentParser:
        made = actions.add_parser(name, help=text, description=text, parents=[shared])
        for word in words:
            made.add_argument(word, metavar=word.upper(), help=_WORDS[word])
        return made

    listing = action("list", "list runs, the newest first (the default)")
    _add_filters(listing, kind=None)
    listing.add_argument("--api", help="that asked this API version")
    listing.add_argument("--verdict", choices=_VERDICTS, help="none: incomplete ones")
    text = "at most (0: all; default: %(default)s)"
    listing.add_argument("--limit", type=count, default=_SHOWN, help=text)
    listing.add_argument("--format", choices=("text", "json"), default="text")
    action("show", "print what is known of one run, as JSON", "run")
    action("tag", "give a run a tag", "run", "tag")
    action("untag", "take a tag from a run", "run", "tag")
    pin = action("pin", "let a name stand for a run, such as: baseline", "run")
    pin.add_argument("--as", dest="name", required=True, metavar="NAME", help=_WORDS["name"])
    action("unpin", "forget a pin", "name")
    add = action("prune", "delete old bundles that are not pinned").add_argument
    add("--keep", type=count, metavar="N", help="keep the N newest")
    add("--older-than", type=_ago, metavar="AGE", help="delete only those older than 30d, 12h …")
    add("--incomplete", action="store_true", help="also those that were killed or are damaged")
    add("--keep-tagged", action="store_true", help="keep those with a tag")
    add("--dry-run", action="store_true", help="say what would go; delete nothing")
    index = action("index", "write a page of all runs, with what came of them and links")
    _add_filters(index, kind=None)
    index.add_argument("--limit", type=count, default=_ON_A_PAGE, help=text)
    where = "default: index.html in the folder of runs"
    index.add_argument("--output", type=Path, metavar="FILE", help=where)
    trend = action("trend", "draw the times of milestones from run to run, with changes of level")
    _add_filters(trend, kind="load")
    add = trend.add_argument
    add("--milestone", action="append", default=[], help="this one only (repeatable)")
    add("--limit", type=count, default=50, help="the newest so many (default: %(default)s)")
    add("--format", choices=("html", "json"), default="html")
    add("--output", type=Path, metavar="FILE", help="default: trend.html in the folder of runs")
    return options


def parse_args(argv: list[str]) -> argparse.Namespace:
    """The arguments after `soundstage runs`."""
    options = parser()
    words = argv or ["list"]
    # `soundstage runs --kind load` is `soundstage runs list --kind load`.
    if words[0].startswith("-") and words[0] not in ("-h", "--help"):
        words = ["list", *words]
    args = options.parse_args(words)
    if args.action == "prune" and args.keep is None and args.older_than is None:
        options.error("prune needs --keep N or --older-than AGE")
    return args


def _add_filters(parser: argparse.ArgumentParser, kind: str | None) -> None:
    """Which runs: those of which kind, target, tag and age. Here `_asked_for` looks them up."""
    add = parser.add_argument
    add("--kind", choices=("check", "load"), default=kind, help=kind and "default: %(default)s")
    add("--target-kind", choices=("emulator", "live", "local"))
    add("--tag", help="with this tag")
    add("--since", type=_moment, metavar="WHEN", help="7d, 12h or 2026-11-21")


def run(args: argparse.Namespace, stdout: TextIO, stderr: TextIO) -> int:
    """0; raises SoundstageError where there is no such run or folder."""
    runs = Runs(args.runs)
    match args.action:
        case "list":
            _list(runs, args, stdout)
        case "show":
            document = json.dumps(_row(runs.find(args.run)), indent=2)
            print_document(visible.in_json(document) + "\n", stdout)
        case "tag":
            say(f"{runs.tag(args.run, args.tag).id}: tagged {args.tag}", stdout)
        case "untag":
            say(f"{runs.untag(args.run, args.tag).id}: no longer {args.tag}", stdout)
        case "pin":
            say(f"{args.name}: {runs.pin(args.run, args.name).id}", stdout)
        case "unpin":
            say(f"{args.name} was {runs.unpin(args.name)}", stdout)
        case "prune":
            _prune(runs, args, stdout)
        case "index":
            _index(runs, args, stdout)
        case "trend":
            _trend(runs, args, stdout)
    return 0


def _list(runs: Runs, args: argparse.Namespace, stdout: TextIO) -> None:
    found = [
        entry
        for entry in runs.entries()
        if _asked_for(entry, args)
        and (args.api is None or args.api in entry.apis)
        and args.verdict in (None, entry.verdict or "none")
    ]
    shown = found[: args.limit or None]
    if args.format == "json":
        say(json_line([_row(entry) for entry in shown], stdout), stdout)
        return
    if not found:
        say(f"no such runs in {runs.root}", stdout)
        return
    for line in _table(shown):
        say(line, stdout)
    if len(found) > len(shown):
        say(f"and {len(found) - len(shown)} older ones (--limit 0 shows all)", stdout)


def _prune(runs: Runs, args: argparse.Namespace, stdout: TextIO) -> None:
    kept, before = args.keep or 0, args.older_than
    freed = many = left = 0
    for number, entry in enumerate(runs.entries()):
        if number < kept or entry.pins or (args.keep_tagged and entry.tags):
            continue
        # It may still run, and what cannot be read may be worth a look.
        if (entry.fault is not None or entry.status == "running") and not args.incomplete:
            left += 1
            continue
        if before is not None and (entry.created or "") >= before:
            continue
        if (why := runs.why_left(entry)) is not None:
            # A folder of runs may be shared with other programs.
            say(f"left alone: {entry.path}: may be no run of Soundstage: {why}", stdout)
            continue
        size = _size(entry.path)
        if not args.dry_run:
            runs.remove(entry)
        freed += size
        many += 1
        say(f"{'would delete' if args.dry_run else 'deleted'} {entry.id}", stdout)
    if left:
        say(f"{left} incomplete or damaged runs are left alone (--incomplete)", stdout)
    verb = "would be freed" if args.dry_run else "freed"
    say(f"{many} runs, {freed / 1e6:.1f} MB {verb}", stdout)


def _index(runs: Runs, args: argparse.Namespace, stdout: TextIO) -> None:
    # As is the room of reports for trends.
    history = "soundstage.reports.history"
    runs_index, index_page = (
        import_module(f"{history}.{name}") for name in ("runs_index", "index_page")
    )
    # What cannot be read passes no filter but shows wherever nothing is asked for.
    found = [entry for entry in _some(runs) if _asked_for(entry, args)]
    place = _place(runs, args.output, "index.html")
    shown = found[: args.limit or None]
    rows = runs_index.index_rows(shown, place.parent)
    text = index_page.render(rows, len(found) - len(shown), runs.root, place.parent)
    if args.output is not None:
        put(place, text)
    else:
        put_within(runs.root, place.name, text)
    say(f"index: {place}", stdout)


def _some(runs: Runs) -> list[RunEntry]:
    """All runs. Raises NoDataError where there is none: then the folder is not one of runs."""
    if found := runs.entries():
        return found
    raise NoDataError(f"{runs.root}: no run lies in it; nothing was written, name it with --runs")


def _place(runs: Runs, named: Path | None, usual: str) -> Path:
    """Where a page goes: a file that the user named, or one in the folder of runs, unless somebody
    else's lies there.
    """
    place = named or runs.root / usual
    check_place(place, "--output")
    if named is None:
        import_module("soundstage.reports.formats.own_page").refuse_other(place)
    return place


def _trend(runs: Runs, args: argparse.Namespace, stdout: TextIO) -> None:
    # The room of reports is loaded for this action alone.
    history = "soundstage.reports.history"
    trend, trend_answer, trend_page = (
        import_module(f"{history}.{name}") for name in ("trend", "trend_answer", "trend_page")
    )
    found = [entry for entry in _some(runs) if entry.fault or _asked_for(entry, args)]
    # As JSON it is printed where no file is named.
    as_page = args.format == "html"
    place = _place(runs, args.output, "trend.html") if as_page or args.output else runs.root
    drawn = trend.trend(found[: args.limit], args.milestone)
    if as_page:
        text = trend_page.render(drawn, runs.root, place.parent)
    else:
        text = visible.in_json(json.dumps(drawn.to_json(), indent=2)) + "\n"
    if args.output is not None:
        put(place, text)
    elif as_page:
        put_within(runs.root, place.name, text)
    else:
        print_document(text, stdout)
        return
    said = trend_answer.answer(drawn)
    say(said.title, stdout)
    for workload in drawn.workloads:
        say(f"{workload.name}:", stdout)
        for each in workload.series:
            if each.headline or each.changes or args.milestone:
                say(f"  {each.name}: {each.sentence}", stdout)
        for heard in workload.continuity:
            say(f"  {heard.name}: {heard.sentence}", stdout)
    for each in drawn.left_out:
        say(f"left out: {each.run.id}: {each.why}", stdout)
    for move in said.moves:
        if move.compare:
            say(f"next: {move.compare}", stdout)
    say(f"trend: {place}", stdout)


def _asked_for(entry: RunEntry, args: argparse.Namespace) -> bool:
    return (
        args.kind in (None, entry.kind)
        and args.target_kind in (None, entry.target_kind)
        and (args.tag is None or args.tag in entry.tags)
        and (args.since is None or (entry.created or "") >= args.since)
    )


def _row(entry: RunEntry) -> dict[str, Any]:
    return {**asdict(entry), "path": str(entry.path)}


def _table(entries: Sequence[RunEntry]) -> list[str]:
    rows: list[tuple[str, ...]] = [("RUN", "VERDICT", "TARGET", "APIS", "EXCHANGES", "MARKS")]
    for entry in entries:
        marks = [*(f"pin:{name}" for name in entry.pins), *entry.tags]
        verdict = entry.verdict or ("unreadable" if entry.fault else "incomplete")
        many = "" if entry.exchanges is None else f"{entry.exchanges:,}"
        target = head(entry.target_kind or entry.fault or "", 60)
        target += ", rehearsal" if entry.rehearsal else ""
        rows.append((entry.id, verdict, target, " ".join(entry.apis), many, " ".join(marks)))
    return visible.table(rows, right={4})


def _size(folder: Path) -> int:
    # What a link leads to stays where it is.
    found = (each.lstat() for each in folder.rglob("*"))
    return sum(each.st_size for each in found if stat.S_ISREG(each.st_mode))


def _ago(text: str) -> str:
    """The moment that long ago, as entries tell theirs: one is before another as text too."""
    found = _AGE.fullmatch(text)
    if found is None:
        raise argparse.ArgumentTypeError(f"{text}: expected an age such as 30d, 12h or 90m")
    try:
        return utc(datetime.now(UTC) - timedelta(**{_UNITS[found[2]]: int(found[1])}))
    except OverflowError:
        raise argparse.ArgumentTypeError(f"{text}: longer than there are years") from None


def _moment(text: str) -> str:
    if _AGE.fullmatch(text):
        return _ago(text)
    try:
        moment = datetime.fromisoformat(text)
        return utc(moment if moment.tzinfo else moment.replace(tzinfo=UTC))
    except (ValueError, OverflowError):
        raise argparse.ArgumentTypeError(f"{text}: expected 7d, 12h or 2026-11-21") from None
