"""The event stream decoder against the standard, run whole, byte by byte and split everywhere."""

from __future__ import annotations

import base64
from collections.abc import Iterable, Iterator
from itertools import pairwise
from typing import Any

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

import vectors
from soundstage.wire.lines import LineDecoder, sniff_framing
from soundstage.wire.sse import Decoder, Event, EventTooLarge, Pending


def decode(pieces: Iterable[bytes]) -> dict[str, Any]:
    """All that can be seen of a stream, save for where `raw` is cut."""
    pieces = list(pieces)
    comments: list[bytes] = []
    decoder = Decoder(on_comment=comments.append)
    events = [event for piece in pieces for event in decoder.feed(piece)]
    pending = decoder.close()
    assert b"".join(event.raw for event in events) + pending.raw == b"".join(pieces), (
        "the raw bytes of the events and the rest must be the whole input"
    )
    return {
        "events": [(event.type, event.data, event.id) for event in events],
        "comments": comments,
        "retry_ms": decoder.retry_ms,
        "last_event_id": decoder.last_event_id,
        "mid_event": decoder.mid_event,
        "unterminated": pending.unterminated,
        "pending_data": pending.data,
    }


def splits(stream: bytes) -> Iterator[list[bytes]]:
    """Whole, byte by byte, byte by byte with empty reads, and in two at every place."""
    yield [stream]
    yield [stream[i : i + 1] for i in range(len(stream))]
    yield [part for i in range(len(stream)) for part in (stream[i : i + 1], b"")]
    for at in range(1, len(stream)):
        yield [stream[:at], stream[at:]]


def message(*data: bytes, id: str = "") -> list[tuple[str, bytes, str]]:
    return [("message", item, id) for item in data]


