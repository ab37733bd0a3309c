"""What a master knows of one of its workers: who it is, what it shipped, how it did."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from soundstage.loadtests.generator.lag import Load
from soundstage.loadtests.generator.lateness import Lateness

_SECOND_NS = 1_000_000_000
RUNNING, FINISHED, LOST = "running", "finished", "lost"


@dataclass(slots=True)
class WorkerRecord:
    """One worker. `client` is its id in Locust's channel, `index` its number from 0; `place` that
    among those that share the run, `budget` its share of it; `lost_s` is seconds since the run
    began; `gone`: it cannot come back; `driven`: it has nothing more to start.
    """

    client: str
    index: int
    host: str
    pid: int
    place: int = 0
    budget: int = 0
    state: str = RUNNING
    reason: str | None = None
    lost_s: float | None = None
    gone: bool = False
    driven: bool = False
    batches: int = 0
    rows: int = 0
    dropped: int = 0
    late: Lateness = field(default_factory=Lateness)
    figures: dict[str, Any] = field(default_factory=dict)

    @property
    def name(self) -> str:
        """Short, and what the ids of its exchanges begin with."""
        return f"w{self.index}"

    @property
    def label(self) -> str:
        """How it is called in messages."""
        return f"worker {self.name} ({self.host}, process {self.pid})"

    @property
    def whole(self) -> bool:
        """Whether nothing of it is lacking."""
        return self.state == FINISHED and self.reason is None

    @property
    def asked(self) -> int:
        """Arrivals that it took, as far as it told."""
        return max(int(self.figures.get("asked", 0)), self.rows)

    def count(self, row: Mapping[str, Any]) -> None:
        """One of its rows has come."""
        self.rows += 1
        self.dropped += row["outcome"] == "dropped"
        if "timing" in row:
            self.late.add((row["started_ns"] - row["intended_ns"]) / _SECOND_NS)

    def load(self) -> Load:
        """How it did as a load generator."""
        of_it = self.figures
        lags = of_it.get("lags")
        return Load(
            asked=self.asked,
            started=self.asked - self.dropped,
            dropped=self.dropped,
            late=self.late,
            lags=Lateness() if lags is None else Lateness.of(lags),
            seconds=int(of_it.get("seconds", 0)),
            full_seconds=int(of_it.get("full_seconds", 0)),
            steal=of_it.get("steal"),
        )

    def to_json(self, asked: int, spent: int) -> dict[str, Any]:
        """Its entry of `workers` in run.json; `asked` of it, of which it told us or not."""
        load, offset = self.load(), self.figures.get("offset")
        drift = self.figures.get("drift_ns")
        return {
            "name": self.name,
            "index": self.index,
            "host": self.host,
            "pid": self.pid,
            "state": FINISHED if self.state == FINISHED else LOST,
            "reason": self.reason,
            "joined_s": 0.0,
            "lost_s": None if self.lost_s is None else round(self.lost_s, 3),
            "exchanges": self.rows,
            "asked": asked,
            "unaccounted": 0 if self.whole else max(0, asked - self.rows),
            "spent": spent,
            "late_p99_ms": _ms(load.late.quantile(0.99)),
            "loop_lag_p99_ms": _ms(load.lags.quantile(0.99)),
            "cpu_share": self.figures.get("cpu_share"),
            "clock_offset_ms": None if offset is None else offset[0] / 1e6,
            "clock_error_ms": None if offset is None else offset[1] / 1e6,
            "clock_drift_ms": None if drift is None else drift / 1e6,
            "wall_offset_ms": None if offset is None else offset[2] / 1e6,
        }


def _ms(seconds: float) -> float:
    return round(seconds * 1000, 3)
