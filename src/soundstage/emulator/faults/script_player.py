"""Plays the scripts of the wire's faults (`generation/faults/script.py`) on a connection."""

from __future__ import annotations

import asyncio
from typing import Final

from starlette.types import Send

from soundstage.emulator.http.asgi import FarEnd
from soundstage.emulator.http.connection import Connection
from soundstage.emulator.http.replies import Headers
from soundstage.generation.faults.script import (
    Close,
    EndBody,
    KeepSending,
    Move,
    Moves,
    Pause,
    Raw,
    Reset,
    Say,
    Script,
)

#: How long a connection that was closed may take to be gone, in seconds.
_GONE_S: Final = 1.0


class ScriptPlayer:
    """One answer being sent by a script. `connection` may be None if the script does not need one.
    Each call returns False when nothing more can be sent.
    """

    def __init__(self, listener: FarEnd, send: Send, connection: Connection | None) -> None:
        self._listener = listener
        self._send = send
        self._connection = connection

    async def open(self, script: Script, status: int, headers: Headers) -> bool:
        """What comes before the head, and the head."""
        if not await self.play(script.opening):
            return False
        headers = [*headers, *((name.encode(), value.encode()) for name, value in script.headers)]
        if script.content_length is not None:
            headers.append((b"content-length", str(script.content_length).encode()))
        await self._send({"type": "http.response.start", "status": status, "headers": headers})
        return not self._listener.gone

    async def play(self, moves: Moves) -> bool:
        """One move after the other."""
        for move in moves:
            if not await self._move(move):
                return False
        return not self._listener.gone

    async def _move(self, move: Move) -> bool:
        loop, listener, connection = asyncio.get_running_loop(), self._listener, self._connection
        if isinstance(move, Say):
            await self._send({"type": "http.response.body", "body": move.data, "more_body": True})
        elif isinstance(move, Pause):
            # The loop gets a turn even where no time is to pass: what was written leaves.
            await asyncio.sleep(0)
            await listener.until(loop.time() + move.seconds, loop)
        elif isinstance(move, KeepSending):
            while not listener.gone:
                await self._send(
                    {"type": "http.response.body", "body": move.data, "more_body": True}
                )
                await asyncio.sleep(0)
                await listener.until(loop.time() + move.seconds, loop)
        elif isinstance(move, EndBody):
            await self._send({"type": "http.response.body", "body": b"", "more_body": False})
        else:
            assert connection is not None, "a script that needs a connection got none"
            if isinstance(move, Raw):
                connection.write(move.data)
                await connection.drained()
                return not listener.gone
            if isinstance(move, Close):
                connection.close()
            elif isinstance(move, Reset):
                connection.reset()
            # Left before it is gone, the server would take this for a bug of ours.
            await listener.until(loop.time() + _GONE_S, loop)
            return False
        return not listener.gone


def parted(chunks: list[Moves], many: int) -> list[Moves]:
    """The same moves in the same order, parted into so many chunks."""
    if len(chunks) > many:
        joined = tuple(move for moves in chunks[max(0, many - 1) :] for move in moves)
        chunks = [*chunks[: max(0, many - 1)], joined]
    return [*chunks, *[()] * (many - len(chunks))]