# name: (stream, what it must show). Section numbers are those of the WHATWG HTML standard.
CASES: dict[str, tuple[bytes, dict[str, Any]]] = {
    # 9.2.5: lines
    "empty stream": (b"", {"events": [], "unterminated": False, "mid_event": False}),
    "LF": (b"data: a\n\n", {"events": message(b"a"), "unterminated": False, "mid_event": False}),
    "CR": (b"data: a\r\r", {"events": message(b"a"), "unterminated": False, "mid_event": False}),
    "CRLF": (b"data: a\r\n\r\n", {"events": message(b"a"), "mid_event": False}),
    "CRLF twice": (b"data: a\r\n\r\ndata: b\r\n\r\n", {"events": message(b"a", b"b")}),
    "LF then CRLF": (b"data: a\n\r\ndata: b\r\n\n", {"events": message(b"a", b"b")}),
    "CR then LF then more": (b"data: a\r\ndata: b\r\r\n", {"events": message(b"a\nb")}),
    "CR CR LF is two line ends": (b"data: a\r\r\ndata: b\r\n\r\n", {"events": message(b"a", b"b")}),
    "LF CR is two line ends": (b"data: a\n\rdata: b\n\r", {"events": message(b"a", b"b")}),
    "other breaks are text": (
        "data: a\u2028b\u2029c\u0085d\x0be\x0cf\x1cg\n\n".encode(),
        {"events": message("a\u2028b\u2029c\u0085d\x0be\x0cf\x1cg".encode())},
    ),
    "blank lines only": (b"\n\r\n\r", {"events": [], "unterminated": False, "mid_event": False}),
    # 9.2.5: byte order mark
    "BOM": (b"\xef\xbb\xbfdata: a\n\n", {"events": message(b"a")}),
    "BOM alone": (b"\xef\xbb\xbf", {"events": [], "unterminated": False, "mid_event": False}),
    "half a BOM is a line": (b"\xef\xbb", {"events": [], "unterminated": True}),
    "half a BOM, then data": (b"\xef\xbbdata: a\n\n", {"events": []}),
    "two BOMs": (b"\xef\xbb\xbf\xef\xbb\xbfdata: a\n\ndata: b\n\n", {"events": message(b"b")}),
    "BOM later": (b"data: a\n\n\xef\xbb\xbfdata: b\n\n", {"events": message(b"a")}),
    "BOM in data": (b"data: \xef\xbb\xbfa\n\n", {"events": message(b"\xef\xbb\xbfa")}),
    # 9.2.6: fields
    "one space goes": (
        b"data:a\n\ndata: a\n\ndata:  a\n\ndata:\ta\n\n",
        {"events": message(b"a", b"a", b" a", b"\ta")},
    ),
    "lines join with LF": (b"data: a\ndata: b\r\ndata\n\n", {"events": message(b"a\nb\n")}),
    "empty data is data": (b"data\n\ndata:\n\ndata: \n\n", {"events": message(b"", b"", b"")}),
    "two empty lines of data": (b"data\ndata\n\n", {"events": message(b"\n")}),
    "names are exact": (
        b"Data: a\n data: b\ndata : c\ndatax: d\nevents: e\ndata: f\n\n",
        {"events": message(b"f")},
    ),
    "a colon in the value stays": (b"data: a: b:c\n\n", {"events": message(b"a: b:c")}),
    "broken UTF-8 stays": (b"data: \xff\xed\xa0\x80\n\n", {"events": message(b"\xff\xed\xa0\x80")}),
    "type": (
        b"event: a\ndata: 1\n\ndata: 2\n\n",
        {"events": [("a", b"1", ""), ("message", b"2", "")]},
    ),
    "the last type counts, empty is message": (
        b"event: a\nevent: b\ndata: 1\n\nevent: a\nevent\ndata: 2\n\n",
        {"events": [("b", b"1", ""), ("message", b"2", "")]},
    ),
    "type is reset without data": (b"event: a\n\ndata: 1\n\n", {"events": message(b"1")}),
    "id persists": (b"id: 1\ndata: a\n\ndata: b\n\n", {"events": message(b"a", b"b", id="1")}),
    "id of a block without data": (b"id: 1\n\ndata: a\n\n", {"events": message(b"a", id="1")}),
    "id after its data": (b"data: a\nid: 1\n\n", {"events": message(b"a", id="1")}),
    "empty id resets": (
        b"id: 1\ndata: a\n\nid\ndata: b\n\n",
        {"events": [("message", b"a", "1"), ("message", b"b", "")], "last_event_id": ""},
    ),
    "id with NUL": (
        b"id: 1\nid: 2\x00\ndata: a\n\n",
        {"events": message(b"a", id="1"), "last_event_id": "1"},
    ),
    "id needs its blank line": (b"id: 1\n\nid: 2\n", {"last_event_id": "1", "unterminated": True}),
    "type and id are decoded": (
        b"event: \xc3\xa9\xff\nid: \xff\ndata: a\n\n",
        {"events": [("é\ufffd", b"a", "\ufffd")]},
    ),
    "retry": (b"retry: 0150\n", {"retry_ms": 150, "unterminated": False}),
    "retry of digits only": (
        "retry: 1_0\nretry: +1\nretry: \u0661\nretry: 1 \nretry:  1\nretry\nretry: 1.0\n".encode(),
        {"retry_ms": None},
    ),
    "retry of any length": (
        b"retry: " + b"9" * 5_000 + b"\n",
        {"retry_ms": 10**18 - 1, "events": []},
    ),
    "retry with zeros before": (b"retry: " + b"0" * 40 + b"7\n", {"retry_ms": 7}),
    "comments": (
        b":\n: a\n:b:c\rdata: d\n:e\r\ndata: f\n\n",
        {"events": message(b"d\nf"), "comments": [b"", b" a", b"b:c", b"e"]},
    ),
    "heartbeats": (b": hi\n\n: hi\n\n", {"events": [], "comments": [b" hi"] * 2}),
    # 9.2.6: the end of the stream
    "no blank line": (
        b"data: a\n\ndata: b\n",
        {"events": message(b"a"), "unterminated": True, "pending_data": b"b", "mid_event": True},
    ),
    "no line end": (
        b"data: a\ndata: b",
        {"events": [], "unterminated": True, "pending_data": b"a\nb"},
    ),
    "only a comment after the last event": (
        b"data: a\n\n: bye\n",
        {"events": message(b"a"), "unterminated": False, "mid_event": True},
    ),
    "half a CRLF ends an event": (
        b"data: a\r\n\r",
        {"events": message(b"a"), "unterminated": False, "mid_event": False},
    ),
}


