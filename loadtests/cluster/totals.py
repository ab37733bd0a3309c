"""What all workers of a run did together, and what is lacking because of one that is lost."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from typing import Any

from soundstage.loadtests.cluster.shares import owner, share
from soundstage.loadtests.cluster.worker_record import FINISHED, LOST, RUNNING, WorkerRecord
from soundstage.loadtests.generator.lag import Load, why_invalid
from soundstage.loadtests.generator.lateness import Lateness
from soundstage.loadtests.schedule.arrivals import Schedule


@dataclass(slots=True)
class WorkerTotals:
    """Of the workers of a run, by their id; `schedule` is the one that they share, None for a
    closed loop; `limit` their budget, None if it has none; `many` how many share.
    """

    schedule: Callable[[], Schedule] | None
    limit: int | None
    many: int = 0
    members: dict[str, WorkerRecord] = field(default_factory=dict)
    _shares: Counter[str] = field(default_factory=Counter)

    def in_order(self) -> list[WorkerRecord]:
        """All of them, in the order in which they connected."""
        return sorted(self.members.values(), key=lambda each: each.index)

    def running(self) -> list[WorkerRecord]:
        """Those that are there."""
        return [each for each in self.in_order() if each.state == RUNNING]

    def deal(self) -> list[WorkerRecord]:
        """Those that are there share the run from now on; whoever else there is does not."""
        sharing = self.running()
        self.many = len(sharing)
        for place, each in enumerate(sharing):
            each.place = place
            each.budget = 0 if self.limit is None else share(self.limit, place, self.many)
        return sharing

    def close(self, until_s: float) -> None:
        """Nobody will say anything more, and no arrival after `until_s` was due: how many fell to
        each that is not whole can be told.
        """
        self._shares.clear()
        if self.schedule is None or not self.many:
            return
        lacking = {each.place: each.client for each in self.members.values() if not each.whole}
        for number, moment in enumerate(self.schedule() if lacking else ()):
            if moment > until_s:
                return
            if (client := lacking.get(owner(number, self.many))) is not None:
                self._shares[client] += 1

    def asked(self, member: WorkerRecord) -> int:
        """How many requests were a worker's: of one that is lost, its share of the schedule."""
        return max(member.asked, self._shares[member.client])

    def spent(self, member: WorkerRecord) -> int:
        """What a worker spent; its whole share, if nobody will ever know."""
        if self.limit is not None and member.state == LOST:
            return member.budget
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
