"""How milestones went from run to run: a series for each quantile of each workload.

Runs of one workload were asked the same of the same: what comparisons ask for (`run/workload`), and
the same host. What may change under a workload without making another one of it (versions, the
contract, the machine) is kept by run, to be named where a level changed. Runs that are void for
comparisons are left out, and named. Bundles in, values out; `trend_page` shows them.
"""

from __future__ import annotations

import ipaddress
import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import urlsplit

from soundstage.errors import SoundstageError
from soundstage.reports.history.changepoints import LevelChange, changes
from soundstage.reports.history.continuity_trend import (
    ContinuitySeries,
    Heard,
    continuity_series,
)
from soundstage.reports.history.trend_series import Point, TrendSeries
from soundstage.reports.run.summary import Summary, expected_milestones, summary_of
from soundstage.reports.run.workload import stated, voids
from soundstage.reports.words import milestone_label, plain, setting_words
from soundstage.results.bundle import Bundle
from soundstage.results.intake import take_in
from soundstage.results.run_history import RunEntry

#: Quantiles that have a series of their own.
ORDERS = (0.5, 0.95)
#: Reasons for which runs cannot be compared that make another workload. The rest change under it.
_APART = frozenset({"kind", "workload", "rate", "scenario", "target", "profile"})
#: Another machine weakens a comparison and does not forbid it.
_MACHINE = "machine"
#: So many parameters are named to tell workloads apart that are called alike.
_NAMED = 3

Facts = dict[tuple[str, str], object]


@dataclass(frozen=True, slots=True)
class LeftOutRun:
    """A run that is in no series, and why."""

    run: RunEntry
    why: str


@dataclass(frozen=True, slots=True)
class Workload:
    """Runs of one workload, the oldest first, and their series, those of headline milestones first.
    `target` and `load` say in words what was asked how; `noted` has by run what may change;
    `continuity` is of the endpoints that somebody listened at.
    """

    target: str
    load: str
    runs: tuple[RunEntry, ...]
    series: tuple[TrendSeries, ...]
    noted: Mapping[str, Facts] = field(default_factory=dict)
    continuity: tuple[ContinuitySeries, ...] = ()

    @property
    def name(self) -> str:
        """`emulator, profile realistic, 4/s`"""
        return f"{self.target}, {self.load}"

    def changed(self, before: RunEntry, after: RunEntry) -> list[str]:
        """What else changed from one run to another: `soundstage 0.1.0, then 0.2.0`."""
        one, other = self.noted.get(before.id, {}), self.noted.get(after.id, {})
        return [
            f"{plain(fact[1], 60)} {setting_words(one.get(fact), 60)}, "
            f"then {setting_words(other.get(fact), 60)}"
            for fact in self._unlike(before, after)
        ]

    def allowed(self, before: RunEntry, after: RunEntry) -> list[str]:
        """The reasons that a comparison of the two has to allow."""
        unlike = (reason for reason, _ in self._unlike(before, after))
        return sorted({reason for reason in unlike if reason != _MACHINE})

    def _unlike(self, before: RunEntry, after: RunEntry) -> list[tuple[str, str]]:
        one, other = self.noted.get(before.id, {}), self.noted.get(after.id, {})
        return [fact for fact in {**one, **other} if one.get(fact) != other.get(fact)]


@dataclass(frozen=True, slots=True)
class Trend:
    """The workloads, that of the newest run first, and what is in none."""

    workloads: tuple[Workload, ...]
    left_out: tuple[LeftOutRun, ...]

    def to_json(self) -> dict[str, Any]:
        """Series with their numbers by workload, and the runs that are left out."""
        return {
            "workloads": [
                {
                    "target": each.target,
                    "load": each.load,
                    "runs": [run.id for run in each.runs],
                    "series": [one.to_json() for one in each.series],
                    **(
                        {"continuity": [one.to_json() for one in each.continuity]}
                        if each.continuity
                        else {}
                    ),
                }
                for each in self.workloads
            ],
            "left_out": [{"run": each.run.id, "why": each.why} for each in self.left_out],
        }


def trend(entries: Iterable[RunEntry], milestones: Sequence[str] = ()) -> Trend:
    """The series of these runs; of all milestones unless some are named."""
    gathered: dict[str, _Gathered] = {}
    left_out = []
    for entry in sorted(entries, key=lambda each: (each.created or "", each.id)):
        try:
            bundle = Bundle.open(entry.path)
            void = next(voids(bundle.run), None)
            summary = None if void else _summary(bundle)
            void = void or next(voids(bundle.run, bundle.torn), None)
        except SoundstageError as error:
            left_out.append(LeftOutRun(entry, f"cannot be read: {plain(error, 200)}"))
            continue
        if void or summary is None:
            why = "nothing was measured" if void is None else f"{void[0]}: {plain(void[1], 200)}"
            left_out.append(LeftOutRun(entry, why))
            continue
        facts, host = stated(bundle.run), _host(bundle.run["target"])
        apart = {fact: value for fact, value in facts.items() if fact[0] in _APART}
        key = json.dumps([host, sorted((*fact, value) for fact, value in apart.items())])
        found = gathered.setdefault(key, _Gathered(bundle.run, host, apart))
        found.add(entry, bundle.run, summary, milestones)
    made = [each.workload(list(gathered.values())) for each in gathered.values()]
    made.sort(key=lambda each: (each.runs[-1].created or "", each.runs[-1].id), reverse=True)
    return Trend(tuple(made), tuple(left_out))


