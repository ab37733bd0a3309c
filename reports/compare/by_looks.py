"""Two finished runs, compared as a run of `soundstage load --against` compares them while it goes:
by looks, until every gate is decided. What would have been decided, and with how many songs.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from soundstage.errors import UsageError
from soundstage.reports.decision.arms import Arm, ArmRun
from soundstage.reports.decision.first_songs import FirstSongs, RecordedSongs
from soundstage.reports.decision.gates import MOST, Gate, Rules
from soundstage.reports.decision.looks import Looking, LookPlan, Series, look_sizes
from soundstage.reports.run.summary import expected_milestones
from soundstage.results.bundle import Bundle


@dataclass(frozen=True, slots=True)
class LookedArms:
    """What is looked at: after how many songs of the candidate, and its songs. `base` None: it is
    there as a whole and is taken whole at each look; else both came in pairs, and as many are taken
    of each.
    """

    sizes: tuple[int, ...]
    candidate: RecordedSongs
    base: RecordedSongs | None
    every_gate: bool = False

    @property
    def reached(self) -> int:
        """Songs an arm that there are."""
        return min(each.n for each in (self.candidate, self.base) if each is not None)


def looked_arms(
    base: Arm, candidate: Arm, looks: int | None, most: int | None, *, every_gate: bool
) -> LookedArms:
    """Read what is to be looked at. Where nobody says how many `looks` there are, those of the
    candidate's own run hold (`ended_by_looks`).

    Raises UsageError for several runs an arm, and for a number of looks that does not fit.
    """
    for arm in (base, candidate):
        if len(arm.runs) != 1:
            raise UsageError(f"--looks takes one run an arm, not {len(arm.runs)}")
    one, other = base.runs[0], candidate.runs[0]
    if looks is None:
        sizes = tuple(other.facts["looks"]["sizes"])
    else:
        there = sum(each.n for each in other.series.values())
        sizes = look_sizes(most or max(1, min(MOST, there)), looks)
    return LookedArms(
        sizes=sizes,
        candidate=_songs(other, sizes[-1]),
        base=_songs(one, sizes[-1]) if are_a_pair(one.facts, other.facts) else None,
        every_gate=every_gate,
    )


def ended_by_looks(base: Arm, candidate: Arm) -> bool:
    """Whether the candidate is a run that ended once it was decided. To judge it at another number
    of songs than at its looks would be to stop where the figures happen to be good, or bad.
    """
    alone = len(base.runs) == len(candidate.runs) == 1
    return alone and bool(candidate.runs[0].facts.get("looks"))


def are_a_pair(one: Mapping[str, Any], other: Mapping[str, Any]) -> bool:
    """Whether two runs are the arms of one, whose songs were sent in pairs."""
    pair = one.get("pair"), other.get("pair")
    return all(pair) and pair[0]["id"] == pair[1]["id"]  # type: ignore[index]


def _songs(run: ArmRun, most: int) -> RecordedSongs:
    return RecordedSongs(Bundle.open(run.path).exchanges(), most)


def by_looks(
    gates: Sequence[Gate], base: Arm, candidate: Arm, rules: Rules, arms: LookedArms
) -> Looking:
    """Look until all is decided, or there are no more songs."""
    looking = Looking(gates, LookPlan(arms.sizes, rules, arms.every_gate))
    whole: Series = {place: base.series(place) for place in base.places()}
    first = [_First(candidate, arms.candidate), _First(base, arms.base or arms.candidate)]
    while (size := looking.next_size) is not None and size <= arms.reached:
        mine = first[0].of(size)
        theirs = whole if arms.base is None else first[1].of(size)
        ended = max(
            each.when_ended(size) for each in (arms.candidate, arms.base) if each is not None
        )
        sent = arms.candidate.sent_by(ended)
        looking.take(theirs, mine, sent=sent, seconds=ended)
    return looking


class _First:
    """The first songs of an arm, taken in once each."""

    def __init__(self, arm: Arm, songs: RecordedSongs) -> None:
        run = arm.runs[0]
        stated: Iterable[Mapping[str, Any]] = ()
        self._songs = songs
        self._taken = FirstSongs(expected_milestones(run.facts, stated))

    def of(self, size: int) -> Series:
        for row in self._songs.rows[self._taken.n : size]:
            self._taken.add(row)
        return self._taken.series()
