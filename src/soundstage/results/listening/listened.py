"""What a row says of a listener: when the first sound came, and whether the song was heard without
a gap. From `playback`, which rows of a run with --probe-playback have; no other row tells anything,
and nothing is told of what could not be fetched or decoded: that is *not known*, never a fault.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

#: The milestone that only a player of the song can see: the first frame that can be decoded.
FIRST_SOUND: Final = "first_sound"
#: Of milestones in here a row that does not name one says nothing; null says that it never came.
BY_LISTENING: Final = frozenset({FIRST_SOUND})
#: What the share of songs is called that are heard without a gap, in objectives and gates.
CONTINUITY: Final = "continuity"

#: Seconds of music that a listener waits for before playing, where nobody says otherwise; and the
#: most that may be asked for.
START_BUFFER_S: Final = 2.0
LONGEST_BUFFER_S: Final = 60.0

_CUT_SHORT: Final = ("censored", "cut")
_OK: Final = "ok"


def first_sound(playback: Mapping[str, Any]) -> dict[str, float | None]:
    """The milestone as it stands in a row, in seconds since the actual start: of the track that is
    heard first; null where nothing was ever heard, nothing where nobody can know.
    """
    tracks = playback["tracks"].values()
    came = [each["sound_s"] for each in tracks if each["sound_s"] is not None]
    if came:
        return {FIRST_SOUND: min(came)}
    if any(each["continuous"] is None for each in tracks):
        return {}
    return {FIRST_SOUND: None}


def is_continuous(row: Mapping[str, Any]) -> bool | None:
    """Whether each track of the song was heard without a gap; False too of a song that failed,
    timed out, or never sounded. None where nobody knows: nobody listened, what there was could not
    be heard here, or the harness cut it short before there was a gap.
    """
    outcome = row["outcome"]
    if outcome not in (_OK, *_CUT_SHORT):
        return False
    playback = row.get("playback")
    if playback is None:
        return None
    if "tracks" not in playback:  # a bundle of before tracks were heard apart
        return bool(playback["stalls"] == 0)
    told = [each["continuous"] for each in playback["tracks"].values()]
    if False in told:
        return False
    if outcome in _CUT_SHORT or None in told:
        return None
    return bool(told)
