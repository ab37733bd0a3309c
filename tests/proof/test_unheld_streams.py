"""No stream that is passed on as it is made is called held back: the emulator's own schedules, at
any speed, in networks that hold pieces up, cut them and lose them, before and after a wait.

By hand for ten thousand that are judged: SOUNDSTAGE_STREAMS=40000 python -m pytest -m proof THIS
"""

from __future__ import annotations

import os
import random
from collections.abc import Callable

import pytest

from soundstage.conformance.timing.held_back import ArrivalFinding, judge
from soundstage.conformance.timing.moments import ArrivalLog
from soundstage.contract import load
from soundstage.emulator.pace.profiles import profiles
from soundstage.generation.walk import headline_times, plan

STREAMS = int(os.environ.get("SOUNDSTAGE_STREAMS", "1500"))
SPEEDS = (1, 1, 2, 5, 10, 20, 30, 50, 70, 100, 300, 1_000)
FAR = 10**18

#: How late a network is with a piece, in seconds.
NETWORKS: tuple[Callable[[random.Random], float], ...] = (
    lambda luck: 0.0,
    lambda luck: luck.random() * 0.3,
    lambda luck: luck.expovariate(1 / 0.05),
    lambda luck: luck.choice((0.2, 0.4, 0.8)) if luck.random() < 0.02 else 0.0,
)


def streamed(number: int) -> ArrivalFinding:
    luck = random.Random(f"unheld/{number}")
    contract, speed = load(luck.choice(("v5", "v6"))), luck.choice(SPEEDS)
    profile = profiles()[luck.choice(sorted(profiles()))]
    course = profile.of(contract.api)
    draws = {
        **headline_times(contract.protocol),
        **{name: each.draw for name, each in course.chunks.items()},
    }
    steps = plan(contract, luck, times=draws)
    made = profile.schedule(contract.api, steps, luck, speed)
    waited, late = luck.choice((0.0, luck.expovariate(1 / 3))), luck.choice(NETWORKS)
    tick, size = luck.choice((0.0, 0.001)), luck.choice((None, 256, 512))
    log, now, wire, body = ArrivalLog(FAR), 0.0, 200, 0
    for step, moment in zip(steps, made, strict=True):
        sent = waited + moment
        if tick:  # a timer of milliseconds sends what is due together
            sent = -(-sent // tick) * tick
        now = max(now + 2e-6, sent + late(luck) + luck.random() * 1e-4)
        octets = size or luck.randint(180, 420)
        wire, body = wire + octets + 7, body + octets
        if luck.random() < 0.05:
            log.read(FAR + int(now * 1e9), wire - octets // 2, body - octets // 2, 0, mid=True)
            now += luck.choice((1e-5, 0.02))
        log.read(FAR + int(now * 1e9), wire, body, 1, mid=False)
        log.saw(step.stage, step.track)
    slow = (stage.name for stage in contract.protocol.stages if stage.takes_time)
    work_s = sum(map(course.work_s, slow)) / speed
    protocol = contract.endpoints["stream"].protocol
    assert protocol is not None
    return judge(protocol, log.whole(work_s, None))


@pytest.mark.proof
def test_no_stream_that_is_passed_on_as_it_is_made_is_called_held_back() -> None:
    found = [streamed(number) for number in range(STREAMS)]
    judged = sum(each == ArrivalFinding() for each in found)
    assert [each.held.message for each in found if each.held is not None] == []
    assert judged > STREAMS / 5, "it must not be for want of judging"
