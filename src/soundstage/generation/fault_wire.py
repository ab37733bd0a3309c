"""Faults below the payloads: of the JSON text, of the framing, and of the HTTP answer."""

from __future__ import annotations

import json
import random
import re
from collections.abc import Callable, Iterator
from typing import Any, Final

from soundstage.contract import Contract
from soundstage.contract.protocol import Endpoint
from soundstage.generation.fault import (
    FRAMES,
    MEDIA_TYPES,
    Answer,
    Body,
    Fault,
    dumps,
    encoded,
    framed,
    texts_of,
)
from soundstage.generation.legality import broken_in_chunk, stage_of, stream_rule
from soundstage.generation.walk import payloads, plan, random_story, sync_result

Edit = Callable[[bytes, random.Random], bytes | None]

_MARK: Final = "\N{REPLACEMENT CHARACTER}mark"
_MEMBER: Final = re.compile(rb'^\{("(?:[^"\\]|\\.)+"):')
#: Deeper than anybody's cap on nesting.
_DEEP: Final = 5000
_HTML: Final = b"<!DOCTYPE html>\n<html><body><h1>502 Bad Gateway</h1></body></html>\n"
_BOM: Final = b"\xef\xbb\xbf"


# --- JSON -----------------------------------------------------------------------------------------


def _in_string(avoid: frozenset[str], put: bytes) -> Edit:
    """Puts bytes at the end of a string, best in one that no other rule looks at."""

    def edit(text: bytes, rng: random.Random) -> bytes | None:
        value = json.loads(text)
        if not isinstance(value, dict):
            return None
        names = [name for name, item in value.items() if isinstance(item, str)]
        names = [name for name in names if name not in avoid] or names
        if not names:
            return None
        name = rng.choice(names)
        return dumps({**value, name: value[name] + _MARK}).replace(_MARK.encode(), put)

    return edit


def _instead_of_number(put: bytes) -> Edit:
    def edit(text: bytes, rng: random.Random) -> bytes | None:
        value = json.loads(text)
        names = [n for n, item in value.items() if type(item) in (int, float)]
        if not names:
            names = list(value)
        marked = dumps({**value, rng.choice(names): _MARK})
        return marked.replace(b'"' + _MARK.encode() + b'"', put)

    return edit


def _twice(written: Callable[[bytes], bytes]) -> Edit:
    def edit(text: bytes, rng: random.Random) -> bytes | None:
        value = json.loads(text)
        name = rng.choice(list(value))
        key, item = dumps(name), dumps(value[name])
        return b"{" + written(key) + b":" + item + b"," + text[1:]

    return edit


def _escaped(key: bytes) -> bytes:
    return b'"\\u%04x' % key[1] + key[2:]


def _python(text: bytes, rng: random.Random) -> bytes:
    return repr(json.loads(text)).encode()


