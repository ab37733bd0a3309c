"""What the time to a milestone consists of: the waits for one stage after the other.

A row tells of each stage its first and last arrival and how many there were, no more. So the time
is cut at the first arrivals: what passes between two of them is the wait for the stage that comes
at its end. Two things are known better:

- chunks of an earlier stage may go on for a part of that wait, and end: that part is that stage's;
- they may go on beyond it. Then nobody can tell what was waited for, and the wait is *shared*: it
  belongs to the stage at its end, and is told with the name of the one that went on.

So the parts add up to the time of the milestone, what comes after it has no part in it, and a stage
that got slower shows in its own wait, or in one that names it.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from soundstage.reports.run.stage_time import STAGE_LIMIT, Floats
from soundstage.results.arrivals.exchange_sample import ExchangeSample

#: Exchanges that are cut at once: what that takes meanwhile is ten times the result.
_PIECE = 10_000
#: Parts that belong to no stage.
LATE, REST = "(before it was sent)", "(after the last stage)"


@dataclass(frozen=True, slots=True)
class MilestoneParts:
    """The time to a milestone of some exchanges. `times`: seconds from the intended start, sorted;
    `parts`: by stage as rows name it (`final#1`: of a track), in the order in which stages come,
    the seconds of it in each of these exchanges, which add up to its time. `shared`: how much of a
    part was a wait during which another stage went on, and `beside` which one that was most.
    """

    times: Floats
    parts: Mapping[str, Floats]
    shared: Mapping[str, Floats]
    beside: Mapping[str, str]


def milestone_parts(sample: ExchangeSample, milestone: str) -> MilestoneParts:
    """Of the exchanges of a sample that reached a milestone; none of them where none did."""
    tables = list(sample.until(milestone))
    names = list(dict.fromkeys(label for labels, *_ in tables for label in labels))[:STAGE_LIMIT]
    place = {name: number for number, name in enumerate(names)}
    own, both = [np.empty((0, len(names)))], [np.empty((0, len(names)))]
    late, times = [np.empty(0)], [np.empty(0)]
    begun, came = np.zeros(len(names)), np.zeros(len(names))
    beside = np.zeros((len(names), len(names)))
    for labels, stages, at, waited in tables:
        first, last = (np.full((len(at), len(names)), np.inf) for _ in range(2))
        count = np.zeros((len(at), len(names)))
        for column, label in enumerate(labels):
            if label in place:
                number = place[label]
                first[:, number], last[:, number], count[:, number] = stages[:, column].T
                begun[number] += float(stages[:, column, 0].sum())
                came[number] += len(at)
        for begin in range(0, len(at), _PIECE):
            some = slice(begin, begin + _PIECE)
            ends = np.maximum(first[some], last[some])
            cut = _cut(first[some], ends, count[some], at[some], beside)
            own.append(cut[0])
            both.append(cut[1])
        late.append(waited)
        times.append(at + waited)
    whole = np.concatenate(times)
    order = np.argsort(whole, kind="stable")
    own_time, shared = np.concatenate(own)[order], np.concatenate(both)[order]
    before = np.concatenate(late)[order]
    told = np.argsort(begun / np.maximum(came, 1), kind="stable")
    parts = {names[n]: own_time[:, n] + shared[:, n] for n in told}
    rest = whole[order] - before - sum(parts.values(), np.zeros(len(whole)))
    return MilestoneParts(
        whole[order],
        {LATE: before, **parts, REST: np.maximum(rest, 0.0)},
        {names[n]: shared[:, n] for n in told},
        {names[n]: names[int(beside[n].argmax())] for n in told if beside[n].any()},
    )


def _cut(
    first: Floats, last: Floats, count: Floats, until: Floats, beside: Floats
) -> tuple[Floats, Floats]:
    """Seconds of each stage (columns) in each exchange (rows) up to a moment of each: what is its
    own, and what it shares. `beside` gets the seconds that a stage (row) shares with another.
    """
    rows = np.arange(len(first))
    come = np.where((count > 0) & (first <= until[:, None]), first, np.inf)
    order = np.argsort(come, axis=1, kind="stable")
    own, both = np.zeros_like(come), np.zeros_like(come)
    before = np.zeros(len(come))
    passed = np.zeros_like(come, dtype=bool)
    for step in range(come.shape[1] + 1):
        # After the last first arrival comes what is left up to the moment itself.
        ends = step == come.shape[1]
        stage = order[:, min(step, come.shape[1] - 1)]
        now = until if ends else np.minimum(come[rows, stage], until)
        here = (now > before) & (np.isfinite(come[rows, stage]) | ends)
        going = np.where(passed & (count > 1), last, -np.inf)
        longest = going.argmax(axis=1)
        until_then = going[rows, longest]
        if ends:
            lasts = np.where(here, np.clip(until_then, before, now) - before, 0.0)
            own[rows, longest] += lasts
            break
        on = here & (until_then >= now)
        length = np.where(here, now - before, 0.0)
        both[rows[on], stage[on]] += length[on]
        np.add.at(beside, (stage[on], longest[on]), length[on])
        lasts = np.where(here & ~on, np.clip(until_then, before, now) - before, 0.0)
        own[rows, longest] += lasts
        own[rows, stage] += np.where(on, 0.0, length - lasts)
        reached = np.isfinite(come[rows, stage])
        before = np.where(reached, now, before)
        passed[rows[reached], stage[reached]] = True
    return own, both
