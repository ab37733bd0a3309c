"""Faults of how a stream's body is cut into events: what docs/violations.md calls `framing.*`."""

from __future__ import annotations

import random
from collections.abc import Callable, Iterator
from typing import Any, Final

from soundstage.contract import Contract
from soundstage.generation.fault import FRAMES, HTML, Body, Fault, framed, only_framed, texts_of
from soundstage.generation.legality import stream_rule

_BOM: Final = b"\xef\xbb\xbf"


def _line_end_inside(frame: bytes) -> bytes:
    """With a line end after some characters; half a character is another fault."""
    characters = frame.decode()
    return f"{characters[:20]}\n{characters[20:]}".encode()


def of_framing(contract: Contract) -> Iterator[Fault]:
    """Faults of how a stream's body is cut into events: in docs/violations.md `framing.*`."""
    endpoint = contract.endpoint_of_kind("stream")
    if endpoint is None:
        return
    framings = endpoint.framings
    severity = stream_rule(contract, "framing")
    lost = {"index.gap"} if contract.protocol.index else set()

    def fault(
        name: str,
        codes: set[str],
        says: str,
        apply: Callable[[Body, random.Random], Body | None],
        rule_severity: str = severity,
    ) -> Fault:
        full = f"framing/{name}"
        return Fault(full, "bytes", "stream", frozenset(codes), rule_severity, says, apply)

    def last(cut: Callable[[bytes], bytes]) -> Callable[[Body, random.Random], Body | None]:
        return lambda body, rng: Body(body.framing, [*body.frames[:-1], cut(body.frames[-1])])

    def inner(edit: Callable[[bytes], bytes]) -> Callable[[Body, random.Random], Body | None]:
        """An edit of one frame that is neither the first nor the last."""

        def apply(body: Body, rng: random.Random) -> Body | None:
            if len(body.frames) < 3:
                return None
            at = rng.randrange(1, len(body.frames) - 1)
            frames = list(body.frames)
            frames[at] = edit(frames[at])
            return Body(body.framing, frames)

        return apply

    def other(framing: str) -> Callable[[Body, random.Random], Body | None]:
        return lambda body, rng: framed(texts_of(body), framing)

    unterminated = {"framing.unterminated"}
    if "sse" in framings:

        def sse(apply: Callable[[Body, random.Random], Body | None]) -> Any:
            return only_framed(("sse",), apply)

        says = "the blank line after the last event is missing"
        yield fault("unterminated", unterminated, says, sse(last(lambda frame: frame[:-1])))
        says = "the last event has no line end at all"
        yield fault("no_line_end", unterminated, says, sse(last(lambda frame: frame[:-2])))
        says = "the body stops inside the last event"
        half = last(lambda frame: frame[: len(frame) // 2])
        yield fault("cut_inside", unterminated | {"stream.truncated"}, says, sse(half))
        json_severity = stream_rule(contract, "json")
        says = "the blank line between two events is missing"
        glued = inner(lambda frame: frame[:-1])
        yield fault("glued", {"json.trailing_text"}, says, sse(glued), json_severity)
        says = "a raw line end stands in the text of an event"
        broken = inner(_line_end_inside)
        yield fault("split_line", {"json.syntax"}, says, sse(broken), json_severity)
        says = "an event is marked as data twice"
        twice = inner(lambda frame: b"data: " + frame)
        yield fault("data_twice", {"json.syntax"}, says, sse(twice), json_severity)
        if lost:
            gap = stream_rule(contract, "index/consecutive")
            says = "a byte order mark stands before an event in the middle, which hides it"
            bom = inner(lambda frame: _BOM + frame)
            yield fault("bom_in_the_middle", lost, says, sse(bom), gap)
            says = "an event's field is called Data, which no client knows"
            case = inner(lambda frame: b"Data" + frame[4:])
            yield fault("wrong_case", lost, says, sse(case), gap)
            says = "an event comes without `data:`"
            bare = inner(lambda frame: frame.removeprefix(b"data: "))
            yield fault("bare_json", lost, says, sse(bare), gap)
            says = "an event comes as a comment"
            comment = inner(lambda frame: b": " + frame)
            yield fault("comment", lost, says, sse(comment), gap)
    if "lines" in framings:
        says = "a line in the middle begins with `data:`"
        marked = only_framed(("lines",), inner(lambda frame: b"data: " + frame))
        severity_json = stream_rule(contract, "json")
        yield fault("line_marked_as_data", {"json.syntax"}, says, marked, severity_json)
        says = "two objects stand in one line"
        glue = only_framed(("lines",), inner(lambda frame: frame[:-1]))
        says_first = "the first line is not JSON, so that nothing tells the framing"
        first = only_framed(
            ("lines",), lambda b, rng: Body("lines", [b.frames[0][1:], *b.frames[1:]])
        )
        either = {"json.syntax", "framing.unexpected"}
        yield fault("first_line_broken", either, says_first, first)
        yield fault("lines_glued", {"json.trailing_text"}, says, glue, severity_json)
    unexpected = {"framing.unexpected"}
    for framing in FRAMES:
        if framing not in framings and framing != "json":
            says = f"the body is framed as {framing}"
            yield fault(f"as_{framing}", unexpected, says, other(framing))

    def array(body: Body, rng: random.Random) -> Body | None:
        first, *rest = texts_of(body)
        return Body("json", [b"[" + first, *(b"," + text for text in rest), b"]"])

    # Where lines are allowed, an array in one line is a chunk that is no object.
    codes = unexpected | ({"json.not_object"} if "lines" in framings else set())
    yield fault("as_array", codes, "the body is one JSON array", array)
    says = "the body is an HTML page"
    yield fault("as_html", unexpected, says, lambda body, rng: Body("json", [HTML]))
    says = "the body is plain text"
    text = b"Internal Server Error\n"
    yield fault("as_text", unexpected, says, lambda body, rng: Body("json", [text]))
    says = "the body is empty"
    yield fault(
        "as_nothing",
        {"stream.truncated"},
        says,
        lambda body, rng: Body(body.framing, []),
        stream_rule(contract, "end/reached"),
    )
