"""Whole valid streams of any contract, drawn from a seed.

`plan` draws which stages come in which order, `payloads` fills their chunks, `sync_result` fills
the synchronous result. All three follow from the contract's data: the constraints of the stages
(after, times, per_track, ends), what holds across chunks, and of each field its schema and role.

Never here: I/O, time, Hypothesis, and what makes a stream invalid.
"""

from __future__ import annotations

import random
from bisect import bisect_right
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import accumulate
from typing import Any, NamedTuple

from soundstage.contract import Contract
from soundstage.contract.protocol import Protocol, Stage
from soundstage.contract.schema import Schema
from soundstage.errors import ContractDataError

Track = int | str
Payload = dict[str, Any]


class Step(NamedTuple):
    """One chunk to be: the name of its stage, and its track (None where the stage has none)."""

    stage: str
    track: Track | None


@dataclass(frozen=True, slots=True)
class Story:
    """What one generation is about; the fields of its chunks are filled from it, by role.

    `audio_urls` and `stream_urls` hold one URL for each track, in the order of the contract's
    tracks; a contract without tracks uses the first.
    """

    message_id: str
    task_id: str
    song_name: str
    album_art: str
    audio_urls: tuple[str, ...]
    stream_urls: tuple[str, ...]
    lyrics_sections: list[dict[str, Any]]
    prompt: str = "A song"
    error_text: str = "The song could not be generated"


#: How often an unbounded stage comes: those that carry the stream along, and the others.
_CARRYING, _PASSING = (3, 9), (0, 3)
#: One plan in this many does without an unbounded stage altogether, where it may.
_RARELY = 20
#: How eager a stage that must come is, beside one chunk (1.0) of the unbounded ones.
_EAGERNESS = 0.7
_NO_TRACK: tuple[Track | None, ...] = (None,)


def plan(contract: Contract, rng: random.Random, *, fails: bool = False) -> list[Step]:
    """A legal sequence of stages from the first chunk to the last.

    Which track leads, how tracks interleave and how often optional stages come vary with `rng`.
    The stage that charges comes at least once. With `fails` the sequence is cut somewhere after
    its first chunk and ends in the contract's stage of failure.

    Raises ContractDataError if the stages' constraints cannot all be met, UsageError never.
    """
    steps = _walker(contract).plan(rng)
    if fails:
        failure = next((s for s in contract.protocol.stages if s.failure), None)
        if failure is None:
            raise ContractDataError(f"{contract.api}: no stage reports a failure")
        steps = [*steps[: rng.randint(1, len(steps) - 1)], Step(failure.name, None)]
    return steps


def payloads(
    contract: Contract,
    steps: Sequence[Step],
    story: Story,
    rng: random.Random,
    *,
    optional: float = 0.0,
) -> list[Payload]:
    """The chunks of `steps`: each meets its stage's schema, together they keep all that holds
    across chunks. Fields that a stage lists but does not require appear with the probability
    `optional`.
    """
    return _walker(contract).payloads(steps, story, rng, optional)


def sync_result(contract: Contract, story: Story) -> Payload:
    """The body of a synchronous answer: arrays get one item for each of the story's tracks.

    Raises ContractDataError if the contract has no synchronous endpoint.
    """
    endpoint = contract.endpoint_of_kind("sync")
    if endpoint is None or endpoint.response is None:
        raise ContractDataError(f"{contract.api}: there is no synchronous endpoint")
    fill = _walker(contract).filler("", endpoint.response)
    result = fill(_Chunk(story, random.Random(0), 1, 1))
    assert isinstance(result, dict)
    return result


_ADJECTIVES = ("Midnight", "Golden", "Paper", "Slow", "Electric", "Summer", "Hidden", "Gentle")
_NOUNS = ("Drizzle", "Harbour", "Letters", "Rivers", "Lanterns", "Days", "Trains", "Echo")


def song_title(rng: random.Random) -> str:
    return f"{rng.choice(_ADJECTIVES)} {rng.choice(_NOUNS)}"


def identifier(rng: random.Random) -> str:
    """24 hexadecimal digits, like those that the pages print."""
    return f"{rng.getrandbits(96):024x}"


