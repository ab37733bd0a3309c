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
from soundstage.contract.reading import endpoints_fit, stages_fit
from soundstage.contract.role_names import role_of
from soundstage.errors import UsageError
from soundstage.wire.url import parse_target

Finding = tuple[str, str]
#: The role of the field that says how far a generation is.
PROGRESS = "progress"


def of_protocol(data: Mapping[str, Any]) -> Iterator[Finding]:
    """What does not fit in a `protocol.json` that meets its schema."""
    stages, names = data["stages"], [stage["name"] for stage in data["stages"]]
    shown = (each for each in data["endpoints"] if each["kind"] == "status")
    states = [*dict.fromkeys(name for each in shown for name in each.get("stages", ()))]
    yield from ungrounded(data)
    yield from _twice(stages, "/stages")
    yield from _twice(data["endpoints"], "/endpoints")
    for number, stage in enumerate(stages):
        yield from stages_fit.of_stage(stage, f"/stages/{number}", names, states)
    yield from endpoints_fit.of_endpoints(data)
    if (wrong := _wrong_base(data["base_url"])) is not None:
        yield "/base_url", wrong
    for place, words in _across(data):
        for number, rising in enumerate(words.get("never_decrease") or ()):
            for name in (name for name in rising["stages"] if name not in names):
                reason = stages_fit.no_such("stage", name, names)
                yield f"{place}/never_decrease/{number}/stages", reason
        index = words.get("index") or {}
        for name in (name for name in index.get("except", ()) if name not in names):
            yield f"{place}/index/except", stages_fit.no_such("stage", name, names)
        tracks = words.get("tracks") or {}
        if "start" in tracks and "values" in tracks:
            yield f"{place}/tracks/start", "tracks that are named by `values` are not counted"
        if "*" in tracks.get("field", "").split("/")[1:]:
            yield f"{place}/tracks/field", "a chunk belongs to one track: name one place, without *"
        if "*" in index.get("field", "").split("/")[1:]:
            yield f"{place}/index/field", "a chunk has one number: name one place, without *"
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
    for place, part in _grounded_parts(data):
        for word in missing:
            if word not in part:
                yield place, f"`{word}` is missing: say it here, or once for the whole contract"


def _grounded_parts(data: Mapping[str, Any]) -> Iterator[tuple[str, Mapping[str, Any]]]:
    """(pointer, part) of what a `protocol.json` says on some ground."""
    for word in ("endpoints", "stages"):
        yield from ((f"/{word}/{n}", each) for n, each in enumerate(data[word]))
    for word in ("hosts", "song_length"):
        if word in data:
            yield f"/{word}", data[word]
    for place, words in _across(data):
        for word in ("tracks", "index"):
            if words.get(word):
                yield f"{place}/{word}", words[word]
        for word in ("constant", "never_decrease"):
            found = enumerate(words.get(word) or ())
            yield from ((f"{place}/{word}/{n}", each) for n, each in found)
        for word in ("before_last", "last"):
            if words.get("completion"):
                yield f"{place}/completion/{word}", words["completion"][word]


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
            said = data["endpoints"][numbers[name]]
            others = [each.protocol for each in endpoints.values() if each.protocol is not None]
            yield from _CourseFindings(endpoint.protocol, place, said, data, others)
        yield from endpoints_fit.of_values(endpoint, endpoints, place)
    yield from of_song_length(whole, endpoints.values())


def _describes(protocol: Protocol, path: FieldPath) -> bool:
    return path.parts[0] in protocol.fields or any(
        path.schemas(stage.schema) for stage in protocol.stages
    )


