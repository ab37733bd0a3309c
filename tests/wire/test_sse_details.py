"""The event stream decoder's finer points: the cap to the byte, what is left, retry, colons."""

from __future__ import annotations

import pytest

from soundstage.wire.sse import Decoder, Event, EventTooLarge, Pending


def fed(*pieces: bytes, limit: int = 1_000) -> list[Event]:
    decoder = Decoder(max_event_bytes=limit)
    return [event for piece in pieces for event in decoder.feed(piece)]


#: Reads of which each event, or what is left, is exactly ten bytes long.
TEN_BYTES = [
    [b"data: abcd"],  # no line end yet
    [b"data: ", b"abcd"],
    [b"data:", b"", b"\nabcd"],
    [b": abcdefg\n"],
    [b"data: ab\n\n"],
    [b"data: ab\n", b"\n"],
    [b"data:abc\n\n"],
    [b"data: ab\r\r"],
    [b"data: a\r\n\r\n"],  # the LF at its end does not count
    [b"data:ab\r\n\r\n"],
    [b"data:abc\n\ndata:def\n\ndata:\nid:1"],
    [b"data: ab\n\ndata: cd\n\ndata: efgh"],
]


@pytest.mark.parametrize("pieces", TEN_BYTES, ids=repr)
def test_the_cap_is_the_last_size_that_passes(pieces: list[bytes]) -> None:
    events = fed(*pieces, limit=10)
    assert events == fed(*pieces)
    decoder = Decoder(max_event_bytes=9)
    with pytest.raises(EventTooLarge) as caught:  # noqa: PT012 - any of the reads raises
        for piece in pieces:
            decoder.feed(piece)
    assert caught.value.limit == 9
    assert str(caught.value) == "an event is larger than 9 bytes"
    assert caught.value.events == []


@pytest.mark.parametrize(
    "tail", [b"data: 12345", b"data:1\n:2345", b"data: 123\n\n", b"data:1234\n\n"], ids=repr
)
@pytest.mark.parametrize("first", [b"data: 1\n\n", b"data:1\n\n"], ids=repr)
def test_what_came_before_too_large_an_event_in_the_same_read_is_not_lost(
    first: bytes, tail: bytes
) -> None:
    with pytest.raises(EventTooLarge) as caught:
        fed(first + tail, limit=10)
    assert caught.value.events == [Event(b"1", "message", "", first)]
    assert caught.value.limit == 10


LEFT = {
    b"": Pending(b"", False, b""),
    b"data:b": Pending(b"data:b", True, b"b"),
    b"data: b": Pending(b"data: b", True, b"b"),
    b"data:  b": Pending(b"data:  b", True, b" b"),
    b"data:": Pending(b"data:", True, b""),
    b"data:a\ndata:b": Pending(b"data:a\ndata:b", True, b"a\nb"),
    b"data:a\nid: 1": Pending(b"data:a\nid: 1", True, b"a"),
    b"dat": Pending(b"dat", True, b""),
    b"event: x\n": Pending(b"event: x\n", True, b""),
    b": hi\n": Pending(b": hi\n", False, b""),
    b"retry: 1\n": Pending(b"retry: 1\n", False, b""),
    b"data: a\n\n\n": Pending(b"\n", False, b""),
}


@pytest.mark.parametrize("stream", LEFT, ids=repr)
def test_what_is_left_at_the_end_holds_the_data_so_far(stream: bytes) -> None:
    decoder = Decoder()
    decoder.feed(stream)
    assert decoder.close() == LEFT[stream]


@pytest.mark.parametrize(
    ("line", "milliseconds"),
    [
        (b"retry: 0", 0),
        (b"retry:000", 0),
        (b"retry: 3000", 3000),
        (b"retry: " + b"9" * 18, 10**18 - 1),
        (b"retry: 1" + b"0" * 18, 10**18 - 1),
        (b"retry: " + b"1" * 18, int("1" * 18)),
        (b"retry: 0" + b"1" * 18, int("1" * 18)),
        (b"retry:", None),
        (b"retry: -1", None),
        (b"retry: X1", None),
    ],
    ids=repr,
)
def test_the_reconnection_time_is_in_milliseconds_and_has_a_largest_value(
    line: bytes, milliseconds: int | None
) -> None:
    decoder = Decoder()
    decoder.feed(line + b"\n")
    assert decoder.retry_ms == milliseconds


def test_the_first_colon_ends_the_name_of_any_field() -> None:
    (event,) = fed(b"id: a:b: c\nevent: d:e\ndata: f:g\n\n")
    assert event[:3] == (b"f:g", "d:e", "a:b: c")


@pytest.mark.parametrize("end", [b"\n", b"\r", b"\r\n"], ids=repr)
@pytest.mark.parametrize("data", [b"aX", b"XX", b"X\tX", b"nr\\r\\n"], ids=repr)
def test_a_line_loses_its_line_end_and_nothing_more(data: bytes, end: bytes) -> None:
    for space in (b"", b" "):
        assert [event.data for event in fed(b"data:" + space + data + end * 2)] == [data]


def test_whole_events_of_one_read_are_of_the_last_id_and_of_no_type() -> None:
    events = fed(b"id: 7\nevent: x\ndata: 1\n\n", b"data: 2\n\ndata: 3\r\n\r\n", b"data: 4\n\n")
    assert events == [
        Event(b"1", "x", "7", b"id: 7\nevent: x\ndata: 1\n\n"),
        Event(b"2", "message", "7", b"data: 2\n\n"),
        Event(b"3", "message", "7", b"data: 3\r\n\r\n"),
        Event(b"4", "message", "7", b"data: 4\n\n"),
    ]


#: (reads, whether the decoder is in the middle of an event after each of them)
STATES: list[tuple[list[bytes], list[bool]]] = [
    ([b"\n", b"data: 1\n\n", b"\n"], [False] * 3),
    ([b"data: 1", b"\r", b"", b"\n", b"\r", b"\n"], [True] * 4 + [False] * 2),
    ([b"data: 1\r\r", b"data: 2\n\n", b"\n", b"data: 3\n\n"], [False] * 4),
    ([b": hi", b"\r", b"\r", b"\n", b"d"], [True, True, False, False, True]),
    ([b"\xef\xbb", b"\xbf", b"\n", b"x"], [True, False, False, True]),
]


@pytest.mark.parametrize(("pieces", "states"), STATES, ids=repr)
def test_the_decoder_tells_after_each_read_whether_an_event_is_under_way(
    pieces: list[bytes], states: list[bool]
) -> None:
    decoder = Decoder()
    assert decoder.mid_event is False
    seen = []
    for piece in pieces:
        decoder.feed(piece)
        seen.append(decoder.mid_event)
    assert seen == states


def test_the_last_event_id_is_that_of_the_last_block_that_ended() -> None:
    decoder = Decoder()
    seen = []
    for piece in (b"id: 1\n", b"\n", b"data: 1\n\n", b"id: 2\ndata: 2\n", b"\n", b"id\n\n"):
        decoder.feed(piece)
        seen.append(decoder.last_event_id)
    assert seen == ["", "1", "1", "1", "2", ""]
