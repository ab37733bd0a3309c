"""Content codings: every split gives the same bytes, and faults lose nothing that came before."""

from __future__ import annotations

import gzip
import zlib

import pytest

from soundstage.wire.content_coding import DecodingError, decoder_for

PLAIN = b"data: one\n\n" * 7
ROOM = 10_000


def decode(coding: str, pieces: list[bytes], room: int = ROOM) -> bytes:
    decoder = decoder_for(coding)
    assert decoder is not None
    out = b"".join(decoder.feed(piece, room) for piece in pieces)
    decoder.finish()
    return out


@pytest.mark.parametrize("coding", ["gzip", "deflate"])
def test_splits_do_not_matter(coding):
    data = gzip.compress(PLAIN) * 2 if coding == "gzip" else zlib.compress(PLAIN)
    expected = PLAIN * (2 if coding == "gzip" else 1)
    assert decode(coding, [data]) == expected
    assert decode(coding, [data[i : i + 1] for i in range(len(data))]) == expected
    for i in range(len(data)):
        assert decode(coding, [data[:i], data[i:]]) == expected


def test_a_cut_is_an_error_wherever_it_is():
    data = gzip.compress(PLAIN)
    for at in range(1, len(data)):
        with pytest.raises(DecodingError, match="cut short"):
            decode("gzip", [data[:at]])


def test_what_came_before_a_corrupt_byte_is_kept_in_the_same_read():
    compressor = zlib.compressobj(wbits=31)
    good = compressor.compress(PLAIN) + compressor.flush(zlib.Z_SYNC_FLUSH)
    decoder = decoder_for("gzip")
    assert decoder is not None
    assert decoder.feed(good + b"\xff" * 50, ROOM) == PLAIN
    with pytest.raises(DecodingError, match="corrupt"):
        decoder.finish()


def test_output_is_bounded_by_the_room():
    decoder = decoder_for("gzip")
    assert decoder is not None
    assert len(decoder.feed(gzip.compress(bytes(2**24)), 1000)) == 1000


@pytest.mark.parametrize("value", [None, "", "identity", " , "])
def test_nothing_to_undo(value):
    assert decoder_for(value) is None


@pytest.mark.parametrize("value", ["br", "zstd", "gzip, deflate", "\x1b[2J"])
def test_unknown_codings_are_errors(value):
    with pytest.raises(DecodingError) as caught:
        decoder_for(value)
    assert "\x1b" not in str(caught.value)
