"""A scenario: what a load run sends, when, and what it has to show. Read from `scenario.toml`.

Values only: nothing here sends. A file that is not fully understood is refused by file, place and
reason (`scenario.schema.json`); it is never half-read.
"""

from __future__ import annotations

import math
import re
import tomllib
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from functools import cache
from importlib.resources import files
from pathlib import Path
from typing import Any

import orjson

from soundstage.errors import UsageError
from soundstage.loadtests import arrivals
from soundstage.loadtests.arrivals import Phase, Piece, Recorded
from soundstage.loadtests.moments import read_moments

_UNITS = {"ms": 0.001, "s": 1.0, "m": 60.0, "h": 3600.0, "": 1.0}
_DURATION = re.compile(r"([0-9]+(?:\.[0-9]+)?)(ms|s|m|h|)")
_ROOM = "soundstage.loadtests"
_FOLDER = "scenarios"
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
    and `seconds`. `parts` without an API ("") are for every version.
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
        if self.warmup_s <= 0 or not phases or isinstance(phases[0], Recorded):
            return phases
        if phases[0].start == 0:
            raise UsageError(
                "a warm-up goes at the rate with which the phases begin, and that is 0: "
                "begin with a phase at some rate, or leave the warm-up out"
            )
        return [Piece(self.warmup_s, phases[0].start, phases[0].start), *phases]

    def schedule(self) -> arrivals.Schedule:
        """The moments of all arrivals, warm-up included."""
        return arrivals.schedule(self.warmed(), self.process, self.seed)

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
    """Seconds of `30s`, `2m`, `500ms`, `1h` or `30`. Raises ValueError for anything else."""
    match = _DURATION.fullmatch(text.strip())
    if match is None:
        raise ValueError(f"{text!r} is no duration; try 30s, 2m or 500ms")
    return float(match[1]) * _UNITS[match[2]]


def span(duration_s: float) -> str:
    """A duration in few letters: 500 ms, 30 s, 5 min, 2 h."""
    if duration_s < 1:
        return f"{duration_s * 1000:.3g} ms"
    for unit, name in ((3600.0, "h"), (60.0, "min")):
        if duration_s >= unit and (duration_s / unit) == round(duration_s / unit, 1):
            return f"{duration_s / unit:g} {name}"
    return f"{duration_s:.4g} s"


def ready() -> dict[str, Scenario]:
    """The scenarios that come along, by name, the lightest first."""
    folder = files(_ROOM).joinpath(_FOLDER)
    names = (each.name.removesuffix(".toml") for each in folder.iterdir())
    found = {name: find_scenario(name) for name in names if not name.startswith(("_", "."))}
    return dict(sorted(found.items(), key=lambda item: arrivals.expected(item[1].phases)))


def find_scenario(name: str) -> Scenario:
    """The scenario that comes along under a name, or else the one in a file.

    Raises UsageError if there is neither, or the file is not understood.
    """
    if re.fullmatch(r"[a-z][a-z0-9-]*", name):
        place = files(_ROOM).joinpath(_FOLDER, f"{name}.toml")
        if place.is_file():
            return parse_scenario(place.read_text("utf-8"), Path(f"{name}.toml"))
    path = Path(name)
    if not path.is_file():
        names = ", ".join(ready())
        raise UsageError(f"--scenario {name}: no such file, and none that comes along: {names}")
    try:
        return parse_scenario(path.read_text("utf-8"), path)
    except (OSError, UnicodeDecodeError) as error:
        raise UsageError(f"{path}: cannot read: {error}") from error


