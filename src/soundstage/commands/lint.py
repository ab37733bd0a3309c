"""`soundstage lint`: holds saved responses against the contract, like a compiler.

Reads raw response bytes as `curl -N` saves them, our transcripts, or HTTP archives (HAR), as
`saved/saved_file.py` tells them apart, and says what it took them for where it was not told.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, TextIO

from soundstage.arguments import Parser
from soundstage.commands.linted_files import gathered
from soundstage.conformance.bounded_violations import is_rest
from soundstage.conformance.judge import Caps, Judge
from soundstage.conformance.violations import Severity, Verdict, Violation
from soundstage.contract import Contract, available, load, load_all, load_sound
from soundstage.contract.endpoint_words import ERROR, endpoint_words
from soundstage.contract.paths import endpoint_at
from soundstage.contract.stream_rules import AS_MADE
from soundstage.errors import NoDataError, SoundstageError, UsageError
from soundstage.exit_codes import ExitCode, worst
from soundstage.linting.saved_answers import judge_saved
from soundstage.output.redact import Redactor
from soundstage.output.streams import json_line, say
from soundstage.output.visible import coloured, painted
from soundstage.saved import saved_file as saved_files
from soundstage.saved.saved_file import Saved
from soundstage.saved.transcript import Transcript

HELP = "check saved responses against the contract"

_EXAMPLES = """examples:
  soundstage lint stream.sse
  soundstage lint --api v6 --endpoint stream saved/*.sse
  curl -N ... | soundstage lint -
  soundstage lint --format json transcript.ndjson
  soundstage lint --shrink saved.har
  soundstage lint runs/2026-11-21T08-36-15-check-3f2a   (the transcripts of a run, judged again)
  soundstage lint latest
  curl -isN ... > answer.txt; soundstage lint answer.txt   (the head is judged, too)

A bundle keeps the bytes of exchanges that do not conform: those are judged. Of the others it has
rows, and they stand as the run judged them.

exit codes: 0 all conform, 1 at least one violates, 2 wrong usage or a file that holds no response,
4 inconclusive, 5 no answer of the contract in an archive, or a bundle without transcripts
"""
#: More than this of a file is not read (docs/reference/limits.md).
_LARGEST = saved_files.LARGEST
_MARKS = {Severity.ERROR: "31", Severity.WARNING: "33", Severity.INFO: "36"}
_EXIT = {
    Verdict.CONFORMS: ExitCode.PASS,
    Verdict.VIOLATES: ExitCode.BROKEN,
    Verdict.INCONCLUSIVE: ExitCode.INCONCLUSIVE,
}


#: What is said of a file goes through it.
_SHOWN = Redactor()


@dataclass(frozen=True, slots=True)
class Linted:
    """What was found in one file. `guessed`: api and endpoint were found out, not given;
    `also` are the other contracts that it fits as well; `body` is what was judged; `why` is the
    reason of an inconclusive verdict in words; `notes` say what was undone to read the file;
    `looks`: how many there are at the state of what was made.
    """

    file: str
    contract: Contract
    endpoint: str
    judge: Judge
    guessed: bool
    also: tuple[str, ...]
    body: bytes = b""
    why: str | None = None
    notes: tuple[str, ...] = ()
    looks: int = 0

    def verdict(self, strict: bool) -> Verdict:
        return self.judge.verdict(strict=strict)

    @property
    def violations(self) -> list[Violation]:
        """As they may be shown: a file is its owner's, but a signed URL in it opens a door."""
        return [
            replace(each, message=_SHOWN.message(each.message)) for each in self.judge.violations
        ]

    def to_json(self, strict: bool) -> dict[str, Any]:
        """As one object; `in_file` is there where something was undone to read it, `looks` where
        the state of a job was looked at, `not_judged` where a file does not tell of a rule, with
        the reason.
        """
        row: dict[str, Any] = {
            "file": self.file,
            "api": self.contract.api,
            "endpoint": self.endpoint,
            "verdict": self.verdict(strict).value,
            "reason": self.judge.reason,
            "framing": self.judge.framing,
            "violations": [violation.to_json() for violation in self.violations],
        }
        if self.looks:
            row["looks"] = self.looks
        if (why := self.judge.arrived.reason) is not None:
            row["not_judged"] = {f"{self.contract.api}/{self.endpoint}/{AS_MADE}": why}
        return {**row, "in_file": list(self.notes)} if self.notes else row


def parser() -> Parser:
    """The options of `soundstage lint`, before anything is parsed."""
    options = Parser(
        prog="soundstage lint",
        description="Check saved responses against the contract.",
        epilog=_EXAMPLES,
    )
    options.add_argument(
        "files",
        nargs="+",
        metavar="FILE",
        help="response, transcript or HAR file, compressed or not; a run bundle, or a folder of "
        "such files; - is stdin",
    )
    options.add_argument("--api", help=f"API version ({', '.join(available())}; default: find out)")
    words = (*endpoint_words(load_sound()[0].values()), ERROR)
    text = f"what the file is the response of ({', '.join(words)}; default: find out)"
    options.add_argument("--endpoint", choices=words, metavar="NAME", help=text)
    options.add_argument("--format", choices=("text", "json"), default="text")
    options.add_argument("--strict", action="store_true", help="warnings violate, too")
    options.add_argument(
        "--shrink",
        action="store_true",
        help="show the smallest part of a stream that shows each violation",
    )
    options.add_argument(
        "--on-inconclusive",
        choices=("fail", "warn"),
        default="fail",
        help="fail: exit 4 (default); warn: exit 0",
    )
    options.add_argument(
        "--max-events",
        type=_positive,
        default=Caps().events,
        metavar="N",
        help="stop after so many events; the verdict is then inconclusive (default %(default)s)",
    )
    return options


def parse_args(argv: list[str]) -> argparse.Namespace:
    return parser().parse_args(argv)


def _positive(text: str) -> int:
    number = int(text)
    if number < 1:
        raise ValueError
    return number


def run(args: argparse.Namespace, stdout: TextIO, stderr: TextIO) -> int:
    contracts = [load(args.api)] if args.api else list(load_all().values())
    caps = Caps(events=args.max_events)
    codes: list[int] = []
    errors: list[SoundstageError] = []
    for named in args.files:
        # What cannot be read must not take the verdicts of the other files with it.
        try:
            group = gathered(named)
        except (UsageError, NoDataError) as error:
            errors.append(error)
            continue
        for note in group.notes(contracts):
            say(note, stderr if args.format == "json" else stdout)
        for file in group.files:
            try:
                saved = _read(file, contracts, group.within)
                for linted in _linted(saved, file, contracts, args.endpoint, caps, stderr):
                    _show(linted, args, stdout)
                    codes.append(_EXIT[linted.verdict(args.strict)])
            except (UsageError, NoDataError) as error:
                errors.append(error)
    if args.on_inconclusive == "warn":
        codes = [ExitCode.PASS if code == ExitCode.INCONCLUSIVE else code for code in codes]
    return _ended(codes, errors, stderr)


def _ended(codes: list[int], errors: list[SoundstageError], stderr: TextIO) -> int:
    """The exit code of all files together. Raises the error that decides it, so that it
    is told last and as any other; the others are told before.
    """
    code = worst([*codes, *(each.exit_code for each in errors)])
    last = next((each for each in errors if each.exit_code == code), None)
    for error in errors:
        if error is not last:
            say(f"soundstage lint: {error}", stderr)
    if last is not None:
        raise last
    return code


def lint(
    raw: bytes, file: str, contracts: list[Contract], endpoint: str | None, caps: Caps
) -> Linted:
    """Judge one saved response. `endpoint` is the name or kind of one, "error", or None to
    find out; the contract that fits best is chosen where there are several.

    Raises UsageError for what holds no response.
    """
    found = saved_files.read(raw, file, limit=_LARGEST)
    if found.exchange is None:
        raise UsageError(f"{file}: an archive of several answers")
    return _of_one(found, found.exchange, file, contracts, endpoint, caps)


def _linted(
    saved: Saved,
    file: str,
    contracts: list[Contract],
    endpoint: str | None,
    caps: Caps,
    stderr: TextIO,
) -> Iterator[Linted]:
    """What `lint` gives; of an archive once for each answer of an endpoint of the contracts."""
    if saved.exchange is not None:
        yield _of_one(saved, saved.exchange, file, contracts, endpoint, caps)
        return
    skipped = 0
    for entry in saved.entries:
        if entry.problem is not None:
            skipped += 1
            name = f"{file}#{entry.number}"
            say(f"soundstage lint: {name}: skipped: {entry.problem}", stderr)
    from soundstage.linting.archived_jobs import put_together  # of archives alone

    answers = put_together(saved.entries, contracts, file, endpoint)
    for answer in answers:
        exchange, name = answer.exchange, f"{file}#{answer.number}"
        exchange.header |= {"api": answer.contract.api, "endpoint": answer.endpoint.name}
        yield _of_one(saved, exchange, name, contracts, endpoint, caps)
    if not answers:
        apis = ", ".join(each.api for each in contracts)
        what = f" ({skipped} of {len(saved.entries)} were skipped)" if skipped else ""
        raise NoDataError(f"{file}: no entry answers a request to an endpoint of {apis}{what}")


def _of_one(
    saved: Saved,
    exchange: Transcript,
    name: str,
    contracts: list[Contract],
    endpoint: str | None,
    caps: Caps,
) -> Linted:
    judged = judge_saved(exchange, contracts, endpoint, caps, name=name, limit=_LARGEST)
    told = judged.told
    return Linted(
        name,
        told.contract,
        ERROR if told.kind == ERROR else told.endpoint.name,
        judged.judge,
        told.guessed,
        told.also,
        judged.body,
        judged.why,
        tuple(saved.notes),
        len(exchange.looks),
    )


def _show(linted: Linted, args: argparse.Namespace, stdout: TextIO) -> None:
    if args.format == "json":
        row = linted.to_json(args.strict)
        if args.shrink:
            row["shrunk"] = _shrunk(linted, None)
        say(json_line(row, stdout), stdout)
        return
    _print(linted, args.strict, stdout)
    if args.shrink:
        _shrunk(linted, stdout)


def _shrunk(linted: Linted, stdout: TextIO | None) -> list[dict[str, Any]]:
    """The smallest part of a stream that shows each violation: printed, or as JSON."""
    from soundstage.commands import smallest_streams

    if not linted.judge.streaming:
        return []
    name, found = linted.judge.endpoint.name, linted.judge.violations
    stream, parts = smallest_streams.of_stream(linted.contract, name, linted.body, found)
    if stdout is not None:
        for part in parts:
            smallest_streams.show(part, stream, stdout)
    return [smallest_streams.to_json(part, stream) for part in parts]


def _read(file: str, contracts: list[Contract], within: Path | None) -> Saved:
    def wanted(method: str, path: str) -> bool:
        return endpoint_at(contracts, method, path) is not None

    if file != "-":
        return saved_files.read_file(file, limit=_LARGEST, wanted=wanted, within=within)
    raw = sys.stdin.buffer.read(_LARGEST + 1)
    return saved_files.read(raw, file, limit=_LARGEST, wanted=wanted)


def _print(linted: Linted, strict: bool, stdout: TextIO) -> None:
    on = coloured(stdout)

    def paint(text: str, colour: str) -> str:
        return painted(text, colour) if on else text

    judge, verdict = linted.judge, linted.verdict(strict)
    what = f"{linted.contract.api} {linted.endpoint}"
    took = f"took it for {what}" if linted.guessed else what
    if linted.also:
        took += f" (fits {', '.join(linted.also)} as well)"
    many = f", {judge.events} events" if judge.events else ""
    if linted.looks:
        many += ", 1 look" if linted.looks == 1 else f", {linted.looks:,} looks"
    framing = f", {judge.framing}" if judge.framing else ""
    in_file = f" (in the file: {', '.join(linted.notes)})" if linted.notes else ""
    for violation in linted.violations:
        _print_violation(linted.file, linted.contract, violation, paint, stdout)
    colour = {Verdict.CONFORMS: "32", Verdict.VIOLATES: "31", Verdict.INCONCLUSIVE: "33"}[verdict]
    said = paint(verdict.value, colour)
    reason = f" ({judge.reason})" if judge.reason else ""
    if linted.why and verdict is Verdict.INCONCLUSIVE:
        reason = f" ({judge.reason}: {_SHOWN.message(linted.why)})"
    if judge.failed and verdict is Verdict.INCONCLUSIVE:
        reason = f" ({judge.reason}: {_SHOWN.message(judge.failed)})"
    say(f"{linted.file}: {said}{reason}: {took}{framing}{many}{in_file}", stdout)


def _print_violation(
    file: str, contract: Contract, violation: Violation, paint: Any, stdout: TextIO
) -> None:
    rule = contract.rules[violation.rule]
    place = file if violation.chunk is None else f"{file}: chunk {violation.chunk}"
    if violation.path:
        place += f" {violation.path}"
    severity = paint(violation.severity.value, _MARKS[violation.severity])
    message = violation.message
    if violation.times > 1 and not is_rest(violation):
        message += f" (and {violation.times - 1:,} more of this kind)"
    say(f"{place}: {severity}: {message} [{violation.code}]", stdout)
    say(f"    rule {rule.id}: {rule.text}", stdout)
    say(f"    {rule.basis}: {rule.source}", stdout)