@pytest.mark.parametrize("name", CASES)
def test_the_decoder_does_what_the_standard_says_however_the_stream_is_split(name: str) -> None:
    stream, expected = CASES[name]
    for pieces in splits(stream) if len(stream) < 1_000 else [[stream], [stream[:9], stream[9:]]]:
        seen = decode(pieces)
        assert {key: seen[key] for key in expected} == expected, f"split as {pieces}"


#: Bytes that matter, so that random streams meet the rules of the standard.
TOKENS = st.sampled_from(
    rb"data: |data:|data|event:|id: |retry: 12|:| |x|data: {}".split(b"|")
    + b"\0,\n,\r,\r\n,\n\n,\r\n\r\n,\xef\xbb\xbf,\xef,\xff,data: {}\n\n".split(b",")
)
STREAMS = st.one_of(st.binary(max_size=60), st.lists(TOKENS, max_size=25).map(b"".join))


def cut(stream: bytes, places: list[int]) -> list[bytes]:
    edges = [0, *sorted(place % (len(stream) + 1) for place in places), len(stream)]
    return [stream[a:b] for a, b in pairwise(edges)]


@given(STREAMS, st.lists(st.integers(0, 10_000), max_size=12))
@example(b"\xef\xbb\xbfdata: a\r\n\r\ndata: b\r\n\r\n", [2, 13, 14, 15])
def test_any_bytes_give_the_same_however_they_are_split(stream: bytes, places: list[int]) -> None:
    whole = decode([stream])
    assert decode(cut(stream, places)) == whole
    assert decode(stream[i : i + 1] for i in range(len(stream))) == whole


def naive(stream: bytes) -> list[tuple[str, bytes, str]]:
    """The standard once more, over the whole stream and without any thought of speed."""
    text = stream.removeprefix(b"\xef\xbb\xbf").replace(b"\r\n", b"\n").replace(b"\r", b"\n")
    events, data, kind, ident = [], [], "", ""
    for line in text.split(b"\n")[:-1]:
        name, colon, value = line.partition(b":")
        value = value.removeprefix(b" ")
        if not line:
            if data:
                events.append((kind or "message", b"\n".join(data), ident))
            data, kind = [], ""
        elif colon and not name:
            continue
        elif name == b"data":
            data.append(value)
        elif name == b"event":
            kind = value.decode(errors="replace")
        elif name == b"id" and b"\0" not in value:
            ident = value.decode(errors="replace")
    return events


@given(STREAMS)
def test_any_bytes_give_what_a_naive_reading_of_the_standard_gives(stream: bytes) -> None:
    assert decode([stream])["events"] == naive(stream)


def test_text_is_the_data_decoded_with_replacement() -> None:
    (event,) = Decoder().feed(b"data: \xc3\xa9\xff\n\n")
    assert event.text == "é\ufffd"
    assert isinstance(event, Event)


def test_raw_holds_comments_blank_lines_and_the_blank_line_of_the_event() -> None:
    stream = b"\n: hi\n\nevent: a\r\ndata: 1\r\n\r\ndata: 2\n\n"
    events = Decoder().feed(stream)
    assert [event.raw for event in events] == [stream[:-9], b"data: 2\n\n"]


def test_an_event_is_dispatched_at_its_cr_and_a_later_lf_goes_to_what_follows() -> None:
    decoder = Decoder()
    (first,) = decoder.feed(b"data: 1\r\n\r")
    assert first.raw == b"data: 1\r\n\r"
    assert not decoder.mid_event
    assert decoder.feed(b"\n") == []
    assert not decoder.mid_event, "the LF of a CRLF starts nothing"
    (second,) = decoder.feed(b"data: 2\r\n\r\n")
    assert second.raw == b"\ndata: 2\r\n\r\n"
    assert decoder.close() == Pending(b"", False, b"")


def test_a_read_that_ends_in_an_event_is_told_from_one_that_does_not() -> None:
    decoder = Decoder()
    decoder.feed(b"data: 1\n\n")
    assert not decoder.mid_event
    decoder.feed(b"data: 2\n\nda")
    assert decoder.mid_event
    decoder.feed(b"ta: 3\n\n: hi\n\n")
    assert not decoder.mid_event, "a comment with its blank line is over, too"


