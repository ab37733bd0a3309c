"""When the chunks of a saved stream came, as far as the file says so."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from soundstage.conformance.timing.moments import ArrivalTimes, Track, of_json, of_times
from soundstage.saved.transcript import Transcript

_NO_TIMES: Final = "the file does not say when each chunk came"
_UNSTAMPED: Final = "its times are those at which it was read, not those at which it came"
#: What our own transcripts say of their times (`Response.timing_source`).
_KERNEL, _USERSPACE = "kernel", "userspace"


def saved_arrivals(
    exchange: Transcript, chunks: Sequence[tuple[str | None, Track]]
) -> ArrivalTimes:
    """The arrivals of a saved stream, of which these chunks were read: those that were kept, else
    what the times of its events say. A file without them gives none, and the reason.
    """
    timing = exchange.header.get("timing")
    if timing not in (_KERNEL, _USERSPACE):
        return ArrivalTimes((), tuple(chunks), doubt=_NO_TIMES)
    doubt = None if timing == _KERNEL else _UNSTAMPED
    kept = (exchange.end or {}).get("arrivals")
    if kept is not None:
        return of_json(kept, chunks, doubt)
    pieces = exchange.pieces
    if len(pieces) < len(chunks):  # an event a piece, and what made none
        return ArrivalTimes((), tuple(chunks), doubt=_NO_TIMES)
    return of_times(((seconds, len(raw)) for seconds, raw, _ in pieces), chunks, doubt)
