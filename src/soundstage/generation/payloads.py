"""Fills the chunks of a sequence of stages, and the synchronous result, from the contract's data:
of each field its schema, its role, and the part that it plays across chunks.

Never here: I/O, time, Hypothesis, which stage comes when, and what makes a stream invalid.
"""

from __future__ import annotations

import random
from collections.abc import Callable, Mapping, Sequence
from itertools import accumulate
from operator import itemgetter
from typing import Any

from soundstage.contract import Contract
from soundstage.contract.json_schema import patterns
from soundstage.contract.json_schema.field_path import FieldPath, field_path
from soundstage.contract.json_schema.field_schemas import Schema
from soundstage.contract.protocol import Protocol, Stage
from soundstage.generation.alike_chunks import AlikeChunks, ChunkTemplate
from soundstage.generation.chunk_values import (
    ROLES,
    ChunkContext,
    Fill,
    Still,
    StreamNumbers,
    index_from,
    text,
)
from soundstage.generation.drawn_numbers import drawn_numbers
from soundstage.generation.sampled_chunks import ChunkSampler, scaled
from soundstage.generation.story import Drafted, Payload, Step, Story, Track

_NO_TRACK: tuple[Track | None, ...] = (None,)


#: Chunks that are filled in the plain way, to see whether it is good enough for a stage.
_TRIED = 6
#: How a field is filled of which nothing but the type is known.
_TYPES: Mapping[str, Callable[[Schema], Any]] = {
    "null": lambda schema: None,
    "boolean": lambda schema: False,
    "integer": lambda schema: _nearest_to_zero(schema),
    "number": lambda schema: _nearest_to_zero(schema),
    "string": lambda schema: "-" * max(1, schema.get("minLength", 0)),
    "array": lambda schema: [None] * schema.get("minItems", 0),
    "object": lambda schema: {},
}


def _nearest_to_zero(schema: Schema) -> Any:
    return min(max(0, schema.get("minimum", 0)), schema.get("maximum", float("inf")))


def gathered(schema: Schema | bool) -> Schema:
    """The schema with the keywords of its `allOf` beside its own. Of `true` and `false`, which are
    schemas too, those that mean the same.
    """
    if isinstance(schema, bool):
        return {} if schema else {"not": {}}
    parts: Schema = {}
    for part in schema.get("allOf", ()):
        parts.update(gathered(part))
    return {**parts, **schema}


