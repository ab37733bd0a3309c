"""What rows of exchanges.ndjson.gz say of listeners, for tests of what is made of them."""

from __future__ import annotations

from typing import Any


def track(stalls: int | None = 0, silent: float = 0.0, **changes: Any) -> dict[str, Any]:
    """A track that stalled so often, for so many seconds in all; None: it never played."""
    return {
        "continuous": stalls == 0,
        "sound_s": None if stalls is None else 0.5,
        "stalls": stalls,
        "stalled_s": silent,
        "underrun_s": silent / max(1, stalls or 1),
        "played_s": 10.0 if stalls is not None else 0.0,
        "made_s": 5.0,
        "reason": None,
        **changes,
    }


def playback(*tracks: dict[str, Any], **changes: Any) -> dict[str, Any]:
    """`playback` of a row with these tracks."""
    named = {str(number): each for number, each in enumerate(tracks, 1)}
    return {"buffer_s": 2.0, "pace": 1.0, "asked_s": 30, "tracks": named, **changes}


#: A track that could not be fetched, so that nobody knows; and one that was not there.
UNHEARD = track(None, continuous=None, reason="not fetched: elsewhere")
GONE = track(None, continuous=False, reason="it answers with 404")
