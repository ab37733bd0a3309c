"""A body in chunks is read whatever the standard allows in it, and however it is split."""

from __future__ import annotations

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from soundstage.wire.chunked import Chunks, FramingError
from soundstage.wire.http_message import Message
from soundstage.wire.settings import Limits

HEAD = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n"
#: By RFC 9112, section 7.1.1.
LEGAL = [
    b"",
    b";a",
    b";a=b",
    b'; name="va l;ue"',
    b" ;a=b",
    b"\t;\ta",
    b"; a",
    b";a = b",
    b";a= b",
    b";a=b ; c=d",
    b"; a=b; c",
    b';a = "\\"q\\\\"; b',
    b';a="\t\xe9"',
    b'; a=""',
    b"; signature=0f!#$%&'*+-.^_`|~",
]
ILLEGAL = [b";", b" ", b"; ", b";a=b@c", b'; a="b', b'; a="b"c', b"; a b", b";a=\x01", b"; =b"]


def read(data: bytes, cuts: list[int] = []) -> tuple[Message, bytes]:  # noqa: B006
    message = Message("POST", Limits())
    body, at = b"", 0
    for cut in [*sorted(cuts), len(data)]:
        if cut > at:
            body += message.feed(data[at:cut])
            at = cut
    return message, body


def chunked(pieces: list[bytes], extensions: list[bytes]) -> bytes:
    lines = zip([*pieces, b""], extensions, strict=False)
    return b"".join(
        b"%x%b\r\n%b" % (len(piece), extension, piece + b"\r\n" if piece else b"")
        for piece, extension in lines
    )


@pytest.mark.parametrize("extension", LEGAL)
@pytest.mark.parametrize("where", ["first", "later", "last"])
def test_every_extension_that_is_allowed_is_read_past(extension, where):
    number = {"first": 0, "later": 1, "last": 2}[where]
    extensions = [b""] * 3
    extensions[number] = extension
    data = HEAD + chunked([b"data: a\n\n", b"data: b\n\n"], extensions) + b"X-T: 1\r\n\r\n"
    for cuts in ([], [len(HEAD)], list(range(len(data)))):
        message, body = read(data, cuts)
        assert (body, message.complete, message.surplus) == (b"data: a\n\ndata: b\n\n", True, False)
        assert message.trailers == (("x-t", "1"),)
        assert message.keep_alive
    for cut in range(len(data)):
        message, body = read(data, [cut])
        assert (body, message.complete) == (b"data: a\n\ndata: b\n\n", True)


@pytest.mark.parametrize("extension", ILLEGAL)
def test_what_is_not_allowed_is_refused_and_what_came_before_is_kept(extension):
    data = HEAD + b"2\r\nok\r\n2%b\r\nno\r\n0\r\n\r\n" % extension
    for step in (len(data), 1):
        message = Message("POST", Limits())
        body = b""
        parts = [data[at : at + step] for at in range(0, len(data), step)]
        try:
            for part in parts:
                body += message.feed(part)
            pytest.fail("it was let pass")
        except FramingError as error:
            said = str(error)
        assert said.startswith("invalid body")
        assert body + message.rest() == b"ok"


@pytest.mark.parametrize(
    "rest",
    [
        b"zz\r\n",
        b"-5\r\nhello\r\n",
        b"0x5\r\nhello\r\n",
        b"5\nhello\r\n",
        b"5\r\nhello!\r\n",
        b"5\r\nhello\n",
        b"1" + b"0" * 16 + b"\r\n",
        b"\r\n",
        b"0\r\nX\r\n\r\n",
        b"0\r\nX : 1\r\n\r\n",
        b"0\r\nX: \x01\r\n\r\n",
        b"0\r\nContent-Length: 5\r\n\r\n",
    ],
)
def test_by_hand_it_is_no_more_lenient_than_httptools(rest):
    for before in (b"", b"2; a=b\r\nok\r\n"):
        with pytest.raises(FramingError):
            read(HEAD + before + rest)


