"""Bodies with a content coding, decoded as they come."""

from __future__ import annotations

import threading
import zlib

import pytest
from wire_exchanges import OK, chunk, exchange, sized, zipped

from soundstage.wire.transport import EndKind, Limits, Request, Transport


def test_gzip_is_decoded_as_it_comes(raw_server):
    compressor = zlib.compressobj(wbits=31)
    first = compressor.compress(b"data: a\n\n") + compressor.flush(zlib.Z_SYNC_FLUSH)
    second = compressor.compress(b"data: b\n\n") + compressor.flush()
    seen = threading.Event()
    head = OK + b"Content-Encoding: gzip\r\nTransfer-Encoding: chunked\r\n\r\n"
    server = raw_server(
        [("send", head + chunk(first)), ("wait", seen), ("send", chunk(second) + b"0\r\n\r\n")]
    )
    with Transport().open(Request("GET", server.url(), ())) as response:
        reads = response.reads()
        assert next(reads).data == b"data: a\n\n"
        seen.set()
        assert [(read.data, read.last) for read in reads] == [(b"data: b\n\n", True)]
    assert response.end.kind is EndKind.COMPLETE


PLAIN = b"".join(b"data: %d\n\n" % number for number in range(2000))
CORRUPT = bytearray(zipped(PLAIN))
CORRUPT[-6] ^= 0xFF  # the checksum


@pytest.mark.parametrize(
    ("coding", "body", "kind", "decoded"),
    [
        ("gzip", zipped(PLAIN), EndKind.COMPLETE, PLAIN),
        ("X-GZip", zipped(b"a") + zipped(b"b"), EndKind.COMPLETE, b"ab"),
        ("deflate", zlib.compress(PLAIN), EndKind.COMPLETE, PLAIN),
        ("identity", PLAIN, EndKind.COMPLETE, PLAIN),
        ("gzip", zipped(PLAIN)[:-9], EndKind.CONTENT_ENCODING, None),
        ("gzip", zipped(PLAIN)[:-4], EndKind.CONTENT_ENCODING, PLAIN),
        ("gzip", bytes(CORRUPT), EndKind.CONTENT_ENCODING, PLAIN),
        ("gzip", zipped(b"a") + b"junk", EndKind.CONTENT_ENCODING, b"a"),
        ("gzip", PLAIN, EndKind.CONTENT_ENCODING, b""),
        ("br", PLAIN, EndKind.CONTENT_ENCODING, b""),
        ("gzip, gzip", PLAIN, EndKind.CONTENT_ENCODING, b""),
    ],
    ids=["gzip", "members", "deflate", "identity", "cut", "cut in the checksum", "checksum",
         "junk", "not gzip", "unknown", "several"],
)  # fmt: skip
@pytest.mark.parametrize("pause", [None, 0])
def test_content_codings(raw_server, coding, body, kind, decoded, pause):
    head = OK + b"Content-Encoding: %s\r\nContent-Length: %d\r\n\r\n" % (coding.encode(), len(body))
    pieces = [("send", head + body)]
    if pause is not None:
        pieces = [("send", head), ("drip", body[:200], pause), ("send", body[200:])]
    server = raw_server(pieces)
    response, received, _ = exchange(server.url())
    assert response.end.kind is kind, response.end
    if coding in ("br", "gzip, gzip"):
        return
    assert received == decoded if decoded is not None else PLAIN.startswith(received)


def test_a_decompression_bomb_meets_the_cap(raw_server):
    bomb = zipped(bytes(50 * 2**20))
    server = raw_server([("send", sized(bomb, b"Content-Encoding: gzip\r\n"))])
    response, body, _ = exchange(server.url(), limits=Limits(body_bytes=2**20))
    assert (response.end.kind, len(body)) == (EndKind.CAP, 2**20)


def test_decoding_can_be_left_out(raw_server):
    server = raw_server([("send", sized(b"raw", b"Content-Encoding: br\r\n"))])
    response, body, _ = exchange(server.url(), decode_content=False)
    assert (response.end.kind, body) == (EndKind.COMPLETE, b"raw")
