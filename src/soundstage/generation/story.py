"""What one generation is about, and the sequence of stages that tells it: values only."""

from __future__ import annotations

import random
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

Track = int | str
Payload = dict[str, Any]


class Step(NamedTuple):
    """One chunk to be: the name of its stage, and its track (None where the stage has none)."""

    stage: str
    track: Track | None


class Draft(NamedTuple):
    """Chunks that have most in common: `numbers` are theirs in the stream, rising; `first` has the
    members of all of them in order, with any value for those that each has by itself. `live` are
    the names of these, and `columns` what the chunks say there, a sequence a name.
    """

    numbers: Sequence[int]
    first: Any
    live: tuple[str, ...] = ()
    columns: Sequence[Sequence[Any]] = ()

    def payloads(self) -> Iterable[Any]:
        """Its chunks, in order, each an object of its own."""
        if not self.live:
            if len(self.numbers) == 1:
                return (self.first,)
            return [self.first.copy() for _ in self.numbers]
        told = zip(*self.columns, strict=True)
        return [{**self.first, **dict(zip(self.live, values, strict=True))} for values in told]


#: The chunks of a stream, put together by what they have in common: each is in one draft.
Drafted = list[Draft]


def in_order(drafts: Drafted) -> list[Any]:
    """The chunks of a stream as payloads, in their order."""
    payloads: list[Any] = [None] * sum(len(draft.numbers) for draft in drafts)
    for draft in drafts:
        for number, payload in zip(draft.numbers, draft.payloads(), strict=True):
            payloads[number] = payload
    return payloads


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
