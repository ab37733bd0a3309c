"""`soundstage lint`: holds saved responses against the contract, like a compiler.

Reads raw response bytes as `curl -N` saves them, our transcripts, or HTTP archives (HAR), and says
what it took them for where it was not told.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TextIO
from urllib.parse import urlsplit

from soundstage.arguments import Parser
from soundstage.commands.printing import json_line
from soundstage.conformance.violations import Severity, Verdict, Violation
from soundstage.contract import Contract, available, load, load_all
from soundstage.contract.paths import endpoint_at
from soundstage.errors import NoDataError, UsageError
from soundstage.exchange.judge import Caps, Judge
from soundstage.exchange.recognise import recognise
from soundstage.wire import har
from soundstage.wire import transcript as transcripts
from soundstage.wire.ending import End, EndKind
from soundstage.wire.redact import terminal_safe

HELP = "check saved responses against the contract"

_EXAMPLES = """examples:
  soundstage lint stream.sse
  soundstage lint --api v6 --endpoint stream saved/*.sse
  curl -N ... | soundstage lint -
  soundstage lint --format json transcript.ndjson
  soundstage lint --shrink saved.har

exit codes: 0 all conform, 1 at least one violates, 2 wrong usage, 4 inconclusive
"""
#: More than this of a file is not read (design 4.17).
_LARGEST = 64 * 2**20
_CAP = "cap.exchange_bytes"
_MARKS = {Severity.ERROR: "31", Severity.WARNING: "33", Severity.INFO: "36"}
_EXIT = {Verdict.CONFORMS: 0, Verdict.VIOLATES: 1, Verdict.INCONCLUSIVE: 4}


@dataclass(frozen=True, slots=True)
class Linted:
    """What was found in one file. `guessed`: api and endpoint were found out, not given;
    `also` are the other contracts that it fits as well; `body` is what was judged.
    """

    file: str
    contract: Contract
    endpoint: str
    judge: Judge
    guessed: bool
    also: tuple[str, ...]
    body: bytes = b""

    def verdict(self, strict: bool) -> Verdict:
        return self.judge.verdict(strict=strict)

    def to_json(self, strict: bool) -> dict[str, Any]:
        return {
            "file": self.file,
            "api": self.contract.api,
            "endpoint": self.endpoint,
            "verdict": self.verdict(strict).value,
            "reason": self.judge.reason,
            "framing": self.judge.framing,
            "violations": [violation.to_json() for violation in self.judge.violations],
        }


def parse_args(argv: list[str]) -> argparse.Namespace:
    parser = Parser(
        prog="soundstage lint",
        description="Check saved responses against the contract.",
        epilog=_EXAMPLES,
    )
    parser.add_argument(
        "files", nargs="+", metavar="FILE", help="response, transcript or HAR file; - is stdin"
    )
    parser.add_argument("--api", help=f"API version ({', '.join(available())}; default: find out)")
    parser.add_argument(
        "--endpoint",
        choices=("stream", "sync", "error"),
        help="what the file is the response of (default: find out)",
    )
    parser.add_argument("--format", choices=("text", "json"), default="text")
    parser.add_argument("--strict", action="store_true", help="warnings violate, too")
    parser.add_argument(
        "--shrink",
        action="store_true",
        help="show the smallest part of a stream that shows each violation",
    )
    parser.add_argument(
        "--on-inconclusive",
        choices=("fail", "warn"),
        default="fail",
        help="fail: exit 4 (default); warn: exit 0",
    )
    parser.add_argument(
        "--max-events",
        type=_positive,
        default=Caps().events,
        metavar="N",
        help="stop after so many events; the verdict is then inconclusive (default %(default)s)",
    )
    return parser.parse_args(argv)


def _positive(text: str) -> int:
    number = int(text)
    if number < 1:
        raise ValueError
    return number


def run(args: argparse.Namespace, stdout: TextIO, stderr: TextIO) -> int:
    contracts = [load(args.api)] if args.api else list(load_all().values())
    caps = Caps(events=args.max_events)
    codes = []
    for file in args.files:
        for linted in _linted(_read(file), file, contracts, args.endpoint, caps):
            if args.format == "json":
                row = linted.to_json(args.strict)
                if args.shrink:
                    row["shrunk"] = _shrunk(linted, None)
                print(json_line(row, stdout), file=stdout)
            else:
                _print(linted, args.strict, stdout)
                if args.shrink:
                    _shrunk(linted, stdout)
            codes.append(_EXIT[linted.verdict(args.strict)])
    if args.on_inconclusive == "warn":
        codes = [0 if code == 4 else code for code in codes]
    return 1 if 1 in codes else max(codes)


def lint(
    raw: bytes, file: str, contracts: list[Contract], endpoint: str | None, caps: Caps
) -> Linted:
    """Judge one saved response. `endpoint` is "stream", "sync", "error", or None to find out;
    the contract that fits best is chosen where there are several.
    """
    if transcripts.looks_like_transcript(raw):
        if len(raw) > _LARGEST:
            raise UsageError(f"{file}: a transcript of more than {_LARGEST // 2**20} MiB")
        return _of_transcript(transcripts.read(raw, file), file, contracts, endpoint, caps)
    guessed = endpoint is None or len(contracts) > 1
    return _recognised(raw, None, file, contracts, endpoint, caps, guessed)


def _linted(
    raw: bytes, file: str, contracts: list[Contract], endpoint: str | None, caps: Caps
) -> Iterator[Linted]:
    """What `lint` gives; of an archive once for each answer of an endpoint of the contracts."""
    if not har.looks_like_har(raw):
        yield lint(raw, file, contracts, endpoint, caps)
        return
    if len(raw) > _LARGEST:
        raise UsageError(f"{file}: a HAR file of more than {_LARGEST // 2**20} MiB")
    known = False
    for number, entry in har.read(raw, file):
        request = entry.header["request"]
        found = endpoint_at(contracts, request["method"], urlsplit(request["url"]).path)
        if found is not None:
            known = True
            entry.header |= {"api": found[0].api, "endpoint": found[1].name}
            yield _of_transcript(entry, f"{file}#{number}", contracts, endpoint, caps)
    if not known:
        apis = ", ".join(each.api for each in contracts)
        raise NoDataError(f"{file}: no entry answers a request to an endpoint of {apis}")


def _of_transcript(
    transcript: transcripts.Transcript,
    file: str,
    contracts: list[Contract],
    endpoint: str | None,
    caps: Caps,
) -> Linted:
    named = transcript.header.get("api")
    contract = next((each for each in contracts if each.api == named), None)
    contracts = [contract] if contract else contracts
    kind = endpoint or _kind(contracts, transcript.header)
    body = b"".join(piece for _, piece, _ in transcript.pieces)
    if contract is None or kind is None:
        return _recognised(body, transcript, file, contracts, kind, caps, False)
    judge = _judge(contract, kind, body, transcript, caps)
    return Linted(file, contract, kind, judge, False, (), body)


def _recognised(
    body: bytes,
    transcript: transcripts.Transcript | None,
    file: str,
    contracts: list[Contract],
    endpoint: str | None,
    caps: Caps,
    guessed: bool,
) -> Linted:
    best, *others = recognise(body, contracts, endpoint)
    also = tuple(
        other.contract.api
        for other in others
        if (other.kind, other.score) == (best.kind, best.score)
    )
    judge = _judge(best.contract, best.kind, body, transcript, caps)
    return Linted(file, best.contract, best.kind, judge, guessed, also, body)


def _shrunk(linted: Linted, stdout: TextIO | None) -> list[dict[str, Any]]:
    """The smallest part of a stream that shows each violation: printed, or as JSON."""
    from soundstage.commands import smallest

    if linted.endpoint != "stream" or not linted.judge.streaming:
        return []
    name, found = linted.judge.endpoint.name, linted.judge.violations
    stream, parts = smallest.of_stream(linted.contract, name, linted.body, found)
    if stdout is not None:
        for part in parts:
            smallest.show(part, stream, stdout)
    return [smallest.to_json(part, stream) for part in parts]


def _read(file: str) -> bytes:
    try:
        if file == "-":
            raw = sys.stdin.buffer.read(_LARGEST + 1)
        else:
            with Path(file).open("rb") as opened:
                raw = opened.read(_LARGEST + 1)
    except OSError as error:
        raise UsageError(f"{file}: {error.strerror or error}") from error
    return raw


def _kind(contracts: list[Contract], header: dict[str, Any]) -> str | None:
    if header.get("expect") == "error":
        return "error"
    found = contracts[0].endpoints.get(str(header.get("endpoint")))
    return found.kind if found else None


def _judge(
    contract: Contract,
    kind: str,
    body: bytes,
    transcript: transcripts.Transcript | None,
    caps: Caps,
) -> Judge:
    endpoint = contract.endpoint_of_kind("stream" if kind == "error" else kind)
    if endpoint is None:
        raise UsageError(f"{contract.api} has no endpoint of the kind {kind}")
    judge = Judge(contract, endpoint, caps=caps, expect_error=kind == "error")
    end, cut = None, None
    if len(body) > _LARGEST:
        body, cut = body[:_LARGEST], _CAP
    if transcript is not None:
        response = transcript.header.get("response") or {}
        if response.get("status") is not None:
            headers = {name.lower(): value for name, value in response.get("headers", ())}
            judge.head(int(response["status"]), headers.get("content-type"))
        end, cut = _end(transcript.end)
    judge.feed(body)
    judge.close(end, cut=cut)
    return judge


def _end(row: dict[str, Any] | None) -> tuple[End | None, str | None]:
    if row is None:
        return None, "transcript.incomplete"
    try:
        kind = EndKind(str(row.get("kind")))
    except ValueError:
        return None, row.get("cut")
    return End(kind, str(row.get("message", "")), 0, row.get("fault_of")), row.get("cut")


def _print(linted: Linted, strict: bool, stdout: TextIO) -> None:
    coloured = stdout.isatty()

    def paint(text: str, colour: str) -> str:
        return f"\x1b[{colour}m{text}\x1b[0m" if coloured else text

    judge, verdict = linted.judge, linted.verdict(strict)
    what = f"{linted.contract.api} {linted.endpoint}"
    took = f"took it for {what}" if linted.guessed else what
    if linted.also:
        took += f" (fits {', '.join(linted.also)} as well)"
    many = f", {judge.events} events" if judge.events else ""
    framing = f", {judge.framing}" if judge.framing else ""
    file = terminal_safe(linted.file)
    for violation in judge.violations:
        _print_violation(file, linted.contract, violation, paint, stdout)
    colour = {Verdict.CONFORMS: "32", Verdict.VIOLATES: "31", Verdict.INCONCLUSIVE: "33"}[verdict]
    said = paint(verdict.value, colour)
    reason = f" ({terminal_safe(judge.reason)})" if judge.reason else ""
    if judge.failed and verdict is Verdict.INCONCLUSIVE:
        reason = f" ({judge.reason}: {terminal_safe(judge.failed)})"
    print(f"{file}: {said}{reason}: {took}{framing}{many}", file=stdout)


def _print_violation(
    file: str, contract: Contract, violation: Violation, paint: Any, stdout: TextIO
) -> None:
    rule = contract.rules[violation.rule]
    place = file if violation.chunk is None else f"{file}: chunk {violation.chunk}"
    if violation.path:
        place += f" {terminal_safe(violation.path)}"
    severity = paint(violation.severity.value, _MARKS[violation.severity])
    message = terminal_safe(violation.message)
    print(f"{place}: {severity}: {message} [{violation.code}]", file=stdout)
    print(f"    rule {rule.id}: {rule.text}", file=stdout)
    print(f"    {rule.basis}: {rule.source}", file=stdout)
