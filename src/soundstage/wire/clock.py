"""Two clocks and the distance between them: kernel stamps are realtime, results are monotonic.

Linux stamps received segments with CLOCK_REALTIME; everything else in a run is measured with
CLOCK_MONOTONIC. NTP slews both at the same rate (clock_gettime(2)), so their distance changes only
when somebody sets the clock: a step, which spoils the times of a run and therefore marks it.
"""

from __future__ import annotations

import time

#: Realtime minus monotonic may differ by this much between two looks before it counts as a step.
STEP_NS = 1_000_000
_SAMPLES = 16


def measure_offset(samples: int = _SAMPLES) -> tuple[int, int]:
    """Measure what must be added to realtime to get monotonic time.

    Takes `samples` readings of realtime, each between two of monotonic time, and keeps the one
    with the narrowest bracket. Returns (offset in ns, width of that bracket in ns); the offset is
    wrong by at most half the width.
    """
    best_offset, best_width = 0, -1
    for _ in range(samples):
        before = time.monotonic_ns()
        real = time.time_ns()
        after = time.monotonic_ns()
        width = after - before
        if best_width < 0 or width < best_width:
            best_offset, best_width = (before + after) // 2 - real, width
    return best_offset, best_width


class Clock:
    """The offset as it was when the run began.

    `offset_ns`: add it to a realtime stamp in ns to get monotonic ns. `uncertainty_ns`: half the
    bracket of the measurement.
    """

    __slots__ = ("offset_ns", "uncertainty_ns")

    def __init__(self) -> None:
        offset, width = measure_offset()
        self.offset_ns = offset
        self.uncertainty_ns = (width + 1) // 2

    def moved_ns(self) -> int:
        """How far realtime has been set forward (negative: back) since the run began, in ns."""
        offset, _ = measure_offset()
        return self.offset_ns - offset

    def step_detected(self) -> bool:
        """True when realtime was stepped by more than `STEP_NS` since the run began.

        Steps that were undone in between are not seen.
        """
        return abs(self.moved_ns()) > STEP_NS + self.uncertainty_ns
