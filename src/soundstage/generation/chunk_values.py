"""What the values of a chunk may depend on, and how each role is filled."""

from __future__ import annotations

import random
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, NamedTuple

from soundstage.generation.story import Story, Track, song_title


@dataclass(slots=True)
class ChunkContext:
    """All that a field may depend on. One object serves a whole stream, moved on chunk by chunk."""

    story: Story
    rng: random.Random
    number: int  # of the chunk, from zero
    last: int  # the number of the last chunk
    counted: int = 0  # chunks before this one that are numbered
    optional: float = 1.0  # how likely a field is there that may be left out
    track: Track | None = None
    place: int = 0  # of the track in the contract's list
    complete: bool = True
    progress: int = 100
    tokens: int = 0
    total: int = 0
    known_from: dict[str, int] = field(default_factory=dict)
    #: What the generation is asked for by, as far as it is known (`gives`).
    given: Mapping[str, str] = field(default_factory=dict)
    #: Whether a URL is told of yet.
    offered: Callable[[str], bool] = field(default=lambda url: True)
    #: Values that stay, by place (JSON pointer) and track.
    kept: dict[tuple[str, Track | None], Any] = field(default_factory=dict)

    def known(self, name: str) -> bool:
        """Whether a field that may be null has its value yet; drawn once for each field."""
        if name not in self.known_from:
            self.known_from[name] = self.rng.randint(1, max(1, self.last // 2))
        return self.number >= self.known_from[name]


Fill = Callable[[ChunkContext], Any]


class StreamNumbers(NamedTuple):
    """What columns are made of, by the number of a chunk: how many before it are numbered, and how
    far the generation is.
    """

    counted: Sequence[int]
    progress: Sequence[int]


@dataclass(frozen=True, slots=True)
class Still:
    """A fill that draws nothing, and gives the same for all chunks of one stage, but the last of a
    stream; `by_track`: for those of one stage and track.
    """

    fill: Fill
    by_track: bool = False

    def __call__(self, chunk: ChunkContext) -> Any:
        return self.fill(chunk)


@dataclass(frozen=True, slots=True)
class Column:
    """A fill that draws nothing, and can fill many chunks of a stream at once, by their numbers: in
    a tenth of the time that as many calls take.
    """

    fill: Fill
    many: Callable[[StreamNumbers, Sequence[int]], Sequence[Any]]

    def __call__(self, chunk: ChunkContext) -> Any:
        return self.fill(chunk)


def index_from(start: int, step: int) -> Column:
    """Numbers the chunks."""
    usual = (start, step) == (0, 1)

    def many(stream: StreamNumbers, numbers: Sequence[int]) -> Sequence[int]:
        counted = stream.counted
        if type(counted) is range:  # every chunk is numbered
            return numbers if usual else [start + step * number for number in numbers]
        return [start + step * counted[number] for number in numbers]

    return Column(lambda chunk: start + step * chunk.counted, many)


def _progress(stream: StreamNumbers, numbers: Sequence[int]) -> Sequence[int]:
    return list(map(stream.progress.__getitem__, numbers))


#: The moment of the first chunk: any will do, and the same every time.
_BEGAN = 1_767_225_600


def text(chunk: ChunkContext) -> str:
    if chunk.number == 0:
        return "Starting song generation..."
    if chunk.number >= chunk.last:
        return "✅ Song generation completed successfully!"
    return f"Generating the song: part {chunk.number} of {chunk.last}…"


#: How a field is filled whose schema does not fix it, by its role (`contract/role_names.py`).
ROLES: Mapping[str, Fill] = {
    "message_id": Still(lambda chunk: chunk.story.message_id),
    "task_id": Still(lambda chunk: chunk.story.task_id),
    "song_name": Still(lambda chunk: chunk.story.song_name),
    "album_art": Still(lambda chunk: chunk.story.album_art),
    "url": Still(lambda chunk: chunk.story.album_art),
    "audio_url": Still(lambda chunk: chunk.story.audio_urls[chunk.place], by_track=True),
    "stream_url": Still(lambda chunk: chunk.story.stream_urls[chunk.place], by_track=True),
    "lyrics_sections": Still(lambda chunk: chunk.story.lyrics_sections),
    "prompt": Still(lambda chunk: chunk.story.prompt),
    "error_text": Still(lambda chunk: chunk.story.error_text),
    "progress": Column(lambda chunk: chunk.progress, _progress),
    "fraction": Column(
        lambda chunk: chunk.progress / 100,
        lambda stream, numbers: [share / 100 for share in _progress(stream, numbers)],
    ),
    "track": Still(lambda chunk: chunk.track, by_track=True),
    "unix_time": lambda chunk: _BEGAN + chunk.number,
    "words": lambda chunk: f"{song_title(chunk.rng)} ".lower(),
    "flag": Still(lambda chunk: False),
    "text": text,
}
