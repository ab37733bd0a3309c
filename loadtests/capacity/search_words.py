"""A search for a capacity in words: what was asked for, what it may cost, and what it found."""

from __future__ import annotations

import argparse
import math
from collections.abc import Collection, Iterable, Mapping
from typing import Any

from soundstage.errors import UsageError
from soundstage.exchange.spawn import FREE_HERE, is_free
from soundstage.loadtests.capacity.search import FIRST_RATE, CapacitySearch, SearchLimits
from soundstage.loadtests.capacity.trial_counts import TrialCounts, TrialOutcome
from soundstage.loadtests.merged_options import planned as planned_once
from soundstage.loadtests.schedule.scenario import Scenario
from soundstage.output import visible
from soundstage.results.quantiles import tells

#: With fewer exchanges a trial, searches of simulated queues overrate them
#: (docs/explanation/how-capacity-is-found.md).
_ENOUGH = 400


def limits_of(args: argparse.Namespace) -> SearchLimits:
    """The limits that options ask for."""
    return SearchLimits(
        first=args.rate or FIRST_RATE,
        most=args.max_rate,
        precision=args.precision,
        exchanges=args.exchanges,
        seconds=args.duration or 0.0,
        warmup_s=args.warmup,
        confirm=args.confirm,
    )


def estimate(limits: SearchLimits, capacity: float) -> tuple[int, float, float]:
    """(trials, requests, seconds) that a search would take if that is the capacity, and no trial
    has to be repeated or can be stopped early.
    """
    search = CapacitySearch(limits)
    requests = seconds = 0.0
    trials = 0
    sure = TrialCounts.of(0.5, [True] * 100), TrialCounts.of(0.5, [False] * 100)
    while (rate := search.next_trial()) is not None:
        brief = search.is_brief(rate)
        length = limits.warmup(rate, brief) + limits.length(rate, brief)
        trials, requests, seconds = trials + 1, requests + rate * length, seconds + length
        search.add(TrialOutcome(rate, (sure[rate > capacity],)))
    return trials, requests, seconds


def planned(target: str, scenario: Scenario, limits: SearchLimits, budget: int | None) -> str:
    """What a search would send and take, in words: nobody knows the capacity beforehand, so for
    some that it may have. Raises UsageError for a mixture that does not exist.
    """
    lines = [f"{target}: a search for the highest rate that meets {', '.join(scenario.slos)}"]
    most = limits.most or math.inf
    for factor in (1, 8, 64):
        capacity = limits.first * factor * 1.3
        if capacity > 2 * most:
            break
        trials, requests, seconds = estimate(limits, capacity)
        lines.append(
            f"  if it is about {capacity:.3g}/s: {trials} trials, {requests:,.0f} requests, "
            f"{_about(seconds)} or more with the answers' own times"
        )
    once = planned_once(target, scenario, budget).splitlines()
    if len(once) < 2:
        raise UsageError("nothing would be sent")
    limit = (
        "no budget" if budget is None else f"a budget of {budget}: the search ends when it is spent"
    )
    cost = FREE_HERE if is_free(target) else "requests may be billable"
    lines += [once[1], f"  {cost}; {limit}"]
    return visible.lines(lines)


def too_short(limits: SearchLimits) -> str | None:
    """What is wrong with trials that are too short for queues to fill, if they are."""
    if limits.exchanges >= _ENOUGH:
        return None
    return (
        f"trials of {limits.exchanges} exchanges are short: queues may not fill in them, and the "
        f"answer may be too high; --exchanges {_ENOUGH} or more"
    )


def so_far(trial: Mapping[str, Any], found: CapacitySearch) -> str:
    """What a trial came to, and what is known of the capacity after it."""
    met, missed = found.bracket()
    if met is None or missed is None:
        known = f"more than {met:.4g}/s" if met is not None else "nothing met yet"
    else:
        known = f"between {met:.4g} and {missed:.4g}/s"
    why = f" ({trial['reason']})" if trial["reason"] else ""
    return f"{trial['rate']:.4g}/s {trial['verdict']}, {known}{why}"


def _about(seconds: float) -> str:
    """A long time, no more exact than an estimate is."""
    for unit, name in ((3600.0, "h"), (60.0, "min")):
        if seconds >= 2 * unit:
            return f"{seconds / unit:.0f} {name}"
    return f"{seconds:.0f} s"


def table(trials: Iterable[dict[str, Any]], milestones: Collection[str] = ()) -> list[str]:
    """The curve as lines of text: each rate once per trial, in order of the rate, with these
    milestones or, if there are none, all of them.
    """
    rows = sorted(trials, key=lambda trial: (trial["rate"], trial["seed"]))
    every = dict.fromkeys(name for trial in rows for name in trial["quantiles"])
    names = [name for name in every if name.rpartition(".")[2] in milestones] or list(every)
    heads = ["rate/s", "exchanges", "verdict", *(f"{name} p50 / p95 / p99" for name in names)]
    lines = [heads]
    for trial in rows:
        line = [f"{trial['rate']:.4g}", f"{trial['exchanges']:,}", trial["verdict"]]
        for name in names:
            values = trial["quantiles"].get(name, {})
            lows = trial.get("quantiles_low", {}).get(name, values)
            cells = (
                _range(lows.get(one), values.get(one))
                if order == 0.5 or tells(order, trial["exchanges"])
                else "–"
                for one, order in (("p50", 0.5), ("p95", 0.95), ("p99", 0.99))
            )
            line.append(" / ".join(cells))
        lines.append(line)
    widths = [max(len(line[column]) for line in lines) for column in range(len(heads))]
    return [
        "  ".join(cell.rjust(width) for cell, width in zip(line, widths, strict=True))
        for line in lines
    ]


def _range(low: float | None, high: float | None) -> str:
    """A time, or both ends of one that is known by polling."""
    first, last = _time(low), _time(high)
    return last if first == last else f"{first} to {last}"


def _time(value: float | None) -> str:
    if value is None:
        return "never"
    return f"{value * 1000:.0f} ms" if value < 1 else f"{value:.2f} s"