BIG = b"data: " + b"x" * 50


@pytest.mark.parametrize("size", [1, 7, 1_000])
@pytest.mark.parametrize("end", [b"\n\n", b"\r\r", b"\r\n\r\n", b"\n: c\n\n"])
def test_an_event_over_the_cap_is_refused_and_those_before_it_are_kept(
    size: int, end: bytes
) -> None:
    event = BIG + end
    limit = len(event) - (end == b"\r\n\r\n")  # its last LF does not count
    fits = Decoder(max_event_bytes=limit)
    assert sum(len(fits.feed(event[i : i + size])) for i in range(0, len(event), size)) == 1
    refuses = Decoder(max_event_bytes=limit - 1)
    stream = b"data: 1\n\n" + event
    events: list[Event] = []
    with pytest.raises(EventTooLarge) as caught:  # noqa: PT012 - the reads before it must pass
        for i in range(0, len(stream), size):
            events += refuses.feed(stream[i : i + size])
    events += caught.value.events
    assert [event.data for event in events] == [b"1"]
    assert caught.value.limit == limit - 1
    assert str(limit - 1) in str(caught.value)


def test_comments_between_events_of_one_piece_are_told_once() -> None:
    found = decode([b": a\ndata: x\n\n: b\ndata: y\n\n: c\n: d\n\ndata: z\n\n"])
    assert found["comments"] == [b" a", b" b", b" c", b" d"]
    assert len(found["events"]) == 3


def test_an_endless_line_or_endless_comments_stop_at_the_cap() -> None:
    for piece in (b"x", b": hi\n\n", b"\n", b"data: 1\n"):
        decoder = Decoder(max_event_bytes=1_000)
        with pytest.raises(EventTooLarge):  # noqa: PT012 - one of many reads raises
            for _ in range(1_001):
                decoder.feed(piece)
        assert len(decoder.close().raw) <= 1_000


def test_a_large_event_in_tiny_reads_and_many_tiny_lines_complete() -> None:
    # Quadratic work would copy 10**11 bytes here, and run into the timeout.
    stream = b"data: " + b"x" * 2_000_000 + b"\n" + b"data: y\n" * 100_000 + b"\n"
    decoder = Decoder()
    events = [event for i in range(0, len(stream), 4) for event in decoder.feed(stream[i : i + 4])]
    assert [len(event.data) for event in events] == [2_000_000 + 2 * 100_000]


# --- bare JSON lines --------------------------------------------------------------------------

LINES = {
    b"": ([], b"", False),
    b'{"a":1}\n{"b":2}\n': ([b'{"a":1}', b'{"b":2}'], b"", False),
    b"\n\r\n{}\r\n\n{}\n\n": ([b"{}", b"{}"], b"", False),
    b'{"a":1}\n{"b"': ([b'{"a":1}'], b'{"b"', True),
    b"{}\r\n{}\r": ([b"{}"], b"{}", True),
    b"{\r}\n\n": ([b"{\r}"], b"", False),
    '"\u2028\u0085"\n'.encode(): (['"\u2028\u0085"'.encode()], b"", False),
}


@pytest.mark.parametrize("stream", LINES, ids=repr)
def test_each_line_is_an_event_and_the_last_without_its_end_is_pending(stream: bytes) -> None:
    data, rest, unterminated = LINES[stream]
    for pieces in splits(stream):
        decoder = LineDecoder()
        events = [event for piece in pieces for event in decoder.feed(piece)]
        pending = decoder.close()
        assert [event.data for event in events] == data
        assert (pending.data, pending.unterminated) == (rest, unterminated)
        assert decoder.mid_event == bool(rest)
        assert b"".join(event.raw for event in events) + pending.raw == stream
        assert {(event.type, event.id) for event in events} <= {("message", "")}


@given(st.one_of(st.binary(max_size=30), st.lists(TOKENS, max_size=20).map(b"".join)))
def test_lines_do_not_depend_on_reads(stream: bytes) -> None:
    expected = [line.removesuffix(b"\r") for line in stream.split(b"\n")[:-1]]
    for pieces in ([stream], [stream[i : i + 1] for i in range(len(stream))]):
        decoder = LineDecoder()
        events = [event for piece in pieces for event in decoder.feed(piece)]
        assert [event.data for event in events] == [line for line in expected if line]
        assert b"".join(event.raw for event in events) + decoder.close().raw == stream


