"""Wake-ups from gevent's hub, for exchanges that run under Locust (see `wire.wakeups`)."""

from __future__ import annotations

from collections.abc import Callable

import gevent

_READ = 1  # of libev: EV_READ


class HubWakeups:
    """Those of one file descriptor. `ready` runs in the hub's own greenlet."""

    __slots__ = ("_io",)

    def __init__(self, descriptor: int, ready: Callable[[], object]) -> None:
        self._io = gevent.get_hub().loop.io(descriptor, _READ)
        self._io.start(ready)

    def stop(self) -> None:
        """See `Wakeups.stop`."""
        self._io.stop()
        self._io.close()
