"""The part of the kill matrix that needs time, in a time that is made up: chunks that something
holds back, and chunks that nothing does. Each stream is played as an emulator would send it, on a
clock of its own, and judged by its arrivals.
"""

from __future__ import annotations

import random
from collections.abc import Iterator, Sequence
from typing import Final

from soundstage.conformance.judge import Judge
from soundstage.conformance.timing.moments import ArrivalLog
from soundstage.conformance.violations import Violation
from soundstage.contract import Contract
from soundstage.contract.protocol import Endpoint
from soundstage.generation.faults.catalogue import (
    OPTIONAL,
    Chunks,
    Fault,
    WholeAnswer,
    encoded,
    request_for,
    tracks_for,
)
from soundstage.generation.faults.script import FaultSubject, Say, Script, held_until, untouched
from soundstage.generation.walk import payloads, plan, random_story, story_tracks
from soundstage.proof.kill_matrix import TrialFinding

#: On how many streams each fault is tried, and how many are drawn to find them.
_TRIES: Final = 4
_DRAWN: Final = 200
#: How long steps that take time are, and reports, beside each other; and the whole, in seconds. A
#: stream that is over before a clock has struck a few times shows nothing of it.
_WORK, _REPORT = 2.0, 1.0
_WHOLE_S: Final = 3.60037
_LEAST_CHUNKS: Final = 16
#: The head, and the frame of each chunk, in bytes.
_HEAD, _FRAME = 160, 7
#: Far from any clock of this machine.
_FAR_NS: Final = 10**18
_SECOND_NS: Final = 1_000_000_000


def found_in_arrivals(
    contract: Contract, faults: Sequence[Fault], seed: int = 0
) -> Iterator[tuple[Fault, TrialFinding]]:
    """Each fault that shows in arrivals alone, in streams of the endpoint that tells them."""
    for fault in faults:
        yield fault, _tried(contract, fault, seed)


def _tried(contract: Contract, fault: Fault, seed: int) -> TrialFinding:
    tries = 0
    for endpoint in contract.of_kind("stream"):
        for attempt in range(_DRAWN):
            rng = random.Random(f"{seed}/{fault.name}/{endpoint.name}/{attempt}")
            judge = arrived(contract, endpoint, rng, fault)
            if judge is None:
                continue
            tries += 1
            found = judge.violations
            if not any(v.code in fault.codes and v.severity == fault.severity for v in found):
                said = [f"{v.code} ({v.severity})" for v in found if v.severity != "info"]
                return TrialFinding(False, tuple(dict.fromkeys(said)))
            if tries % _TRIES == 0:
                break
    return TrialFinding(bool(tries), placed=bool(tries))


def unheld(contract: Contract, many: int, seed: int = 0) -> Iterator[Violation]:
    """What is found in the arrivals of valid streams that nothing holds back: false alarms."""
    endpoints = contract.of_kind("stream")
    for number in range(many if endpoints else 0):
        rng = random.Random(f"{seed}/unheld/{number}")
        judge = arrived(contract, endpoints[number % len(endpoints)], rng)
        if judge is not None:
            yield from (each for each in judge.violations if each.code == "stream.buffered")


def arrived(
    contract: Contract, endpoint: Endpoint, rng: random.Random, fault: Fault | None = None
) -> Judge | None:
    """The judge of a valid stream that was sent with a fault, or without; None where it is too
    short to show anything, or nothing in it takes time.
    """
    seen = contract.seen_through(endpoint)
    tracks = tracks_for(seen)
    chunks = _stream(seen, rng, tracks)
    judge = Judge(contract, endpoint, request=request_for(seen, tracks))
    if not judge.times_tell or (fault is not None and len(chunks) < _LEAST_CHUNKS):
        return None
    body = encoded(chunks, rng.choice(endpoint.framings), endpoint.protocol)
    answer = WholeAnswer(endpoint.usual_status, None, body)
    told = FaultSubject(answer, chunks, range(len(body.frames)), _setting(fault))
    script = Script(untouched(answer)) if fault is None else fault.apply(told, rng)
    if script is None:
        return None
    log, wire = ArrivalLog(_FAR_NS), _HEAD
    for seconds, data in _sent(script, _due(endpoint, chunks, rng)):
        events = judge.feed(data)
        for _, each in events:
            log.saw(each.stage, each.track)
        wire += len(data) + _FRAME
        at_ns = _FAR_NS + int(seconds * _SECOND_NS)
        log.read(at_ns, wire, judge.body_bytes, len(events), mid=judge.mid_event)
    judge.close()
    judge.take_arrivals(log.whole(None, None))
    return None if judge.arrived.reason is not None and fault is not None else judge


def _stream(contract: Contract, rng: random.Random, tracks: int | None) -> Chunks:
    """A valid stream, with many chunks of what takes time where there may be."""
    many = {
        stage.name: lambda rng: rng.randint(_LEAST_CHUNKS, 2 * _LEAST_CHUNKS)
        for stage in contract.protocol.stages
        if stage.takes_time and stage.times[1] is None
    }
    steps = plan(contract, rng, times=many, tracks=tracks)
    story = random_story(rng, story_tracks(contract))
    return list(zip(steps, payloads(contract, steps, story, rng, optional=OPTIONAL), strict=True))


def _setting(fault: Fault | None) -> float:
    return (fault.setting or 0.0) if fault is not None else 0.0


def _due(endpoint: Endpoint, chunks: Chunks, rng: random.Random) -> list[float]:
    """When each chunk is made, in seconds after the request."""
    assert endpoint.protocol is not None
    by_name, now, due = endpoint.protocol.by_name, 0.01, []
    for step, _ in chunks:
        slow = by_name[step.stage].takes_time and by_name[step.stage].times[1] is not None
        now += (_WORK if slow else _REPORT) * rng.uniform(0.9, 1.1)
        due.append(now)
    return [_WHOLE_S * seconds / now for seconds in due]


def _sent(script: Script, due: Sequence[float]) -> Iterator[tuple[float, bytes]]:
    """What a script sends, and when."""
    for moves, made in zip(script.chunks, due, strict=True):
        at = held_until(made, due[-1], script.tick_s)
        yield from ((at, move.data) for move in moves if isinstance(move, Say))