class PayloadMaker:
    """What payloads need of a contract, ready to be used thousands of times."""

    def __init__(self, contract: Contract) -> None:
        self.protocol: Protocol = contract.protocol
        tracks = self.protocol.tracks
        self.values: tuple[Track, ...] = tracks.values if tracks else ()
        self.places = {value: place for place, value in enumerate(self.values)}
        self.rising = rising_fields(self.protocol)
        self._results: dict[int, ChunkSampler] = {}
        self._looks: dict[str, ChunkSampler] = {}
        #: The places that give what a generation is asked for by, and the names of these.
        self.given = {
            given.field.parts: given.name
            for endpoint in contract.endpoints.values()
            for given in endpoint.gives
            if given.field is not None
        }
        index = self.protocol.index
        self.unnumbered = index.without if index is not None else frozenset()
        flag = self.protocol.completion
        #: What the flag says on the last chunk; None where either value will do.
        self.flag_on_last = None if flag is None or flag.last.severity == "info" else True
        stages = [stage for stage in self.protocol.stages if not stage.failure]
        self.templates = {stage.name: self._template(stage) for stage in stages}
        for stage in stages:
            self._look_closer(stage)
        self._kinds = {name: template.progress for name, template in self.templates.items()}
        self.failures = {
            stage.name: self._failure(stage, stages)
            for stage in self.protocol.stages
            if stage.failure
        }

    def drafted(
        self,
        steps: Sequence[Step],
        story: Story,
        rng: random.Random,
        optional: float,
        percentages: Sequence[int] | None = None,
        given: Mapping[str, str] | None = None,
    ) -> Drafted:
        """The chunks of `steps` (`walk.drafted`)."""
        last = len(steps) - 1
        chunk = ChunkContext(story, rng, 0, last, optional=optional, given=given or {})
        rises = self._progress(steps, rng, percentages)
        counted: Sequence[int] = range(len(steps))
        if self.unnumbered:
            counts = (step.stage not in self.unnumbered for step in steps)
            counted = list(accumulate(counts, initial=0))
        stream = StreamNumbers(counted, rises)
        parts = self._parts(steps)
        chunk.complete = False
        drawing = [
            (number, part) for part in parts[:-1] if part.template.draws for number in part.numbers
        ]
        # In the order of the chunks, since all draw from one source.
        for number, part in sorted(drawing, key=itemgetter(0)):
            part.draw(number, chunk, stream)
        complete = False
        if steps:
            flag = self.flag_on_last
            complete = chunk.complete = rng.random() < 0.5 if flag is None else flag
            # The last part is that of the last chunk, and of no other.
            parts[-1].draw(last, chunk, stream)
        result: Drafted = []
        for part in parts:
            chunk.complete = complete and part is parts[-1]
            result += part.drafts(chunk, stream)
        return result

    def _parts(self, steps: Sequence[Step]) -> list[AlikeChunks]:
        """The steps of a stream, put together where they are alike; the last one by itself."""
        in_turn = list(dict.fromkeys([step.track for step in steps if step.track is not None]))
        turns: dict[str, int] = {}
        known: dict[tuple[str, Track | None], AlikeChunks] = {}
        parts: list[AlikeChunks] = []
        last = len(steps) - 1
        for number, step in enumerate(steps):
            part = known.get(step)
            if part is not None and number != last:
                part.numbers.append(number)
                continue
            stage, track = step
            template = self.templates.get(stage)
            if template is None:  # a failure says what comes of the one before it
                template = self._failure_after(stage, steps, number)
            turning = bool(in_turn) and track is None and template.by_track
            if turning:
                # A stage without a track speaks of the tracks in the order in which they came.
                turn = turns[stage] = turns.get(stage, -1) + 1
                track = in_turn[turn % len(in_turn)]
                part = known.get((stage, track))
            if part is None or number == last:
                part = AlikeChunks(template, track, self._place_of(track))
                parts.append(part)
                if stage in self.templates:
                    known[(stage, track) if turning else step] = part
            part.numbers.append(number)
        return parts

    def _place_of(self, track: Track | None) -> int:
        """The place of a track among those of a story."""
        if track is None:
            return 0
        tracks = self.protocol.tracks
        if tracks is not None and tracks.start is not None and isinstance(track, int):
            return track - tracks.start
        return self.places.get(track, 0)

    def _failure_after(self, stage: str, steps: Sequence[Step], number: int) -> ChunkTemplate:
        after = steps[number - 1].stage if number else ""
        known = self.failures[stage]
        return known[after] if after in known else next(iter(known.values()))

    def is_sampled(self, stage: str) -> bool:
        """Whether the chunks of a stage are drawn from its schema as a whole."""
        template = self.templates.get(stage) or next(iter(self.failures[stage].values()))
        return template.sampled is not None

    def look(self, state: str, context: ChunkContext) -> Payload:
        """What a look at that state shows."""
        stage = self.protocol.by_name[state]
        sampler = self._looks.get(state)
        if sampler is None:
            sampler = ChunkSampler(self.protocol, stage.schema, stage, self.given)
            self._looks[state] = sampler
        return sampler.chunk(context)

    def result(self, schema: Schema, story: Story) -> Payload:
        """The body of a synchronous answer that has this schema."""
        context = ChunkContext(story, random.Random(story.message_id), 1, 1)
        if "properties" in schema and "allOf" not in schema:
            result: Payload = self._object(schema)(context)
            if _validator(schema).is_valid(result):
                return result
        sampler = self._results.get(id(schema))
        if sampler is None:
            sampler = self._results[id(schema)] = ChunkSampler(
                self.protocol, schema, None, self.given
            )
        return sampler.chunk(context)

    def _progress(
        self, steps: Sequence[Step], rng: random.Random, known: Sequence[int] | None
    ) -> list[int]:
        """A percentage for each chunk that never falls, whatever fixed ones stand between."""
        kinds = [self._kinds.get(step.stage, -1) for step in steps]
        first_fixed = next(
            (n for n, kind in enumerate(kinds) if kind not in (None, -1)), len(kinds)
        )
        if known is None:
            rising = iter(sorted(drawn_numbers(rng, 1, 99, kinds[:first_fixed].count(None))))
        else:
            told = [known[n] for n, kind in enumerate(kinds[:first_fixed]) if kind is None]
            rising = iter([min(max(value, 0), 99) for value in told])
        values, most = [], 0
        for number, kind in enumerate(kinds):
            value = kind or 0
            if kind is None and number < first_fixed:
                value = next(rising)
            if value > most:
                most = value
            values.append(most)
        return values

    def _template(self, stage: Stage) -> ChunkTemplate:
        properties = stage.schema["properties"]
        required = stage.schema.get("required", ())
        fixed: Payload = {}
        fills: list[tuple[str, Fill]] = []
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
        for path in self.rising:
            for schema in path.schemas(stage.schema):
                known = schema.get("const")
                progress = None if known is None else int(scaled(schema, known, back=True))
        return ChunkTemplate.of(fixed, tuple(fills), tuple(optional), progress)

    def _look_closer(self, stage: Stage) -> None:
        """See whether the plain way to fill a stage's chunks is good enough: what it makes meets
        the schema, and is told for a chunk of that stage. Else they are drawn from the schema.
        """
        template = self.templates[stage.name]
        sampler = ChunkSampler(self.protocol, stage.schema, stage, self.given)
        if sampler.plain:
            story = _any_story(max(1, len(self.values)))
            tracks = self.protocol.tracks
            track = tracks.values[0] if tracks is not None and tracks.values else None
            for number in range(_TRIED):
                chunk = ChunkContext(story, random.Random(number), number, _TRIED, number)
                chunk.track = tracks.start if track is None and tracks is not None else track
                chunk.progress = 100 * number // (_TRIED - 1)
                chunk.complete = number == _TRIED - 1
                payload = {**template.fixed, **{name: fill(chunk) for name, fill in template.fills}}
                if number % 2:
                    payload |= {name: fill(chunk) for name, fill in template.optional}
                if not sampler.takes(payload):
                    break
            else:
                return
        self.templates[stage.name] = template.drawn_by(sampler)

    def _failure(self, failure: Stage, stages: list[Stage]) -> dict[str, ChunkTemplate]:
        """The chunk of a failure, by the stage before it: the fields that all stages share, as
        that stage fills them, and those of the failure.
        """
        sampler = ChunkSampler(self.protocol, failure.schema, failure, self.given)
        own = self._template(failure)
        if not sampler.plain or any(self.templates[each.name].sampled for each in stages):
            return {"": own.drawn_by(sampler)}
        shared = set.intersection(*(set(s.schema.get("required", ())) for s in stages))
        result = {}
        for stage in stages:
            usual = self.templates[stage.name]
            constant = {str(each.field) for each in self.protocol.constant}
            kept = (shared | constant) - own.fixed.keys()
            fixed = {name: value for name, value in usual.fixed.items() if name in kept}
            fills = tuple(
                (name, _failure_text if fill is text else fill)
                for name, fill in usual.fills
                if name in kept
            )
            result[stage.name] = ChunkTemplate.of(fixed | own.fixed, fills + own.fills, (), -1)
        return result

    def filler(self, name: str, schema: Schema) -> Fill:
        """How the field `name` is filled, from the part it plays, its role, or its schema."""
        protocol = self.protocol
        if protocol.index and name == protocol.index.field.name:
            return index_from(protocol.index.start, protocol.index.step)
        if protocol.completion and name == protocol.completion.field.name:
            return Still(lambda chunk: chunk.complete)
        if protocol.tracks and name == protocol.tracks.field.name:
            return ROLES["track"]
        schema = gathered(schema)
        if "const" in schema:
            value = schema["const"]
            return Still(lambda chunk: value)
        if (given := self.given.get((name,))) is not None and not schema.get("x-role"):
            return Still(lambda chunk: chunk.given.get(given, chunk.story.message_id))
        role, _, may_be_null = schema.get("x-role", "").partition("_or_null")
        kinds = schema.get("type", "null")
        kinds = kinds if isinstance(kinds, list) else [kinds]
        if role == "count":
            return _fresh_count
        if role in ROLES:
            fill = ROLES[role]
        elif "enum" in schema:
            values = self._free_values(name, schema["enum"])
            fill = lambda chunk: chunk.rng.choice(values)  # noqa: E731
        elif kinds == ["object"] and "properties" in schema:
            return self._object(schema)
        elif kinds == ["array"] and isinstance(schema.get("items"), dict):
            return self._array(name, schema)
        else:
            kind = next((kind for kind in kinds if kind != "null"), "null")
            plain = _TYPES[kind](schema)
            fill = Still(lambda chunk: plain)
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

    def _object(self, schema: Schema) -> Fill:
        fills = [(name, self.filler(name, sub)) for name, sub in schema["properties"].items()]
        return lambda chunk: {name: fill(chunk) for name, fill in fills}

    def _array(self, name: str, schema: Schema) -> Fill:
        fill = self.filler(name, schema["items"])
        values: tuple[Track | None, ...] = self.values or _NO_TRACK
        least, most = schema.get("minItems", 0), schema.get("maxItems")

        def items(chunk: ChunkContext) -> list[Any]:
            many = max(least, 1) if not self.values else len(chunk.story.audio_urls)
            result = []
            for place in range(many if most is None else min(many, most)):
                chunk.place = place % len(chunk.story.audio_urls)
                chunk.track = values[place % len(values)]
                result.append(fill(chunk))
            return result

        return items


