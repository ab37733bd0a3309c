"""How long stages last, how long nothing is under way before they come, and the longest silences.

A row tells of each stage its first and last arrival. A stage *lasts* from one to the other. The
*gap* before it is the time since anything else came, as far as that can be told: 0 where another
stage was under way (its first chunk had come, its last had not). The longest *silence* of an
exchange is between two reads that brought events, whatever their stages.

All of it is worked out from the exchanges of a sample (`results.arrivals.exchange_sample`).
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from soundstage.results.arrivals.exchange_sample import SampledExchange
from soundstage.results.quantiles import rank

#: Stages of an exchange that are looked at: others could name any number.
_MOST_STAGES = 64


@dataclass(frozen=True, slots=True)
class Length:
    """One stage over `n` exchanges that reached it; seconds."""

    n: int
    lasted_p50: float
    lasted_p95: float
    gap_p50: float
    gap_p95: float


@dataclass(frozen=True, slots=True)
class Silence:
    """The longest silences of `n` exchanges; seconds."""

    n: int
    p50: float
    p95: float
    longest: float


def lengths(sampled: Iterable[SampledExchange]) -> dict[str, Length]:
    """Of each stage that any of these exchanges reached."""
    lasted: dict[str, list[float]] = {}
    gaps: dict[str, list[float]] = {}
    for exchange in sampled:
        stages = [(name, at[0], at[1]) for name, at in exchange.stages.items()][:_MOST_STAGES]
        for name, first, last in stages:
            lasted.setdefault(name, []).append(last - first)
            gaps.setdefault(name, []).append(gap(name, first, stages))
    return {
        name: Length(
            len(lasted[name]),
            _at(0.5, lasted[name]),
            _at(0.95, lasted[name]),
            _at(0.5, gaps[name]),
            _at(0.95, gaps[name]),
        )
        for name in lasted
    }


def silence(sampled: Iterable[SampledExchange]) -> Silence | None:
    """None where no exchange tells of any."""
    found = [exchange.silence for exchange in sampled if exchange.silence is not None]
    if not found:
        return None
    return Silence(len(found), _at(0.5, found), _at(0.95, found), max(found))


def gap(name: str, first: float, stages: Sequence[tuple[str, float, float]]) -> float:
    """How long nothing was under way before the stage `name` came at `first`. `stages` are those of
    the exchange: (name, first, last) in seconds since it began.
    """
    latest = 0.0
    for other, begun, ended in stages:
        if other == name or begun > first:
            continue
        if ended > first:
            return 0.0
        latest = max(latest, ended)
    return first - latest


def _at(order: float, values: list[float]) -> float:
    return sorted(values)[rank(order, len(values)) - 1] if values else math.nan
