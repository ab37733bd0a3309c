"""Chunks and results of any schema: drawn from the schema, with what is known of a generation put
in its places: numbers, tracks, flags, what stays the same, and the values of roles.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any, Final

from soundstage.contract.json_schema import patterns
from soundstage.contract.json_schema.field_path import FieldPath, field_path
from soundstage.contract.json_schema.field_schemas import Schema, pointer
from soundstage.contract.json_schema.keywords import ANY
from soundstage.contract.protocol import Protocol, Stage
from soundstage.errors import ContractDataError
from soundstage.generation.chunk_values import ROLES, ChunkContext
from soundstage.generation.sampler import (
    MISSING,
    Candidates,
    Knowledge,
    Place,
    SchemaSampler,
    Unmet,
    sampler_of,
)
from soundstage.generation.story import Payload

#: Draws until a chunk is told for one of its stage.
_TRIES: Final = 50
#: Roles of what there is one of for each track: an array of them has as many items.
_OF_TRACKS: Final = frozenset({"audio_url", "stream_url", "track"})
#: Roles of what leads to files, which are told of when they are there.
_URLS: Final = frozenset({"audio_url", "stream_url", "album_art"})
_PERCENT: Final = 100


def scaled(schema: Schema, value: float, *, back: bool = False) -> float:
    """A percentage on the scale that a schema gives a number (`minimum` to `maximum`; 0 to 100
    where it gives none); `back`: the percentage that such a number is.
    """
    low, high = schema.get("minimum", 0), schema.get("maximum", _PERCENT)
    if high <= low:
        return value
    if back:
        return float(_PERCENT * (value - low) / (high - low))
    found = float(low + (high - low) * value / _PERCENT)
    kinds = schema.get("type", "number")
    whole = kinds == "integer" or (isinstance(kinds, list) and "number" not in kinds)
    return int(found) if whole else round(found, 6)


class ChunkSampler:
    """Makes chunks of one stage, or (`stage` None) results. `plain`: nothing that is known of its
    chunks lies deeper than their own members, so that a plainer way may do.
    """

    def __init__(
        self,
        protocol: Protocol,
        schema: Schema,
        stage: Stage | None,
        given: Mapping[tuple[str, ...], str],
    ) -> None:
        self._given = given
        self._names = frozenset(given.values())
        self._protocol = protocol
        self._stage = stage
        self._schema = schema
        self._whens = [(patterns.validator(each.when), each) for each in protocol.stages]
        self._sampler: SchemaSampler | None = None
        self._takes = patterns.validator(schema)
        self._rising = [
            (each.parts, found[0])
            for each in (*(r.field for r in protocol.never_decrease), *_progress(protocol))
            if (found := each.schemas(schema))
        ]
        self._constants = protocol.constant
        words = (protocol.index, protocol.tracks, protocol.completion)
        paths = [each.field for each in words if each is not None]
        paths += [each.field for each in protocol.constant]
        paths += [each.field for each in protocol.never_decrease]
        by_track = [each.per_track for each in protocol.constant]
        by_track += [each.per_track for each in protocol.never_decrease]
        self.plain = all(path.name is not None for path in paths) and not any(by_track)

    def takes(self, chunk: Payload) -> bool:
        """Whether a chunk meets the schema, and is told for one of the stage."""
        return bool(self._takes.is_valid(chunk)) and self._is_told(chunk)

    def _is_told(self, chunk: Payload) -> bool:
        if self._stage is None:
            return True
        event = self._stage.event.name if self._stage.event is not None else None
        for when, stage in self._whens:
            named = event is None or stage.event is None or stage.event.takes(event or "")
            if named and when.is_valid(chunk):
                return stage.name == self._stage.name
        return False

    def chunk(self, context: ChunkContext) -> Payload:
        """The next chunk of a generation.

        Raises ContractDataError if none is found that meets the schema and is told for its stage.
        """
        if self._sampler is None:
            schema = self._schema
            if self._stage is not None and self._stage.when:
                schema = {"type": "object", "allOf": [schema, self._stage.when]}
            self._sampler = sampler_of(schema)
        known = _Known(self, context, self._sampler)
        for _ in range(_TRIES):
            try:
                found = self._sampler.draw(context.rng, known)
            except Unmet as error:
                raise ContractDataError(f"{self._name}: {error}") from error
            if isinstance(found, dict) and self._is_told(found):
                self._keep(found, context)
                return found
            known.optional = 1.0 - known.optional
        raise ContractDataError(f"{self._name}: no chunk found that its `when` tells from others")

    @property
    def _name(self) -> str:
        return f"stage {self._stage.name}" if self._stage is not None else "result"

    def _keep(self, chunk: Payload, context: ChunkContext) -> None:
        for each in self._constants:
            for at, value in each.field.every(chunk):
                if value is not None:
                    context.kept.setdefault((at, context.track if each.per_track else None), value)

    def known_at(self, place: Place, context: ChunkContext) -> Any:
        """The value of a place that follows from the generation; MISSING if none does."""
        protocol = self._protocol
        index, tracks, flag = protocol.index, protocol.tracks, protocol.completion
        if index is not None and place == index.field.parts:
            return index.start + index.step * context.counted
        if tracks is not None and place == tracks.field.parts:
            return context.track if context.track is not None else MISSING
        if flag is not None and place == flag.field.parts:
            return context.complete
        at = pointer(*place)
        for track in (context.track, None):
            if (at, track) in context.kept:
                return context.kept[at, track]
        if (given := self._given_at(place, context)) is not MISSING:
            return given
        for parts, schema in self._rising:
            if _matches(parts, place):
                return scaled(schema, context.progress)
        return MISSING

    def _given_at(self, place: Place, context: ChunkContext) -> Any:
        """What the generation is asked for by, where a place holds that: by the place that gives
        it, or, elsewhere, by its name.
        """
        name = self._given.get(place)
        if name is None and place and place[-1] in self._names:
            name = place[-1]
        if name is None:
            return MISSING
        if name in context.given:
            said = context.given[name]
            return Candidates((said, int(said))) if said.isdecimal() else said
        own = context.story.message_id
        number = int(own[:12], 16) if _HEXADECIMAL.fullmatch(own[:12]) else MISSING
        return Candidates((own, number))


_HEXADECIMAL: Final = re.compile("[0-9a-f]{1,12}")


class _Known(Knowledge):
    """What is known of one chunk. The values of roles come from the story of its generation."""

    def __init__(self, of: ChunkSampler, context: ChunkContext, sampler: SchemaSampler) -> None:
        self._of = of
        self._context = context
        self._sampler = sampler
        self.optional = context.optional
        self._place = context.place
        self._track = context.track

    def value(self, place: Place) -> Any:
        context = self._context
        if (known := self._of.known_at(place, context)) is not MISSING:
            return known
        role = (self._sampler.role_at(place) or "").removesuffix("_or_null")
        if role == "count" or not role:
            return MISSING
        fill = ROLES.get(role)
        if fill is None:
            return MISSING
        item = next((int(part) for part in reversed(place) if part.isdecimal()), None)
        many = len(context.story.audio_urls)
        if item is not None and role in _OF_TRACKS:
            context.place = item % many
            if (tracks := self._of._protocol.tracks) is not None and role == "track":
                values = tracks.values if tracks.fixed else tracks.numbered(item + 1)
                context.track = values[item % len(values)]
        try:
            value = fill(context)
            hidden = role in _URLS and not context.offered(value)
            return None if hidden else value
        finally:
            context.place, context.track = self._place, self._track

    def items(self, place: Place) -> int | None:
        deeper = (
            role
            for at, role in self._sampler.roles.items()
            if len(at) > len(place) and _matches(at[: len(place)], place) and at[len(place)] == ANY
        )
        of_tracks = any(role.removesuffix("_or_null") in _OF_TRACKS for role in deeper)
        return len(self._context.story.audio_urls) if of_tracks else None

    def has(self, place: Place) -> bool:
        role = (self._sampler.role_at(place) or "").removesuffix("_or_null")
        if role in _URLS and self.value(place) is None:
            return False
        return self.optional >= 1 or self._context.rng.random() < self.optional


def _matches(pattern: tuple[str, ...], place: Place) -> bool:
    return len(pattern) == len(place) and all(
        a in (ANY, b) for a, b in zip(pattern, place, strict=True)
    )


def _progress(protocol: Protocol) -> list[FieldPath]:
    return [
        field_path(name)
        for name, schema in protocol.fields.items()
        if schema.get("x-role") == "progress"
    ]
