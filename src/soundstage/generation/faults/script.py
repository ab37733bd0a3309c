"""An answer as a sequence of moves on a connection, for faults that no body can show. Values only;
the emulator plays them.
"""

from __future__ import annotations

import math
import random
from collections.abc import Callable, Sequence
from typing import NamedTuple

from soundstage.generation.faults.fault import Chunks, WholeAnswer


class Say(NamedTuple):
    """Send a part of the body, framed as HTTP asks."""

    data: bytes


class Raw(NamedTuple):
    """Write octets on the connection as they are."""

    data: bytes


class Pause(NamedTuple):
    """Let time pass; what was written before has left by then."""

    seconds: float


class KeepSending(NamedTuple):
    """Send `data` (b"": nothing) every so many seconds until the client goes away."""

    seconds: float
    data: bytes


class EndBody(NamedTuple):
    """End the body as HTTP asks."""


class Close(NamedTuple):
    """Close the connection in an orderly way."""


class Reset(NamedTuple):
    """Reset the connection."""


Move = Say | Raw | Pause | KeepSending | EndBody | Close | Reset
Moves = tuple[Move, ...]


class Script(NamedTuple):
    """An answer as a sequence of moves. `opening` comes before the head; `chunks` has the moves for
    each chunk, made when the chunk is due; `closing` comes after them. `headers` stand beside the
    usual ones; `content_length` None sends the body in chunked coding. `second_half`: how fast the
    second half of the songs comes that it tells of, as a share of the pace of playing. `tick_s`:
    what is due is sent when so many seconds have passed since the beginning, or twice or three
    times as many (0: at once).
    """

    chunks: list[Moves]
    opening: Moves = ()
    closing: Moves = (EndBody(),)
    headers: tuple[tuple[str, str], ...] = ()
    content_length: int | None = None
    second_half: float = 1.0
    tick_s: float = 0.0

    @property
    def needs_connection(self) -> bool:
        """Whether it does what only the owner of the connection can do."""
        moves = (*self.opening, *(move for each in self.chunks for move in each), *self.closing)
        return any(isinstance(move, Raw | Close | Reset) for move in moves)


def held_until(made: float, last: float, tick_s: float) -> float:
    """When a chunk is sent that was made so many seconds after the beginning: at the next tick, or
    with the `last`, whose end empties whatever holds it.
    """
    return min(math.ceil(made / tick_s) * tick_s, last) if tick_s else made


class GatewayAnswer(NamedTuple):
    """A whole answer of something that stands before the API. `location` is relative to the path
    of the request (b"" of it kept) if it begins with a question mark.
    """

    status: int
    content_type: str
    body: bytes
    headers: tuple[tuple[str, str], ...] = ()
    location: str | None = None


class FaultSubject(NamedTuple):
    """What a fault of the wire is put into: an answer, the chunks that it carries (what they were
    before their bytes were changed), the numbers of the frames where it may strike, and its
    setting in seconds.
    """

    answer: WholeAnswer
    chunks: Chunks
    places: Sequence[int]
    seconds: float


Apply = Callable[[FaultSubject, random.Random], Script | GatewayAnswer | None]


def untouched(answer: WholeAnswer) -> list[Moves]:
    """The moves that send each frame as it is."""
    return [(Say(frame),) for frame in answer.body.frames]
