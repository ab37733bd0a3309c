"""Tells a generation to whoever asked for it, chunk by chunk or as one result, and lets it run to
its end when nobody listens any more.

The way of a chunk is kept short on purpose: one timer and one `send` each.
"""

from __future__ import annotations

import asyncio
import time
from typing import Final

from starlette.types import Receive, Scope, Send

from soundstage.contract.protocol import Endpoint
from soundstage.emulator.admission import Admission
from soundstage.emulator.asgi import Listener, respond
from soundstage.emulator.faults import Faults
from soundstage.emulator.generations import Generation
from soundstage.emulator.ledger import Ledger
from soundstage.emulator.options import Options
from soundstage.generation.faults import Fault

_MEDIA_TYPES: Final = {"sse": b"text/event-stream", "lines": b"application/x-ndjson"}


class Telling:
    """The answers that are under way."""

    def __init__(
        self, options: Options, admission: Admission, faults: Faults, ledger: Ledger
    ) -> None:
        self._options = options
        self._admission = admission
        self._faults = faults
        self._ledger = ledger
        self._closed = False
        self._listeners: set[Listener] = set()

    def stop(self) -> None:
        """Cut every answer that is still under way; the server is about to close."""
        for listener in list(self._listeners):
            listener.leave()

    def close(self) -> None:
        """Cut every answer, and charge nothing any more."""
        self.stop()
        self._closed = True

    async def tell(
        self,
        generation: Generation,
        endpoint: Endpoint,
        framing: str,
        named: Fault | None,
        scope: Scope,
        receive: Receive,
        send: Send,
    ) -> None:
        """Answer a request that was accepted; `named` is the fault that it asked for."""
        listener = Listener(receive)
        self._listeners.add(listener)
        try:
            if endpoint.kind == "stream":
                await self._stream(generation, framing, listener, send)
            else:
                await self._wait(generation, endpoint, named, listener, scope, send)
        finally:
            self._listeners.discard(listener)
            listener.close()
            self._go_on(generation)

    async def _stream(
        self, generation: Generation, framing: str, listener: Listener, send: Send
    ) -> None:
        loop = asyncio.get_running_loop()
        headers = [(b"content-type", _MEDIA_TYPES[framing]), (b"cache-control", b"no-cache")]
        status = 200
        if generation.head is not None:
            status, media_type = generation.head
            headers[:1] = [(b"content-type", media_type.encode())] if media_type else []
        await send({"type": "http.response.start", "status": status, "headers": headers})
        charged_with, stamp = generation.charged_with, self._options.stamp
        started, schedule = generation.started, generation.schedule
        for number, chunk in enumerate(generation.chunks):
            if not await listener.until(started + schedule[number], loop):
                return
            if number == charged_with:
                self._charge(generation)
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
        named: Fault | None,
        listener: Listener,
        scope: Scope,
        send: Send,
    ) -> None:
        loop = asyncio.get_running_loop()
        charged_with = generation.charged_with
        if charged_with is not None:
            due = generation.started + generation.schedule[charged_with]
            if not await listener.until(due, loop):
                return
            self._charge(generation)
        if not await listener.until(generation.end, loop):
            return
        generation.sent = len(generation.chunks)
        contract = generation.contract
        if generation.failed:
            answer = self._admission.refusal(contract, "service_unavailable")
        else:
            result, message_id = generation.result(), generation.story.message_id
            answer = self._faults.in_result(contract, endpoint.name, result, message_id, named)
        await respond(scope, send, answer)

    def _charge(self, generation: Generation) -> None:
        if generation.hold is not None and not self._closed:
            self._ledger.charge(generation.hold)
            generation.hold = None

    def _go_on(self, generation: Generation) -> None:
        """After the response: the generation itself runs to its end, heard or not."""
        loop = asyncio.get_running_loop()
        if generation.hold is not None and (charged_with := generation.charged_with) is not None:
            due = generation.started + generation.schedule[charged_with]
            loop.call_at(due, self._charge, generation)
        loop.call_at(generation.end, self._finish, generation)

    def _finish(self, generation: Generation) -> None:
        if generation.charged_with is not None:
            self._charge(generation)
        elif generation.hold is not None and not self._closed:
            self._ledger.release(generation.hold)
            generation.hold = None
        generation.finish()
