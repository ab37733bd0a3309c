"""Scenarios as files: `scenario.toml`, and those that come along.

A file that is not fully understood is refused by file, place and reason (`scenario.schema.json`);
it is never half-read.
"""

from __future__ import annotations

import os
import re
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from functools import cache
from importlib.resources import files
from pathlib import Path
from typing import Any

import orjson

from soundstage.contract import load
from soundstage.errors import UsageError
from soundstage.loadtests.schedule import arrivals
from soundstage.loadtests.schedule.arrivals import Phase
from soundstage.loadtests.schedule.recorded_arrivals import read_moments
from soundstage.loadtests.schedule.scenario import STREAM, Part, Scenario, endpoint_of, seconds
from soundstage.near_names import did_you_mean
from soundstage.results import slo
from soundstage.untrusted import toml_text
from soundstage.untrusted.schema_refusal import first_wrong, place_of, reason_of
from soundstage.untrusted.strange_files import check_plain, read_named

_ROOM = "soundstage.loadtests"
_FOLDER = "scenarios"
#: The durations of a scenario, and what they are called there.
_TIMES = {
    "duration": "seconds",
    "warmup": "warmup_s",
    "drain": "drain_s",
    "timeout": "timeout_s",
    "idle_timeout": "idle_timeout_s",
}


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
            return parse_scenario(place.read_bytes(), Path(f"{name}.toml"))
    path = Path(name)
    if not os.path.isfile(path):
        names = ready()
        there = f"{', '.join(names)}{did_you_mean(name, names)}"
        raise UsageError(f"--scenario {name}: no such file, and none that comes along: {there}")
    try:
        text = read_named(path, most=toml_text.MOST_BYTES)
    except OSError as error:
        raise UsageError(f"{path}: cannot read: {error.strerror or error}") from error
    return parse_scenario(text, path)


def parse_scenario(text: bytes | str, path: Path) -> Scenario:
    """The scenario that a TOML text describes; `path` names it, and files that it names lie
    beside it. Raises UsageError with file, place and reason.
    """
    data = toml_text.parse(text, path)
    _refuse(data, path)
    parts = []
    for number, row in enumerate(data.get("traffic", ())):
        with _at(path, f"[traffic][{number}]"):
            parts.append(_part(row))
    phases: list[Phase] = []
    for number, row in enumerate(data.get("phase", ())):
        with _at(path, f"[phase][{number}]"):
            phases += _phases(row, path)
    for number, objective in enumerate(data.get("slo", ())):
        with _at(path, f"[slo][{number}]"):
            slo.parse(objective)
    corpus = data.get("corpus")
    times: dict[str, Any] = {}
    for key, name in _TIMES.items():
        if key in data:
            with _at(path, f"[{key}]"):
                times[name] = _time(data[key])
    scenario = Scenario(
        name=path.stem,
        description=data.get("description", ""),
        phases=tuple(phases),
        process=data.get("arrivals", "poisson"),
        users=data.get("users"),
        max_in_flight=data.get("max_in_flight"),
        seed=data.get("seed", 0),
        parts=tuple(parts),
        corpus=None if corpus is None else str(_beside(path, corpus, f"{path}: [corpus]")),
        slos=tuple(data.get("slo", ())),
        abort_on_hopeless=data.get("abort_on_hopeless", False),
        **times,
    )
    if scenario.users is None and not arrivals.expected(scenario.phases) > 0:
        raise UsageError(f"{path}: [phase]: no arrivals at all")
    if scenario.users is not None and scenario.max_in_flight is not None:
        raise UsageError(f"{path}: [max_in_flight]: users have at most one in flight each")
    with _at(path, "[warmup]"):
        scenario.warmed()
    return scenario


@contextmanager
def _at(path: Path, place: str) -> Iterator[None]:
    """What is wrong within is wrong at that place of the file."""
    try:
        yield
    except (UsageError, ValueError) as error:
        raise UsageError(f"{path}: {place}: {error}") from error


def _part(row: Mapping[str, Any]) -> Part:
    part = Part(row.get("api", ""), row.get("endpoint", STREAM), float(row.get("weight", 1.0)))
    if part.api:
        endpoint_of(load(part.api), part.endpoint)
    return part


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
    recorded = _beside(path, row["file"], "file", folder=True)
    return arrivals.replay(read_moments(recorded), row.get("pace", 1.0))


def _beside(path: Path, name: str, place: str, *, folder: bool = False) -> Path:
    """A file (or a folder) that the scenario names, found from where the scenario is."""
    try:
        found = path.parent / Path(name).expanduser()
    except RuntimeError as error:  # nobody of that name has a home
        raise UsageError(f"{place}: {error}") from error
    if not (folder and os.path.isdir(found)):
        check_plain(found, place=place)
    return found


def _time(value: str | float) -> float:
    return seconds(value) if isinstance(value, str) else float(value)


def _refuse(data: Any, path: Path) -> None:
    if found := list(_validator().iter_errors(data)):
        wrong = first_wrong(found)
        raise UsageError(f"{path}: {place_of(wrong)}: {_reason(wrong)}")


def _reason(wrong: Any) -> str:
    """The validator's own words, but for those that only speak of the schema."""
    kind = wrong.kind
    if kind.name in ("oneOf", "oneOfNotValid", "oneOfMultipleValid"):
        return "either phases, or users with a duration"
    if kind.name == "anyOf":
        return f"{wrong.instance!r} is no duration; try '30s', '2m' or '500ms'"
    return reason_of(wrong, _schema())


@cache
def _validator() -> Any:
    import jsonschema_rs

    return jsonschema_rs.Draft202012Validator(_schema())


@cache
def _schema() -> Any:
    return orjson.loads(files(_ROOM).joinpath("scenario.schema.json").read_bytes())
