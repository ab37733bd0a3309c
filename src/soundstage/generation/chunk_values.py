"""What the values of a chunk may depend on, and how each role is filled."""

from __future__ import annotations

import random
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

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
    "fraction": lambda chunk: chunk.progress / 100,
    "track": lambda chunk: chunk.track,
    "unix_time": lambda chunk: _BEGAN + chunk.number,
    "words": lambda chunk: f"{song_title(chunk.rng)} ".lower(),
    "flag": lambda chunk: False,
    "text": text,
}

#: Those that say the same in all chunks of one stage and track.
STILL: frozenset[Fill] = frozenset(
    ROLES[name]
    for name in (
        "message_id",
        "task_id",
        "song_name",
        "album_art",
        "url",
        "audio_url",
        "stream_url",
        "lyrics_sections",
        "prompt",
        "error_text",
        "track",
        "flag",
    )
)
