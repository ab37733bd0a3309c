"""What exchanges may hold together: counted, given back, and refused without harm."""

from __future__ import annotations

import gc
import random

from soundstage.conformance.judge import Judge
from soundstage.contract import load
from soundstage.exchange.held.tape import Tape
from soundstage.process.memory import FREE_BYTES, AnswerMemory


def noise(many: int) -> bytes:
    return random.Random(many).randbytes(many)


def test_what_one_exchange_holds_is_given_back_when_it_is_forgotten():
    room = AnswerMemory(20 * FREE_BYTES)
    tape = Tape(room.claim())
    tape.append(1, noise(5 * FREE_BYTES), False)
    assert 4 * FREE_BYTES <= room.held <= 6 * FREE_BYTES
    del tape
    gc.collect()
    assert room.held == 0


def test_a_small_exchange_is_kept_however_full_the_room_is():
    room = AnswerMemory(0)
    tape = Tape(room.claim())
    for number in range(26):
        tape.append(number, b"data: " + noise(300) + b"\n\n", False)
    assert len(tape) == 26
    assert not tape.dropped


def test_a_tape_without_room_keeps_nothing_at_all_and_says_so():
    room = AnswerMemory(4 * FREE_BYTES)
    tape = Tape(room.claim())
    tape.append(1, noise(FREE_BYTES // 2), False)
    tape.append(2, noise(8 * FREE_BYTES), True)
    tape.append(3, b"more", False)
    assert tape.dropped
    assert tape.pieces() == []
    assert tape.kept_bytes == 0
    assert (room.held, room.refused) == (0, 1)


def test_many_exchanges_at_once_share_what_there_is():
    room = AnswerMemory(16 * FREE_BYTES)
    tapes = [Tape(room.claim()) for _ in range(20)]
    for tape in tapes:
        tape.append(1, noise(2 * FREE_BYTES), False)
    kept = [tape for tape in tapes if not tape.dropped]
    assert 0 < len(kept) < len(tapes)
    assert room.held <= room.most // 2
    assert room.refused == len(tapes) - len(kept)


def test_what_is_still_to_be_judged_has_room_where_nothing_more_is_kept():
    room = AnswerMemory(8 * FREE_BYTES)
    keeping, judging = room.claim(), room.claim()
    assert keeping.take(4 * FREE_BYTES)
    assert not keeping.take(2 * FREE_BYTES)
    assert judging.take(4 * FREE_BYTES, kept=False)
    assert not judging.take(FREE_BYTES + 1, kept=False)
    keeping.release()
    assert judging.take(FREE_BYTES + 1, kept=False)


def test_an_event_that_never_ends_is_cut_where_there_is_no_room_for_it():
    contract = load("v6")
    room = AnswerMemory(20 * FREE_BYTES)
    judge = Judge(contract, contract.endpoints["stream"], claim=room.claim())
    judge.head(200, "text/event-stream")
    judge.feed(b'data: "')
    for _ in range(100):
        judge.feed(b"x" * FREE_BYTES)
    assert judge.capped == "cap.memory"
    judge.close()
    assert (judge.reason, judge.verdict(), room.held) == ("cap.memory", "inconclusive", 0)


def test_a_result_that_never_ends_is_cut_where_there_is_no_room_for_it():
    contract = load("v6")
    room = AnswerMemory(20 * FREE_BYTES)
    judge = Judge(contract, contract.endpoints["sync"], claim=room.claim())
    judge.head(200, "application/json")
    for _ in range(100):
        judge.feed(b" " * FREE_BYTES)
    judge.close()
    assert (judge.reason, judge.verdict(), room.held) == ("cap.memory", "inconclusive", 0)


def test_a_long_stream_of_small_events_is_judged_in_little_room():
    contract = load("v6")
    judge = Judge(contract, contract.endpoints["stream"], claim=AnswerMemory(0).claim())
    judge.head(200, "text/event-stream")
    for number in range(3_000):
        judge.feed(
            b'data: {"status":"running","chunkIndex":%d,"x":"%b"}\n\n' % (number, b"y" * 400)
        )
    assert judge.capped is None
    assert judge.events == 3_000
