"""What a master knows of its workers: who they are, what they shipped, how they did, and what is
lacking because of one that is lost.

Knows nothing of Locust and sends nothing; `master` fills it in.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from soundstage.loadtests.cluster.shares import owner
from soundstage.loadtests.generator.lag import Load, why_invalid
from soundstage.loadtests.generator.lateness import Lateness
from soundstage.loadtests.schedule.arrivals import Schedule

_NOTHING = Load(0, 0, 0, Lateness(), Lateness())
#: What a worker says of itself in numbers (`WorkerRun.figures`).
_COUNTS = ("in_flight", "most_in_flight", "spent", "batches")
_NUMBERS = ("cpu_share", "clock_offset_ms", "clock_error_ms")


@dataclass(slots=True)
class WorkerRecord:
    """One worker. `client` is its id in Locust's channel, `index` its number from 0; `place` that
    among those that share the run, `budget` its share of it (None: no limit), `share` of the
    schedule, once it is known what was due. `rows` and `batches` came from it, with `figures` the
    last time (`WorkerRun.figures`). It is `done` once it has shipped everything; `reason` is what
    is wrong with it, and not done with a reason means lost: since `lost_s`, in seconds of the run.
    """

    client: str
    index: int
    host: str
    pid: int
    place: int = 0
    budget: int | None = None
    share: int = 0
    rows: int = 0
    batches: int = 0
    figures: dict[str, Any] = field(default_factory=dict)
    load: Load = _NOTHING
    done: bool = False
    reason: str | None = None
    lost_s: float | None = None

    @property
    def name(self) -> str:
        """Short, and what the ids of its exchanges begin with."""
        return f"w{self.index}"

    @property
    def label(self) -> str:
        """How it is called in messages."""
        return f"worker {self.name} ({self.host}, process {self.pid})"

    @property
    def running(self) -> bool:
        """Whether more is to come of it."""
        return not self.done and self.reason is None

    @property
    def driven(self) -> bool:
        """Whether it is through its share of the schedule."""
        return bool(self.figures.get("driven"))

    @property
    def over(self) -> bool:
        """Whether it starts nothing more, be it that something stopped it."""
        return self.driven or self.figures.get("failure") is not None

    @property
    def asked(self) -> int:
        """How many requests were its: what it told us or, if it is lost, what fell to it."""
        return max(self.load.asked, self.rows, self.share)

    @property
    def unaccounted(self) -> int:
        """How many of them nobody knows anything of."""
        return 0 if self.reason is None else self.asked - self.rows

    @property
    def spent(self) -> int:
        """What it spent of the budget; its whole share, if nobody will ever know."""
        if self.reason is not None and not self.done and self.budget is not None:
            return self.budget
        return int(self.figures.get("spent", 0))

    def hear(self, figures: Mapping[str, Any], rows: int, *, scheduled: bool) -> None:
        """A batch with so many rows has come, and what it says of itself. `scheduled`: it has a
        share of a schedule, so that something is lacking if it leaves early. Raises ValueError,
        KeyError, TypeError or AttributeError, and takes nothing, if no worker says such a thing.
        """
        load = load_of(figures["load"])
        counts = {name: int(figures[name]) for name in _COUNTS}
        shares = {name: float(figures[name]) for name in _NUMBERS}
        self.figures, self.load = {**figures, **counts, **shares}, load
        self.rows += rows
        self.batches += 1
        if self.figures["done"]:
            self.done, self.reason, self.lost_s = True, None, None
            if self.figures["batches"] != self.batches:
                self.reason = "not all of its rows came"
            elif self.figures["left"] and scheduled and not self.driven:
                self.reason = "it was told to leave"

    def lose(self, reason: str | None, at_s: float) -> None:
        """It is taken for lost at `at_s` seconds of the run, and why; None: it is there (again)."""
        if not self.done:
            if reason is None:
                self.lost_s = None
            elif self.lost_s is None:
                self.lost_s = max(0.0, at_s)
            self.reason = reason

    def lacking(self) -> str | None:
        """What is lacking because of it: a sentence; None if nothing is."""
        if self.reason is None:
            return None
        when = "" if self.lost_s is None else f" after {self.lost_s:.1f} s"
        who = self.label if self.done else f"{self.label} was lost{when}"
        missing = f"{self.unaccounted} of its {self.asked} requests are unaccounted for"
        return f"{who}: {self.reason}; {missing}"

    def to_json(self) -> dict[str, Any]:
        """Its entry of `workers` in run.json."""
        return {
            "name": self.name,
            "index": self.index,
            "host": self.host,
            "pid": self.pid,
            "state": "finished" if self.done else "lost",
            "reason": self.reason,
            "joined_s": 0.0,
            "lost_s": None if self.lost_s is None else round(self.lost_s, 3),
            "exchanges": self.rows,
            "asked": self.asked,
            "unaccounted": self.unaccounted,
            "spent": self.spent,
            "late_p99_ms": round(self.load.late.quantile(0.99) * 1000, 3),
            "loop_lag_p99_ms": round(self.load.lags.quantile(0.99) * 1000, 3),
            "cpu_share": self.figures.get("cpu_share"),
            "clock_offset_ms": self.figures.get("clock_offset_ms"),
            "clock_error_ms": self.figures.get("clock_error_ms"),
        }


def count_shares(
    sharing: Sequence[WorkerRecord], schedule: Callable[[], Schedule], until_s: float
) -> None:
    """Of those that share a schedule nobody will say anything more, and no arrival after `until_s`
    was due: count how many of those before it fell to each that is not whole.
    """
    lacking = {each.place: each for each in sharing if each.reason is not None}
    for number, moment in enumerate(schedule() if lacking else ()):
        if moment > until_s:
            return
        if (record := lacking.get(owner(number, len(sharing)))) is not None:
            record.share += 1


def together(records: Iterable[WorkerRecord]) -> Load:
    """What workers did as one load generator."""
    loads = [replace(each.load, asked=each.asked) for each in records]
    return Load(
        asked=sum(load.asked for load in loads),
        started=sum(load.started for load in loads),
        dropped=sum(load.dropped for load in loads),
        late=sum((load.late for load in loads), Lateness()),
        lags=sum((load.lags for load in loads), Lateness()),
        seconds=sum(load.seconds for load in loads),
        full_seconds=sum(load.full_seconds for load in loads),
        steal=max((load.steal for load in loads if load.steal is not None), default=None),
    )


def whose_fault(records: Iterable[WorkerRecord]) -> str | None:
    """Why the load of workers was not what was asked for, and which of them it was; None if it was.

    What the cap on exchanges in flight drops is no fault of one of them.
    """
    records = list(records)
    for each in records:
        if (why := why_invalid(replace(each.load, dropped=0))) is not None:
            return f"{each.label}: {why}"
    return why_invalid(together(records))


def load_to_json(load: Load) -> dict[str, Any]:
    """A load as a worker ships it."""
    whole = {name: getattr(load, name) for name in Load.__slots__}
    return {**whole, "late": load.late.to_json(), "lags": load.lags.to_json()}


def load_of(data: Mapping[str, Any]) -> Load:
    """Read back what `load_to_json` gave. Raises ValueError, KeyError, TypeError if it is none."""
    counts = ("asked", "started", "dropped", "seconds", "full_seconds")
    return Load(
        **{name: int(data[name]) for name in counts},
        late=Lateness.of(data["late"]),
        lags=Lateness.of(data["lags"]),
        steal=None if data["steal"] is None else float(data["steal"]),
    )
