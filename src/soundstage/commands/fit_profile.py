"""Makes a profile of the emulator out of a run bundle, for `soundstage emulate --profile-from`.

Reads the rows and says what each was: a stream that came to its end, failed, was cut, or a request
that was refused. The arithmetic is `emulator/pace/profile_fit.py`'s.
"""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from soundstage.errors import NoDataError, UsageError
from soundstage.output import visible
from soundstage.output.written_files import put

if TYPE_CHECKING:
    from soundstage.contract import Contract
    from soundstage.emulator.pace.profile_fit import RecordedApi, RecordedStream
    from soundstage.results.bundle import Bundle

#: What the reason of a row begins with whose answer was a documented error: its name follows.
_DOCUMENTED = "api."
#: Statuses by which a service says that it has no room: nothing was wrong with these requests.
_NO_ROOM = (429, 500)
#: Nobody waits longer than a day for a song (seconds); profiles know no longer delay either.
_LONGEST_S = 86_400.0
_NEVER_SENT = "dropped"


def fitted_profile(folder: Path) -> dict[str, Any]:
    """The JSON data of a profile that goes as the run in `folder` went.

    Raises UsageError for what is no bundle, or holds API versions that there is no contract of,
    NoDataError where no stream was recorded.
    """
    from soundstage import __version__
    from soundstage.emulator.pace.profile_fit import fit
    from soundstage.results.bundle import Bundle

    bundle = Bundle.open(folder)
    recordings, contracts, left_out = _recordings(bundle)
    try:
        data = fit(recordings, contracts)
    except ValueError as error:
        raise NoDataError(f"{folder}: nothing to fit a profile from: {error}") from None
    run, target = bundle.run, bundle.run["target"]
    told = sum(each["streams"] for each in data["fitted"]["apis"].values())
    day = run["created"].partition("T")[0]
    origin = f"Run {_plain(run['id'])} of {_plain(day)}."
    of = "the live API" if target["kind"] == "live" else f"a target of the kind {target['kind']}"
    return {
        "description": f"Fitted to {told} streams of {of}. {origin}",
        "default": data["default"],
        "stages": {},
        "apis": data["apis"],
        "fitted": {
            "run": run["id"],
            "created": run["created"],
            "kind": target["kind"],
            **{name: target[name] for name in ("profile", "speed") if target.get(name) is not None},
            "complete": bundle.complete,
            "soundstage": __version__,
            "left_out": dict(sorted(left_out.items())),
            **data["fitted"],
        },
    }


def _recordings(
    bundle: Bundle,
) -> tuple[dict[str, RecordedApi], dict[str, Contract], Counter[str]]:
    """What a run recorded of each API version, its contract, and how many rows tell nothing of how
    generations go, by the reason.
    """
    from soundstage.contract import available, load
    from soundstage.emulator.pace.profile_fit import RecordedApi

    # An emulator in a hurry: its profile is told in the times of life, as all profiles are.
    speed = bundle.run["target"].get("speed") or 1.0
    contracts: dict[str, Contract] = {}
    found: dict[str, RecordedApi] = {}
    left_out: Counter[str] = Counter()
    for row in bundle.exchanges():
        api = row["api"]
        if api not in contracts:
            if api not in available():
                place = f"{bundle.path}: API version {api!r}"
                raise UsageError(f"{place}: there is no contract of it here")
            contracts[api], found[api] = load(api), RecordedApi()
        contract, of_api = contracts[api], found[api]
        reason = _left_out(row, contract)
        if reason is None and row["outcome"] == "refused":
            error = _no_room(row, contract)
            if error is None:
                reason = "refused for a reason of its own"
            else:
                of_api.requests += 1
                of_api.refused[error] += 1
        elif reason is None and not row["stages"]:
            # It may have become a generation: of the requests it is one.
            of_api.requests += 1
            reason = "no chunk came"
        elif reason is None:
            recorded = _recorded(row, contract, speed)
            if recorded is None:
                reason = "of times that cannot be"
            else:
                of_api.requests += 1
                of_api.streams.append(recorded)
        if reason is not None:
            left_out[reason] += 1
    return found, contracts, left_out


def _plain(text: str) -> str:
    """A bundle may come from anybody: nothing that a terminal would act on."""
    return "".join(each if each.isprintable() else "?" for each in text[:200])


def _left_out(row: Mapping[str, Any], contract: Contract) -> str | None:
    """Why a row tells nothing about how generations go; None if it does."""
    endpoint = contract.endpoints.get(row["endpoint"])
    if endpoint is None or endpoint.kind != "stream":
        return "not a stream"
    if row.get("probe"):
        return "a probe"
    if row.get("warmup"):
        return "warm-up"
    return "never sent" if row["outcome"] == _NEVER_SENT else None


def _no_room(row: Mapping[str, Any], contract: Contract) -> str | None:
    """The error by which the service refused a request that was all right; None if it was not."""
    status = row.get("http_status") or 0
    if status != _NO_ROOM[0] and status < _NO_ROOM[1]:
        return None
    known = contract.errors.known
    reason = row.get("reason") or ""
    name = reason.removeprefix(_DOCUMENTED)
    if reason.startswith(_DOCUMENTED) and any(error.name == name for error in known):
        return name
    return next((error.name for error in known if error.status == status), None)


def _recorded(row: Mapping[str, Any], contract: Contract, speed: float) -> RecordedStream | None:
    """What the stream of a row was; None where its times cannot be."""
    from soundstage.emulator.pace.profile_fit import RecordedStream, StageTimes

    stages = contract.protocol.by_name
    seen = []
    times = [each for first, last, _ in row["stages"].values() for each in (first, last)]
    if not all(0 <= each <= _LONGEST_S for each in (*times, row.get("ended") or 0.0)):
        return None
    for label, (first, last, count) in row["stages"].items():
        stage = label.partition("#")[0]
        if stage in stages:
            seen.append(StageTimes(stage, first * speed, last * speed, int(count)))
    latest = max((last for _, last, _ in row["stages"].values()), default=0.0)
    end: Literal["whole", "failed", "cut"] = "cut"
    if any(stages[each.stage].failure for each in seen):
        end = "failed"
    elif row["outcome"] == "ok":
        end = "whole"
    return RecordedStream(row["api"], tuple(seen), end, (row.get("ended") or latest) * speed)


def write(data: Mapping[str, Any], path: Path) -> None:
    """Write a profile's file; raises SoundstageError where it cannot."""
    put(path, visible.in_json(json.dumps(data, indent=2, ensure_ascii=False)) + "\n")


def told(data: Mapping[str, Any]) -> str:
    """What was fitted, as lines for a person: a stage a line, medians in seconds."""
    fitted = data["fitted"]
    lines = [data["description"]]
    if fitted["kind"] != "live":
        lines.append("This says nothing about the live API: the run was not against it.")
    for api, course in data["apis"].items():
        used = fitted["apis"][api]
        counted = ", ".join(f"{used[end]} {end}" for end in ("whole", "failed", "cut"))
        lines.append(f"{api}: {used['streams']} streams ({counted})")
        for stage, delay in course["stages"].items():
            middle = delay.get("median", delay.get("constant", 0.0))
            spread = f"  sigma {delay['sigma']:.2f}" if "sigma" in delay else ""
            lines.append(f"  {stage:<20}{middle:9.3f} s{spread}  n={used['delays'][stage]}")
        for word in ("failures", "refusals"):
            lines += [f"  {word} {name:<20}{share:8.1%}" for name, share in course[word].items()]
    return visible.lines(lines)
