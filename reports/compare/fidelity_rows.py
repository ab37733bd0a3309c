"""The quantities in which an emulator is held against the live API: delays as quantiles, endings as
shares, each with its verdict.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np

from soundstage.reports.decision import interval
from soundstage.reports.decision.arms import EndpointSeries
from soundstage.reports.words import milestone_label
from soundstage.results.columns import Floats
from soundstage.results.milestone_names import MilestoneNames
from soundstage.results.quantiles import quantile

#: A share of a stand-in may be off by this much, and the quantiles of its delays by this factor.
MAY_DIFFER, MAY_BE_TIMES = 0.1, 1.25
#: What takes this long more or less is the business of sockets and schedulers, not of an API.
TOO_SHORT_S = 0.01
#: With fewer exchanges than this in either arm nothing is said.
FEWEST = 20
#: Of the interval of a ratio, or of a difference, which must leave out that there is none.
LEVEL = 0.999
QUANTILES = (0.5, 0.95)


@dataclass(frozen=True, slots=True)
class FidelityRow:
    """One quantity of both arms, in `n` exchanges of each: in seconds ("s"), with the `ratio` of
    emulated to live (None: of nothing at all), or a "share" of the exchanges. Of times that are
    known by polling `live` and `emulated` are the high ends, `ratio` is the greatest that it may
    be, and the others are the low ends and the least; None where all are exact.
    """

    what: str
    unit: str
    n: tuple[int, int]
    live: float
    emulated: float
    ratio: float | None
    verdict: str
    live_low: float | None = None
    emulated_low: float | None = None
    ratio_low: float | None = None


#: Sorted times, and their low ends, which are the same where all are exact.
_Ends = tuple[Floats, Floats]


def delays(
    live: EndpointSeries, emulated: EndpointSeries, names: MilestoneNames, speeds: Sequence[float]
) -> Iterator[FidelityRow]:
    """p50 and p95 of the headline milestones and of each stage; `speeds`: how many times faster
    than life each arm was.
    """
    # Where times are scaled, so is what sockets and schedulers have to do with them.
    short = TOO_SHORT_S * max(1.0, *speeds)
    for name, *taken in _times(live, emulated, names):
        mine, theirs = (
            (np.sort(high) * speed, np.sort(low) * speed)
            for (high, low), speed in zip(taken, speeds, strict=True)
        )
        if len(mine[0]) and len(theirs[0]):
            for q in QUANTILES:
                yield _delay(f"{name} p{100 * q:g}", mine, theirs, q, short)


def _delay(what: str, mine: _Ends, theirs: _Ends, q: float, short: float) -> FidelityRow:
    """One quantile of both arms. Of times that are known by polling it is far, or near, only if it
    is so in the most favourable and in the most unfavourable case.
    """
    n = len(mine[0]), len(theirs[0])
    a, a_low, b, b_low = (quantile(each, q) for each in (*mine, *theirs))
    if (a, b) == (a_low, b_low):
        far = _apart(mine[0], theirs[0], q, short) != 0
        return FidelityRow(what, "s", n, a, b, b / a if a else None, _verdict(n, far))
    cases = {_apart(mine[0], theirs[1], q, short), _apart(mine[1], theirs[0], q, short)}
    said = _verdict(n, cases != {0}) if len(cases) == 1 else "unclear"
    ratios = b / a_low if a_low else None, b_low / a if a else None
    return FidelityRow(what, "s", n, a, b, ratios[0], said, a_low, b_low, ratios[1])


def _apart(mine: Floats, theirs: Floats, q: float, short: float) -> int:
    """Whether the second is far above the first (1), far below (-1), or near it (0)."""
    a, b = quantile(mine, q), quantile(theirs, q)
    _, low, high = interval.of_samples(mine, theirs, q, LEVEL)
    far = max(a, b) > MAY_BE_TIMES * min(a, b) + short and not low <= 0 <= high
    return (1 if b > a else -1) if far else 0


def _times(
    live: EndpointSeries, emulated: EndpointSeries, names: MilestoneNames
) -> Iterator[tuple[str, _Ends, _Ends]]:
    """Seconds to the milestones in the exchanges that got there, then those of each stage; none of
    stages where times are known by polling, which shows one end of each alone.
    """
    arms = live, emulated
    for name in names.headline:
        mine, theirs = (_milestone(arm, name) for arm in arms)
        yield milestone_label(names, name), mine, theirs
    if live.low_ends or emulated.low_ends:
        return
    for name in dict.fromkeys([*live.spent, *emulated.spent]):
        mine, theirs = ((took := _spent(arm, name), took) for arm in arms)
        yield name, mine, theirs


def _milestone(arm: EndpointSeries, name: str) -> _Ends:
    if name not in arm.times:
        return np.empty(0), np.empty(0)
    high, low = arm.times[name], arm.lows(name)
    return high[np.isfinite(high)], low[np.isfinite(low)]


def _spent(arm: EndpointSeries, name: str) -> Floats:
    """What a stage took in the exchanges that have it; nothing in each if it never comes."""
    took = arm.spent.get(name, np.zeros(max(map(len, arm.spent.values()), default=0)))
    return took[took > 0] if took.any() else took


def endings(live: EndpointSeries, emulated: EndpointSeries) -> Iterator[FidelityRow]:
    """The shares of exchanges that ended in each way."""
    n = live.n, emulated.n
    for what in sorted({*live.outcomes, *emulated.outcomes}):
        k = [arm.outcomes.get(what, 0) for arm in (live, emulated)]
        apart, low, high = interval.rate_change([(k[0], n[0])], [(k[1], n[1])], LEVEL)
        far = abs(apart) > MAY_DIFFER and not low <= 0 <= high
        shares = k[0] / n[0], k[1] / n[1]
        yield FidelityRow(what, "share", n, *shares, None, _verdict(n, far))


def _verdict(n: tuple[int, int], far: bool) -> str:
    if min(n) < FEWEST:
        return "unclear"
    return "far" if far else "near"
