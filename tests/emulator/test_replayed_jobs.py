"""Recorded jobs are served again: the acceptance, then the looks, in their order and in time."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from tests.support.saved_jobs import (
    GALLERY,
    HOST,
    ID,
    PICTURES,
    QUEUED,
    SONGS,
    job,
    look,
    painted,
    painting,
    states,
)

from soundstage.contract import load_all
from soundstage.contract.contract import SCHEMAS_VARIABLE
from soundstage.emulator.options import Options
from soundstage.emulator.replay.recording import Recording
from soundstage.emulator.replay.recordings import FoundRecordings, find
from soundstage.emulator.replay.replay import Replay
from soundstage.emulator.service.server import running
from soundstage.errors import UsageError
from soundstage.exchange.client import Call, Exchange
from soundstage.exchange.session import open_session
from soundstage.exchange.spawn import spawned_emulator
from soundstage.saved.transcript import Transcript, read

PATH = f"/v1/pictures/{ID}"
OTHER = "job_ffffffffffff"


class Clock:
    now = 100.0

    def __call__(self) -> float:
        return self.now


def held(*exchanges: Transcript) -> FoundRecordings:
    found = FoundRecordings()
    for number, exchange in enumerate(exchanges):
        found.add(f"t{number}", exchange, [PICTURES, SONGS])
    return found


def served(*exchanges: Transcript, speed: float = 1.0) -> tuple[Replay, Clock]:
    clock, found = Clock(), held(*exchanges)
    return Replay(found.recordings, found.jobs, speed=speed, now=clock), clock


def shown(replay: Replay, path: str = PATH, query: str = "") -> Any:
    answer = replay.next("GET", path, query)
    if not isinstance(answer, Recording):
        return answer.status
    return json.loads(b"".join(data for _, data in answer.pieces)).get("status")


def test_each_look_is_shown_once_and_the_last_stays() -> None:
    replay, clock = served(states(QUEUED, painting(), painted()))
    assert isinstance(replay.next("POST", "/v1/pictures"), Recording)
    told = []
    for _ in range(5):
        clock.now += 1
        told.append(shown(replay))
    assert told == ["queued", "running", "succeeded", "succeeded", "succeeded"]


def test_who_asks_more_often_sees_nothing_earlier_than_it_was() -> None:
    replay, clock = served(states(QUEUED, painting(), painted()))
    replay.next("POST", "/v1/pictures")
    told = []
    for _ in range(12):
        clock.now += 0.25
        told.append(shown(replay))
    # Asked for after 1, 2 and 3 seconds: each is shown from the middle between two on.
    assert told == [*["queued"] * 5, *["running"] * 4, *["succeeded"] * 3]


def test_who_asks_less_often_still_sees_every_look() -> None:
    replay, clock = served(states(painted(), painting(), painted()))
    replay.next("POST", "/v1/pictures")
    told = []
    for _ in range(3):
        clock.now += 60
        told.append(shown(replay))
    assert told == ["succeeded", "running", "succeeded"]


def test_the_pace_is_scaled() -> None:
    replay, clock = served(states(QUEUED, painted()), speed=10)
    replay.next("POST", "/v1/pictures")
    clock.now += 0.1
    assert shown(replay) == "queued"
    clock.now += 0.1
    assert shown(replay) == "succeeded"


def test_a_look_is_answered_as_late_as_it_was() -> None:
    (recorded,) = held(states(QUEUED)).jobs
    recording = recorded.looks[0].recording
    assert (round(recording.head_at, 6), round(recording.end_at, 6)) == (0.01, 0.02)
    assert recorded.looks[0].sent_at == pytest.approx(0.8)


def other_job(*values: Any) -> Transcript:
    url = f"{HOST}/v1/pictures/{OTHER}"
    exchange = job(*(look(float(at), value, url=url) for at, value in enumerate(values, 1)))
    exchange.pieces = [(0.1, json.dumps({**QUEUED, "job_id": OTHER}).encode(), False)]
    return exchange


def test_several_recordings_are_served_side_by_side() -> None:
    replay, clock = served(states(QUEUED, painted()), other_job(painting(), painted()))
    replay.next("POST", "/v1/pictures")
    replay.next("POST", "/v1/pictures")
    clock.now += 1
    assert (shown(replay), shown(replay, f"/v1/pictures/{OTHER}")) == ("queued", "running")
    clock.now += 1
    assert (shown(replay), shown(replay, f"/v1/pictures/{OTHER}")) == ("succeeded", "succeeded")
    assert replay.paths() == [
        "POST /v1/pictures (2)",
        "GET /v1/pictures/{job_id} (looks at 2 jobs)",
    ]


def test_of_two_recordings_with_one_id_the_one_that_was_made_last_is_shown() -> None:
    replay, clock = served(states(painted()), states(QUEUED))
    for expected in ("succeeded", "queued"):
        replay.next("POST", "/v1/pictures")
        clock.now += 1
        assert shown(replay) == expected


def test_a_loop_begins_a_job_anew() -> None:
    clock, found = Clock(), held(states(QUEUED, painted()))
    replay = Replay(found.recordings, found.jobs, loop=True, now=clock)
    for _ in range(2):
        replay.next("POST", "/v1/pictures")
        clock.now += 1
        assert shown(replay) == "queued"
        clock.now += 1
        assert shown(replay) == "succeeded"


def test_an_id_that_nobody_recorded_is_not_found() -> None:
    replay, _ = served(states(QUEUED))
    assert shown(replay, f"/v1/pictures/{OTHER}") == 404
    assert shown(replay, "/v1/pictures") == 404


SONG = {"job_id": "job_0123456789abcdef", "status": "queued"}


def song(query: str, value: Any = SONG) -> Transcript:
    url = f"{HOST}/base/songs/status?{query}"
    exchange = job(look(1, value, url=url))
    exchange.header |= {"api": "songs", "endpoint": "job"}
    exchange.header["request"]["url"] = f"{HOST}/base/songs"
    exchange.pieces = [(0.1, json.dumps(value).encode(), False)]
    return exchange


def test_what_was_taken_out_of_a_query_is_what_the_acceptance_gave() -> None:
    replay, _ = served(song("job_id=[redacted]"))
    assert shown(replay, "/songs/status", "job_id=job_0123456789abcdef") == "queued"
    assert shown(replay, "/base/songs/status", "_=1&job_id=job%5F0123456789abcdef") == "queued"
    assert shown(replay, "/songs/status", "job_id=job_ffffffffffffffff") == 404
    assert shown(replay, "/songs/status") == 404


def test_what_nobody_knows_any_more_of_a_query_may_be_anything() -> None:
    replay, _ = served(song("job_id=[redacted]&signature=[redacted]"))
    query = "job_id=job_0123456789abcdef&signature=x"
    assert shown(replay, "/songs/status", query) == "queued"
    assert shown(replay, "/songs/status", "job_id=job_0123456789abcdef") == 404


def test_looks_that_went_to_several_places_are_not_served() -> None:
    strange = job(look(1, QUEUED), look(2, painted(), url=f"{HOST}/elsewhere"))
    with pytest.raises(UsageError, match=r"t0: its looks went to 2 places"):
        held(strange)


def test_looks_without_an_answer_or_with_times_that_fall_are_borne() -> None:
    nothing = look(1, QUEUED)
    nothing.header["response"] = {"status": None, "headers": []}
    late = look(5, painted())
    late.header["response"]["t"], late.pieces = 1.0, [(-3.0, late.body, False)]
    replay, clock = served(job(nothing, late))
    replay.next("POST", "/v1/pictures")
    clock.now += 9
    assert shown(replay) == "succeeded"


# --- with the client ------------------------------------------------------------------------------


@pytest.fixture
def gallery(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(SCHEMAS_VARIABLE, str(GALLERY))
    monkeypatch.setenv("SOUNDVERSE_API_KEY", "key-for-tests")


@pytest.fixture
def emulator() -> Iterator[str]:
    with running(Options(profile="instant", seed=4), contracts=load_all(GALLERY)) as started:
        yield started.url


def followed(url: str, api: str, faults: str = "") -> tuple[Exchange, bytes]:
    """A job at `url`, its last state looked at twice, and its transcript."""
    contract = {"pictures": PICTURES, "songs": SONGS}[api]
    headers = (("Soundstage-Fault", faults),) if faults else ()
    body = {"prompt": "A hare in the snow, seen by nobody"}
    session = open_session(url)
    try:
        call = Call(contract, contract.endpoints["job"], body, headers=headers, confirm=1)
        exchange = session.client.exchange(call)
        return exchange, exchange.transcript(session.redactor).to_bytes()
    finally:
        session.close()


@pytest.mark.parametrize(
    ("api", "fault"),
    [
        ("pictures", ""),
        ("songs", ""),
        ("pictures", "look/succeeded-running/changed"),
        ("pictures", "tie/job/unknown_id"),
    ],
)
def test_a_replayed_job_gets_the_verdict_and_the_answers_of_the_recorded_one(
    gallery: None, emulator: str, tmp_path: Path, api: str, fault: str
) -> None:
    exchange, raw = followed(emulator, api, fault)
    (tmp_path / "job.ndjson").write_bytes(raw)
    with spawned_emulator(["--replay", str(tmp_path), "--speed", "1000"]) as url:
        again, replayed = followed(url, api)
    assert again.verdict == exchange.verdict
    assert [each.code for each in again.violations] == [each.code for each in exchange.violations]
    first, second = read(raw, "1"), read(replayed, "2")
    assert [each.body for each in second.looks] == [each.body for each in first.looks]
    assert second.body == first.body


def test_a_recorded_job_is_found_in_a_folder(tmp_path: Path) -> None:
    (tmp_path / "a.ndjson").write_bytes(states(QUEUED, painted()).to_bytes())
    found = find(tmp_path, [PICTURES])
    assert [len(each.looks) for each in found.jobs] == [2]
    assert found.size == sum(len(json.dumps(each)) for each in (QUEUED, QUEUED, painted()))