def random_story(rng: random.Random, tracks: int = 2) -> Story:
    """A story out of thin air, its URLs on a host that does not exist."""
    message_id = identifier(rng)
    base = f"https://storage.example/{message_id}"
    verses = rng.randint(1, 4)
    return Story(
        message_id=message_id,
        task_id=str(rng.randrange(10**8, 10**9)),
        song_name=song_title(rng),
        album_art=f"{base}/album_art.webp",
        audio_urls=tuple(f"{base}/song-{number + 1}.mp3" for number in range(tracks)),
        stream_urls=tuple(f"{base}/live-{number + 1}.mp3" for number in range(tracks)),
        lyrics_sections=[
            {"name": f"Verse {number + 1}", "lines": [song_title(rng), song_title(rng)]}
            for number in range(verses)
        ],
    )


# --- what a chunk's fields are made of ------------------------------------------------------------


@dataclass(slots=True)
class _Chunk:
    """All that a field may depend on. One object serves a whole stream, moved on chunk by chunk."""

    story: Story
    rng: random.Random
    number: int  # of the chunk, from zero
    last: int  # the number of the last chunk
    track: Track | None = None
    place: int = 0  # of the track in the contract's list
    complete: bool = True
    progress: int = 100
    tokens: int = 0
    total: int = 0
    known_from: dict[str, int] = field(default_factory=dict)

    def known(self, name: str) -> bool:
        """Whether a field that may be null has its value yet; drawn once for each field."""
        if name not in self.known_from:
            self.known_from[name] = self.rng.randint(1, max(1, self.last // 2))
        return self.number >= self.known_from[name]


_Fill = Callable[[_Chunk], Any]


def _text(chunk: _Chunk) -> str:
    if chunk.number == 0:
        return "Starting song generation..."
    if chunk.number >= chunk.last:
        return "✅ Song generation completed successfully!"
    return f"Generating the song: part {chunk.number} of {chunk.last}…"


#: How a field is filled whose schema does not fix it, by its role: the name of its definition in
#: `fields.json`, without the `_or_null`.
_ROLES: Mapping[str, _Fill] = {
    "message_id": lambda chunk: chunk.story.message_id,
    "task_id": lambda chunk: chunk.story.task_id,
    "song_name": lambda chunk: chunk.story.song_name,
    "album_art": lambda chunk: chunk.story.album_art,
    "url": lambda chunk: chunk.story.album_art,
    "audio_url": lambda chunk: chunk.story.audio_urls[chunk.place],
    "stream_url": lambda chunk: chunk.story.stream_urls[chunk.place],
    "lyrics_sections": lambda chunk: chunk.story.lyrics_sections,
    "prompt": lambda chunk: chunk.story.prompt,
    "error_text": lambda chunk: chunk.story.error_text,
    "progress": lambda chunk: chunk.progress,
    "flag": lambda chunk: False,
    "text": _text,
}

#: How a field is filled of which nothing but the type is known.
_TYPES: Mapping[str, Callable[[Schema], Any]] = {
    "null": lambda schema: None,
    "boolean": lambda schema: False,
    "integer": lambda schema: max(0, schema.get("minimum", 0)),
    "number": lambda schema: max(0, schema.get("minimum", 0)),
    "string": lambda schema: "-" * max(1, schema.get("minLength", 0)),
    "array": lambda schema: [],
    "object": lambda schema: {},
}


def _gathered(schema: Schema) -> Schema:
    """The schema with the keywords of its `allOf` beside its own."""
    parts: Schema = {}
    for part in schema.get("allOf", ()):
        parts.update(_gathered(part))
    return {**parts, **schema}


# --- a contract's constraints, worked out once ----------------------------------------------------


@dataclass(frozen=True, slots=True)
class _Item:
    """A stage on one track. Items are numbered; sets of them are bit masks."""

    step: Step
    stage: Stage
    after: tuple[int, ...]  # each group as a mask: one of them must have come
    before: int  # all of these must be over, because the item ends them
    closes: int  # likewise, if the item is the last of its kind
    siblings: int  # the other items that end a track
    carrying: bool


class _Template(NamedTuple):
    """How to fill a stage's chunk: the fixed fields in their order, and the ones to work out."""

    fixed: Payload
    fills: tuple[tuple[str, _Fill], ...]
    optional: tuple[tuple[str, _Fill], ...]
    progress: int | None  # 0..100 if fixed, None if it is to be drawn, -1 if there is none


_WALKERS: dict[int, _Walker] = {}


def _walker(contract: Contract) -> _Walker:
    found = _WALKERS.get(id(contract))
    if found is None or found.contract is not contract:
        found = _WALKERS[id(contract)] = _Walker(contract)
    return found


class _Walker:
    """What `plan` and `payloads` need of a contract, ready to be used thousands of times."""

    def __init__(self, contract: Contract) -> None:
        self.contract = contract
        self.protocol: Protocol = contract.protocol
        tracks = self.protocol.tracks
        self.values: tuple[Track, ...] = tracks.values if tracks else ()
        self.places = {value: place for place, value in enumerate(self.values)}
        self.rising = {
            name for name, s in self.protocol.fields.items() if s.get("x-role") == "progress"
        } | {rising.field for rising in self.protocol.never_decrease}
        flag = self.protocol.completion
        #: What the flag says on the last chunk; None where either value will do.
        self.flag_on_last = None if flag is None or flag.last.severity == "info" else True
        stages = [stage for stage in self.protocol.stages if not stage.failure]
        self.items = self._items(stages)
        self.constraints = [
            (item.before, item.siblings, item.closes, item.after, item.stage.times[1] is None)
            for item in self.items
        ]
        #: Whether a stage may have to come after others that may stay away.
        self.optional_groups = any(
            not any(item.stage.times[0] for n, item in enumerate(self.items) if group >> n & 1)
            for each in self.items
            for group in each.after
        )
        self.templates = {stage.name: self._template(stage) for stage in stages}
        self.failures = {
            stage.name: self._failure(stage, stages)
            for stage in self.protocol.stages
            if stage.failure
        }

    def _items(self, stages: list[Stage]) -> list[_Item]:
        places = [
            (stage, track)
            for stage in stages
            for track in ((self.values or _NO_TRACK) if stage.per_track else _NO_TRACK)
        ]
        names = {stage.name for stage in stages}

        def mask(test: Callable[[Stage, Track | None], bool]) -> int:
            return sum(1 << number for number, place in enumerate(places) if test(*place))

        unbounded = [stage for stage in stages if stage.times[1] is None]
        items = []
        for number, (stage, track) in enumerate(places):
            me = 1 << number
            groups = [set(group) & names for group in stage.after]
            after = tuple(
                mask(
                    lambda other, its, group=group, track=track: (  # type: ignore[misc]
                        other.name in group and (None in (its, track) or its == track)
                    )
                )
                for group in groups
            )
            if stage.ends == "stream":
                before, closes, siblings = mask(lambda *_: True) & ~me, 0, 0
            elif stage.ends == "track":
                before = mask(lambda _, its, track=track: its == track) & ~me  # type: ignore[misc]
                closes = mask(lambda other, _: other.ends != "track")
                siblings = mask(lambda other, _: other.ends == "track") & ~me
            else:
                before, closes, siblings = 0, 0, 0
            carrying = len(unbounded) == 1 or bool(self.rising & stage.schema["properties"].keys())
            items.append(
                _Item(Step(stage.name, track), stage, after, before, closes, siblings, carrying)
            )
        return items

    def _times(self, item: _Item, rng: random.Random) -> int:
        least, most = item.stage.times
        if most is not None:
            drawn = rng.randint(least, most)
        elif rng.randrange(_RARELY) == 0:
            drawn = least
        else:
            low, high = _CARRYING if item.carrying else _PASSING
            drawn = max(least, rng.randint(low, high))
        return max(1, drawn) if item.stage.charges else drawn

    def plan(self, rng: random.Random) -> list[Step]:
        items, draw = self.items, rng.random
        left = [self._times(item, rng) for item in items]
        if self.optional_groups:
            self._make_possible(left)
        steps: list[Step] = []
        came = 0
        waiting = [number for number, times in enumerate(left) if times]
        to_come = sum(1 << number for number in waiting)
        while waiting:
            choices: list[int] = []
            weights: list[float] = []
            total = 0.0
            for number in waiting:
                before, siblings, closes, after, unbounded = self.constraints[number]
                if to_come & before or (to_come & closes and not to_come & siblings):
                    continue
                for group in after:
                    if not came & group:
                        break
                else:
                    total += left[number] if unbounded else _EAGERNESS
                    choices.append(number)
                    weights.append(total)
            if not choices:
                stuck = ", ".join(sorted({items[number].step.stage for number in waiting}))
                raise ContractDataError(
                    f"{self.contract.api}: the constraints of {stuck} cannot be met"
                )
            last = len(choices) - 1
            number = choices[bisect_right(weights, draw() * total, 0, last) if last else 0]
            steps.append(items[number].step)
            came |= 1 << number
            left[number] -= 1
            if not left[number]:
                waiting.remove(number)
                to_come &= ~(1 << number)
        return steps

    def _make_possible(self, left: list[int]) -> None:
        """Let come what a coming stage must come after."""
        changed = True
        while changed:
            changed = False
            for number, item in enumerate(self.items):
                for group in item.after if left[number] else ():
                    members = [n for n in range(len(left)) if group >> n & 1]
                    if members and not any(left[n] for n in members):
                        left[members[0]] = 1
                        changed = True

    # --- chunks -----------------------------------------------------------------------------------

    def payloads(
        self, steps: Sequence[Step], story: Story, rng: random.Random, optional: float
    ) -> list[Payload]:
        last = len(steps) - 1
        chunk = _Chunk(story, rng, 0, last)
        rises = self._progress(steps, rng)
        in_turn = list(dict.fromkeys(step.track for step in steps if step.track is not None))
        turns: dict[str, int] = {}
        result = []
        for number, (stage, track) in enumerate(steps):
            chunk.number = number
            chunk.complete = number == last and (
                rng.random() < 0.5 if self.flag_on_last is None else self.flag_on_last
            )
            chunk.progress = rises[number]
            if track is None and in_turn:
                # A stage without a track speaks of the tracks in the order in which they came.
                turn = turns[stage] = turns.get(stage, -1) + 1
                track = in_turn[turn % len(in_turn)]
            chunk.track = track
            chunk.place = self.places.get(track, 0) if track is not None else 0
            template = self.templates.get(stage)
            if template is None:
                template = self.failures[stage][steps[number - 1].stage if number else ""]
            payload = template.fixed.copy()
            for name, fill in template.fills:
                payload[name] = fill(chunk)
            if optional:
                for name, fill in template.optional:
                    if rng.random() < optional:
                        payload[name] = fill(chunk)
            result.append(payload)
        return result

    def _progress(self, steps: Sequence[Step], rng: random.Random) -> list[int]:
        """A percentage for each chunk that never falls, whatever fixed ones stand between."""
        kinds = [
            self.templates[s.stage].progress if s.stage in self.templates else -1 for s in steps
        ]
        first_fixed = next(
            (n for n, kind in enumerate(kinds) if kind not in (None, -1)), len(kinds)
        )
        drawn = sum(kind is None for kind in kinds[:first_fixed])
        rising = iter(sorted(rng.randint(1, 99) for _ in range(drawn)))
        values = [
            (next(rising) if kind is None else 0) if number < first_fixed else max(kind or 0, 0)
            for number, kind in enumerate(kinds)
        ]
        return list(accumulate(values, max))

    def _template(self, stage: Stage) -> _Template:
        properties = stage.schema["properties"]
        required = stage.schema.get("required", ())
        fixed: Payload = {}
        fills: list[tuple[str, _Fill]] = []
        counts = 0
        for name in required:
            schema = properties.get(name, self.protocol.fields.get(name, {}))
            fixed[name] = schema.get("const")
            if "const" in schema:
                continue
            if schema.get("x-role") == "count":
                fills.append((name, _fresh_count if counts == 0 else _total_count))
                counts += 1
            else:
                fills.append((name, self.filler(name, schema)))
        optional = [
            (name, self.filler(name, properties[name]))
            for name in properties
            if name not in required
        ]
        progress: int | None = -1
        for name in self.rising & set(required):
            progress = properties[name].get("const")
        return _Template(fixed, tuple(fills), tuple(optional), progress)

    def _failure(self, failure: Stage, stages: list[Stage]) -> dict[str, _Template]:
        """The chunk of a failure, by the stage before it: the fields that all stages share, as
        that stage fills them, and those of the failure.
        """
        shared = set.intersection(*(set(s.schema.get("required", ())) for s in stages))
        own = self._template(failure)
        result = {}
        for stage in stages:
            usual = self.templates[stage.name]
            constant = {each.field for each in self.protocol.constant}
            kept = (shared | constant) - own.fixed.keys()
            fixed = {name: value for name, value in usual.fixed.items() if name in kept}
            fills = tuple(
                (name, _failure_text if fill is _text else fill)
                for name, fill in usual.fills
                if name in kept
            )
            result[stage.name] = _Template(fixed | own.fixed, fills + own.fills, (), -1)
        return result

    def filler(self, name: str, schema: Schema) -> _Fill:
        """How the field `name` is filled, from the part it plays, its role, or its schema."""
        protocol = self.protocol
        if protocol.index and name == protocol.index.field:
            start, step = protocol.index.start, protocol.index.step
            return lambda chunk: start + step * chunk.number
        if protocol.completion and name == protocol.completion.field:
            return lambda chunk: chunk.complete
        if protocol.tracks and name == protocol.tracks.field:
            return lambda chunk: chunk.track
        schema = _gathered(schema)
        if "const" in schema:
            value = schema["const"]
            return lambda chunk: value
        role, _, may_be_null = schema.get("x-role", "").partition("_or_null")
        kinds = schema.get("type", "null")
        kinds = kinds if isinstance(kinds, list) else [kinds]
        if role == "count":
            return _fresh_count
        if role in _ROLES:
            fill = _ROLES[role]
        elif "enum" in schema:
            values = self._free_values(name, schema["enum"])
            fill = lambda chunk: chunk.rng.choice(values)  # noqa: E731
        elif kinds == ["object"] and "properties" in schema:
            return self._object(schema)
        elif kinds == ["array"] and "items" in schema:
            return self._array(name, schema)
        else:
            kind = next((kind for kind in kinds if kind != "null"), "null")
            plain = _TYPES[kind](schema)
            fill = lambda chunk: plain  # noqa: E731
        if may_be_null or "null" in kinds:
            return lambda chunk: fill(chunk) if chunk.known(name) else None
        return fill

    def _free_values(self, name: str, values: list[Any]) -> list[Any]:
        """Of an enumeration, what does not say that another stage has come."""
        taken = [
            stage.schema["properties"][name]["const"]
            for stage in self.protocol.stages
            if "const" in stage.schema["properties"].get(name, {})
        ]
        return [value for value in values if value is not None and value not in taken] or values

    def _object(self, schema: Schema) -> _Fill:
        fills = [(name, self.filler(name, sub)) for name, sub in schema["properties"].items()]
        return lambda chunk: {name: fill(chunk) for name, fill in fills}

    def _array(self, name: str, schema: Schema) -> _Fill:
        fill = self.filler(name, schema["items"])
        values: tuple[Track | None, ...] = self.values or _NO_TRACK
        least, most = schema.get("minItems", 0), schema.get("maxItems")

        def items(chunk: _Chunk) -> list[Any]:
            many = max(least, 1) if not self.values else len(chunk.story.audio_urls)
            result = []
            for place in range(many if most is None else min(many, most)):
                chunk.place = place % len(chunk.story.audio_urls)
                chunk.track = values[place % len(values)]
                result.append(fill(chunk))
            return result

        return items


def _fresh_count(chunk: _Chunk) -> int:
    chunk.tokens = chunk.rng.randint(5, 200)
    chunk.total += chunk.tokens
    return chunk.tokens


def _total_count(chunk: _Chunk) -> int:
    return chunk.total


def _failure_text(chunk: _Chunk) -> str:
    return chunk.story.error_text