def rising_fields(protocol: Protocol) -> tuple[FieldPath, ...]:
    """The fields that tell how far the generation is."""
    told = [
        field_path(name)
        for name, schema in protocol.fields.items()
        if schema.get("x-role") == "progress"
    ]
    return tuple(dict.fromkeys([*told, *(each.field for each in protocol.never_decrease)]))


def _any_story(tracks: int) -> Story:
    base = "https://storage.example/sample"
    return Story(
        message_id="0" * 24,
        task_id="100000000",
        song_name="A song",
        album_art=f"{base}/album_art.webp",
        audio_urls=(f"{base}/song.mp3",) * tracks,
        stream_urls=(f"{base}/live.mp3",) * tracks,
        lyrics_sections=[{"name": "Verse", "lines": ["A line"]}],
    )


_VALIDATORS: dict[int, tuple[Schema, Any]] = {}


def _validator(schema: Schema) -> Any:
    """The validator of a contract's schema, which lives as long as we do; made once."""
    found = _VALIDATORS.get(id(schema))
    if found is None:
        found = _VALIDATORS[id(schema)] = schema, patterns.validator(schema)
    return found[1]


def _fresh_count(chunk: ChunkContext) -> int:
    chunk.tokens = chunk.rng.randint(5, 200)
    chunk.total += chunk.tokens
    return chunk.tokens


def _total_count(chunk: ChunkContext) -> int:
    return chunk.total


def _failure_text(chunk: ChunkContext) -> str:
    return chunk.story.error_text
