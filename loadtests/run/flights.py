"""The exchanges of a load run that are under way. Each takes off, is left to the event loop while
its body comes, and comes down; what is still there at the end of a run is cut.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from functools import partial

import gevent.event

from soundstage.exchange.client import Call
from soundstage.exchange.reader import Underway
from soundstage.exchange.session import Session
from soundstage.loadtests.run.flight import Flight
from soundstage.loadtests.run.playback_probe import Probe, Probes
from soundstage.loadtests.run.rows import RowRecorder

#: How long exchanges that were cut get to say so.
_CUT_S = 2.0
_CANCELLED = "cancelled"


class Flights:
    """`fail` is told of what must not happen: it ends the run. `probes`: who plays the tracks of
    some of them; None if nobody does. `most` is how many there were at once at most.
    """

    def __init__(
        self,
        session: Session,
        recording: RowRecorder,
        probes: Probes | None,
        fail: Callable[[Exception], None],
    ) -> None:
        self.most = 0
        self._session = session
        self._recording = recording
        self._probes = probes
        self._fail = fail
        self._flying: set[Flight] = set()
        self._all_landed = gevent.event.Event()
        self._cut = False

    def __len__(self) -> int:
        return len(self._flying)

    def launch(self, call: Call) -> Flight:
        """Start a request now."""
        flight = Flight(call)
        self._flying.add(flight)
        self._all_landed.clear()
        self.most = max(self.most, len(self._flying))
        flight.go_on(self._take_off, flight)
        return flight

    def cut(self) -> list[Call]:
        """End them all. Returns what was asked for by those that cannot say so themselves."""
        self._cut = True
        self._session.cut()
        self._all_landed.wait(_CUT_S)
        silent = []
        for flight in list(self._flying):
            # It is still connecting: it must not send its request after the run has ended.
            flight.kill()
            silent.append(flight.call)
        self._cut = False
        return silent

    def _take_off(self, flight: Flight) -> None:
        """Send its request, and leave the answer to the event loop."""
        flying = False
        try:
            call = self._recording.sampled(flight.call, time.monotonic_ns())
            probe = self._probes.of(call) if self._probes is not None else None
            underway = self._session.client.begin(call if probe is None else probe.call)
            if underway.flows:
                flight.rest()
                underway.flow(partial(self._come_down, flight, underway, probe))
                flying = True
            else:
                underway.read()
                self._record(underway, probe)
        except Exception as error:  # noqa: BLE001 - kept, and given to whoever concludes
            self._fail(error)
        finally:
            if not flying:
                self._land(flight)

    def _come_down(
        self,
        flight: Flight,
        underway: Underway,
        probe: Probe | None,
        failure: BaseException | None,
    ) -> None:
        """Its body is over. Called by the event loop, so nothing may wait in here."""
        if failure is None:
            flight.go_on(self._touch_down, flight, underway, probe)
            return
        if isinstance(failure, Exception):
            self._fail(failure)
        self._land(flight)

    def _touch_down(self, flight: Flight, underway: Underway, probe: Probe | None) -> None:
        try:
            self._record(underway, probe)
        except Exception as error:  # noqa: BLE001 - kept, and given to whoever concludes
            self._fail(error)
        finally:
            self._land(flight)

    def _record(self, underway: Underway, probe: Probe | None) -> None:
        exchange = self._session.client.finish(underway)
        cancelled = exchange.end is not None and exchange.end.kind == _CANCELLED
        cut = self._cut and cancelled
        playback = None if probe is None else probe.result(exchange, lambda: self._cut)
        self._recording.ended(exchange, cut=cut, playback=playback)

    def _land(self, flight: Flight) -> None:
        self._flying.discard(flight)
        if not self._flying:
            self._all_landed.set()
        flight.land()
