"""Prints the smallest part of a stream that shows each of its violations (`lint --shrink`)."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, TextIO

from soundstage.conformance.findings import is_rest
from soundstage.conformance.shrink import Shrunk, Stream, shrink, stream_of, trace_text
from soundstage.conformance.violations import Violation
from soundstage.contract import Contract
from soundstage.wire.redact import terminal_safe

#: So many different findings of one stream are looked into, and so much of each is shown.
_MOST = 50
_MOST_CHUNKS = 20
#: How much work (see `shrink`) each of them may take, and all together.
_WORK, _WORK_IN_ALL = 500_000, 2_000_000
_WIDTH = 400


def of_stream(
    contract: Contract, endpoint: str, body: bytes, violations: list[Violation]
) -> tuple[Stream, list[Shrunk]]:
    """The events of a stream, and the smallest part for the first violation of each kind."""
    stream = stream_of(body)
    found_at = [each for each in violations if not is_rest(each)]
    first = {(each.code, each.rule): each for each in reversed(found_at)}
    ordered = sorted(first.values(), key=violations.index)[:_MOST]
    found = (
        shrink(
            contract,
            endpoint,
            stream,
            each.rule,
            code=each.code,
            chunk=each.chunk,
            work=min(_WORK, _WORK_IN_ALL // len(ordered)),
        )
        for each in ordered
    )
    return stream, [each for each in found if each is not None]


def to_json(shrunk: Shrunk, stream: Stream) -> dict[str, Any]:
    """The object that `lint --shrink --format json` has in `shrunk`."""
    return {
        "code": shrunk.violation.code,
        "rule": shrunk.violation.rule,
        "chunk": shrunk.at,
        "kept": list(shrunk.kept),
        "chunks": [
            stream.events[number].decode("utf-8", "backslashreplace") for number in shrunk.kept
        ],
        "trace": trace_text(shrunk.trace),
        "expected": shrunk.expected,
        "due": list(shrunk.due),
        "minimal": shrunk.minimal,
    }


def show(shrunk: Shrunk, stream: Stream, stdout: TextIO) -> None:
    """A few lines of text, beneath those of the violations."""
    violation, many = shrunk.violation, len(stream.events)
    print(f"smallest stream that shows {violation.code} ({violation.rule}):", file=stdout)
    for line in _lines(shrunk, stream):
        print(f"    {line}", file=stdout)
    limits = "" if shrunk.minimal else "; the search was cut short"
    print(f"    {len(shrunk.kept)} of {many} chunks{limits}", file=stdout)
    print(f"    asked: {shrunk.expected}", file=stdout)
    if shrunk.due:
        print(f"    still due there: {', '.join(shrunk.due)}", file=stdout)
    print(f"    stages seen: {terminal_safe(trace_text(shrunk.trace))}", file=stdout)


def _lines(shrunk: Shrunk, stream: Stream) -> Iterator[str]:
    kept = shrunk.kept
    hidden = len(kept) - _MOST_CHUNKS
    for place, number in enumerate(kept):
        if hidden > 0 and _MOST_CHUNKS // 2 <= place < len(kept) - _MOST_CHUNKS // 2:
            if place == _MOST_CHUNKS // 2:
                yield f"… {hidden} chunks …"
            continue
        text = stream.events[number].decode("utf-8", "backslashreplace")
        cut = f"… ({len(text) - _WIDTH} more characters)" if len(text) > _WIDTH else ""
        mark = ">" if number == shrunk.at else " "
        yield f"{mark} chunk {number}: {terminal_safe(text[:_WIDTH])}{cut}"
