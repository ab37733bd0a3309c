"""Fills the chunks of one stage and track in one stream: together, where nothing in them is drawn.

Never here: which stage comes when, and how a field is filled.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple

from soundstage.generation.chunk_values import ChunkContext, Column, Fill, Still, StreamNumbers
from soundstage.generation.sampled_chunks import ChunkSampler
from soundstage.generation.story import Draft, Drafted, Payload, Track

Fills = tuple[tuple[str, Fill], ...]


class ChunkTemplate(NamedTuple):
    """How to fill a stage's chunk: the fixed fields in their order, and the ones to work out, by
    what they depend on.
    """

    fixed: Payload
    still: tuple[tuple[str, Still], ...]
    columns: tuple[tuple[str, Column], ...]
    live: Fills  # those that are worked out chunk by chunk: they draw, or depend on others
    optional: Fills
    progress: int | None  # 0..100 if fixed, None if it is to be drawn, -1 if there is none
    by_track: bool  # whether chunks of two tracks may differ
    draws: bool  # whether its chunks have to be made one by one, in order
    sampled: ChunkSampler | None = None  # makes the whole chunk where the plain way will not do

    @classmethod
    def of(
        cls, fixed: Payload, fills: Fills, optional: Fills, progress: int | None
    ) -> ChunkTemplate:
        """With the fields to work out in any order."""
        still = tuple((name, fill) for name, fill in fills if isinstance(fill, Still))
        columns = tuple((name, fill) for name, fill in fills if isinstance(fill, Column))
        live = tuple(each for each in fills if not isinstance(each[1], Still | Column))
        draws = bool(live or optional)
        by_track = draws or any(fill.by_track for _, fill in still)
        return cls(fixed, still, columns, live, optional, progress, by_track, draws)

    def drawn_by(self, sampler: ChunkSampler) -> ChunkTemplate:
        """The same, its chunks made as a whole."""
        return self._replace(sampled=sampler, by_track=True, draws=True)

    @property
    def fills(self) -> Fills:
        """All fields to work out."""
        return (*self.still, *self.columns, *self.live)


class AlikeChunks:
    """The chunks of one stage and track in one stream, while they are being filled. The last chunk
    of a stream is alike to no other.
    """

    __slots__ = ("drawn", "numbers", "place", "template", "track")

    def __init__(self, template: ChunkTemplate, track: Track | None, place: int) -> None:
        self.template = template
        self.track = track
        self.place = place
        self.numbers: list[int] = []
        #: What was worked out chunk by chunk: a row a chunk, or the chunk as a whole.
        self.drawn: list[Any] = []

    def draw(self, number: int, chunk: ChunkContext, stream: StreamNumbers) -> None:
        """Work out what one chunk has by itself and draws, or depends on what others drew for."""
        template = self.template
        chunk.number, chunk.progress = number, stream.progress[number]
        chunk.counted = stream.counted[number]
        chunk.track, chunk.place = self.track, self.place
        if template.sampled is not None:
            self.drawn.append(template.sampled.chunk(chunk))
            return
        drawn = [fill(chunk) for _, fill in template.live]
        more: Payload = {}
        for name, fill in template.optional if chunk.optional else ():
            if chunk.rng.random() < chunk.optional:
                more[name] = fill(chunk)
        self.drawn.append((drawn, more))

    def drafts(self, chunk: ChunkContext, stream: StreamNumbers) -> Drafted:
        """What chunks that are alike come to: one draft, or one each where they were drawn whole,
        or with fields that may be left out.
        """
        template, numbers = self.template, self.numbers
        chunk.track, chunk.place = self.track, self.place
        if template.sampled is not None:
            return [
                Draft((number,), whole) for number, whole in zip(numbers, self.drawn, strict=True)
            ]
        first = template.fixed.copy()
        for name, fill in template.still:
            first[name] = fill.fill(chunk)
        if len(numbers) == 1:  # half of all: what others have by themselves is its own
            for name, column in template.columns:
                first[name] = column.many(stream, numbers)[0]
            if template.draws:
                drawn, more = self.drawn[0]
                first.update(zip([name for name, _ in template.live], drawn, strict=True))
                first.update(more)
            return [Draft(numbers, first)]
        names = [name for name, _ in template.columns]
        columns: list[Sequence[Any]] = [fill.many(stream, numbers) for _, fill in template.columns]
        if template.live:
            names += [name for name, _ in template.live]
            columns += zip(*(drawn for drawn, _ in self.drawn), strict=True)
        draft = Draft(numbers, first, tuple(names), columns)
        if not (chunk.optional and template.optional):
            return [draft]
        whole = zip(numbers, draft.payloads(), self.drawn, strict=True)
        return [Draft((number,), payload | more) for number, payload, (_, more) in whole]
