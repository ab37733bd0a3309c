"""The roles that a field may have: what its value is for. A field has the role that is the name of
the definition in `fields.json` that it refers to, or the one that its `x-role` names.

The emulator makes a value up by role, observing and reports know by it what is private, and what
leads to a file. What has no role is made up from its schema alone.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

_NULLABLE: Final = "_or_null"

#: Each role, and what its value is. With `_or_null` behind it: null until it is known.
ROLES: Final[Mapping[str, str]] = {
    "message_id": "identifies a generation: the same in all its chunks and answers",
    "task_id": "identifies a generation within another system",
    "flag": "a boolean that says that something is so",
    "stage_name": "names a stage or a state",
    "chunk_index": "counts chunks",
    "count": "counts something, afresh in each chunk",
    "progress": "how far a generation is, as a percentage",
    "fraction": "how far a generation is, from 0 to 1",
    "track": "names a track",
    "song_name": "the title of a song",
    "text": "says something to people",
    "url": "an absolute http(s) URL",
    "audio_url": "where a whole song lies",
    "stream_url": "where a song can be heard while it is made",
    "album_art": "where a picture lies",
    "error_text": "says what failed",
    "lyrics_sections": "the words of a song, part by part",
    "prompt": "what a song should be",
    "lyrics": "words to sing",
    "duration": "how long a song is to be, in seconds",
    "reference_audio": "where audio lies that guides a generation",
    "unix_time": "a moment, in seconds since 1970",
    "words": "a few words, other ones in each chunk",
}


def role_named(name: Any) -> str | None:
    """`name`, if it is a role, with or without `_or_null`; else None."""
    known = isinstance(name, str) and name.removesuffix(_NULLABLE) in ROLES
    return name if known else None


def role_of(schema: Mapping[str, Any]) -> str:
    """The role of a field, without the suffix that says that it may be null; "" if it has none."""
    return str(schema.get("x-role", "")).removesuffix(_NULLABLE)
