"""How a recorded answer is played: its head, its pieces at their times, its end."""

from __future__ import annotations

from typing import Any

import pytest

from soundstage.emulator.replay.recordings import Recording
from soundstage.emulator.replay.replay import moves_of
from soundstage.generation.faults.script import Close, Raw, Reset
from soundstage.wire.end import EndKind


def made(**facts: Any) -> Recording:
    """A recorded answer of two pieces, 5 bytes."""
    usual: dict[str, Any] = {
        "name": "a",
        "method": "GET",
        "paths": ("/a",),
        "status": 200,
        "reason": "",
        "headers": (("x-a", "1"),),
        "head_at": 0.5,
        "pieces": ((1.0, b"abc"), (2.0, b"de")),
        "length": None,
        "end": EndKind.COMPLETE,
        "end_at": 3.0,
    }
    return Recording(**usual | facts)


def played(recording: Recording, method: str = "GET", *, chunks: bool = True) -> list[Any]:
    """When something is sent, the octets, cut at a header, and the move that ends it, if any."""
    script = list(moves_of(recording, method, chunks=chunks))
    moves = [move for _, each in script for move in each]
    octets = b"".join(move.data for move in moves if isinstance(move, Raw))
    last = moves[-1] if isinstance(moves[-1], Close | Reset) else None
    return [[seconds for seconds, _ in script], octets.partition(b"\r\nx-a: 1\r\n"), last]


@pytest.mark.parametrize(("method", "status"), [("HEAD", 200), ("GET", 204), ("GET", 304)])
def test_an_answer_without_a_body_is_its_head_and_the_end(method: str, status: int) -> None:
    moments, (first, _, rest), last = played(made(status=status, length=5), method)
    assert moments == [0.5]
    assert first.startswith(b"HTTP/1.1 %d " % status)
    assert rest == b"connection: close\r\n\r\n"
    assert last == Close()


def test_a_recorded_reason_is_repeated_and_one_that_is_unknown_is_the_usual() -> None:
    for reason, said in (("Fine", b"Fine"), ("", b"OK")):
        assert played(made(reason=reason))[1][0] == b"HTTP/1.1 200 " + said
    assert played(made(status=299))[1][0] == b"HTTP/1.1 299 "


CHUNKS = b"transfer-encoding: chunked"
PIECES = b"3\r\nabc\r\n2\r\nde\r\n"


@pytest.mark.parametrize(
    ("end", "length", "chunks", "framing", "body"),
    [
        (EndKind.COMPLETE, None, True, CHUNKS, PIECES + b"0\r\n\r\n"),
        (EndKind.COMPLETE, None, False, b"", b"abcde"),
        (EndKind.COMPLETE, 9, True, b"content-length: 5", b"abcde"),
        (EndKind.TRUNCATED, 9, True, b"content-length: 9", b"abcde"),
        (EndKind.TRUNCATED, 4, True, b"content-length: 6", b"abcde"),
        (EndKind.RESET, 5, True, b"content-length: 6", b"abcde"),
        (EndKind.RESET, None, True, CHUNKS, PIECES),
        (EndKind.CLOSED, 9, True, b"", b"abcde"),
        (EndKind.IDLE_TIMEOUT, 9, True, CHUNKS, PIECES),
    ],
)  # fmt: skip
def test_a_body_is_framed_so_that_it_can_end_as_it_did(
    end: EndKind, length: int | None, chunks: bool, framing: bytes, body: bytes
) -> None:
    moments, (_, _, rest), last = played(made(end=end, length=length), chunks=chunks)
    head, _, sent = rest.partition(b"\r\n\r\n")
    assert head == b"\r\n".join([b"connection: close", *([framing] if framing else [])])
    assert sent == body
    left_open = end is EndKind.IDLE_TIMEOUT
    assert last == (None if left_open else Reset() if end is EndKind.RESET else Close())
    assert moments == [0.5, 1.0, 2.0] + [3.0] * (not left_open)
