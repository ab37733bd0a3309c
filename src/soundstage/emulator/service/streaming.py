"""Tells a generation to whoever asked for it, chunk by chunk or as one result. Whether or not
somebody listens, it runs to its end by the clock, and is charged for when it is due (`ledger.py`).

The way of a chunk is kept short on purpose: one timer and one `send` each.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Sequence
from typing import Final

from starlette.types import Receive, Scope, Send

from soundstage.contract.protocol import MEDIA_TYPES, Endpoint
from soundstage.emulator.faults.choice import Faults, Playing, missed_header
from soundstage.emulator.faults.expression import FaultExpression
from soundstage.emulator.faults.script_player import ScriptPlayer
from soundstage.emulator.generations.admission import Admission
from soundstage.emulator.generations.generations import Generation
from soundstage.emulator.http.asgi import FarEnd, respond
from soundstage.emulator.http.connection import connection_of
from soundstage.emulator.http.messages import Headers
from soundstage.emulator.options import Options

_MEDIA_TYPES: Final = {framing: each.encode() for framing, each in MEDIA_TYPES.items()}


class Telling:
    """Sends the chunks of generations as they are due, and knows who is listening."""

    def __init__(self, options: Options, admission: Admission, faults: Faults) -> None:
        self._options = options
        self._admission = admission
        self._faults = faults
        self._listeners: set[FarEnd] = set()

    def stop(self) -> None:
        """Cut every answer that is still under way; the server is about to close."""
        for listener in list(self._listeners):
            listener.leave()

    async def tell(
        self,
        generation: Generation,
        endpoint: Endpoint,
        framing: str,
        named: tuple[FaultExpression, ...] | None,
        scope: Scope,
        receive: Receive,
        send: Send,
    ) -> None:
        """Answer a request that was accepted; `named` are the faults that it asked for."""
        listener = FarEnd(receive)
        self._listeners.add(listener)
        try:
            if endpoint.kind == "stream":
                await self._stream(generation, framing, listener, scope, send)
            else:
                await self._wait(generation, endpoint, named, listener, scope, send)
        finally:
            self._listeners.discard(listener)
            listener.close()

    async def _stream(
        self,
        generation: Generation,
        framing: str,
        listener: FarEnd,
        scope: Scope,
        send: Send,
    ) -> None:
        loop = asyncio.get_running_loop()
        headers = [(b"content-type", _MEDIA_TYPES[framing]), (b"cache-control", b"no-cache")]
        status = 200
        if generation.head is not None:
            status, media_type = generation.head
            headers[:1] = [(b"content-type", media_type.encode())] if media_type else []
        headers += generation.notes
        if generation.playing is not None:
            moments = [generation.started + due for due in generation.schedule]
            playing = generation.playing
            if await self._play(
                playing, generation, moments, status, headers, listener, scope, send
            ):
                return
        await send({"type": "http.response.start", "status": status, "headers": headers})
        stamp = self._options.stamp
        started, schedule = generation.started, generation.schedule
        for number, chunk in enumerate(generation.chunks):
            if not await listener.until(started + schedule[number], loop):
                return
            generation.sent = number + 1
            if stamp:
                now = time.clock_gettime_ns(time.CLOCK_MONOTONIC)
                chunk = b": sent=%d\n" % now + chunk
            await send({"type": "http.response.body", "body": chunk, "more_body": True})
        await send({"type": "http.response.body", "body": b"", "more_body": False})

    async def _wait(
        self,
        generation: Generation,
        endpoint: Endpoint,
        named: tuple[FaultExpression, ...] | None,
        listener: FarEnd,
        scope: Scope,
        send: Send,
    ) -> None:
        loop = asyncio.get_running_loop()
        if not await listener.until(generation.end, loop):
            return
        generation.sent = len(generation.chunks)
        contract = generation.contract
        if generation.failed:
            refused = self._admission.refusal(contract, "service_unavailable")
            answer = self._faults.in_refusal(contract, refused, named)
        else:
            result, message_id = generation.result(), generation.story.message_id
            answer, playing = self._faults.in_result(
                contract, endpoint.name, result, message_id, named
            )
            if playing is not None:
                kind = [(b"content-type", answer.media_type.encode())] if answer.media_type else []
                headers = [*kind, *answer.headers]
                if await self._play(
                    playing, generation, [], answer.status, headers, listener, scope, send
                ):
                    return
                answer.headers[:] = headers[len(kind) :]
        await respond(scope, send, answer)

    async def _play(
        self,
        playing: Playing,
        generation: Generation,
        moments: Sequence[float],
        status: int,
        headers: Headers,
        listener: FarEnd,
        scope: Scope,
        send: Send,
    ) -> bool:
        """Send an answer with a fault of the wire in it: a stream, whose chunks are due at
        `moments`, or a result ([]). False if that needs a connection of its own, and there is
        none: nothing was sent, and `headers` now say which fault is missing.
        """
        connection = connection_of(scope)
        if playing.script.needs_connection and connection is None:
            self._faults.missed(playing.chosen)
            headers.extend(missed_header([playing.chosen]))
            return False
        self._faults.played(playing.chosen)
        player = ScriptPlayer(playing.script, len(moments) or 1, listener, send, connection)
        loop = asyncio.get_running_loop()
        if not await player.open(status, headers):
            return True
        for number, moment in enumerate(moments):
            if not await listener.until(moment, loop):
                return True
            generation.sent = number + 1
            if not await player.chunk(number):
                return True
        if moments or await player.chunk(0):
            await player.close()
        return True
