"""Whether the parts of a contract fit each other: every name leads somewhere, every stage can come.

Values in, (pointer, reason) out. What a single part may look like is `protocol.schema.json`'s.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from typing import Any

from soundstage.contract.asset_fields import DURATION, duration_of
from soundstage.contract.json_schema.field_path import FieldPath, field_path
from soundstage.contract.protocol import MOST_TRACKS, Endpoint, Protocol, Stage
from soundstage.contract.reading import endpoints_fit
from soundstage.contract.role_names import role_of
from soundstage.errors import UsageError
from soundstage.wire.url import parse_target

Finding = tuple[str, str]
#: The role of the field that says how far a generation is.
PROGRESS = "progress"


def of_protocol(data: Mapping[str, Any]) -> Iterator[Finding]:
    """What does not fit in a `protocol.json` that meets its schema."""
    stages, names = data["stages"], {stage["name"] for stage in data["stages"]}
    yield from ungrounded(data)
    yield from _twice(stages, "/stages")
    yield from _twice(data["endpoints"], "/endpoints")
    yield from endpoints_fit.of_endpoints(data)
    if (wrong := _wrong_base(data["base_url"])) is not None:
        yield "/base_url", wrong
    for number, stage in enumerate(stages):
        yield from _of_stage(stage, f"/stages/{number}", names)
    for place, words in _across(data):
        for number, rising in enumerate(words.get("never_decrease") or ()):
            for name in sorted(set(rising["stages"]) - names):
                yield f"{place}/never_decrease/{number}/stages", f"no stage is called {name!r}"
        index = words.get("index") or {}
        for name in sorted(set(index.get("except", ())) - names):
            yield f"{place}/index/except", f"no stage is called {name!r}"
        tracks = words.get("tracks") or {}
        if isinstance(count := tracks.get("count"), list) and (count[1] or MOST_TRACKS) < count[0]:
            yield f"{place}/tracks/count", f"{count[0]} tracks at least, {count[1]} at most"


def _across(data: Mapping[str, Any]) -> Iterator[tuple[str, Mapping[str, Any]]]:
    """The places that say what holds across chunks: of all streams, and of single endpoints."""
    yield "", data
    for number, endpoint in enumerate(data["endpoints"]):
        yield f"/endpoints/{number}", endpoint


def ungrounded(data: Mapping[str, Any]) -> Iterator[Finding]:
    """The parts that do not say what they rest on, where nothing is said of the whole contract."""
    missing = [word for word in ("basis", "source") if word not in data]
    if not missing:
        return
    parts: list[tuple[str, Any]] = []
    for word in ("endpoints", "stages", "constant", "never_decrease"):
        parts += ((f"/{word}/{n}", each) for n, each in enumerate(data.get(word, ())))
    for word in ("tracks", "index", "hosts", "song_length"):
        parts += [(f"/{word}", data[word])] if data.get(word) else []
    for word in ("before_last", "last"):
        if data.get("completion"):
            parts.append((f"/completion/{word}", data["completion"][word]))
    for place, part in parts:
        for word in missing:
            if word not in part:
                yield place, f"`{word}` is missing: say it here, or once for the whole contract"


def of_values(
    whole: Protocol, endpoints: Mapping[str, Endpoint], data: Mapping[str, Any]
) -> Iterator[Finding]:
    """What does not fit once files are read: fields that nothing describes, streams that cannot
    end, lengths that nothing asks for.
    """
    numbers = {entry["name"]: number for number, entry in enumerate(data["endpoints"])}
    for name, endpoint in endpoints.items():
        place = f"/endpoints/{numbers[name]}"
        if endpoint.protocol is not None:
            # What is said of all streams is wrong there, and not at each of them.
            yield from _of_its_protocol(endpoint.protocol, place, data["endpoints"][numbers[name]])
        yield from endpoints_fit.of_values(endpoint, endpoints, place)
    yield from of_song_length(whole, endpoints.values())


def _of_its_protocol(protocol: Protocol, place: str, said: Mapping[str, Any]) -> Iterator[Finding]:
    known = {stage.name for stage in protocol.stages}
    for stage in protocol.stages:
        for word in ("after", "after_all"):
            for group in getattr(stage, word):
                if not known & set(group):
                    listed = " or ".join(group)
                    yield place, f"{stage.name} comes after {listed}, which never comes here"
    yield from _never_comes(protocol, place)
    for path, word in _paths(protocol):
        described = path.parts[0] in protocol.fields or any(
            path.schemas(stage.schema) for stage in protocol.stages
        )
        if not described:
            where = f"{place}/{word}" if word in said else f"/{word}"
            yield where, f"no chunk has a field {str(path)!r}: add it to `fields` or to a schema"
    if protocol.sampled:
        yield from _of_states(protocol, place)
        return
    said_to_end = protocol.sentinel is not None and protocol.sentinel.required
    if not (protocol.ending or said_to_end):
        yield place, "no stage ends the stream: say `ends` of one, or give it a `sentinel`"
    tracks = protocol.tracks
    closes = protocol.closing or said_to_end or any(s.ends == "close" for s in protocol.ending)
    if tracks is not None and not tracks.fixed and not closes:
        yield (
            f"{place if 'tracks' in said else ''}/tracks",
            (
                "how many tracks there are is not fixed, so that their ends do not end the stream: "
                "let a stage say `ends` with stream or close"
            ),
        )
    for stage in protocol.stages:
        if stage.per_track and tracks is None:
            yield place, f"{stage.name} is per_track, which needs tracks"
        if stage.after_all and tracks is None:
            yield place, f"{stage.name} comes after all tracks, which needs tracks"


def _of_states(protocol: Protocol, place: str) -> Iterator[Finding]:
    if not any(stage.ends == "stream" and not stage.failure for stage in protocol.stages):
        yield place, "no state is the last: say `ends` with stream of the one that is done"
    for stage in protocol.stages:
        for word, has in (
            ("per_track", stage.per_track),
            ("anywhere", stage.anywhere),
            ("event", stage.event is not None),
            ("after_all", bool(stage.after_all)),
        ):
            if has:
                yield place, f"{stage.name} is a state, and has no `{word}`: that is of chunks"


def _paths(protocol: Protocol) -> Iterator[tuple[FieldPath, str]]:
    """The fields that the words across chunks name, and the word."""
    if protocol.tracks is not None:
        yield protocol.tracks.field, "tracks"
    if protocol.index is not None:
        yield protocol.index.field, "index"
    if protocol.completion is not None:
        yield protocol.completion.field, "completion"
    yield from ((each.field, "constant") for each in protocol.constant)
    yield from ((each.field, "never_decrease") for each in protocol.never_decrease)
    for stage in protocol.stages:
        yield from ((each.field, "stages") for each in stage.milestones if each.field is not None)


def of_numbers(protocol: Protocol) -> Iterator[tuple[str, str]]:
    """(name of the stage, reason): a field that counts, and is fixed to what is no number."""
    counted = [each.field for each in protocol.never_decrease]
    counted += [protocol.index.field] if protocol.index is not None else []
    counted += [field_path(n) for n, each in protocol.fields.items() if role_of(each) == PROGRESS]
    for stage in protocol.stages:
        for field in sorted(set(counted), key=str):
            for schema in field.schemas(stage.schema):
                value = schema.get("const", 0)
                if isinstance(value, bool) or not isinstance(value, int | float):
                    yield stage.name, f"{field} counts, and is fixed to what is no number"


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


def _wrong_base(url: str) -> str | None:
    try:
        target = parse_target(url)
    except UsageError as error:
        return str(error)
    if "?" in target.path or "#" in url:
        return "a base URL has no query or fragment"
    return None


def _of_stage(stage: Mapping[str, Any], pointer: str, names: set[str]) -> Iterator[Finding]:
    for word in ("after", "after_all"):
        for group in stage.get(word, ()):
            for name in sorted(set(group) - names):
                yield f"{pointer}/{word}", f"no stage is called {name!r}"
    least, most = stage.get("times", (1, 1))
    if most is not None and least > most:
        yield f"{pointer}/times", f"{least} times at least, {most} at most"
    if most is None and "most" in stage:
        yield f"{pointer}/most", "there is no most: `times` sets no limit"
    if stage.get("ends") == "track" and not stage.get("per_track"):
        yield f"{pointer}/ends", "a stage that ends its track is one per track"
    if stage.get("anywhere"):
        for word in ("after", "after_all", "ends", "per_track", "failure", "charges", "times"):
            if stage.get(word):
                yield f"{pointer}/{word}", "what may come anywhere is no step, and has no such word"
    for number, milestone in enumerate(stage.get("milestones", ())):
        if milestone["at"] == "end" and stage.get("ends") != "close":
            place = f"{pointer}/milestones/{number}/at"
            yield place, "the end of the body is a moment of stages that end with `close`"


def _twice(entries: Iterable[Mapping[str, Any]], pointer: str) -> Iterator[Finding]:
    for name, many in Counter(entry["name"] for entry in entries).items():
        if many > 1:
            yield pointer, f"{name!r} is there twice"


def _never_comes(protocol: Protocol, place: str) -> Iterator[Finding]:
    """The stages whose `after` waits for them: nothing could ever satisfy it."""
    left = list(protocol.stages)
    known = {stage.name for stage in left}
    come: set[str] = set()

    def can_come(stage: Stage) -> bool:
        groups = (*stage.after, *stage.after_all)
        return all(come & set(group) or not known & set(group) for group in groups)

    while able := [stage for stage in left if can_come(stage)]:
        come |= {stage.name for stage in able}
        left = [stage for stage in left if stage not in able]
    if left:
        names = ", ".join(stage.name for stage in left)
        yield place, f"{names} can never come: each must come after another of them"
