"""Looks: a comparison that is judged a few times while its songs come, and ends when it can.

How often, and after how many songs an arm, is named in advance. The error `alpha` is split equally
over looks and gates (Bonferroni), so that all intervals of all looks hold together with a chance of
1 - alpha at least, however they depend on each other. So a gate that passes or fails at one look
has done so for good, and the run may end. The intervals are those of `interval`: exact order
statistics, at the level of one look.

**Who is looked at.** A look takes the first n songs of an arm *by intended start*, once all of them
have ended or timed out (`first_songs`). The first n to be complete would be biased to the fast.

A guard fails or decides nothing: it is asked at each look and never waited for.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace

from soundstage.errors import UsageError
from soundstage.reports.decision.arms import EndpointSeries, Place
from soundstage.reports.decision.gate_outcomes import GateOutcome, judge
from soundstage.reports.decision.gates import FIRST, Gate, Rules

#: More looks, and more songs an arm, are a slip of the hand.
LOOKS_LIMIT, SONGS_LIMIT = 100, 20_000
#: From one look to the next there are so many times as many songs, where nobody says how many looks
#: there are: looks that are closer together cost more by their level than they save.
_STEP = 1.43

PASS, FAIL, INCONCLUSIVE = "pass", "fail", "inconclusive"

Series = Mapping[Place, Sequence[EndpointSeries]]


def look_sizes(most: int, looks: int | None = None) -> tuple[int, ...]:
    """After how many songs an arm there are looks: so many, from `FIRST` to `most`, each the same
    factor after the one before, in round numbers. Raises UsageError for more looks than fit.
    """
    if not 1 <= most <= SONGS_LIMIT:
        raise UsageError(f"--most {most}: from 1 to {SONGS_LIMIT:,} songs")
    if looks is not None and not 1 <= looks <= LOOKS_LIMIT:
        raise UsageError(f"--looks {looks}: from 1 to {LOOKS_LIMIT}")
    first = min(FIRST, most)
    if looks is None:
        looks = 1 + math.ceil(math.log(most / first) / math.log(_STEP) - 1e-9)
    if looks == 1:
        return (most,)
    sizes = {
        _rounded(first * (most / first) ** (place / (looks - 1))) for place in range(looks - 1)
    }
    found = tuple(sorted({size for size in sizes if size < most} | {most}))
    if len(found) < looks:
        raise UsageError(
            f"--looks {looks}: up to {most:,} songs there is room for {len(found)} looks"
        )
    return found


def _rounded(size: float) -> int:
    """Two digits are enough to name a number in advance."""
    unit: int = 10 ** max(0, len(str(int(size))) - 2)
    return round(size / unit) * unit


@dataclass(frozen=True, slots=True)
class LookPlan:
    """What is named in advance: after how many songs an arm there is a look, and the `rules` of the
    comparison as a whole. `every_gate`: a gate that fails does not end it yet.
    """

    sizes: tuple[int, ...]
    rules: Rules = field(default_factory=Rules)
    every_gate: bool = False

    @property
    def most(self) -> int:
        """Songs an arm at the last look."""
        return self.sizes[-1]

    @property
    def at_a_look(self) -> Rules:
        """The rules of one look."""
        return replace(self.rules, alpha=self.rules.alpha / len(self.sizes))

    def level(self, gates: int) -> float:
        """Of each interval, if there are so many gates."""
        return 1 - self.at_a_look.alpha / max(1, gates)


@dataclass(frozen=True, slots=True)
class TakenLook:
    """One look: at the first `n` songs of the candidate, after `seconds` of the run, when `sent`
    songs of it had been sent. `outcomes` by the gate's name, of those that had songs on both sides.
    """

    n: int
    sent: int
    seconds: float
    outcomes: Mapping[str, GateOutcome]


class Looking:
    """A comparison by looks: `take` each, until it is `over`."""

    def __init__(self, gates: Sequence[Gate], plan: LookPlan) -> None:
        self.gates, self.plan = tuple(gates), plan
        self.looks: list[TakenLook] = []
        #: By gate, the look that decided it.
        self.decided: dict[str, TakenLook] = {}

    @property
    def next_size(self) -> int | None:
        """After how many songs the next look is; None if there is none."""
        if self.over:
            return None
        return self.plan.sizes[len(self.looks)]

    def take(
        self, base: Series, candidate: Series, *, sent: int = 0, seconds: float = 0.0
    ) -> TakenLook:
        """Look at so many songs as `next_size` asks for; the arms as series of runs, by place."""
        size = self.next_size
        assert size is not None, "there is no further look"
        there = [gate for gate in self.gates if all(_has(arm, gate) for arm in (base, candidate))]
        found = judge(there, base, candidate, self.plan.at_a_look, among=len(self.gates))
        look = TakenLook(size, max(sent, size), seconds, {each.gate.name: each for each in found})
        self.looks.append(look)
        for name, outcome in look.outcomes.items():
            if outcome.verdict == FAIL or (outcome.verdict == PASS and not outcome.gate.guard):
                self.decided.setdefault(name, look)
        return look

    def verdict_of(self, gate: Gate) -> str:
        """What is known of a gate by now: a guard passes as long as it has not failed."""
        look = self.decided.get(gate.name)
        if look is not None:
            return look.outcomes[gate.name].verdict
        return PASS if gate.guard and self.looks else INCONCLUSIVE

    @property
    def verdict(self) -> str:
        """That of all gates together, by now."""
        said = {self.verdict_of(gate) for gate in self.gates}
        return FAIL if FAIL in said else INCONCLUSIVE if INCONCLUSIVE in said else PASS

    @property
    def is_decided(self) -> bool:
        """Whether no further song could change the verdict; with `every_gate`, that of any gate."""
        if not self.looks:
            return False
        waited_for = [gate for gate in self.gates if not gate.guard]
        if all(gate.name in self.decided for gate in waited_for):
            # Guards alone decide nothing: then all looks are taken.
            return bool(waited_for) or self.verdict == FAIL
        return self.verdict == FAIL and not self.plan.every_gate

    @property
    def over(self) -> bool:
        """Whether there is nothing more to look at."""
        return self.is_decided or len(self.looks) == len(self.plan.sizes)

    @property
    def deciding(self) -> TakenLook | None:
        """The look that ended it; None while it is not decided."""
        return self.looks[-1] if self.is_decided else None

    def outcomes(self) -> list[GateOutcome]:
        """Of each gate, what it said at the look that decided it, else at the last that had any."""
        found = []
        for gate in self.gates:
            look = self.decided.get(gate.name) or next(
                (each for each in reversed(self.looks) if gate.name in each.outcomes), None
            )
            if look is not None:
                found.append(look.outcomes[gate.name])
        return found


def _has(arm: Series, gate: Gate) -> bool:
    series = arm.get(gate.pairing.place, ())
    return bool(series) and all(each.n for each in series)