def _json_edits(avoid: frozenset[str]) -> Iterator[tuple[str, str, str, Edit]]:
    """(name, code, what it does, edit) of each fault of a JSON text."""
    put = _in_string

    def always(edit: Callable[[bytes], bytes]) -> Edit:
        return lambda text, rng: edit(text)

    yield "empty", "json.empty", "there is no text at all", always(lambda _: b"")
    yield "blank", "json.empty", "there is only white space", always(lambda _: b"  ")
    syntax = "json.syntax"
    yield "cut", syntax, "the text stops short", always(lambda text: text[:-1])
    yield (
        "half",
        syntax,
        "only the first half of the text comes",
        always(lambda text: text[: len(text) // 2]),
    )
    yield "python", syntax, "the text is Python's repr", _python
    yield "comma", syntax, "a comma too many", always(lambda text: text[:-1] + b",}")
    yield "comment", syntax, "a comment stands in it", always(lambda text: text[:-1] + b"/**/}")
    yield (
        "unquoted_key",
        syntax,
        "a key without quotes",
        always(lambda text: _MEMBER.sub(rb"{key:", text)),
    )
    yield "tab_in_string", syntax, "a raw tab stands in a string", put(avoid, b"\t")
    yield "bad_escape", syntax, "a string has an escape that is none", put(avoid, b"\\x41")
    yield "bom", syntax, "a byte order mark before the text", always(lambda text: _BOM + text)
    yield "done_mark", syntax, "the text is [DONE]", always(lambda _: b"[DONE]")
    for name, written in (("nan", b"NaN"), ("infinity", b"Infinity"), ("minus", b"-Infinity")):
        says = f"{written.decode()} stands for a number"
        yield f"nan_{name}".replace("nan_nan", "nan"), "json.nan", says, _instead_of_number(written)
    code = "json.duplicate_key"
    yield "duplicate_key", code, "an object has a key twice", _twice(lambda key: key)
    yield "duplicate_key_escaped", code, "a key comes twice, once escaped", _twice(_escaped)
    code = "json.lone_surrogate"
    yield "lone_surrogate", code, "half of a surrogate pair", put(avoid, b"\\ud83d")
    yield "lone_low_surrogate", code, "the second half of a pair alone", put(avoid, b"\\udc00")
    code = "json.invalid_utf8"
    yield "invalid_utf8", code, "a byte that UTF-8 never has", put(avoid, b"\xff")
    yield "latin1", code, "a character in Latin-1", put(avoid, "é".encode("latin-1"))
    yield "cut_character", code, "half of a character", put(avoid, "✅".encode()[:2])
    yield "encoded_surrogate", code, "a surrogate as three bytes", put(avoid, b"\xed\xa0\xbd")
    yield "overlong", code, "an overlong form", put(avoid, b"\xc0\xaf")
    code = "json.trailing_text"
    yield "trailing_text", code, "text after the value", always(lambda text: text + b" ok")
    yield "twice", code, "the text comes twice in a row", always(lambda text: text + text)
    yield (
        "too_deep",
        "json.too_deep",
        "nested deeper than any cap",
        always(lambda text: text[:-1] + b',"deep":' + b"[" * _DEEP + b"]" * _DEEP + b"}"),
    )
    code = "json.not_object"
    yield "array", code, "the object stands in an array", always(lambda text: b"[" + text + b"]")
    yield "string", code, "the object stands in a string", always(lambda t: dumps(t.decode()))
    for name, other in (("null", b"null"), ("number", b"17"), ("true", b"true")):
        yield f"only_{name}", code, f"the text is {name}", always(lambda _, other=other: other)  # type: ignore[misc]


def _edited(edit: Edit) -> Callable[[Body, random.Random], Body | None]:
    """The edit, in one text of a body."""

    def apply(body: Body, rng: random.Random) -> Body | None:
        texts = texts_of(body)
        # The first line tells that a body is bare JSON lines: see `framing/first_line_broken`.
        numbers = list(range(body.framing == "lines", len(texts)))
        rng.shuffle(numbers)
        for number in numbers:
            after = edit(texts[number], rng)
            if after is not None and after != texts[number]:
                return framed([*texts[:number], after, *texts[number + 1 :]], body.framing)
        return None

    return apply


def of_json(contract: Contract) -> Iterator[Fault]:
    """Faults of the JSON text of chunks, results and errors."""
    protocol = contract.protocol
    marks = {name for s in protocol.stages for name in s.when.get("properties", ())}
    avoid = frozenset(marks | {each.field for each in protocol.constant})
    for name, code, says, edit in _json_edits(avoid):
        codes = frozenset({code})
        endpoint = contract.endpoint_of_kind("stream")
        if endpoint is not None:
            apply = _edited(edit)
            if name in ("empty", "blank") and set(endpoint.framings) == {"lines"}:
                continue  # an empty line is no event there
            if name == "blank" or name == "empty":
                apply = _only(("sse",), apply)
            severity = stream_rule(contract, "json")
            yield Fault(f"json/{name}", "bytes", "stream", codes, severity, says, apply)
        for sync in _results(contract):
            severity = contract.rules[f"{contract.api}/{sync.name}/json"].severity
            full = f"result/{sync.name}/json/{name}"
            yield Fault(full, "bytes", sync.name, codes, severity, says, _edited(edit))
        severity = contract.rules[f"{contract.api}/error/other/body"].severity
        codes = codes if code != "json.not_object" else frozenset({"http.error_body"})
        yield Fault(f"error/json/{name}", "bytes", "error", codes, severity, says, _edited(edit))


def _results(contract: Contract) -> Iterator[Endpoint]:
    """The endpoints whose single result is described."""
    for endpoint in contract.endpoints.values():
        if endpoint.kind == "sync" and "properties" in (endpoint.response or {}):
            yield endpoint


def _only(
    framings: tuple[str, ...], apply: Callable[[Body, random.Random], Body | None]
) -> Callable[[Body, random.Random], Body | None]:
    return lambda body, rng: apply(body, rng) if body.framing in framings else None


# --- framing --------------------------------------------------------------------------------------


def of_framing(contract: Contract) -> Iterator[Fault]:
    """Faults of how a stream's body is cut into events: what design 4.14 makes an error."""
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
            return _only(("sse",), apply)

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
        broken = inner(lambda frame: frame[:20] + b"\n" + frame[20:])
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
        marked = _only(("lines",), inner(lambda frame: b"data: " + frame))
        severity_json = stream_rule(contract, "json")
        yield fault("line_marked_as_data", {"json.syntax"}, says, marked, severity_json)
        says = "two objects stand in one line"
        glue = _only(("lines",), inner(lambda frame: frame[:-1]))
        says_first = "the first line is not JSON, so that nothing tells the framing"
        first = _only(("lines",), lambda b, rng: Body("lines", [b.frames[0][1:], *b.frames[1:]]))
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
    yield fault("as_html", unexpected, says, lambda body, rng: Body("json", [_HTML]))
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


# --- HTTP -----------------------------------------------------------------------------------------

#: Statuses that are neither the promised one nor a refusal that an API may give at any time.
_STATUSES: Final = (201, 202, 206, 404, 405, 410, 418, 422)


def of_http(contract: Contract) -> Iterator[Fault]:
    """Faults of the answer around the body."""
    for endpoint in contract.endpoints.values():
        if endpoint.kind == "stream":
            yield from _of_endpoint(contract, endpoint, "stream", "http")
        elif endpoint in list(_results(contract)):
            yield from _of_endpoint(
                contract, endpoint, endpoint.name, f"result/{endpoint.name}/http"
            )
    yield from _of_errors(contract)


def _severity(contract: Contract, rule: str) -> str:
    return contract.rules[f"{contract.api}/{rule}"].severity


def _of_endpoint(contract: Contract, endpoint: Endpoint, of: str, prefix: str) -> Iterator[Fault]:
    def fault(
        name: str, codes: set[str], rule: str, says: str, apply: Callable[[Answer, Any], Any]
    ) -> Fault:
        severity = _severity(contract, f"{endpoint.name}/{rule}")
        return Fault(f"{prefix}/{name}", "http", of, frozenset(codes), severity, says, apply)

    for status in _STATUSES:
        says = f"the status is {status}"

        def other_status(answer: Answer, rng: Any, status: int = status) -> Answer:
            return answer._replace(status=status)

        yield fault(f"status_{status}", {"http.status"}, "http/status", says, other_status)
    media = {MEDIA_TYPES[framing] for framing in endpoint.framings} or {"application/json"}
    kinds = ("text/html", "application/octet-stream", "audio/mpeg", "text/plain", None)
    swapped = "application/json" if endpoint.kind == "stream" else "text/event-stream"
    for kind in (*kinds, swapped):
        if kind in media:
            continue
        says = f"the content type is {kind or 'missing'}"

        def other_type(answer: Answer, rng: Any, kind: str | None = kind) -> Answer | None:
            framing = answer.body.framing
            if framing == "lines" and kind in ("application/json", "text/plain"):
                return None  # lines may come as that
            return answer._replace(content_type=kind)

        label = f"content_type_{(kind or 'none').replace('/', '_').replace('-', '_')}"
        yield fault(label, {"http.content_type"}, "http/content_type", says, other_type)
    for error in contract.errors.known:
        if not error.printed:
            continue
        says = f"the error {error.name} comes under the status of a success"

        def disguised(answer: Answer, rng: Any, body: dict[str, Any] = error.body) -> Answer:
            return Answer(200, MEDIA_TYPES["json"], framed([dumps(body)], "json"))

        code = {"http.error_under_success"}
        yield fault(f"error_under_success/{error.name}", code, "http/answer", says, disguised)
    yield from _other_bodies(contract, endpoint, fault)


def _other_bodies(
    contract: Contract, endpoint: Endpoint, fault: Callable[..., Fault]
) -> Iterator[Fault]:
    """Faults in which the body is the one of another endpoint."""
    if endpoint.kind == "stream":
        for other in _results(contract):
            codes = {"framing.unexpected"}
            if "lines" in endpoint.framings:
                # One object on one line is a stream of one chunk, and that chunk is broken.
                codes |= _codes_of_result(contract)

            def single(answer: Answer, rng: random.Random) -> Answer:
                result = sync_result(contract, random_story(rng, _tracks(contract)))
                return Answer(200, MEDIA_TYPES["json"], framed([dumps(result)], "json"))

            says = f"the body is that of {other.name}"
            yield fault(f"body_of_{other.name}", codes, "framing", says, single)
    else:
        stream = contract.endpoint_of_kind("stream")
        if stream is not None:

            def streamed(answer: Answer, rng: random.Random) -> Answer:
                steps = plan(contract, rng)
                story = random_story(rng, _tracks(contract))
                filled = payloads(contract, steps, story, rng)
                framing = stream.framings[0]
                chunks = list(zip(steps, filled, strict=True))
                return Answer(200, MEDIA_TYPES[framing], encoded(chunks, framing))

            codes = {"json.syntax", "json.trailing_text"}
            yield fault(f"body_of_{stream.name}", codes, "json", "the body is a stream", streamed)
        says = "the body is empty"
        yield fault(
            "empty",
            {"json.empty"},
            "json",
            says,
            lambda answer, rng: answer._replace(body=Body("json", [b""])),
        )
        says = "the body is an HTML page"
        yield fault(
            "html",
            {"http.content_type", "json.syntax"},
            "http/content_type",
            says,
            lambda answer, rng: Answer(200, "text/html", Body("json", [_HTML])),
        )
        says = "the body is an empty object"
        yield fault(
            "empty_object",
            {"field.missing"},
            "json",
            says,
            lambda answer, rng: answer._replace(body=Body("json", [b"{}"])),
        )


def _codes_of_result(contract: Contract) -> set[str]:
    """What a result breaks where a stream of lines is due."""
    result = sync_result(contract, random_story(random.Random(0), _tracks(contract)))
    stage = stage_of(contract, result)
    if stage is None:
        return {"stage.unknown"}
    found = [
        broken_in_chunk(contract, stage.name, result, (name,))
        for name in stage.schema.get("required", ())
    ]
    return {each.code for each in found if each is not None}


def _of_errors(contract: Contract) -> Iterator[Fault]:
    def fault(
        name: str,
        code: str,
        severity: str,
        says: str,
        apply: Callable[[Answer, Any], Any],
        broken_rule: str | None = None,
    ) -> Fault:
        return Fault(
            f"error/http/{name}",
            "http",
            "error",
            frozenset({code}),
            severity,
            says,
            apply,
            broken_rule=broken_rule,
        )

    errors = contract.errors
    if 200 not in errors.statuses:
        yield fault(
            "under_success",
            "http.error_under_success",
            _severity(contract, "error/not_under_200"),
            "an error comes with the status 200",
            lambda answer, rng: answer._replace(status=200),
        )
    if 399 not in errors.statuses:
        yield fault(
            "status",
            "http.status",
            _severity(contract, "error/status"),
            "an error comes with the status 399",
            lambda answer, rng: answer._replace(status=399),
        )
    broken = next((r for r in contract.rules if r.id.startswith(f"{r.api}/request/field/")), None)
    if broken is None:
        return
    rule = broken.id.removeprefix(f"{contract.api}/")
    yield fault(
        "server_error",
        "http.server_error",
        _severity(contract, "error/no_500"),
        "a bad request is answered with a 500",
        lambda answer, rng: answer._replace(status=500),
        rule,
    )
    sync = next(_results(contract), None)
    if sync is not None:

        def accepted(answer: Answer, rng: random.Random) -> Answer:
            result = sync_result(contract, random_story(rng, _tracks(contract)))
            return Answer(200, MEDIA_TYPES["json"], framed([dumps(result)], "json"))

        says = "a bad request is accepted"
        yield fault("accepted", "http.accepted_invalid", broken.severity, says, accepted, rule)


def _tracks(contract: Contract) -> int:
    return len(contract.protocol.tracks.values) if contract.protocol.tracks else 1
