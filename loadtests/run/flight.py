"""One exchange of a load run, from its start to its row.

Only its beginning and its end have a greenlet: while its body comes the event loop reads it.
"""

from __future__ import annotations

from collections.abc import Callable

import gevent
import gevent.event

from soundstage.exchange.client import Call


class Flight:
    """`call` is what is asked for. At each moment at most one greenlet works for it."""

    __slots__ = ("_awaited", "_greenlet", "_landed", "call")

    def __init__(self, call: Call) -> None:
        self.call = call
        self._greenlet: gevent.Greenlet[..., None] | None = None
        self._landed = False
        self._awaited: gevent.event.Event | None = None

    def go_on(self, step: Callable[..., None], *given: object) -> None:
        """Take the next step, which may wait, in a greenlet of its own."""
        self._greenlet = gevent.spawn(step, *given)

    def rest(self) -> None:
        """Nobody works for it: the greenlet that does ends now, and need not be remembered."""
        self._greenlet = None

    def land(self) -> None:
        """It is over."""
        self._landed = True
        self._greenlet = None
        if self._awaited is not None:
            self._awaited.set()

    def join(self) -> None:
        """Wait until it is over."""
        if not self._landed:
            if self._awaited is None:
                self._awaited = gevent.event.Event()
            self._awaited.wait()

    def kill(self) -> None:
        """End the greenlet that works for it, if one does."""
        if self._greenlet is not None:
            self._greenlet.kill()
