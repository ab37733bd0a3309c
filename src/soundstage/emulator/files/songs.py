"""Songs as files: ready frames of two bars of music, played over and over to the length asked for.

Nothing is encoded while the emulator runs, so any part of a file of any length is there at once and
takes no memory of its own. Synthesising and encoding each song was tried before: it took a thread,
turns between the songs, and a bound on what they may hold.
"""

from __future__ import annotations

import json
import random
import re
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from importlib.resources import files
from typing import Any, Final

from soundstage.emulator.files.mp3 import FRAME_BYTES, header_frame, size_of

#: From one track of a generation to the next, in the list of loops: no two have the same music.
_TRACK_STEP: Final = 2


@cache
def defaults() -> Mapping[str, Any]:
    """`songs.json`: lengths in seconds; the loops, and the words of a prompt that choose one."""
    text = files(__package__).joinpath("songs.json").read_bytes()
    data: Mapping[str, Any] = json.loads(text)
    return data


def song_seconds(asked: float | None) -> float:
    """How long a song gets: what was asked for, but no more than there is room for."""
    lengths = defaults()
    if asked is None:
        asked = lengths["default_seconds"]
    return float(min(max(asked, 0), lengths["longest_seconds"]))


@dataclass(frozen=True, slots=True)
class Song:
    """A file of `samples` samples: a header frame, then the frames of `loop` from the number
    `first` on, round and round.
    """

    loop: bytes
    first: int
    samples: int

    @property
    def size(self) -> int:
        """Bytes of the whole file."""
        return size_of(self.samples)

    def piece(self, start: int, stop: int) -> bytes:
        """The bytes from `start` to `stop` (exclusive), no further than the end."""
        stop = min(stop, self.size)
        head = header_frame(self.samples)[start:stop] if start < FRAME_BYTES else b""
        begin = max(start, FRAME_BYTES) - FRAME_BYTES
        many = stop - FRAME_BYTES - begin
        if many <= 0:
            return head
        at = (self.first * FRAME_BYTES + begin) % len(self.loop)
        rounds = (at + many) // len(self.loop) + 1
        return head + (self.loop * rounds)[at : at + many]


def song(origin: str, prompt: str, place: int, samples: int) -> Song:
    """The song of a track. The same `origin`, prompt, place and length give the same file. A word
    of the prompt chooses the music, else `origin` does; where it begins follows from `origin`, so
    that no two songs are alike. Tracks of one origin have different music.
    """
    loops = defaults()["loops"]
    words = set(re.findall(r"[a-z-]+", prompt.lower()))
    drawn = random.Random(f"{origin}/song").randrange(len(loops))
    fitting = (n for n, each in enumerate(loops) if not words.isdisjoint(each["words"]))
    chosen = (next(fitting, drawn) + place * _TRACK_STEP) % len(loops)
    loop = _loop(loops[chosen]["file"])
    first = random.Random(f"{origin}/{place}").randrange(len(loop) // FRAME_BYTES)
    return Song(loop, first, samples)


@cache
def _loop(name: str) -> bytes:
    """The frames of two bars, in the format of `mp3`. None of them needs a bit of those before it
    (LAME's `--nores`), so that one may begin anywhere and go on from the last with the first.
    """
    return files(__package__).joinpath(name).read_bytes()
