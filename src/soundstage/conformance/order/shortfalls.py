"""What is said of a stream that is over and lacks something: its end, a track, a stage, the text
that ends it.
"""

from __future__ import annotations

from collections.abc import Iterator

from soundstage.conformance.fields import shown
from soundstage.conformance.order.slips import Slip
from soundstage.conformance.order.stage_order import StageOrder


def unfinished(order: StageOrder, last_stage: str | None, *, sentinel_came: bool) -> Iterator[Slip]:
    """Of a stream that has not come to its end, and whose last chunk was of `last_stage`."""
    if lost := order.lost_tracks():
        for track in lost:
            yield _lost(track)
        yield from missing_stages(order)
        return
    due = order.due()
    sentinel = order.protocol.sentinel
    if sentinel is not None and sentinel.required and not sentinel_came:
        if not due:
            yield from missing_sentinel(order)  # all that had to come is there, but for the text
            return
        due.append(sentinel.data.decode())
    after = f"after {last_stage}" if last_stage else "before its first chunk"
    more = f"; still due: {', '.join(due)}" if due else ""
    yield Slip("stream.truncated", "end/reached", f"the stream ended {after}{more}")


def missing_tracks(order: StageOrder) -> Iterator[Slip]:
    """Of a stream that a closing stage, or its close, has ended: it may lack a track even so."""
    return map(_lost, order.never_seen())


def missing_stages(order: StageOrder) -> Iterator[Slip]:
    """Of stages that came less often than they must."""
    for stage, track, times in order.missing():
        on = f" of track {track}" if track is not None else ""
        came = "once" if times == 1 else f"{times} times"
        message = f"{stage.name}{on} came {came}; at least {stage.times[0]} expected"
        message = f"{stage.name}{on} never came" if not times else message
        yield Slip("stage.missing", f"times/{stage.name}", message)


def missing_sentinel(order: StageOrder) -> Iterator[Slip]:
    """Of a stream in which the text did not come that must end it."""
    sentinel = order.protocol.sentinel
    if sentinel is not None and sentinel.required:
        message = f"the stream ended without {shown(sentinel.data.decode())}"
        yield Slip("stream.no_sentinel", "end/sentinel", message)


def _lost(track: int | str) -> Slip:
    return Slip("track.missing", "tracks/all", f"track {track} was never delivered")
