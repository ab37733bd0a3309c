"""Whether chunks were held back, as their arrivals tell: values in, values out."""

from __future__ import annotations

import random
from collections.abc import Sequence

import pytest

from soundstage.conformance.timing.held_back import ArrivalFinding, judge
from soundstage.conformance.timing.moments import ArrivalLog, ArrivalTimes, of_json, of_times
from soundstage.contract import load

V6 = load("v6").protocol
#: The chunks of a stream of v6, with how long each takes to make, in seconds.
SONG = (
    ("initializing", None, 0.1),
    ("validated", None, 0.4),
    ("streaming", None, 1.0),
    *(("running", None, 2.8) for _ in range(6)),
    ("streaming_ready", 1, 3.0),
    ("streaming_ready", 2, 1.0),
    *(("running", None, 2.8) for _ in range(4)),
    ("completed", None, 6.0),
    ("uploading", 1, 3.0),
    ("uploading", 2, 1.0),
    ("final", 1, 4.0),
    ("final", 2, 1.0),
)
SIZE = 290
FAR = 10**18


def arrivals(
    times: Sequence[float], *, work_s: float | None = None, doubt: str | None = None
) -> ArrivalTimes:
    """The song, whose chunks came at these times, in seconds."""
    log = ArrivalLog(FAR)
    for number, seconds in enumerate(times, 1):
        log.read(FAR + int(seconds * 1e9), 200 + SIZE * number, SIZE * number, 1, mid=False)
    for stage, track, _ in SONG:
        log.saw(stage, track)
    return log.whole(work_s, doubt)


def made(speed: float = 1.0) -> list[float]:
    """When the chunks are made."""
    times, now = [], 0.00037
    for _, _, seconds in SONG:
        now += seconds / speed
        times.append(now)
    return times


def in_blocks(octets: int) -> ArrivalTimes:
    """The song, passed on in blocks of so many bytes, with a head of 200."""
    log, sent, ends = ArrivalLog(FAR), 0, [200 + SIZE * n for n in range(1, len(SONG) + 1)]
    for seconds, came in zip(made(), ends, strict=True):
        while came - sent >= octets or (came == ends[-1] and sent < came):
            before, sent = sent, min(sent + octets, came)
            whole = sum(before < end <= sent for end in ends)
            log.read(FAR + int(seconds * 1e9), sent, sent - 200, whole, mid=sent not in ends)
    for stage, track, _ in SONG:
        log.saw(stage, track)
    return log.whole(None, None)


def test_a_song_that_came_as_it_was_made_is_in_order() -> None:
    assert judge(V6, arrivals(made())) == ArrivalFinding()


def test_chunks_that_all_came_at_the_end_were_held_back() -> None:
    found = judge(V6, arrivals([34.1 + n * 1e-5 for n in range(len(SONG))]))
    assert found.held is not None
    assert found.held.kind == "whole"
    assert found.held.message == (
        "20 of 20 chunks came together after 34.10 s of silence: "
        "at 34.100 s chunks 0 to 19 (5,800 bytes)"
    )


def test_chunks_that_came_in_blocks_of_a_kilobyte_were_held_back() -> None:
    found = judge(V6, in_blocks(1_024))
    assert found.held is not None
    assert (found.held.kind, found.held.block) == ("bytes", 1_024)
    assert found.held.message.startswith("chunks came in blocks of 1,024 bytes: at ")


@pytest.mark.parametrize("octets", [2_048, 4_096])
def test_chunks_that_came_in_larger_blocks_were_held_back(octets: int) -> None:
    assert judge(V6, in_blocks(octets)).held is not None


def test_chunks_that_came_by_the_clock_were_held_back() -> None:
    ticks = [float(-(-seconds // 10) * 10) + 0.0011 for seconds in made()]
    found = judge(V6, arrivals(ticks))
    assert found.held is not None
    assert (found.held.kind, found.held.block) == ("seconds", 10.0)


def test_reports_by_a_clock_of_the_apis_own_were_not_held_back() -> None:
    """An API that looks every second what there is, and says it, says it as it is made."""
    times, now = [], 1.0013
    for stage, _, _ in SONG:
        now += 0.0 if stage in ("validated", "streaming", "uploading") else 1.0
        times.append(now)
    assert judge(V6, arrivals(times)) == ArrivalFinding()


def test_milestones_of_a_block_were_reached_after_the_block_before() -> None:
    ticks = [float(-(-seconds // 10) * 10) + 0.0011 for seconds in made()]
    held = judge(V6, arrivals(ticks)).held
    assert held is not None
    ready = ticks[9]
    assert held.lows(
        {"streaming_ready": ready, "complete": ticks[-1]}, frozenset({"complete"})
    ) == {"streaming_ready": pytest.approx(ready - 10.0)}


@pytest.mark.parametrize(
    ("told", "why"),
    [
        (arrivals([0.3] * len(SONG)), "it lasted 0.3 s, and arrivals are judged from 1 s on"),
        (arrivals([]), "it lasted 0 s, and arrivals are judged from 1 s on"),
        (
            arrivals([9.0117] * len(SONG), work_s=0.03),
            "at this target all that takes",
        ),
        (arrivals([9.0117] * len(SONG), doubt="no times"), "no times"),
        (arrivals([9.0] * len(SONG)), "its times are only known to 9 s"),
        (arrivals([2.0017, 2.0017]), "no chunk came that takes time to make"),
    ],
)
def test_what_cannot_be_told_is_not_judged_and_says_why(told: ArrivalTimes, why: str) -> None:
    found = judge(V6, told)
    assert found.held is None
    assert str(found.reason).startswith(why)


def test_a_reader_that_was_late_does_not_call_the_chunks_held_back() -> None:
    log = ArrivalLog(-2_000_000_000)
    log.read(1_000_700_000, 6_000, 5_800, len(SONG), mid=False)  # long ago, by any clock
    for stage, track, _ in SONG:
        log.saw(stage, track)
    found = judge(V6, log.whole(None, None))
    assert found == ArrivalFinding(
        reason="it was read late, so that nobody knows when its chunks came"
    )


def test_what_a_transcript_keeps_of_arrivals_says_the_same() -> None:
    told = in_blocks(1_024)
    again = of_json(told.to_json(), told.chunks, None)
    assert judge(V6, again) == judge(V6, told)


def test_times_alone_show_what_came_together() -> None:
    chunks = [(stage, track) for stage, track, _ in SONG]
    found = judge(V6, of_times([(34.1234, SIZE)] * len(SONG), chunks, None))
    assert found.held is not None
    assert found.held.kind == "whole"


@pytest.mark.proof
@pytest.mark.parametrize("speed", [1, 3, 10, 30, 100, 300, 1_000])
def test_no_song_that_is_passed_on_at_once_is_called_held_back_at_any_speed(speed: int) -> None:
    """By networks that hold single pieces up, in order, for a tenth of a second on average."""
    for number in range(400):
        luck = random.Random(f"{speed}/{number}")
        waited = luck.choice((0.0, luck.expovariate(1 / 3)))
        most = luck.choice((0.0, 0.002, 0.02, 0.1))
        now, times = 0.0, []
        for (_, _, seconds), at in zip(SONG, made(speed), strict=True):
            late = luck.expovariate(1 / most) if most else 0.0
            now = max(now, waited + at * luck.lognormvariate(0, 0.1) * (seconds > 0) + late)
            times.append(now)
        found = judge(V6, arrivals(times, work_s=20 / speed))
        assert found.held is None, (number, waited, most, found.held)
