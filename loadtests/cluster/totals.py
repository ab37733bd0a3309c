"""What all workers of a run did together, and what is lacking because of one that is lost."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from typing import Any

from soundstage.loadtests.cluster.leases import Lender
from soundstage.loadtests.cluster.shares import SharePlan
from soundstage.loadtests.cluster.worker_record import FINISHED, LOST, RUNNING, Member
from soundstage.loadtests.generator.lag import Load, why_invalid
from soundstage.loadtests.generator.lateness import Lateness
from soundstage.loadtests.schedule.arrivals import Schedule


@dataclass(slots=True)
class Reckoning:
    """Of the workers of a run, by their id; `schedule` is the one that they share as `plan` says,
    None for a closed loop; `lender` has their budget, None if it has no limit.
    """

    schedule: Callable[[], Schedule] | None
    lender: Lender | None
    plan: SharePlan = field(default_factory=lambda: SharePlan([]))
    members: dict[str, Member] = field(default_factory=dict)
    _shares: Counter[str] = field(default_factory=Counter)

    def in_order(self) -> list[Member]:
        """All of them, in the order in which they connected."""
        return sorted(self.members.values(), key=lambda each: each.index)

    def running(self) -> list[Member]:
        """Those that are there."""
        return [each for each in self.in_order() if each.state == RUNNING]

    def close(self, until_s: float) -> None:
        """Nobody will say anything more, and no arrival after `until_s` was due: how many fell to
        each that is lost can be told.
        """
        self._shares.clear()
        gone = {each.client for each in self.members.values() if each.state == LOST}
        if not gone or self.schedule is None:
            return
        for number, moment in enumerate(self.schedule()):
            if moment > until_s:
                return
            owner = self.plan.owner(number, moment)
            if owner in gone:
                self._shares[owner] += 1

    def asked(self, member: Member) -> int:
        """How many requests were a worker's: of one that is lost, its share of the schedule."""
        return max(member.asked, self._shares[member.client])

    def spent(self, member: Member) -> int:
        """What a worker spent; of what it was granted all, if nobody will ever know."""
        if self.lender is not None and member.state != RUNNING:
            return self.lender.granted.get(member.client, 0)
        return int(member.figures.get("spent", 0))

    def all_spent(self) -> int:
        return sum(map(self.spent, self.members.values()))

    def unaccounted(self) -> int:
        """How many requests nobody knows anything of."""
        return sum(each["unaccounted"] for each in self.entries())

    def entries(self) -> list[dict[str, Any]]:
        """The entries of `workers` in run.json."""
        return [each.to_json(self.asked(each), self.spent(each)) for each in self.in_order()]

    def missing(self) -> list[str]:
        """What is lacking, and whose it was: sentences."""
        found = []
        for member in self.in_order():
            if member.whole:
                continue
            asked = self.asked(member)
            when = "" if member.lost_s is None else f" after {member.lost_s:.1f} s"
            lost = member.label if member.state == FINISHED else f"{member.label} was lost{when}"
            found.append(
                f"{lost}: {member.reason}; {max(0, asked - member.rows)} of its {asked} requests "
                "are unaccounted for"
            )
        return found

    def load(self, outcomes: Mapping[str, int], late: Lateness) -> Load:
        """How they did together; `outcomes` and `late` are those of their rows."""
        loads = [member.load() for member in self.members.values()]
        steals = [load.steal for load in loads if load.steal is not None]
        dropped = outcomes.get("dropped", 0)
        return Load(
            asked=sum(map(self.asked, self.members.values())),
            started=sum(load.asked for load in loads) - dropped,
            dropped=dropped,
            late=late,
            lags=sum((load.lags for load in loads), Lateness()),
            seconds=sum(load.seconds for load in loads),
            full_seconds=sum(load.full_seconds for load in loads),
            steal=max(steals, default=None),
        )

    def why_invalid(self, whole: Load) -> str | None:
        """Why the load was not what was asked for, and whose fault it was; None if it was."""
        for member in self.in_order():
            # What the cap on exchanges in flight drops is no fault of one of them.
            if (why := why_invalid(replace(member.load(), dropped=0))) is not None:
                return f"{member.label}: {why}"
        return why_invalid(whole)

    def figure(self, name: str) -> float:
        """The sum of a figure of all."""
        return float(sum(each.figures.get(name, 0) for each in self.members.values()))

    def stepped(self) -> bool:
        """Whether the clock of one of them was set."""
        return any(bool(each.figures.get("stepped")) for each in self.members.values())
