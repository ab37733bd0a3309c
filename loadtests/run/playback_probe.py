"""`--probe-playback`: of some exchanges the tracks of the song are played while they are made.

Each player is a greenlet of its own, which begins with the first chunk that names the stream of its
track. The exchange's row waits for them as long as music keeps coming, and `REST_S` for more. Where
nothing can be played while it is made, whole songs are read for their length.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable
from dataclasses import replace
from typing import Any

import gevent

from soundstage.assets.playback import NOT_HEARD, STREAMED, Listening, StreamListener
from soundstage.contract import Contract
from soundstage.contract.asset_fields import WHOLE, duration_of
from soundstage.contract.protocol import Endpoint
from soundstage.contract.roles import track_assets
from soundstage.exchange.client import Call, Exchange
from soundstage.exchange.session import Session
from soundstage.loadtests.schedule.traffic import is_playable
from soundstage.output.cutting import head

#: Seconds for which a player waits for more music after its exchange.
REST_S = 5.0
#: More tracks of a song are not listened to, and names of tracks are cut: they come from the API.
MOST_TRACKS = 4
_LONGEST_TRACK = 20
_LOOK_S = 0.05
_SECOND_NS = 1_000_000_000


class Probe:
    """The players of one exchange: make `call`, then ask for the `result`."""

    def __init__(self, listening: Listening, call: Call) -> None:
        self.call = replace(call, keep_chunks=True, sampled=True, on_chunk=self._heard)
        self._listening = listening
        self._streamed = is_playable(call.contract, call.endpoint)
        self._tracks: dict[str, tuple[StreamListener, gevent.Greenlet[..., None]]] = {}
        #: When chunks named whole songs (monotonic), by track; None where nothing says which.
        self._made: dict[str | None, int] = {}

    def _heard(self, chunk: dict[str, Any]) -> None:
        for role, track, url in track_assets(self.call.contract, [chunk]):
            name = None if track is None else head(str(track), _LONGEST_TRACK, end="")
            if role == WHOLE and len(self._made) <= MOST_TRACKS:
                self._made.setdefault(name, time.monotonic_ns())
            known = name or "1"
            played = STREAMED if self._streamed else WHOLE
            if role == played and known not in self._tracks and len(self._tracks) < MOST_TRACKS:
                listener = StreamListener(self._listening, self.call.contract, url)
                self._tracks[known] = listener, gevent.spawn(listener.run)

    def result(self, exchange: Exchange, hurry: Callable[[], bool]) -> dict[str, Any]:
        """What the players met, for the row. `exchange` is that of `call`, and must have ended;
        `hurry`: do not wait any longer.
        """
        for listener, greenlet in self._tracks.values():
            while not greenlet.ready() and not hurry():
                last = max(exchange.ended_ns, listener.came_ns)
                if time.monotonic_ns() - last > REST_S * _SECOND_NS:
                    listener.give_up(f"no music came for {REST_S:g} s", its_fault=True)
                    break
                greenlet.join(_LOOK_S)
            listener.give_up("the run ended before it did", its_fault=False)
            greenlet.kill()
        asked = duration_of(self.call.endpoint.request)
        length = self.call.body.get(asked[0]) if asked and type(self.call.body) is dict else None
        return {
            "buffer_s": self._listening.buffer_s,
            "pace": self._listening.pace,
            "asked_s": length if isinstance(length, int | float) else None,
            **({} if self._streamed else {"streamed": False}),
            "tracks": {
                name: {
                    **listener.told(exchange.started_ns),
                    **({} if self._streamed else NOT_HEARD),
                    "made_s": self._of(name, exchange),
                }
                for name, (listener, _) in self._tracks.items()
            },
        }

    def _of(self, track: str, exchange: Exchange) -> float | None:
        """When a track was made, in seconds: with the chunk that named the whole of it, or of no
        track; else with the end of the exchange. None of a song that never was.
        """
        if exchange.outcome != "ok":
            return None
        made_ns = self._made.get(track) or self._made.get(None) or exchange.ended_ns
        return round((made_ns - exchange.started_ns) / _SECOND_NS, 6)


def most_players(places: Iterable[tuple[Contract, Endpoint]]) -> int:
    """How many tracks of one exchange are played at once, at the most, at these endpoints."""

    def tracks(endpoint: Endpoint) -> int:
        known = endpoint.protocol.tracks if endpoint.protocol is not None else None
        return 1 if known is None else min(MOST_TRACKS, len(known.values))

    return max(
        (tracks(each) for contract, each in places if is_playable(contract, each, WHOLE)), default=0
    )


class Probes:
    """Chooses a `share` (above 0, up to 1) of the exchanges, evenly."""

    def __init__(self, session: Session, share: float, buffer_s: float) -> None:
        self._listening = Listening(session, buffer_s)
        self._share = share
        self._saved = 1.0 - share

    def of(self, call: Call) -> Probe | None:
        """A probe for the exchange that is about to be made; None if it is none of the chosen, or
        there is nothing to play in it.
        """
        if not is_playable(call.contract, call.endpoint, WHOLE):
            return None
        self._saved += self._share
        if self._saved < 1.0 - 1e-9:
            return None
        self._saved -= 1.0
        return Probe(self._listening, call)
