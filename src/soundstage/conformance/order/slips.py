"""What is said of a chunk that came out of its order, or of a track that nobody knows."""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple

from soundstage.conformance.fields import received, shown
from soundstage.conformance.order.stage_order import StageOrder, Track, nth
from soundstage.conformance.violations import Compared
from soundstage.contract.protocol import Stage


class Slip(NamedTuple):
    """What is wrong about an order, as a violation has it; `rule` is that below the endpoint."""

    code: str
    rule: str
    message: str
    path: str = ""
    compared: Compared | None = None


def of_track(order: StageOrder, track: Track) -> Slip | None:
    """What is wrong about the track that a chunk names; None if there is, or may be, such a one."""
    if track is None or order.knows(track):
        return None
    tracks = order.protocol.tracks
    assert tracks is not None
    known = " or ".join(map(str, order.tracks)) or f"{tracks.start} first"
    message = f"{tracks.field} is {shown(track)}; expected {known}"
    compared = Compared(known, received(track))
    return Slip("track.unknown", "tracks/values", message, tracks.field.pointer, compared)


class OutOfOrder(NamedTuple):
    """What is wrong about a chunk's place. `astray`: it may be another track's, since it comes too
    often, or ends its own too early.
    """

    slips: list[Slip]
    astray: bool


def out_of_order(order: StageOrder, stage: Stage, track: Track) -> OutOfOrder:
    """What to say of a chunk by which the order cannot advance. What it lacks is taken for granted
    from then on.
    """
    most = stage.times[1]
    unmet = order.unmet(stage, track)
    for_all = order.unmet_for_all(stage) if stage.after_all else []
    repeated = most is not None and order.times(stage, track) >= most
    if not (unmet or for_all or repeated or order.track_ended(track)):
        return OutOfOrder([], astray=False)
    slips = list(_comes_again(order, stage, track, repeated=repeated))
    named = f" of track {shown(track)}" if track is not None else ""
    for group in unmet:
        message = f"{stage.name}{named} came before {' or '.join(group)}"
        slips.append(Slip("stage.order", f"order/{stage.name}/after/{'|'.join(group)}", message))
    for group, lacking in for_all:
        message = f"{stage.name} came before {' or '.join(group)} of track {lacking}"
        rule = f"order/{stage.name}/after_all/{'|'.join(group)}"
        slips.append(Slip("stage.order", rule, message))
    return OutOfOrder(slips, astray=repeated or (stage.ends == "track" and bool(unmet)))


def _comes_again(
    order: StageOrder, stage: Stage, track: Track, *, repeated: bool
) -> Iterator[Slip]:
    times, most = order.times(stage, track), stage.times[1]
    of = f" of track {shown(track)}" if track is not None and stage.per_track else ""
    if repeated:
        # A limit that is our reading is said once: a faithful API may go beyond it all along.
        if stage.most is None or times == most:
            message = f"{stage.name}{of} comes for the {nth(times + 1)} time"
            text = f"{message}; at most {most} expected"
            yield Slip("stage.repeated", stage.most_rule, text)
    elif stage.per_track and order.track_ended(track) and not order.assumed(stage, track):
        message = f"{stage.name} came after the last chunk{of}"
        yield Slip("track.after_end", "tracks/ended", message)