class _CourseFindings:
    """What does not fit in what one endpoint tells in order. `said` is its entry, `data` all of the
    file: a finding stands where the word is that is wrong. `all_told`: what each endpoint tells.
    """

    def __init__(
        self,
        protocol: Protocol,
        place: str,
        said: Mapping[str, Any],
        data: Mapping[str, Any],
        all_told: Iterable[Protocol],
    ) -> None:
        self._protocol = protocol
        self._all_told = all_told
        self._place = place
        self._said, self._data = said, data
        self._numbers = {each["name"]: number for number, each in enumerate(data["stages"])}

    def __iter__(self) -> Iterator[Finding]:
        yield from self._of_order()
        yield from stages_fit.of_alike(self._protocol.stages, self._numbers)
        yield from self._of_fields()
        yield from self._of_states() if self._protocol.sampled else self._of_ends()

    def _stage(self, stage: Stage) -> str:
        return f"/stages/{self._numbers[stage.name]}"

    def _word(self, word: str) -> str:
        """Where a word of all streams is said for this one."""
        return f"{self._place}/{word}" if word in self._said else f"/{word}"

    def _of_order(self) -> Iterator[Finding]:
        """Stages that wait for what never comes here, or for each other."""
        known = {stage.name for stage in self._protocol.stages}
        for stage in self._protocol.stages:
            for word in ("after", "after_all"):
                for group in getattr(stage, word):
                    if not known & set(group):
                        why = f"{' or '.join(group)} never comes at {self._said['name']!r}"
                        yield f"{self._stage(stage)}/{word}", why
        left = list(self._protocol.stages)
        come: set[str] = set()

        def can_come(stage: Stage) -> bool:
            groups = (*stage.after, *stage.after_all)
            return all(come & set(group) or not known & set(group) for group in groups)

        while able := [stage for stage in left if can_come(stage)]:
            come |= {stage.name for stage in able}
            left = [stage for stage in left if stage not in able]
        if left:
            names = ", ".join(stage.name for stage in left)
            yield "/stages", f"{names} can never come: each must come after another of them"

    def _of_fields(self) -> Iterator[Finding]:
        """Fields that words across chunks name, and that nothing describes. What is said of all
        streams need not be there in the states of a job, if it is anywhere.
        """
        for path, place in self._paths():
            inherited = self._protocol.sampled and not place.startswith((self._place, "/stages"))
            where = self._all_told if inherited else [self._protocol]
            if not any(_describes(each, path) for each in where):
                yield place, f"no chunk has a field {str(path)!r}: add it to `fields` or a schema"

    def _paths(self) -> Iterator[tuple[FieldPath, str]]:
        for word in ("tracks", "index", "completion"):
            if getattr(self._protocol, word) is not None:
                yield getattr(self._protocol, word).field, f"{self._word(word)}/field"
        for word in ("constant", "never_decrease"):
            said = self._said if word in self._said else self._data
            for number, each in enumerate(said.get(word) or ()):
                yield field_path(each["field"]), f"{self._word(word)}/{number}/field"
        for stage in self._protocol.stages:
            for number, milestone in enumerate(stage.milestones):
                if milestone.field is not None:
                    yield milestone.field, f"{self._stage(stage)}/milestones/{number}/field"

    def _of_ends(self) -> Iterator[Finding]:
        """A stream that cannot end, and tracks that it has not."""
        protocol = self._protocol
        if not protocol.stages:
            why = "a stream is made of stages, and it has none: describe its chunks in `stages`"
            yield self._place, why
        said_to_end = protocol.sentinel is not None and protocol.sentinel.required
        if not (protocol.ending or said_to_end):
            why = "no stage ends the stream: say `ends` of one, or give its endpoint a `sentinel`"
            yield "/stages", why
        tracks = protocol.tracks
        closes = protocol.closing or any(stage.ends == "close" for stage in protocol.ending)
        if tracks is not None and not tracks.fixed and not (closes or said_to_end):
            why = "how many there are is not fixed, so that their ends do not end the stream"
            yield self._word("tracks"), f"{why}: let a stage say `ends` with stream or close"
        for stage in protocol.stages if tracks is None else ():
            for word in ("per_track", "after_all"):
                if getattr(stage, word):
                    why = f"{word} needs tracks: add `tracks`, or take the word away"
                    yield f"{self._stage(stage)}/{word}", why

    def _of_states(self) -> Iterator[Finding]:
        if not any(each.ends == "stream" and not each.failure for each in self._protocol.stages):
            why = "no state is the last: say `ends` with stream of the one that is done"
            yield f"{self._place}/stages", why
        for stage in self._protocol.stages:
            for word in ("per_track", "anywhere", "event", "after_all"):
                if getattr(stage, word):
                    why = f"{stage.name} is a state, and has no `{word}`: that is of chunks"
                    yield f"{self._stage(stage)}/{word}", why


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


def of_errors(data: Mapping[str, Any], missing: Iterable[str]) -> Iterator[Finding]:
    """What does not fit in an `errors.json` that meets its schema. `missing`: of `basis` and
    `source` what is not said of the whole contract.
    """
    parts = [(f"/{word}", each) for word, each in data.items() if isinstance(each, dict)]
    for word in ("printed", "unprinted"):
        parts += [(f"/{word}/{n}", each) for n, each in enumerate(data[word])]
    for place, part in parts:
        for word in missing:
            if word not in part:
                yield place, f"`{word}` is missing: say it here, or once in protocol.json"
    yield from _twice([*data["printed"], *data["unprinted"]], "")
    for number, each in enumerate(data["printed"]):
        if "explained_at" in each:
            yield f"/printed/{number}/explained_at", "a body that is printed is exact: leave it out"
    for number, each in enumerate(data["unprinted"]):
        place = each.get("explained_at")
        if place is not None and not isinstance(field_path(place).of(each["body"]), str):
            yield f"/unprinted/{number}/explained_at", "there is no text in the body at this place"
    if data["statuses"]["minimum"] > data["statuses"]["maximum"]:
        yield "/statuses", "the minimum is above the maximum"


def of_examples(
    data: Mapping[str, Any], stages: Iterable[str], errors: Iterable[str]
) -> Iterator[Finding]:
    """What does not fit in an `examples/index.json` that meets its schema."""
    known = {"stage": list(stages), "error": list(errors)}
    for number, example in enumerate(data["examples"]):
        kind, _, name = example["of"].partition(":")
        if kind in known and name not in known[kind]:
            yield f"/examples/{number}/of", stages_fit.no_such(kind, name, known[kind])


def _wrong_base(url: str) -> str | None:
    try:
        target = parse_target(url)
    except UsageError as error:
        return str(error)
    if "?" in target.path or "#" in url:
        return "a base URL has no query or fragment"
    return None


def _twice(entries: Iterable[Mapping[str, Any]], pointer: str) -> Iterator[Finding]:
    for name, many in Counter(entry["name"] for entry in entries).items():
        if many > 1:
            yield pointer, f"{name!r} is there twice"
