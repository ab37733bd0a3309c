"""An axis of changes as factors, on a log scale, and which factors it marks."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence

from soundstage.reports.charts.axis import Axis


def change_axis(
    changes: Iterable[float], limit: float, within: tuple[float, float], ends: tuple[float, float]
) -> Axis:
    """From the least to the greatest of the finite changes, the limit of a gate and its inverse
    among them, and some room; nothing beyond `within`. `ends`: where it begins and ends, in pixels.
    """
    known = [factor for factor in changes if math.isfinite(factor) and factor > 0]
    low, high = max(within[0], min(1 / limit, *known)), min(within[1], max(limit, *known))
    room = (high / low) ** 0.06
    return Axis(low / room, high * room, *ends, step=0.0, log=True)


def marked_changes(axis: Axis, factors: Sequence[float], apart_px: float) -> list[float]:
    """Those of the factors that are on the axis, the first ones first, none too near another."""
    marked: list[float] = []
    for factor in factors:
        apart = (abs(axis.at(factor) - axis.at(each)) for each in marked)
        if axis.low <= factor <= axis.high and min(apart, default=apart_px) >= apart_px:
            marked.append(factor)
    return marked
