"""Rows held against objectives: met, missed or not to be told, with the interval that says so.

Every objective but a count is about a share: of the times below a bound (a quantile), of the
exchanges without an error (a rate), of the good ones (a goodput). With `n` exchanges of which `k`
did well, and a share `q` asked for, the order statistics of the binomial distribution decide: it
is met if k reaches the rank that bounds the quantile of order `q` from above, missed if it stays
below the one that bounds it from below, else inconclusive. That is the exact interval of the
quantile (Conover 1999, 3.2) held against the bound, and the Clopper-Pearson interval of the share
held against `q`: one and the same test.

What failed or timed out did not do well, however early. What the harness itself cut short
(outcomes `censored` and `cut`) is not known: it counts as bad where that speaks against a pass,
and as good where that speaks against a fail, unless it was over its bound when it was cut. So does
one that is known by polling only, with the bound between the two ends of its time (`polling`): a
pass holds with all the high ends, a fail with all the low ones.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from typing import Any

from soundstage.results import quantiles
from soundstage.results.arrivals.held_streams import BUFFERED
from soundstage.results.objective_tally import ObjectiveTally
from soundstage.results.slo import Objective, Slo

#: Of every interval, two-sided.
LEVEL = 0.95
PASS, FAIL, INCONCLUSIVE = "pass", "fail", "inconclusive"

#: More exchanges than this are no advice.
_MOST = 10_000_000


class Scorecard:
    """The tallies of several objectives; give it every row of a run."""

    def __init__(self, objectives: Iterable[Objective]) -> None:
        self.tallies = [ObjectiveTally(objective) for objective in objectives]
        self._of: dict[tuple[str, str], list[ObjectiveTally]] = {}
        for tally in self.tallies:
            for place in tally.objective.places:
                self._of.setdefault(place, []).append(tally)

    def add(self, row: Mapping[str, Any]) -> None:
        """Count a row; warm-up, probes and what was never sent are left out."""
        if row.get("warmup") or row.get("probe") or row["outcome"] == "dropped":
            return
        for tally in self._of.get((row["api"], row["endpoint"]), ()):
            tally.add(row)

    def results(self) -> list[dict[str, Any]]:
        """What run.json says of each objective (`slos`)."""
        return [result(tally) for tally in self.tallies]


def overall(results: Iterable[Mapping[str, Any]]) -> str:
    """The verdict of all together: one that is missed decides, then one that cannot be told."""
    verdicts = [each["verdict"] for each in results]
    return next((each for each in (FAIL, INCONCLUSIVE) if each in verdicts), PASS)


def verdict(tally: ObjectiveTally, level: float = LEVEL) -> str:
    """Whether the objective is met: "pass", "fail" or "inconclusive"."""
    slo = tally.objective.slo
    if tally.n == 0:
        return INCONCLUSIVE
    if slo.kind == "count":
        return PASS if slo.met_by(tally.events) else FAIL
    low, high = tally.good, tally.good + tally.unknown
    needs, misses = thresholds(required(slo), tally.n, level)
    return PASS if low >= needs else FAIL if high < misses else INCONCLUSIVE


def required(slo: Slo) -> float:
    """The share of exchanges that have to do well."""
    if slo.kind == "quantile":
        return slo.order
    return 1 - slo.bound if slo.op.startswith("<") else slo.bound


def thresholds(share: float, n: int, level: float = LEVEL) -> tuple[int, int]:
    """Of `n` exchanges, how many must do well for a pass (n + 1: so few never can), and below how
    many it is a fail. That all or none must do well is a plain count, without any inference.
    """
    if share >= 1:
        return n, n
    if share <= 0:
        return 0, 0
    low, high = quantiles.interval_ranks(share, n, level)
    return high, low


def least_for_pass(share: float) -> int:
    """The least number of exchanges that can pass, if all of them do well."""
    if not 0 < share < 1:
        return 1
    # All n do well, and yet the true share may be below: share^n <= tail.
    return math.ceil(math.log((1 - LEVEL) / 2) / math.log(share))


def more_needed(share: float, n: int, good: int) -> int | None:
    """About how many more exchanges would decide, if the rest does as well as these did; None if
    none would: they are at what is asked for, or too near to it.
    """
    if n == 0:
        return quantiles.needed(share, LEVEL) if 0 < share < 1 else 1

    def decided(size: int) -> bool:
        needs, misses = thresholds(share, size)
        likely = good * size // n
        return likely >= needs or likely < misses

    least, most = n, max(2 * n, 8)
    while not decided(most):
        least, most = most, 2 * most
        if most > _MOST:
            return None
    while most - least > 1:
        middle = (least + most) // 2
        least, most = (least, middle) if decided(middle) else (middle, most)
    return most - n


def result(tally: ObjectiveTally, level: float = LEVEL) -> dict[str, Any]:
    """An entry of `slos` in run.json: verdict, measured value, its interval, and what decides.

    `value`, `low` and `high` have the unit of the objective. Of a time null means never; of a
    bound, that so few exchanges cannot give one. Of times that are known by polling `value` is
    that of the high ends, and the interval holds those of both. `level`: of the interval.
    """
    slo, n = tally.objective.slo, tally.n
    said = verdict(tally, level)
    value, low, high = _measured(tally, level)
    more = None
    if said == INCONCLUSIVE and not tally.unheard and not _is_for_polls(tally):
        more = more_needed(required(slo), n, tally.good) if slo.kind != "count" else 1
    return {
        "slo": slo.text,
        "kind": slo.kind,
        "api": tally.objective.api,
        "endpoint": tally.objective.endpoint,
        "milestone": slo.within[0].milestone if slo.kind == "quantile" else None,
        "order": slo.order or None,
        "op": slo.op,
        "bound": slo.bound,
        "unit": slo.unit,
        "n": n,
        "unknown": tally.cut,
        **_polled(tally),
        "value": quantiles.finite(value),
        "low": quantiles.finite(low),
        "high": quantiles.finite(high),
        "level": level,
        "verdict": said,
        "reason": _reason(tally, said, more),
        "more": more,
    }


def describe(entry: Mapping[str, Any]) -> str:
    """An entry of `slos` in one line: `complete.p95<2m at v6 stream: 81 s (79 to 84, n = 400)`."""
    place = [name for name in (entry["api"], entry["endpoint"]) if name]
    said = entry["slo"].startswith("".join(f"{name}." for name in place))
    where = "" if said else f" at {' '.join(place)}"
    show = _shower(entry["unit"])
    value = "never" if entry["value"] is None else show(entry["value"])
    if entry.get("value_low") is not None:
        ends = sorted((entry["value_low"], entry["value"]))
        value = " to ".join(map(show, ends))
    if entry["n"] == 0:
        return f"{entry['slo']}{where}: {entry['reason']}"
    interval = ""
    if entry["unit"] != "violations":
        low = show(entry["low"]) if entry["low"] is not None else "?"
        high = show(entry["high"]) if entry["high"] is not None else "?"
        interval = f"{low} to {high}, "
    why = f"; {entry['reason']}" if entry["reason"] else ""
    return f"{entry['slo']}{where}: {value} ({interval}n = {entry['n']:,}){why}"


def _shower(unit: str) -> Any:
    if unit == "s":
        return lambda value: f"{value * 1000:.3g} ms" if value < 1 else f"{value:.4g} s"
    if unit == "share":
        return lambda value: f"{100 * value:.3g}%"
    return lambda value: f"{value:,.0f}"


def _measured(tally: ObjectiveTally, level: float) -> tuple[float, float, float]:
    """The value and its interval, in the unit of the objective."""
    slo, n = tally.objective.slo, tally.n
    if n == 0:
        return math.inf, math.inf, math.inf
    if slo.kind == "count":
        return tally.events, tally.events, tally.events
    if slo.kind == "quantile":
        return _quantile(tally, level)
    # The interval of the share, widened by what is not known.
    low = quantiles.rate_interval(tally.good, n, level)[0]
    high = quantiles.rate_interval(tally.good + tally.unknown, n, level)[1]
    value = tally.good / n
    return (1 - value, 1 - high, 1 - low) if slo.op.startswith("<") else (value, low, high)


def _quantile(tally: ObjectiveTally, level: float) -> tuple[float, float, float]:
    """The quantile of the high ends; its lower bound of the low ends and as if what was cut were
    the fastest, its upper bound of the high ends and as if that never came.
    """
    import numpy as np

    order, cut = tally.objective.slo.order, tally.cut
    times = np.frombuffer(tally.times) if tally.times else np.empty(0)
    lows = times if tally.lows is None else np.frombuffer(tally.lows)
    late = np.concatenate([times, np.full(cut, math.inf)])
    early = np.concatenate([lows, np.full(cut, -math.inf)])
    return (
        quantiles.quantile(late, order),
        quantiles.interval(early, order, level)[0],
        quantiles.interval(late, order, level)[1],
    )


def _polled(tally: ObjectiveTally) -> dict[str, Any]:
    """What an entry says beside the rest where times are known by polling; nothing where all are
    exact.
    """
    if not tally.widest:
        return {}
    slo = tally.objective.slo
    found: dict[str, Any] = {"unresolved": tally.unresolved, "resolution": tally.widest}
    if tally.lows is not None and tally.n:
        import numpy as np

        lows = np.concatenate([np.frombuffer(tally.lows), np.full(tally.cut, math.inf)])
        low = quantiles.quantile(lows, slo.order)
        found["value_low"] = quantiles.finite(low)
    elif slo.kind == "goodput" and tally.unresolved:
        found["value_low"] = (tally.good + tally.unresolved) / tally.n
    return found


def _reason(tally: ObjectiveTally, said: str, more: int | None) -> str | None:
    if said != INCONCLUSIVE:
        return None
    if tally.n == 0:
        return "no exchange to judge it by"
    if tally.unheard:
        return "some songs were not listened to (--probe-playback), or could not be heard here"
    if tally.held_back and _is_for_polls(tally):
        return (
            f"{tally.held_back:,} of {tally.n:,} streams were held back on their way "
            f"({BUFFERED}): when their chunks were sent nobody knows, so that this is neither "
            "met nor missed"
        )
    if _is_for_polls(tally):
        return (
            f"times by polling are known to within {_shower('s')(tally.widest)} at most, and of "
            f"{tally.unresolved:,} of {tally.n:,} exchanges the bound lies in between: polls "
            "closer together would decide"
        )
    if more is None:
        return "too near to its bound to be told, however long the run"
    return f"about {more:,} more exchanges would decide"


def _is_for_polls(tally: ObjectiveTally) -> bool:
    """Whether polling is what stands between an objective and its verdict: it would have one if the
    milestones had come at one end of what is known of them, or another at each end.
    """
    if not tally.unresolved or tally.unheard:
        return False
    needs, misses = thresholds(required(tally.objective.slo), tally.n)
    best, whole = tally.good + tally.unresolved, tally.good + tally.unknown
    if best >= needs or whole - tally.unresolved < misses:
        return True
    # More exchanges of this kind would end on either side, by where in between they came.
    share = required(tally.objective.slo) * tally.n
    return tally.good < share <= best