def _summary(bundle: Bundle) -> Summary | None:
    """None where no exchange was measured."""
    expected = expected_milestones(bundle.run, list(bundle.rules()))
    summary = summary_of(take_in(bundle, times_only=True), expected, bundle.run)
    return summary if any(group.milestones for group in summary.groups) else None


class _Gathered:
    """The runs of one workload while they are read."""

    def __init__(self, run: Mapping[str, Any], host: str, apart: Facts) -> None:
        self.target, self.load = _target_words(run["target"], host), _load_words(run)
        self.apart = apart
        self.runs: list[RunEntry] = []
        self.noted: dict[str, Facts] = {}
        self.points: dict[tuple[str, str, str, float], list[Point]] = {}
        self.heard: list[Heard] = []
        #: By place and milestone: how it is called, and where it stands among the headlines.
        self.labels: dict[tuple[str, str, str], tuple[str, int | None]] = {}

    def add(
        self,
        entry: RunEntry,
        run: Mapping[str, Any],
        summary: Summary,
        milestones: Sequence[str],
    ) -> None:
        """Take in the quantiles of a run."""
        self.runs.append(entry)
        self.noted[entry.id] = _noted(run)
        for group in summary.groups:
            if group.playback is not None and group.playback.continuity.heard:
                share = group.playback.continuity
                self.heard.append((entry, group.api, group.endpoint, share))
            headline = group.names.headline
            for one in group.milestones:
                if milestones and one.name not in milestones:
                    continue
                place = group.api, group.endpoint, one.name
                rank = headline.index(one.name) if one.name in headline else None
                self.labels[place] = milestone_label(group.names, one.name), rank
                for at, quantile in enumerate(one.intended):
                    if quantile.order in ORDERS:
                        low = None if one.low is None else one.low.intended[at]
                        key = (*place, quantile.order)
                        self.points.setdefault(key, []).append(Point(entry, one.n, quantile, low))

    def workload(self, all_: Sequence[_Gathered]) -> Workload:
        """What came together; `all_` are those from which its name has to tell it."""
        alike = [each for each in all_ if (each.target, each.load) == (self.target, self.load)]
        load = self.load
        if len(alike) > 1:
            facts = {fact for each in alike for fact in each.apart}
            unlike = [
                f"{plain(fact[1], 40)} {setting_words(self.apart.get(fact), 60)}"
                for fact in sorted(facts)
                if any(each.apart.get(fact) != self.apart.get(fact) for each in alike)
            ]
            load = ", ".join([load, *unlike[:_NAMED]])
        series = [self._series(key, points) for key, points in self.points.items()]
        series.sort(key=self._rank)
        heard = continuity_series(self.heard)
        return Workload(self.target, load, tuple(self.runs), tuple(series), self.noted, heard)

    def _series(self, key: tuple[str, str, str, float], points: Sequence[Point]) -> TrendSeries:
        label, rank = self.labels[key[:3]]
        return TrendSeries(*key, tuple(points), _changes(points), label, rank is not None)

    def _rank(self, one: TrendSeries) -> tuple[bool, str, str, int]:
        _, rank = self.labels[one.api, one.endpoint, one.milestone]
        # The sort is stable: what has no rank stays as it is reached.
        return rank is None, one.api, one.endpoint, rank or 0


def _changes(points: Sequence[Point]) -> tuple[LevelChange, ...]:
    known = [(at, point.level) for at, point in enumerate(points) if point.level is not None]
    found = changes([level for _, level in known])
    return tuple(LevelChange(known[each.at][0], each.ratio, each.p) for each in found)


def _noted(run: Mapping[str, Any]) -> Facts:
    """What may change under a workload."""
    found = {fact: value for fact, value in stated(run).items() if fact[0] not in _APART}
    for api, contract in run["contracts"].items():
        found["contract", f"contract of {api}"] = contract["sha256"][:12]
    found[_MACHINE, "machine"] = run["machine"]["system"]
    found[_MACHINE, "CPUs"] = run["machine"]["cpus"]
    return found


def _host(target: Mapping[str, Any]) -> str:
    """Whom a target is, beside its kind: its host. None of this machine, whose servers and ports
    come and go.
    """
    if target["kind"] == "emulator":
        return ""
    try:
        parts = urlsplit(target["url"])
    except ValueError:
        return ""
    try:
        at_home = ipaddress.ip_address(parts.hostname or "").is_loopback
    except ValueError:  # a name
        at_home = parts.hostname in (None, "localhost")
    return "" if at_home else plain(parts.netloc, 80)


def _target_words(target: Mapping[str, Any], host: str) -> str:
    """`emulator, profile realistic, 100× faster than life`; `live, api.example.com`."""
    said = [plain(target["kind"], 20)]
    if host:
        said.append(host)
    if target.get("profile"):
        said.append(f"profile {plain(target['profile'], 60)}")
    if target.get("speed") not in (None, 1):
        said.append(f"{target['speed']:g}× faster than life")
    return ", ".join(said)


def _load_words(run: Mapping[str, Any]) -> str:
    """`4/s`, `10 users`, `scenario soak: 4/s for 1 h`, `contract checks`."""
    if run["kind"] == "check":
        return "contract checks"
    asked = run["parameters"]
    rate, users, phases = asked.get("rate"), asked.get("users"), asked.get("phases")
    if isinstance(rate, int | float):
        said = f"{rate:g}/s"
    elif isinstance(users, int):
        said = f"{users:,} users"
    elif isinstance(phases, list) and phases:
        said = plain(", ".join(map(str, phases[:4])), 80)
    else:
        said = "load"
    named = asked.get("scenario")
    return said if named in (None, "load") else f"scenario {plain(named, 40)}: {said}"