def test_a_line_over_the_cap_is_refused_and_those_before_it_are_kept() -> None:
    decoder = LineDecoder(max_event_bytes=8)
    with pytest.raises(EventTooLarge) as caught:
        decoder.feed(b"1234567\n12345678\n")
    assert [event.data for event in caught.value.events] == [b"1234567"]
    with pytest.raises(EventTooLarge):
        LineDecoder(max_event_bytes=8).feed(b"123456789")


SNIFFED = {
    b'data: {"a":1}\n\n': "sse",
    b"data:x": "sse",
    b": hi\n": "sse",
    b"event: x\n": "sse",
    b"id: 1\r\n": "sse",
    b"retry: 1\n": "sse",
    b"\xef\xbb\xbf\r\n\n:": "sse",
    b"data\ndata: 1\n": "sse",
    b'{"a":1}\n{"b":2}\n': "lines",
    b'\n\r\n{"a": {"b": [1]}}\r\n{"b"': "lines",
    b'{"a":1}\n': "lines",
    b'\xef\xbb\xbf{"a":"}"}\n': "lines",
    b'{"a":NaN}\n{}\n': "lines",
    b'{"a":"\xff"}\n': "lines",
    b"{}": "json",
    b' \t{"a":1}': "json",
    b'{\n  "a": 1\n}\n': "json",
    b'{"a": 1,\n "b": 2}': "json",
    b'{"a": 1}{"b": 2}\n': "json",
    b"[1, 2]\n": "json",
    b'[\n  {"a": 1}': "json",
    b'"Unauthorized"': "json",
    b"null\n": "json",
    b"": "unknown",
    b"\n\n": "unknown",
    b'{"a": 1, "b': "unknown",
    b"<!doctype html>\n<p>data: 1</p>": "unknown",
    b"Bad gateway: nginx\n": "unknown",
    b"12 monkeys\n": "unknown",
    b"[notice] data: 1\n": "unknown",
    b"{oops}\n": "unknown",
    b"database: x\n": "unknown",
}


@pytest.mark.parametrize("head", SNIFFED, ids=repr)
def test_the_framing_is_told_from_the_first_bytes(head: bytes) -> None:
    assert sniff_framing(head) == SNIFFED[head]


@pytest.mark.parametrize("head", [b"{}", b"12", b"{", b'{"a":1}\r', b"da", b"\xef\xbb"])
def test_a_body_that_goes_on_is_not_judged_too_early(head: bytes) -> None:
    assert sniff_framing(head, ended=False) == "unknown"


# --- vectors of other projects ----------------------------------------------------------------


@pytest.mark.parametrize("vector", vectors.cases("sse"))
@pytest.mark.proof
def test_vectors_of_other_projects_give_the_answer_of_the_standard(vector: dict[str, Any]) -> None:
    stream = base64.b64decode(vector["bytes_base64"])
    expected: dict[str, Any] = {
        "events": [(e["event"], e["data"].encode(), e["id"]) for e in vector["expected"]],
        "retry_ms": vector["expected_retry"],
    }
    if "expected_pending" in vector:
        expected["unterminated"] = vector["expected_pending"]
    if "expected_comments" in vector:
        expected["comments"] = [comment.encode() for comment in vector["expected_comments"]]
    if "expected_last_event_id" in vector:
        expected["last_event_id"] = vector["expected_last_event_id"]
    # `expected_unknown` lists ignored field names, which the decoder does not tell.
    ways = list(splits(stream))
    if "chunks_base64" in vector:
        ways.append([base64.b64decode(chunk) for chunk in vector["chunks_base64"]])
    for pieces in ways:
        seen = decode(pieces)
        events = [
            (kind, data.decode("utf-8", "replace").encode(), id)
            for kind, data, id in seen["events"]
        ]
        seen["events"] = events
        assert {key: seen[key] for key in expected} == expected, f"split as {pieces}"
