"""Wake-ups from gevent's hub, for exchanges that run under Locust (see `wire.wakeups`)."""

from __future__ import annotations

from collections.abc import Callable

import gevent
from gevent.hub import Waiter

_READ = 1  # of libev: EV_READ


class HubWakeups:
    """Those of one file descriptor, which must be non-blocking. `run` is called once."""

    __slots__ = ("_hub", "_io", "_waiter")

    def __init__(self, descriptor: int) -> None:
        self._hub = gevent.get_hub()
        self._io = self._hub.loop.io(descriptor, _READ)
        self._waiter: Waiter[None] | None = None

    def run(self, ready: Callable[[], bool]) -> None:
        """See `Wakeups.run`. `ready` runs in the hub's own greenlet."""
        io = self._io
        waiter: Waiter[None] = Waiter(self._hub)
        failure: list[BaseException] = []

        def readable() -> None:
            try:
                over = ready()
            except BaseException as error:  # noqa: BLE001 - raised below, where somebody waits
                failure.append(error)
                over = True
            if over:
                io.stop()
                waiter.switch(None)

        self._waiter = waiter
        try:
            io.start(readable)
            waiter.get()
        finally:
            self._waiter = None
            io.stop()
            io.close()
        if failure:
            raise failure[0]

    def stop(self) -> None:
        """See `Wakeups.stop`."""
        waiter, self._waiter = self._waiter, None
        if waiter is not None:
            self._io.stop()
            # Not from within: whoever stops it is in the middle of something.
            self._hub.loop.run_callback(waiter.switch, None)