@given(
    st.lists(st.binary(min_size=1, max_size=40) | st.just(b"5\r\n"), max_size=6),
    st.lists(st.sampled_from(LEGAL), min_size=7, max_size=7),
    st.sampled_from([b"\r\n", b"X-T: 1\r\nY:\r\n\r\n"]),
    st.lists(st.integers(0, 400), max_size=12),
)
@example([b"5", b"5\r\n"], [b""] * 2 + [b" ;a"] + [b""] * 4, b"\r\n", [46, 49, 52, 55, 58])
def test_any_chunks_are_read_however_they_are_split(pieces, extensions, end, cuts):
    data = HEAD + chunked(pieces, extensions) + end
    message, body = read(data, [cut for cut in cuts if cut < len(data)])
    assert body == b"".join(pieces)
    assert message.complete
    assert message.body_bytes == len(body)
    assert bool(message.trailers) == (end != b"\r\n")


@given(st.lists(st.binary(min_size=1, max_size=9), max_size=4), st.integers(0, 60), st.binary())
def test_the_end_of_the_chunks_is_known_by_hand(pieces, cut, more):
    data = chunked(pieces, [b"; a=b"] * 5) + b"\r\n"
    read: list[bytes] = []
    chunks = Chunks(read)
    for part in (data[:cut], data[cut:] + more):
        chunks.feed(part)
    assert (b"".join(read), chunks.complete) == (b"".join(pieces), True)
    assert chunks.surplus == bool(more.strip(b"\r\n"))


@given(st.lists(st.binary(min_size=1, max_size=300), min_size=1, max_size=5), st.booleans())
def test_a_chunk_a_read_is_read_as_any_other(pieces, capital):
    message = Message("POST", Limits())
    message.feed(HEAD)
    for piece in pieces:
        size = b"%X" % len(piece) if capital else b"%x" % len(piece)
        assert message.feed(b"%b\r\n%b\r\n" % (size, piece)) == piece
    assert not message.complete
    message.feed(b"0\r\n\r\n")
    assert (message.complete, message.surplus) == (True, False)
    assert message.body_bytes == sum(map(len, pieces))


def test_what_looks_like_a_chunk_inside_another_is_data():
    message = Message("POST", Limits())
    assert message.feed(HEAD + b"9\r\n12") == b"12"
    assert message.feed(b"2\r\nok\r\n") == b"2\r\nok\r\n"
    assert message.feed(b"\r\n2\r\nok\r\n") == b"ok"


def test_a_chunk_after_the_last_one_is_surplus():
    message, _ = read(HEAD + b"2\r\nok\r\n0\r\n\r\n")
    assert message.feed(b"2\r\nok\r\n") == b""
    assert message.surplus


@pytest.mark.parametrize(
    "chunk", [b"3\r\nok\r\n", b"1\r\nok\r\n", b"2\r\nok", b"2\r\nok\r", b"\r\n\r\n"]
)
def test_a_chunk_of_another_size_is_none(chunk):
    chunks = Chunks([])
    assert chunks.one(chunk) == b""


def test_bytes_after_a_body_that_was_read_by_hand_are_surplus():
    for more in (b"HTTP/1.1 200 OK\r\n", b"\r\n\r\n", b"0", b""):
        message, body = read(HEAD + b"2; a\r\nok\r\n0\r\n\r\n" + more)
        assert (body, message.complete) == (b"ok", True)
        assert message.surplus == bool(more.strip())


@pytest.mark.parametrize(
    "coding", ["chunked \t", "Chunked", ", chunked", "chunked,", " , ,chunked , ", "CHUNKED\t,"]
)
def test_a_list_with_empty_elements_and_blanks_still_says_chunked(coding):
    head = f"HTTP/1.1 200 OK\r\nTransfer-Encoding: {coding}\r\n\r\n".encode()
    data = head + b"2\r\nok\r\n0\r\n\r\n"
    for cuts in ([], list(range(len(data)))):
        message, body = read(data, cuts)
        assert (body, message.complete, message.close_delimited) == (b"ok", True, False)


@pytest.mark.parametrize("coding", ["gzip, chunked", "chunked, gzip", "identity", "chunked;a=b"])
def test_another_coding_was_not_asked_for(coding):
    head = f"HTTP/1.1 200 OK\r\nTransfer-Encoding: {coding}\r\n\r\n".encode()
    with pytest.raises(FramingError, match="was not asked for"):
        read(head + b"2\r\nok\r\n0\r\n\r\n")
