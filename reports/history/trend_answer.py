"""What a trend says first: whether it is getting slower, since which run, and what to look at next.

Asked of the headline milestones alone; the others are drawn, and say it below.
"""

from __future__ import annotations

import shlex
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from itertools import islice

from soundstage.reports.history.changepoints import FEWEST, LevelChange
from soundstage.reports.history.trend import Trend, Workload
from soundstage.reports.history.trend_series import TrendSeries, change_words
from soundstage.reports.words import plain, plural
from soundstage.results.run_history import RunEntry

#: So many runs of each side are compared: as many as a change of level takes.
_ARM = 4
#: So many series that moved together are named.
_NAMED = 3


@dataclass(frozen=True, slots=True)
class Move:
    """What changed at one run of a workload: `title` says it of one series, `words` of how many.
    `compare` is the command to type, None where there is nothing to compare; `changed` what else
    differs.
    """

    run: RunEntry
    workload: str
    slower: bool
    title: str
    words: str
    changed: tuple[str, ...] = ()
    compare: str | None = None


@dataclass(frozen=True, slots=True)
class TrendAnswer:
    """`tone` is that of a headline, or "neutral"; `counts` what the answer is of."""

    tone: str
    icon: str
    title: str
    moves: tuple[Move, ...]
    counts: str


def answer(trend: Trend) -> TrendAnswer:
    """The answer; of moves the worse first."""
    moves = [move for each in trend.workloads for move in _moves(each)]
    moves.sort(key=lambda move: not move.slower)
    tone, icon, title = _title(trend, moves)
    return TrendAnswer(tone, icon, title, tuple(moves), _counts(trend))


def _title(trend: Trend, moves: Sequence[Move]) -> tuple[str, str, str]:
    if moves:
        first, more = moves[0], len(moves) - 1
        rest = f", and {plural(more, 'more change')}" if more else ""
        how = ("inconclusive", "↗") if first.slower else ("pass", "↘")
        return *how, f"{first.title}{rest}"
    headline = [one for each in trend.workloads for one in each.series if one.headline]
    if not headline:
        return "neutral", "·", "No runs to draw"
    missing = min(one.missing for one in headline)
    if missing:
        return "neutral", "?", f"Too few runs to tell: {missing} more needed"
    few = sum(one.missing > 0 for one in headline)
    said = f"No change of level in {plural(len(headline) - few, 'series')}"
    if few:
        return "neutral", "→", f"{said}; too few runs to tell of {few}"
    return "pass", "→", said


def _moves(workload: Workload) -> Iterable[Move]:
    """The newest change of each headline series, those at one run together."""
    found: dict[tuple[str, bool], list[tuple[TrendSeries, LevelChange]]] = {}
    for one in workload.series:
        if one.headline and one.lost_since and len(one.points) > 1:
            how = "never reached" if one.lost_since is one.points[0] else "not reached any more"
            words = f"{one.name} is {how}"
            yield Move(one.lost_since.run, workload.name, True, f"{one.name}: {how}", words)
        elif one.headline and one.changes:
            last = one.changes[-1]
            run = one.points[last.at].run
            found.setdefault((run.id, last.ratio > 1), []).append((one, last))
    for (_, slower), several in found.items():
        one, change = several[0]
        by = f"{(change.ratio - 1) * 100:+.0f}%" if change.ratio < 3 else f"×{change.ratio:.3g}"
        title = f"{'Slower' if slower else 'Faster'}: {one.name} {by}"
        words = ", ".join(f"{each.name} {change_words(its)}" for each, its in several[:_NAMED])
        if len(several) > _NAMED:
            words += f" and {len(several) - _NAMED} more"
        before, after = one.points[change.at - 1].run, one.points[change.at].run
        changed = tuple(workload.changed(before, after))
        yield Move(
            after, workload.name, slower, title, words, changed, _compare(workload, one, change.at)
        )


def _compare(workload: Workload, one: TrendSeries, at: int) -> str | None:
    """The command that compares the runs before a change with those after it."""
    before = _arm(point.run for point in reversed(one.points[:at]))[::-1]
    after = _arm(point.run for point in one.points[at:])
    if not before or not after:
        return None
    pairs = ((a, b) for a in before for b in after)
    allowed = sorted({reason for a, b in pairs for reason in workload.allowed(a, b)})
    allow = ["--allow", ",".join(allowed)] if allowed else []
    arms = (",".join(_named(run) for run in arm) for arm in (before, after))
    return shlex.join(["soundstage", "compare", *arms, *allow])


def _arm(runs: Iterable[RunEntry]) -> list[RunEntry]:
    """The first of these runs that an argument can name: a comma parts runs."""
    return list(islice((run for run in runs if "," not in str(run.path)), _ARM))


def _named(run: RunEntry) -> str:
    path = str(run.path)
    return f"./{path}" if path.startswith("-") else path


def _counts(trend: Trend) -> str:
    """`12 runs in 2 workloads; left out: 2 runs (1 generator, 1 incomplete)`"""
    drawn = sum(len(each.runs) for each in trend.workloads)
    said = f"{plural(drawn, 'run')} in {plural(len(trend.workloads), 'workload')}"
    short = [each for each in trend.workloads if len(each.runs) < FEWEST]
    if short and trend.workloads:
        said += f", {len(short)} of them with too few runs to tell ({FEWEST} are needed)"
    if trend.left_out:
        said += f"; {plural(len(trend.left_out), 'run')} left out, see below"
    return plain(said, 400)
