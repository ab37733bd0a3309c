"""Where profiles come from: those of `profiles.json` by name, and a user's own from a file.

`profile.schema.json` says which words a profile has; whatever else stands there is refused.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Mapping
from functools import cache
from importlib.resources import files
from pathlib import Path
from typing import Any, Final

import jsonschema_rs
import orjson

from soundstage.contract import Contract, load_sound
from soundstage.emulator.pace.capacity import SlowDown
from soundstage.emulator.pace.profile import ApiProfile, ChunkCounts, Profile, delay
from soundstage.errors import UsageError
from soundstage.near_names import did_you_mean
from soundstage.output.cutting import head

__all__ = ["Profile", "check_names", "from_data", "profile", "profiles"]

_BUILT_IN: Final = "profiles.json"
_LARGEST: Final = 1024 * 1024
#: The words whose entries are by stage (by error: `refusals`).
_BY_STAGE: Final = ("stages", "chunks", "failures", "refusals")
_ONE_DELAY: Final = "give a delay exactly one of `median`, `exponential`, `constant`"


@cache
def profiles() -> Mapping[str, Profile]:
    """Every profile that comes with the emulator, by name."""
    data = json.loads(files(__package__).joinpath(_BUILT_IN).read_bytes())
    return {name: from_data(name, entry, f"{_BUILT_IN}#/{name}") for name, entry in data.items()}


def profile(text: str) -> Profile:
    """The profile of that name, or of that file if the name ends in `.json`.

    Raises UsageError if there is none, or the file is not what `profile.schema.json` asks for.
    """
    found = profiles().get(text)
    if found is not None:
        return found
    if not text.endswith(".json"):
        names = ", ".join(profiles())
        raise UsageError(
            f"no profile is called {text!r}: there are {names}; a file's name ends in .json"
            f"{did_you_mean(text, profiles())}"
        )
    return _from_file(Path(text))


def _from_file(path: Path) -> Profile:
    try:
        with path.open("rb") as file:
            raw = file.read(_LARGEST + 1)
    except OSError as error:
        raise UsageError(f"{path}: cannot read this profile: {error.strerror}") from error
    if len(raw) > _LARGEST:
        raise UsageError(f"{path}: larger than {_LARGEST} bytes, no profile is")
    try:
        data = json.loads(raw, object_pairs_hook=_once)
        orjson.dumps(data)  # as the admin API will: not too deep, no half of a surrogate pair
    except json.JSONDecodeError as error:
        raise UsageError(f"{path}:{error.lineno}:{error.colno}: {error.msg}") from error
    except (ValueError, TypeError, RecursionError) as error:
        raise UsageError(f"{path}: not JSON that can be read: {error}") from error
    # The name goes into run bundles: which file it was must show, where it lay must not.
    made = from_data(f"{path.stem}@{hashlib.sha256(raw).hexdigest()[:8]}", data, str(path))
    sound, broken = load_sound()
    for api in data.get("apis", {}):
        if api in broken:
            raise broken[api]
    check_names(data, str(path), sound)
    return made


def _once(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    result: dict[str, Any] = {}
    for name, value in pairs:
        if name in result:
            raise ValueError(f"{head(name, 60)!r} stands twice in one object")
        result[name] = value
    return result


def from_data(name: str, data: Any, place: str) -> Profile:
    """A profile out of JSON data; `place` says where it stood, for the message.

    Raises UsageError with place, pointer and reason for the first thing that is wrong with it.
    """
    wrong = _first_wrong(data)
    if wrong is not None:
        raise UsageError(f"{place}: {wrong}")
    slowdown = data.get("slowdown")
    made = Profile(
        name=name,
        description=data["description"],
        course=_course(data),
        apis={api: _course(_merged(data, own)) for api, own in data.get("apis", {}).items()},
        jitter=delay(data["jitter"]) if "jitter" in data else None,
        slots=data.get("slots"),
        queue=data.get("queue"),
        slowdown=SlowDown(**slowdown) if slowdown else None,
        progress=data.get("progress"),
        fitted=data.get("fitted", {}),
    )
    for course in (made.course, *made.apis.values()):
        for word, shares in (("failures", course.failures), ("refusals", course.refusals)):
            if sum(shares.values()) > 1 + 1e-9:
                raise UsageError(f"{place}: /{word}: the shares come to more than 1")
    return made


def _merged(data: Mapping[str, Any], own: Mapping[str, Any]) -> Mapping[str, Any]:
    by_stage = {word: {**data.get(word, {}), **own.get(word, {})} for word in _BY_STAGE}
    return {**data, **own, **by_stage}


def check_names(data: Mapping[str, Any], place: str, contracts: Mapping[str, Contract]) -> None:
    """Hold the names in a profile's data against those of the contracts that there are.

    Raises UsageError for an API version, stage or error that no contract has, and for a number of
    chunks that a contract does not allow.
    """
    for pointer, part in _courses(data):
        api = pointer.removeprefix("/apis/")
        if pointer and api not in contracts:
            raise UsageError(f"{place}: {pointer}: no such API version: {_names(contracts)}")
        served = [contracts[api]] if pointer else list(contracts.values())
        stages = {stage.name for contract in served for stage in contract.protocol.stages}
        errors = {error.name for contract in served for error in contract.errors.known}
        for word in _BY_STAGE:
            known, noun = (errors, "error") if word == "refusals" else (stages, "stage")
            for name in part.get(word, {}):
                if name not in known:
                    where = f"{place}: {pointer}/{word}/{name}"
                    raise UsageError(f"{where}: no such {noun}: {_names(known)}")
        for stage, weights in part.get("chunks", {}).items():
            for contract in served:
                wrong = _not_so_many(contract, stage, weights)
                if wrong is not None:
                    raise UsageError(f"{place}: {pointer}/chunks/{stage}: {wrong}")


def _not_so_many(contract: Contract, stage: str, weights: Iterable[str]) -> str | None:
    found = contract.protocol.by_name.get(stage)
    if found is None:
        return None
    least, most = found.times
    least = max(1, least) if found.charges else least
    for number in map(int, weights):
        if number < least or (most is not None and number > most):
            wanted = f"at least {least}" if most is None else f"{least} to {most}"
            return f"{number} chunks, but {contract.api} has {wanted} of this stage"
    return None


def _names(names: Iterable[str]) -> str:
    return f"there are {', '.join(sorted(names))}"


def _courses(data: Mapping[str, Any]) -> list[tuple[str, Mapping[str, Any]]]:
    own = data.get("apis", {})
    return [("", data), *((f"/apis/{api}", part) for api, part in own.items())]


def _course(data: Mapping[str, Any]) -> ApiProfile:
    return ApiProfile(
        default=delay(data["default"]),
        stages={stage: delay(each) for stage, each in data.get("stages", {}).items()},
        first=delay(data["first"]) if "first" in data else None,
        service=delay(data["service"]) if "service" in data else None,
        chunks={
            stage: ChunkCounts.of({int(number): weight for number, weight in weights.items()})
            for stage, weights in data.get("chunks", {}).items()
        },
        failures=data.get("failures", {}),
        refusals=data.get("refusals", {}),
    )


@cache
def _validator() -> jsonschema_rs.Validator:
    schema = json.loads(files(__package__).joinpath("profile.schema.json").read_bytes())
    return jsonschema_rs.validator_for(schema)


def _first_wrong(data: Any) -> str | None:
    """`/pointer: reason` of what is wrong, None if nothing is."""
    try:
        errors = list(_validator().iter_errors(data))
    except ValueError as refused:  # nested deeper than the validator goes, or half a pair
        return f"(whole): {refused}"
    if not errors:
        return None
    # A misspelt word also breaks the rule that one of the right words must stand there.
    error = min(errors, key=lambda each: each.schema_path[-1] == "oneOf")
    pointer = "".join(f"/{step}" for step in error.instance_path)
    reason = _ONE_DELAY if error.schema_path[-1] == "oneOf" else str(error.message)
    return f"{pointer or '(whole)'}: {head(reason, 300)}"
