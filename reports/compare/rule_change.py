"""Rules of the contract in two arms: newly broken, broken more often, still broken, kept again."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from soundstage.reports.compare import interval
from soundstage.reports.compare.arms import Arm, RuleState

#: Confidence that a rule which was broken before is broken more often now.
_LEVEL = 0.99
_FAILED = "failed"
#: The kinds, worst first; the first two make the comparison fail.
KINDS = ("broken", "more", "still", "kept")


@dataclass(frozen=True, slots=True)
class RuleChange:
    """A rule that at least one arm broke. `base` and `candidate`: in how many of how many
    exchanges of the endpoint. `kind`: one of `KINDS`.
    """

    id: str
    api: str
    endpoint: str
    kind: str
    text: str
    example: str
    base: tuple[int, int]
    candidate: tuple[int, int]

    @property
    def breaking(self) -> bool:
        """Whether the candidate broke what the base kept, or breaks it more often."""
        return self.kind in KINDS[:2]


def rule_changes(base: Arm, candidate: Arm) -> list[RuleChange]:
    """Every rule that failed in an arm, worst first. A rule fails in an arm if it failed in one of
    its runs; waived ("known") and warning-only rules have not failed.
    """
    arms = [_states(arm) for arm in (base, candidate)]
    found = []
    for rule in sorted({*arms[0], *arms[1]}):
        before, after = (arm.get(rule, []) for arm in arms)
        failed = [any(state.outcome == _FAILED for state in side) for side in (before, after)]
        if not any(failed):
            continue
        counts = [_counts(side) for side in (before, after)]
        kind = "kept"
        if failed[1]:
            kind = "still" if failed[0] else "broken"
        if kind == "still":
            low = interval.rate_change(counts[0], counts[1], _LEVEL)[1]
            kind = "more" if low > 0 else kind
        said = next(each for each in (*after, *before) if each.outcome == _FAILED)
        found.append(
            RuleChange(
                id=rule,
                api=said.api,
                endpoint=said.endpoint,
                kind=kind,
                text=said.text,
                example=said.example,
                base=counts[0],
                candidate=counts[1],
            )
        )
    return sorted(found, key=lambda each: (KINDS.index(each.kind), -each.candidate[0], each.id))


def _states(arm: Arm) -> dict[str, list[RuleState]]:
    states: dict[str, list[RuleState]] = {}
    for run in arm.runs:
        for rule, state in run.rules.items():
            states.setdefault(rule, []).append(state)
    return states


def _counts(states: Sequence[RuleState]) -> tuple[int, int]:
    broken = sum(state.broken_in for state in states)
    return broken, max(broken, sum(state.exchanges for state in states))
