"""Faults of how a stream's body is cut into events: what docs/reference/violations.md calls
`framing.*`.
"""

from __future__ import annotations

import json
import random
from collections.abc import Callable, Iterator, Sequence
from typing import Final

from soundstage.contract import Contract
from soundstage.contract.protocol import Sentinel, Stage
from soundstage.generation.faults.fault import (
    FRAMES,
    HTML,
    Body,
    Fault,
    framed,
    only_framed,
    texts_of,
)
from soundstage.generation.faults.legality import stream_rule

_BOM: Final = b"\xef\xbb\xbf"


#: What a fault does to a body; None where the body has no place for it.
_Change = Callable[[Body, random.Random], Body | None]


def of_framing(contract: Contract) -> Iterator[Fault]:
    """Faults of how a stream's body is cut into events: in docs/reference/violations.md
    `framing.*`.
    """
    endpoint = contract.told
    if endpoint is None or endpoint.sampled:
        return
    if "sse" in endpoint.framings:
        yield from _of_events(contract)
        yield from of_event_names(contract)
    if contract.protocol.sentinel is not None:
        yield from of_sentinel(contract, contract.protocol.sentinel)
    if "lines" in endpoint.framings:
        yield from _of_lines(contract)
    yield from _of_bodies(contract, endpoint.framings)


