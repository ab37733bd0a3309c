"""Prints the smallest part of a stream that shows each of its violations (`lint --shrink`)."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, TextIO

from soundstage.conformance.bounded_violations import is_rest
from soundstage.conformance.shrink import EventStream, Shrunk, shrink, stream_of, trace_text
from soundstage.conformance.violations import Violation
from soundstage.contract import Contract
from soundstage.output import outgoing
from soundstage.output.cutting import head
from soundstage.output.redact import Redactor
from soundstage.output.streams import say

#: So many different findings of one stream are looked into, and so much of each is shown.
_MOST = 50
_MOST_CHUNKS = 20
#: How much work (see `shrink`) each of them may take, and all together.
_WORK, _WORK_IN_ALL = 500_000, 2_000_000
_WIDTH = 400


def of_stream(
    contract: Contract, endpoint: str, body: bytes, violations: list[Violation]
) -> tuple[EventStream, list[Shrunk]]:
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


def to_json(shrunk: Shrunk, stream: EventStream) -> dict[str, Any]:
    """The object that `lint --shrink --format json` has in `shrunk`."""
    return {
        "code": shrunk.violation.code,
        "rule": shrunk.violation.rule,
        "chunk": shrunk.at,
        "kept": list(shrunk.kept),
        "chunks": [_text(stream, number) for number in shrunk.kept],
        "trace": trace_text(shrunk.trace),
        "expected": shrunk.expected,
        "due": list(shrunk.due),
        "minimal": shrunk.minimal,
    }


def show(shrunk: Shrunk, stream: EventStream, stdout: TextIO) -> None:
    """A few lines of text, beneath those of the violations."""
    violation, many = shrunk.violation, len(stream.events)
    say(f"smallest stream that shows {violation.code} ({violation.rule}):", stdout)
    for line in _lines(shrunk, stream):
        say(f"    {line}", stdout)
    limits = "" if shrunk.minimal else "; the search was cut short"
    say(f"    {len(shrunk.kept)} of {many} chunks{limits}", stdout)
    say(f"    asked: {shrunk.expected}", stdout)
    if shrunk.due:
        say(f"    still due there: {', '.join(shrunk.due)}", stdout)
    say(f"    stages seen: {trace_text(shrunk.trace)}", stdout)


def _text(stream: EventStream, number: int) -> str:
    """An event as it may be shown, before anything of it is cut."""
    text = stream.events[number].decode("utf-8", "backslashreplace")
    return outgoing.text(Redactor().links(text))


def _lines(shrunk: Shrunk, stream: EventStream) -> Iterator[str]:
    kept = shrunk.kept
    hidden = len(kept) - _MOST_CHUNKS
    for place, number in enumerate(kept):
        if hidden > 0 and _MOST_CHUNKS // 2 <= place < len(kept) - _MOST_CHUNKS // 2:
            if place == _MOST_CHUNKS // 2:
                yield f"… {hidden} chunks …"
            continue
        text = _text(stream, number)
        cut = f"… ({len(text) - _WIDTH} more characters)" if len(text) > _WIDTH else ""
        mark = ">" if number == shrunk.at else " "
        yield f"{mark} chunk {number}: {head(text, _WIDTH, end='')}{cut}"
