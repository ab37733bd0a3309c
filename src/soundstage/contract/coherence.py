"""Whether the parts of a contract fit each other: every name leads somewhere, every stage can come.

Values in, (pointer, reason) out. What a single part may look like is `protocol.schema.json`'s.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from typing import Any

from soundstage.contract.asset_fields import DURATION, duration_of
from soundstage.contract.protocol import Endpoint, Protocol
from soundstage.contract.role_names import role_of
from soundstage.errors import UsageError
from soundstage.wire.url import parse_target

Finding = tuple[str, str]
#: Parts of rule ids that no endpoint can have as its name.
_RESERVED = ("error", "request")
#: The role of the field that says how far a generation is.
PROGRESS = "progress"


def of_protocol(data: Mapping[str, Any]) -> Iterator[Finding]:
    """What does not fit in a `protocol.json` that meets its schema."""
    stages, names = data["stages"], {stage["name"] for stage in data["stages"]}
    yield from _twice(stages, "/stages")
    yield from _twice(data["endpoints"], "/endpoints")
    for number, endpoint in enumerate(data["endpoints"]):
        if endpoint["name"] in _RESERVED:
            yield f"/endpoints/{number}/name", f"{endpoint['name']!r} stands for other rules"
        if (wrong := _wrong_path(endpoint)) is not None:
            yield f"/endpoints/{number}/path", wrong
    if (wrong := _wrong_base(data["base_url"])) is not None:
        yield "/base_url", wrong
    for number, stage in enumerate(stages):
        yield from _of_stage(stage, f"/stages/{number}", names, has_tracks="tracks" in data)
    for pointer, field in _fields(data):
        if field not in data["fields"]:
            yield f"{pointer}/field", f"no field is called {field!r}"
    for number, rising in enumerate(data["never_decrease"]):
        for name in sorted(set(rising["stages"]) - names):
            yield f"/never_decrease/{number}/stages", f"no stage is called {name!r}"
    if not any(stage.get("ends") and not stage.get("failure") for stage in stages):
        yield "/stages", "no stage ends the stream"
    yield from _never_comes(stages)


def of_numbers(protocol: Protocol) -> Iterator[tuple[str, str]]:
    """(name of the stage, reason): a field that counts, and is fixed to what is no number."""
    counted = {each.field for each in protocol.never_decrease}
    counted |= {protocol.index.field} if protocol.index is not None else set()
    counted |= {name for name, field in protocol.fields.items() if role_of(field) == PROGRESS}
    for stage in protocol.stages:
        for name in sorted(counted & stage.schema["properties"].keys()):
            value = stage.schema["properties"][name].get("const", 0)
            if isinstance(value, bool) or not isinstance(value, int | float):
                yield stage.name, f"{name} counts, and is fixed to what is no number"


def of_song_length(protocol: Protocol, endpoints: Iterable[Endpoint]) -> Iterator[Finding]:
    """A length that nothing asks for."""
    if protocol.song_length is not None and not any(duration_of(e.request) for e in endpoints):
        yield "/song_length", f"no request has a parameter of the role {DURATION!r}"


def of_errors(data: Mapping[str, Any]) -> Iterator[Finding]:
    """What does not fit in an `errors.json` that meets its schema."""
    yield from _twice([*data["printed"], *data["unprinted"]], "")
    if data["statuses"]["minimum"] > data["statuses"]["maximum"]:
        yield "/statuses", "the minimum is above the maximum"


def of_examples(
    data: Mapping[str, Any], stages: Iterable[str], errors: Iterable[str]
) -> Iterator[Finding]:
    """What does not fit in an `examples/index.json` that meets its schema."""
    known = {"stage": set(stages), "error": set(errors)}
    for number, example in enumerate(data["examples"]):
        kind, _, name = example["of"].partition(":")
        if kind in known and name not in known[kind]:
            yield f"/examples/{number}/of", f"no {kind} is called {name!r}"


def _wrong_path(endpoint: Mapping[str, Any]) -> str | None:
    """What is wrong with an endpoint's path: the one part of it that is filled in is the id of a
    generation that is looked up.
    """
    filled = [part for part in endpoint["path"].split("/") if part.startswith("{")]
    if endpoint["kind"] == "status" and len(filled) != 1:
        return "a generation is looked up by its id: one part must be filled in"
    if endpoint["kind"] != "status" and filled:
        return f"nothing fills {filled[0]} in"
    return None


def _wrong_base(url: str) -> str | None:
    try:
        target = parse_target(url)
    except UsageError as error:
        return str(error)
    if "?" in target.path or "#" in url:
        return "a base URL has no query or fragment"
    return None


def _of_stage(
    stage: Mapping[str, Any], pointer: str, names: set[str], *, has_tracks: bool
) -> Iterator[Finding]:
    for group in stage["after"]:
        for name in sorted(set(group) - names):
            yield f"{pointer}/after", f"no stage is called {name!r}"
    least, most = stage["times"]
    if most is not None and least > most:
        yield f"{pointer}/times", f"{least} times at least, {most} at most"
    if most is None and "most" in stage:
        yield f"{pointer}/most", "there is no most: `times` sets no limit"
    if stage["per_track"] and not has_tracks:
        yield pointer, "per_track needs tracks"
    if stage.get("ends") == "track" and not stage["per_track"]:
        yield f"{pointer}/ends", "a stage that ends its track is one per track"


def _fields(data: Mapping[str, Any]) -> Iterator[tuple[str, str]]:
    for part in ("tracks", "index", "completion"):
        if part in data:
            yield f"/{part}", data[part]["field"]
    for part in ("constant", "never_decrease"):
        for number, entry in enumerate(data[part]):
            yield f"/{part}/{number}", entry["field"]


def _twice(entries: Iterable[Mapping[str, Any]], pointer: str) -> Iterator[Finding]:
    for name, many in Counter(entry["name"] for entry in entries).items():
        if many > 1:
            yield pointer, f"{name!r} is there twice"


def _never_comes(stages: Iterable[Mapping[str, Any]]) -> Iterator[Finding]:
    """The stages whose `after` waits for them: nothing could ever satisfy it."""
    left = list(stages)
    come: set[str] = set()
    while able := [s for s in left if all(come & set(group) for group in s["after"])]:
        come |= {stage["name"] for stage in able}
        left = [stage for stage in left if stage not in able]
    if left:
        names = ", ".join(stage["name"] for stage in left)
        yield "/stages", f"{names} can never come: each must come after another of them"
