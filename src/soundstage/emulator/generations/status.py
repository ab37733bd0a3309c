"""What the status endpoint tells of a generation.

The page prints no payload (docs/reading-the-documentation.md), so the names are ours; the stages
are the contract's.
"""

from __future__ import annotations

from soundstage.emulator.generations.generations import Generation, tracks_of
from soundstage.generation.walk import Payload


def status_of(generation: Generation, now: float) -> Payload:
    """Where a generation is at `now` (seconds of the monotonic clock): whether or not
    anybody still listens to it.
    """
    reached = generation.reached(now)

    def told(url: str) -> str | None:
        return url if generation.offers(url, now) else None

    story = generation.story
    values = tracks_of(generation.contract)
    return {
        "message_id": story.message_id,
        "status": generation.steps[reached - 1].stage if reached else "queued",
        "progress": generation.progress(now),
        "isComplete": reached >= len(generation.steps),
        "song_name": story.song_name,
        "tracks": [
            {"track": value, "stream_url": told(stream), "audio_url": told(audio)}
            for value, stream, audio in zip(
                values, story.stream_urls, story.audio_urls, strict=False
            )
        ],
    }