def parse_scenario(text: str, path: Path) -> Scenario:
    """The scenario that a TOML text describes; `path` names it, and files that it names lie
    beside it. Raises UsageError with file, place and reason.
    """
    try:
        data = tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        raise UsageError(f"{path}: not TOML: {error}") from error
    _refuse(data, path)
    parts = tuple(
        Part(row.get("api", ""), row.get("endpoint", STREAM), float(row.get("weight", 1.0)))
        for row in data.get("traffic", ())
    )
    phases: list[Phase] = []
    for number, row in enumerate(data.get("phase", ())):
        try:
            phases += _phases(row, path)
        except ValueError as error:
            raise UsageError(f"{path}: [phase][{number}]: {error}") from error
    corpus = data.get("corpus")
    times = {
        name: _time(data[key])
        for key, name in (
            ("duration", "seconds"),
            ("warmup", "warmup_s"),
            ("drain", "drain_s"),
            ("timeout", "timeout_s"),
            ("idle_timeout", "idle_timeout_s"),
        )
        if key in data
    }
    scenario = Scenario(
        name=path.stem,
        description=data.get("description", ""),
        phases=tuple(phases),
        process=data.get("arrivals", "poisson"),
        users=data.get("users"),
        max_in_flight=data.get("max_in_flight"),
        seed=data.get("seed", 0),
        parts=parts,
        corpus=None if corpus is None else str(path.parent / Path(corpus).expanduser()),
        slos=tuple(data.get("slo", ())),
        abort_on_hopeless=data.get("abort_on_hopeless", False),
        **times,
    )
    if scenario.users is None and not arrivals.expected(scenario.phases) > 0:
        raise UsageError(f"{path}: [phase]: no arrivals at all")
    if scenario.users is not None and scenario.max_in_flight is not None:
        raise UsageError(f"{path}: [max_in_flight]: users have at most one in flight each")
    try:
        scenario.warmed()
    except UsageError as error:
        raise UsageError(f"{path}: [warmup]: {error}") from error
    return scenario


def _phases(row: Mapping[str, Any], path: Path) -> list[Phase]:
    kind = row["kind"]
    if kind == "constant":
        return arrivals.steady(row["rate"], _time(row["duration"]))
    if kind == "ramp":
        return arrivals.ramp(row["from"], row["to"], _time(row["duration"]))
    if kind == "steps":
        return arrivals.steps(row["rates"], _time(row["each"]))
    if kind == "spike":
        around = (_time(row[name]) for name in ("before", "during", "after"))
        return arrivals.spike(row["rate"], row["peak"], *around)
    if kind == "soak":
        rise, whole = _time(row.get("rise", 0)), _time(row["duration"])
        if rise >= whole:
            raise ValueError("rise: shorter than the duration")
        return arrivals.soak(row["rate"], rise, whole)
    recorded = path.parent / Path(row["file"]).expanduser()
    return arrivals.replay(read_moments(recorded), row.get("pace", 1.0))


def _time(value: str | float) -> float:
    return seconds(value) if isinstance(value, str) else float(value)


def _phase_words(phase: Phase) -> str:
    if isinstance(phase, Recorded):
        return f"{len(phase.moments)} recorded arrivals in {span(phase.seconds)}"
    if phase.start == phase.end:
        return f"{phase.start:g}/s for {span(phase.seconds)}"
    return f"{phase.start:g} to {phase.end:g}/s in {span(phase.seconds)}"


def _refuse(data: Any, path: Path) -> None:
    for wrong in _validator().iter_errors(_plain(data)):
        place = "".join(f"[{part}]" for part in wrong.instance_path)
        raise UsageError(f"{path}: {place or 'the file'}: {_reason(wrong)}")


def _reason(wrong: Any) -> str:
    """The validator's own words, but for those that only speak of the schema."""
    keyword = wrong.schema_path[-1] if wrong.schema_path else ""
    if keyword == "oneOf":
        return "either phases, or users with a duration"
    if keyword == "anyOf":
        return f"{wrong.instance!r} is no duration; try '30s', '2m' or '500ms'"
    return str(wrong.message)


def _plain(value: Any) -> Any:
    """TOML has dates, inf and nan, which JSON has not; as text they are refused with a reason."""
    if isinstance(value, dict):
        return {key: _plain(inner) for key, inner in value.items()}
    if isinstance(value, list):
        return [_plain(inner) for inner in value]
    if isinstance(value, float) and not math.isfinite(value):
        return str(value)
    return value if isinstance(value, str | int | float | bool) else str(value)


@cache
def _validator() -> Any:
    import jsonschema_rs

    schema = files(_ROOM).joinpath("scenario.schema.json").read_bytes()
    return jsonschema_rs.Draft202012Validator(orjson.loads(schema))


def spread(parts: Iterable[Part], apis: Iterable[str]) -> tuple[Part, ...]:
    """The parts with every one that names no API given to each of `apis`."""
    found: list[Part] = []
    known = list(apis)
    for part in parts:
        found += [part] if part.api else [replace(part, api=api) for api in known]
    return tuple(found)
