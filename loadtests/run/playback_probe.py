"""`--probe-playback`: of some exchanges the stream of the song is played while it is being made.

Each player is a greenlet of its own, which begins with the first chunk that names a stream. The
exchange's row waits for it, but not for long: once the exchange is over the rest is fetched as fast
as it comes, and what is not there after `REST_S` is not listened to.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import gevent

from soundstage.assets.playback import Listening, StreamListener
from soundstage.exchange.client import Call
from soundstage.exchange.session import Session

#: Seconds that a player may go on after its exchange.
REST_S = 5.0
_LOOK_S = 0.05


class Probe:
    """The player of one exchange: make `call`, then ask for the `result`."""

    def __init__(self, listening: Listening, call: Call) -> None:
        self.call = replace(call, keep_chunks=True, on_chunk=self._heard)
        self._listening = listening
        self._listener: StreamListener | None = None
        self._greenlet: gevent.Greenlet[..., None] | None = None

    def _heard(self, chunk: dict[str, Any]) -> None:
        if self._listener is None:
            self._listener = self._listening.of(self.call.contract, chunk)
            if self._listener is not None:
                self._greenlet = gevent.spawn(self._listener.run, gevent.sleep)

    def result(self, hurry: Callable[[], bool]) -> dict[str, Any] | None:
        """What the player met, for the row; None if there was nothing to play. The exchange must
        have ended. `hurry`: do not wait any longer.
        """
        if self._listener is None or self._greenlet is None:
            return None
        self._listener.over = True
        deadline = time.monotonic() + REST_S
        while not self._greenlet.ready() and not hurry() and time.monotonic() < deadline:
            self._greenlet.join(_LOOK_S)
        self._greenlet.kill()
        return self._listener.told()


class Probes:
    """Chooses a `share` (above 0, up to 1) of the exchanges, evenly."""

    def __init__(self, session: Session, share: float) -> None:
        self._listening = Listening(session)
        self._share = share
        self._saved = 1.0 - share

    def of(self, call: Call) -> Probe | None:
        """A probe for the exchange that is about to be made; None if it is none of the chosen."""
        if call.endpoint.kind != "stream":
            return None
        self._saved += self._share
        if self._saved < 1.0 - 1e-9:
            return None
        self._saved -= 1.0
        return Probe(self._listening, call)
