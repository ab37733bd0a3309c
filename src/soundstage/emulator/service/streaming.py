"""Tells a generation to whoever asked for it, chunk by chunk or as one result. Whether or not
somebody listens, it runs to its end by the clock, and is charged for when it is due (`charges.py`).

The way of a chunk is kept short on purpose (`telling.py`).
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

import orjson
from starlette.types import Scope, Send

from soundstage.contract.given_values import given_by_body
from soundstage.contract.jobs import GivenValue
from soundstage.contract.placeholders import PLACEHOLDER
from soundstage.contract.protocol import MEDIA_TYPES
from soundstage.emulator.faults.choice import Playing, RequestFaults, missed_header
from soundstage.emulator.faults.script_player import ScriptPlayer, parted
from soundstage.emulator.generations.admission import Accepted, Admission
from soundstage.emulator.generations.generations import Generation
from soundstage.emulator.http.asgi import FarEnd, open_response, respond
from soundstage.emulator.http.connection import connection_of, push_of
from soundstage.emulator.http.explained import explained
from soundstage.emulator.http.journal import ENTRY, JournalEntry
from soundstage.emulator.http.replies import Headers, Reply
from soundstage.emulator.service.shared_timer import SharedTimer
from soundstage.emulator.service.telling import Telling
from soundstage.generation.faults.script import held_until

_MEDIA_TYPES: Final = {framing: each.encode() for framing, each in MEDIA_TYPES.items()}


@dataclass(slots=True)
class SongAnswer:
    """The answer to one request that was accepted. `stamp`: each chunk is sent with the moment at
    which it is sent.
    """

    admission: Admission
    accepted: Accepted
    faults: RequestFaults | None
    listener: FarEnd
    scope: Scope
    send: Send
    timer: SharedTimer
    stamp: bool = False

    async def stream(self) -> None:
        """Send each chunk when it is due, until the last or until nobody listens any more."""
        media_type = _MEDIA_TYPES[self.accepted.place.framing]
        headers = [(b"content-type", media_type), (b"cache-control", b"no-cache")]
        headers += self.accepted.named
        names = [each for each in self.accepted.place.endpoint.gives if each.header is not None]
        if self.faults is None and not names:
            # Nothing of the song is in the head, and making one takes longer than all before it.
            status = self.accepted.place.endpoint.usual_status
            await open_response(self.scope, self.send, status, headers)
            generation = self._begun()
        else:
            generation = self._begun()
            status = self.accepted.place.endpoint.usual_status
            headers += self._given(generation)
            if generation.head is not None:
                status, broken_type = generation.head
                headers[:1] = [(b"content-type", broken_type.encode())] if broken_type else []
            headers += generation.notes
            if generation.playing is not None:
                moments = [generation.started + due for due in generation.schedule]
                if await self._play(generation.playing, moments, status, headers):
                    return
            await open_response(self.scope, self.send, status, headers)
        loop = asyncio.get_running_loop()
        listener, send = self.listener, self.send
        stamp = self.stamp and self.accepted.place.framing == "sse"
        push = push_of(self.scope)
        telling = None
        if push is not None:
            telling = Telling(generation, listener, push, self.timer, stamp=stamp)
        while generation.sent < len(generation.chunks):
            if telling is not None:
                await telling.go_on()
            number = generation.sent
            if number < len(generation.chunks):
                due = generation.started + generation.schedule[number]
                if not await listener.until(due, loop):
                    return
                generation.sent = number + 1
                chunk = generation.chunks[number]
                if stamp:
                    now = time.clock_gettime_ns(time.CLOCK_MONOTONIC)
                    chunk = b": sent=%d\n" % now + chunk
                await send({"type": "http.response.body", "body": chunk, "more_body": True})
        await send({"type": "http.response.body", "body": b"", "more_body": False})

    def _begun(self) -> Generation:
        generation = self.admission.begin(self.accepted, self.faults)
        entry: JournalEntry = self.scope[ENTRY]
        entry.message_id = generation.story.message_id
        if self.faults is not None:
            entry.fault = self.faults.struck
        return generation

    async def result(self) -> None:
        """Send one body when all of it is made."""
        place, faults = self.accepted.place, self.faults
        generation = self._begun()
        if not await self.listener.until(generation.end, asyncio.get_running_loop()):
            return
        generation.sent = len(generation.chunks)
        if generation.failed:
            entry: JournalEntry = self.scope[ENTRY]
            name, why = "service_unavailable", "a word in the prompt, or the profile, lets it fail"
            entry.refused(name, why)
            failure = self.admission.refusal(place.contract, name)
            failure = explained((), failure, why, in_body=False)
            answer = failure if faults is None else faults.in_refusal(failure)
        elif faults is None:
            body = orjson.dumps(generation.result())
            answer = Reply(place.endpoint.usual_status, body, headers=self.accepted.named)
        else:
            answer, playing = faults.in_result(
                place.endpoint.name, generation.result(), generation.story.message_id
            )
            answer.headers.extend(self.accepted.named)
            await self._send_broken(answer, playing)
            return
        await respond(self.scope, self.send, answer)

    async def _send_broken(self, answer: Reply, playing: Playing | None) -> None:
        """Send a single body that faults were put into, and that one of the wire may be in."""
        if self.faults is not None:
            self.scope[ENTRY].fault = self.faults.struck
        if playing is not None:
            kind = [(b"content-type", answer.media_type.encode())] if answer.media_type else []
            headers = [*kind, *answer.headers]
            if await self._play(playing, [], answer.status, headers):
                return
            answer.headers[:] = headers[len(kind) :]
        await respond(self.scope, self.send, answer)

    async def accept(self) -> None:
        """Say that a job is accepted; it is made from now on, whoever asks for it."""
        place, faults = self.accepted.place, self.faults
        generation = self._begun()
        body = generation.result()
        given = given_by_body(place.endpoint, [(None, body)])
        generation.given = {**generation.given, **given}
        headers = [*self._given(generation), *self.accepted.named]
        if faults is None:
            answer = Reply(place.endpoint.usual_status, orjson.dumps(body), headers=headers)
            await respond(self.scope, self.send, answer)
            return
        answer, playing = faults.in_result(place.endpoint.name, body, generation.story.message_id)
        answer.headers.extend(headers)
        await self._send_broken(answer, playing)

    def _given(self, generation: Generation) -> Headers:
        """The headers that give what a generation is asked for by, which it is known by from now
        on.
        """
        gives = [each for each in self.accepted.place.endpoint.gives if each.header is not None]
        own = {each.name: generation.story.message_id for each in gives}
        generation.given = {**generation.given, **own}
        self.admission.store.name(generation)
        return [
            (each.header.lower().encode(), self._header(each).encode())
            for each in gives
            if each.header is not None
        ]

    def _header(self, given: GivenValue) -> str:
        """What a header says that gives the id of a job: of Location, where its state is."""
        generation = self.accepted.generation
        assert generation is not None
        own = generation.given[given.name]
        if given.header is None or given.header.lower() != "location":
            return own
        tie = self.accepted.place.endpoint.looked_up_by
        assert tie is not None
        status = self.accepted.place.contract.endpoints[tie.endpoint]
        return PLACEHOLDER.sub(own, status.path)

    async def _play(
        self, playing: Playing, moments: Sequence[float], status: int, headers: Headers
    ) -> bool:
        """Send an answer with a fault of the wire in it: a stream, whose chunks are due at
        `moments`, or a result ([]). False if that needs a connection of its own, and there is
        none: nothing was sent, and `headers` now say which fault is missing.
        """
        generation = self.accepted.generation
        assert self.faults is not None
        assert generation is not None
        connection, listener = connection_of(self.scope), self.listener
        if playing.script.needs_connection and connection is None:
            self.faults.tally.missed(playing.chosen)
            headers.extend(missed_header([playing.chosen]))
            return False
        self.faults.strike(playing.chosen)
        entry: JournalEntry = self.scope[ENTRY]
        entry.status, entry.fault = status, self.faults.struck
        player, script = ScriptPlayer(listener, self.send, connection), playing.script
        moves = parted(script.chunks, len(moments) or 1)
        loop = asyncio.get_running_loop()
        if not await player.open(script, status, headers):
            return True
        started, last = generation.started, moments[-1] - generation.started if moments else 0.0
        for number, moment in enumerate(moments):
            due = started + held_until(moment - started, last, script.tick_s)
            if not await listener.until(due, loop):
                return True
            generation.sent = number + 1
            if not await player.play(moves[number]):
                return True
        if moments or await player.play(moves[0]):
            await player.play(script.closing)
        return True