def _of_events(contract: Contract) -> Iterator[Fault]:
    """What goes wrong between the events of a stream, and with their field names."""

    def fault(name: str, codes: set[str], says: str, apply: _Change, rule: str) -> Fault:
        return _fault(contract, name, codes, says, only_framed(("sse",), apply), rule)

    unterminated = {"framing.unterminated"}
    says = "the blank line after the last event is missing"
    yield fault("unterminated", unterminated, says, _last(lambda frame: frame[:-1]), "framing")
    says = "the last event has no line end at all"
    yield fault("no_line_end", unterminated, says, _last(lambda frame: frame[:-2]), "framing")
    says = "the body stops inside the last event"
    half = _last(lambda frame: frame[: len(frame) // 2])
    yield fault("cut_inside", unterminated | {"stream.truncated"}, says, half, "framing")
    says = "the blank line between two events is missing"
    glued = _inner(lambda frame: frame[:-1])
    yield fault("glued", {"json.trailing_text"}, says, glued, "json")
    says = "a raw line end stands in the text of an event"
    yield fault("split_line", {"json.syntax"}, says, _inner(_line_end_inside), "json")
    says = "an event is marked as data twice"
    yield fault("data_twice", {"json.syntax"}, says, _inner(lambda f: b"data: " + f), "json")
    if contract.protocol.index is None:
        return  # an event that no client sees leaves no other trace
    lost, rule, index = {"index.gap"}, "index/consecutive", contract.protocol.index

    def numbered(body: Body, at: int) -> bool:
        """Whether the event and one after it have numbers: else no gap shows that it is lost."""
        has = [index.field.of(json.loads(text)) is not None for text in texts_of(body)]
        return has[at] and any(has[at + 1 :])

    says = "a byte order mark stands before an event in the middle, which hides it"
    yield fault("bom_in_the_middle", lost, says, _inner(_data_as(_BOM + b"data: "), numbered), rule)
    says = "an event's field is called Data, which no client knows"
    yield fault("wrong_case", lost, says, _inner(_data_as(b"Data: "), numbered), rule)
    says = "an event comes without `data:`"
    yield fault("bare_json", lost, says, _inner(_data_as(b""), numbered), rule)
    says = "an event comes as a comment"
    yield fault("comment", lost, says, _inner(_data_as(b": data: "), numbered), rule)


def _of_lines(contract: Contract) -> Iterator[Fault]:
    """What goes wrong between the lines of a stream of bare JSON."""

    def fault(name: str, codes: set[str], says: str, apply: _Change, rule: str) -> Fault:
        return _fault(contract, name, codes, says, only_framed(("lines",), apply), rule)

    says = "a line in the middle begins with `data:`"
    marked = _inner(lambda frame: b"data: " + frame)
    yield fault("line_marked_as_data", {"json.syntax"}, says, marked, "json")
    says = "the first line is not JSON, so that nothing tells the framing"
    codes = {"json.syntax", "framing.unexpected"}
    yield fault(
        "first_line_broken",
        codes,
        says,
        lambda body, rng: Body("lines", [body.frames[0][1:], *body.frames[1:]]),
        "framing",
    )
    says = "two objects stand in one line"
    glued = _inner(lambda frame: frame[:-1])
    yield fault("lines_glued", {"json.trailing_text"}, says, glued, "json")


def _of_bodies(contract: Contract, framings: Sequence[str]) -> Iterator[Fault]:
    """Something else in place of the whole body."""

    def fault(
        name: str, codes: set[str], says: str, apply: _Change, rule: str = "framing"
    ) -> Fault:
        return _fault(contract, name, codes, says, apply, rule)

    def framed_as(framing: str) -> _Change:
        return lambda body, rng: framed(texts_of(body), framing)

    def array(body: Body, rng: random.Random) -> Body | None:
        first, *rest = texts_of(body)
        return Body("json", [b"[" + first, *(b"," + text for text in rest), b"]"])

    unexpected = {"framing.unexpected"}
    for framing in FRAMES:
        if framing not in framings and framing != "json":
            says = f"the body is framed as {framing}"
            yield fault(f"as_{framing}", unexpected, says, framed_as(framing))
    # Where lines are allowed, an array in one line is a chunk that is no object.
    codes = unexpected | ({"json.not_object"} if "lines" in framings else set())
    yield fault("as_array", codes, "the body is one JSON array", array)
    says = "the body is an HTML page"
    yield fault("as_html", unexpected, says, lambda body, rng: Body("json", [HTML]))
    says = "the body is plain text"
    text = b"Internal Server Error\n"
    yield fault("as_text", unexpected, says, lambda body, rng: Body("json", [text]))
    yield fault(
        "as_nothing",
        {"stream.truncated"},
        "the body is empty",
        lambda body, rng: Body(body.framing, []),
        "end/reached",
    )


def _fault(
    contract: Contract, name: str, codes: set[str], says: str, apply: _Change, rule: str
) -> Fault:
    severity = stream_rule(contract, rule)
    return Fault(f"framing/{name}", "bytes", "stream", frozenset(codes), severity, says, apply)


def _last(cut: Callable[[bytes], bytes]) -> _Change:
    """An edit of the last frame."""
    return lambda body, rng: body._replace(frames=[*body.frames[:-1], cut(body.frames[-1])])


def _inner(
    edit: Callable[[bytes], bytes], wanted: Callable[[Body, int], bool] = lambda *_: True
) -> _Change:
    """An edit of one frame that is neither the first nor the last, and is `wanted`."""

    def apply(body: Body, rng: random.Random) -> Body | None:
        if len(body.frames) < 3:
            return None
        at = rng.randrange(1, len(body.frames) - 1)
        if not wanted(body, at):
            return None
        frames = list(body.frames)
        frames[at] = edit(frames[at])
        return body._replace(frames=frames)

    return apply


def _line_end_inside(frame: bytes) -> bytes:
    """With a line end after some characters; half a character is another fault."""
    head, mark, text = frame.partition(b"data: ")
    characters = text.decode()
    at = min(14, len(characters) // 2)
    return head + mark + f"{characters[:at]}\n{characters[at:]}".encode()


def _data_as(mark: bytes) -> Callable[[bytes], bytes]:
    """A frame whose text is marked with something else than `data: `."""
    return lambda frame: frame.replace(b"data: ", mark, 1)


# --- names of events, and the text that ends a stream ---------------------------------------------


def of_event_names(contract: Contract) -> Iterator[Fault]:
    """An event that has another name than those of its stage have, or none."""
    protocol = contract.protocol
    for stage in protocol.stages:
        if stage.event is None or stage.failure:
            continue
        tries = [("other", "event: no_such_event\n")]
        if stage.event.name and stage.event.required:
            tries.append(("none", ""))
        if stage.event.name is None:
            tries = [("named", "event: no_such_event\n")]
        for name, head in tries:
            says = f"an event of {stage.name} is called otherwise" if head else (
                f"an event of {stage.name} has no name"
            )  # fmt: skip
            codes = {"event.name"} if stage.when else {"event.name", "stage.unknown"}
            yield _fault(
                contract,
                f"event_{name}/{stage.name}",
                codes,
                says,
                only_framed(("sse",), _renamed(stage, head.encode())),
                f"{stage.name}/event",
            )


def _renamed(stage: Stage, head: bytes) -> _Change:
    named = f"event: {stage.event.name}\n".encode() if stage.event and stage.event.name else b""

    def apply(body: Body, rng: random.Random) -> Body | None:
        places = [n for n, each in enumerate(body.heads) if each == named]
        if not places:
            return None
        at = rng.choice(places)
        frames = list(body.frames)
        frames[at] = head + frames[at].removeprefix(named)
        return body._replace(frames=frames)

    return apply


def of_sentinel(contract: Contract, sentinel: Sentinel) -> Iterator[Fault]:
    """The text that ends a stream is left out, comes twice, too early, or is another."""
    said = sentinel.data.decode()

    def fault(name: str, codes: set[str], says: str, apply: _Change, rule: str) -> Fault:
        return _fault(contract, f"sentinel_{name}", codes, says, apply, rule)

    def last(tail: Callable[[bytes], bytes]) -> _Change:
        def apply(body: Body, rng: random.Random) -> Body | None:
            if not body.tail:
                return None
            whole = body.frames[-1].removesuffix(body.tail)
            return body._replace(frames=[*body.frames[:-1], whole + tail(body.tail)])

        return apply

    def early(body: Body, rng: random.Random) -> Body | None:
        if not body.tail or len(body.frames) < 2:
            return None
        at = rng.randrange(len(body.frames) - 1)
        frames = list(body.frames)
        frames[at] += body.tail
        return body._replace(frames=frames)

    if sentinel.required:
        codes = {"stream.no_sentinel"}
        yield fault("missing", codes, f"{said} never comes", last(lambda _: b""), "end/sentinel")
        wrong = sentinel.data.swapcase()
        if wrong != sentinel.data:
            says = f"{said} comes as {wrong.decode()}"
            other = last(lambda tail: tail.replace(sentinel.data, wrong))
            yield fault("wrong", codes, says, other, "end/sentinel")
    after = "end/nothing_after"
    twice = last(lambda tail: tail + tail)
    yield fault("twice", {"stream.after_end"}, f"{said} comes twice", twice, after)
    yield fault("early", {"stream.after_end"}, f"{said} comes before the end", early, after)
