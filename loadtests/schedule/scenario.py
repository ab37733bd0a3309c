"""A scenario: what a load run sends, when, and what it has to show.

Values only: nothing here sends, or reads a file (`scenario_file.py` does).
"""

from __future__ import annotations

import math
import re
from collections.abc import Iterable
from dataclasses import dataclass, replace

from soundstage.contract import Contract
from soundstage.contract.protocol import Endpoint
from soundstage.errors import UsageError
from soundstage.loadtests.schedule import arrivals
from soundstage.loadtests.schedule.arrivals import Phase, Piece, RecordedArrivals
from soundstage.near_names import did_you_mean
from soundstage.output.cutting import head

_UNITS = {"ms": 0.001, "s": 1.0, "m": 60.0, "h": 3600.0, "": 1.0}
_DURATION = re.compile(r"([0-9]+(?:\.[0-9]+)?)(ms|s|m|h|)")
#: The longest of all durations, in seconds: some months.
LONGEST_S = 1e7
#: The kind of endpoint that is loaded where nothing else is asked for.
STREAM = "stream"


@dataclass(frozen=True, slots=True)
class Part:
    """A part of the mixture: the endpoint (by name, else by kind) of an API version, and how many
    requests it gets in proportion to the others.
    """

    api: str
    endpoint: str = STREAM
    weight: float = 1.0


@dataclass(frozen=True, slots=True)
class Scenario:
    """What a load run does. Times are seconds. An open loop has `phases`, a closed one `users`
    and `seconds`. `parts` without an API ("") are for every version. `songs`: an open loop of one
    rate ends after so many arrivals, not with its phase.
    """

    name: str = "load"
    description: str = ""
    phases: tuple[Phase, ...] = ()
    process: str = "poisson"
    users: int | None = None
    seconds: float = 0.0
    warmup_s: float = 0.0
    drain_s: float = 120.0
    timeout_s: float = 600.0
    idle_timeout_s: float = 180.0
    max_in_flight: int | None = None
    seed: int = 0
    parts: tuple[Part, ...] = ()
    corpus: str | None = None
    slos: tuple[str, ...] = ()
    abort_on_hopeless: bool = False
    songs: int | None = None

    @property
    def length(self) -> float:
        """Seconds in which requests start, without the warm-up."""
        return self.seconds if self.users is not None else arrivals.length(self.phases)

    def warmed(self) -> list[Phase]:
        """The phases with the warm-up before them, at the rate with which they begin.

        A replay has its warm-up within: its first seconds. Raises UsageError where the rate begins
        at 0, so that there would be no warm-up at all.
        """
        phases = list(self.phases)
        if self.warmup_s <= 0 or not phases or isinstance(phases[0], RecordedArrivals):
            return phases
        if phases[0].start == 0:
            raise UsageError(
                "a warm-up goes at the rate with which the phases begin, and that is 0: "
                "begin with a phase at some rate, or leave the warm-up out"
            )
        return [Piece(self.warmup_s, phases[0].start, phases[0].start), *phases]

    def schedule(self) -> arrivals.Schedule:
        """The moments of all arrivals, warm-up included."""
        phases = self.warmed()
        if self.songs is None:
            return arrivals.schedule(phases, self.process, self.seed)
        last = phases[-1]
        assert isinstance(last, Piece)
        endless = [*phases[:-1], replace(last, seconds=math.inf)]
        whole = arrivals.schedule(endless, self.process, self.seed)
        return arrivals.first(whole, self.songs, self.warmup_s)

    def over(self, seconds: float) -> Scenario:
        """The same in `seconds`, every phase longer or shorter in proportion.

        Raises UsageError for a replay, whose times are those of its file.
        """
        if self.users is not None:
            return replace(self, seconds=seconds)
        pieces = [phase for phase in self.phases if isinstance(phase, Piece)]
        if len(pieces) < len(self.phases):
            raise UsageError("--duration: a replay lasts as long as its file says")
        factor = seconds / self.length
        stretched = (replace(each, seconds=each.seconds * factor) for each in pieces)
        return replace(self, phases=tuple(stretched))

    def words(self) -> list[str]:
        """The phases in words, one each."""
        if self.users is not None:
            return [f"{self.users} users for {span(self.seconds)}"]
        return [_phase_words(phase) for phase in self.phases]


def seconds(text: str) -> float:
    """Seconds of `30s`, `2m`, `500ms`, `1h` or `30`. Raises ValueError for anything else, and for
    more than anybody waits.
    """
    match = _DURATION.fullmatch(text.strip())
    if match is None:
        raise ValueError(f"{head(text, 60)!r} is no duration; try 30s, 2m or 500ms")
    found = float(match[1]) * _UNITS[match[2]]
    if found > LONGEST_S:
        raise ValueError(f"{head(text, 60)!r} is too long: at most {LONGEST_S:,.0f} seconds")
    return found


def span(duration_s: float) -> str:
    """A duration in few letters: 500 ms, 30 s, 5 min, 2 h, 2.78 h."""
    if duration_s < 1:
        return f"{duration_s * 1000:.3g} ms"
    for unit, name in ((3600.0, "h"), (60.0, "min")):
        if duration_s >= unit and (duration_s / unit) == round(duration_s / unit, 1):
            return f"{duration_s / unit:g} {name}"
    if duration_s >= 7200:
        return f"{duration_s / 3600:,.2f} h"
    return f"{duration_s:.4g} s"


def _phase_words(phase: Phase) -> str:
    if isinstance(phase, RecordedArrivals):
        return f"{len(phase.moments)} recorded arrivals in {span(phase.seconds)}"
    if phase.start == phase.end:
        return f"{phase.start:g}/s for {span(phase.seconds)}"
    return f"{phase.start:g} to {phase.end:g}/s in {span(phase.seconds)}"


def spread(parts: Iterable[Part], apis: Iterable[str]) -> tuple[Part, ...]:
    """The parts with every one that names no API given to each of `apis`."""
    found: list[Part] = []
    known = list(apis)
    for part in parts:
        found += [part] if part.api else [replace(part, api=api) for api in known]
    return tuple(found)


def makes_songs(contract: Contract, called: str) -> Endpoint | None:
    """The endpoint of that name, or else of that kind, that makes songs; None if there is none."""
    endpoint = contract.endpoints.get(called) or contract.endpoint_of_kind(called)
    return None if endpoint is None or endpoint.request is None else endpoint


def endpoint_of(contract: Contract, called: str) -> Endpoint:
    """The endpoint of that name, or else of that kind, that makes songs.

    Raises UsageError with those that there are.
    """
    endpoint = makes_songs(contract, called)
    if endpoint is None:
        names = [e.name for e in contract.endpoints.values() if e.request is not None]
        raise UsageError(
            f"{contract.api} has no endpoint of the kind {called!r} that makes songs; "
            f"there are {', '.join(names)}{did_you_mean(called, names)}"
        )
    return endpoint
