"""Several processes serve one emulator: one ledger, one numbering, whichever of them dies."""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
import sqlite3
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Callable
from pathlib import Path

import httpx
import pytest
from crowd import Answered, crowd, leave, request
from emulated import Running, running

from soundstage.contract import load_all
from soundstage.emulator.accounts import account_of
from soundstage.emulator.options import Options

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="the kernel spreads connections")

CONTRACT = load_all()["v6"]
STREAM = next(e.path for e in CONTRACT.endpoints.values() if e.kind == "stream")
SYNC = next(e.path for e in CONTRACT.endpoints.values() if e.kind == "sync")
STATUS = next(e.path for e in CONTRACT.endpoints.values() if e.kind == "status")
BODY = {"prompt": "a song about many"}
KEY = {"Authorization": "Bearer my-key"}


def client_of(emulator: Running) -> httpx.Client:
    """A client that takes another connection for each request, so that any worker may be asked."""
    return httpx.Client(base_url=emulator.url, headers={**KEY, "Connection": "close"})


def until(what: Callable[[], bool], seconds: float = 15.0) -> None:
    deadline = time.monotonic() + seconds
    while not what():
        assert time.monotonic() < deadline, "it never came to be"
        time.sleep(0.02)


def is_replaced(emulator: Running, victim: int) -> bool:
    now = emulator.workers()
    return len(now) == 2 and victim not in now


def rows(path: Path, query: str) -> list[tuple[object, ...]]:
    database = sqlite3.connect(path, timeout=10)
    try:
        return database.execute(query).fetchall()
    finally:
        database.close()


def told(answers: list[Answered]) -> Counter[int]:
    return Counter(answer.status for answer in answers)


def test_a_thousand_race_for_a_hundred_credits_while_a_worker_is_killed(tmp_path: Path) -> None:
    path = tmp_path / "state.sqlite"
    # Slow enough that hardly anything is charged yet when the worker dies.
    options = Options(seed=3, speed=0.4, keys=("my-key:100",), state=path, workers=2)
    error = CONTRACT.errors.named("insufficient_balance")
    requests = [request(STREAM, BODY, "my-key")] * 1000
    with running(options) as emulator:

        async def storm() -> list[Answered]:
            asking = asyncio.ensure_future(crowd(emulator.url, requests, keep=True))
            while rows(path, "SELECT COUNT(*) < 30 FROM charges") == [(1,)]:
                await asyncio.sleep(0.002)
            victim, other = emulator.workers()
            os.kill(victim, signal.SIGKILL)
            answers = await asking
            while len(now := emulator.workers()) < 2 or victim in now:
                await asyncio.sleep(0.01)
            assert other in emulator.workers()
            assert told(answers)[0], "all was answered before the worker was killed"
            # Whoever got no answer asks again.
            while lost := told(answers)[0]:
                answers = [each for each in answers if each.status]
                answers += await crowd(emulator.url, requests[:lost], keep=True)
            await leave(answers)
            return answers

        answers = asyncio.run(storm())
        statuses = told(answers)
        assert set(statuses) == {200, error.status}
        assert statuses.total() == 1000
        bodies = {answer.body for answer in answers if answer.status != 200}
        assert [httpx.Response(200, content=body).json() for body in bodies] == [error.body]
        # What the worker held when it died, and had not begun, was given back.
        assert rows(path, "SELECT COUNT(*) FROM charges WHERE state != 'released'") == [(100,)]
        until(lambda: rows(path, "SELECT COUNT(*) FROM charges WHERE state = 'held'") == [(0,)])
        charged = rows(path, "SELECT generation FROM charges WHERE state = 'charged'")
        # What had begun when its worker died is charged, though its client may not have heard.
        assert len(set(charged)) == 100 >= statuses[200]
        assert rows(path, "SELECT balance FROM accounts") == [(0,)]
        [(reason, refused)] = rows(path, "SELECT reason, COUNT(*) FROM refusals GROUP BY reason")
        assert reason == "insufficient_balance"
        assert refused >= statuses[error.status] >= 900  # type: ignore[operator]
        assert rows(path, "SELECT COUNT(DISTINCT number) FROM generations") == [(100,)]
        assert rows(path, "SELECT COUNT(DISTINCT worker) FROM charges") == [(2,)]
        _, complaints = emulator.stop()
    assert "was killed by SIGKILL; starting it again" in complaints
    assert complaints.count("\n") == 1


def test_the_ledger_is_sound_after_everything_was_killed_while_it_was_written(
    tmp_path: Path,
) -> None:
    path = tmp_path / "state.sqlite"
    options = Options(profile="fast", speed=20, keys=("my-key:100000",), state=path, workers=2)
    requests = [request(path, BODY, "my-key") for path in (STREAM, SYNC)] * 200
    with running(options) as emulator:

        async def storm() -> list[Answered]:
            asking = asyncio.ensure_future(crowd(emulator.url, requests))
            while rows(path, "SELECT COUNT(*) < 60 FROM charges") == [(1,)]:
                await asyncio.sleep(0.005)
            workers = emulator.workers()
            emulator.parent.kill()
            for pid in workers:
                os.kill(pid, signal.SIGKILL)
            return await asking

        answers = asyncio.run(storm())
        assert told(answers)[0], "all was answered before anything was killed"
        emulator.parent.wait()
    seen = rows(path, "SELECT COUNT(*) FROM charges WHERE state = 'charged'")
    assert rows(path, "PRAGMA integrity_check") == [("ok",)]
    with running(options) as emulator:
        assert rows(path, "SELECT COUNT(*) FROM charges WHERE state = 'held'") == [(0,)]
        assert rows(path, "SELECT COUNT(*) FROM charges WHERE state = 'charged'") == seen
        [(balance, spent)] = rows(
            path,
            "SELECT balance, (SELECT SUM(price) FROM charges WHERE state = 'charged')"
            f" FROM accounts WHERE account = '{account_of('my-key')}'",
        )
        assert balance == 100_000 - (spent or 0)  # type: ignore[operator]
        assert httpx.post(emulator.url + SYNC, json=BODY, headers=KEY).status_code == 200
        [(after,)] = rows(path, "SELECT balance FROM accounts")
        assert after == balance - 1  # type: ignore[operator]
    assert rows(path, "PRAGMA integrity_check") == [("ok",)]


def test_any_worker_knows_any_generation_also_when_its_own_worker_is_dead() -> None:
    with running(Options(seed=1, speed=0.5, workers=2)) as emulator:

        async def begin() -> Answered:
            [answer] = await crowd(emulator.url, [request(STREAM, BODY, "my-key")], keep=True)
            await leave([answer])
            return answer

        answer = asyncio.run(begin())
        assert answer.status == 200
        with client_of(emulator) as client:
            [made] = client.get("/_emulator/generations").json()["generations"]
            path = STATUS.replace("{message_id}", made["message_id"])

            def asked() -> list[dict[str, object]]:
                return [client.get(path).json() for _ in range(8)]

            assert {each["song_name"] for each in asked()} == {made["song_name"]}
            art = made["album_art"].replace("http://emulator.example", "")
            assert len({client.get(art).content for _ in range(4)}) == 1

            def answers() -> bool:
                try:
                    return client.get(path).status_code == 200
                except httpx.TransportError:
                    return False

            for victim in emulator.workers():
                os.kill(victim, signal.SIGKILL)
                until(lambda victim=victim: is_replaced(emulator, victim))  # type: ignore[misc]
                # A process that is there need not listen yet.
                until(answers)
            assert {each["message_id"] for each in asked()} == {made["message_id"]}
            assert not any(each["isComplete"] for each in asked())


def test_the_same_requests_get_the_same_bytes_from_any_number_of_workers() -> None:
    def said(workers: int) -> list[bytes]:
        options = Options(seed=9, profile="instant", workers=workers)
        with running(options) as emulator, client_of(emulator) as client:
            client.headers["Host"] = "emulator.example"
            return [client.post(path, json=BODY).content for path in (STREAM, SYNC) * 6]

    alone = said(1)
    assert said(3) == alone
    assert len(set(alone)) == 12


def test_connections_are_spread_over_all_workers() -> None:
    with (
        running(Options(profile="instant", workers=2)) as emulator,
        client_of(emulator) as client,
    ):
        workers = [client.get("/_emulator/state").json()["answered_by"] for _ in range(40)]
    assert all(8 <= workers.count(number) <= 32 for number in (0, 1)), workers


def test_what_is_set_on_one_worker_counts_on_all() -> None:
    with (
        running(Options(profile="instant", workers=2)) as emulator,
        client_of(emulator) as client,
    ):
        client.put("/_emulator/error", json={"error": "nsfw"})
        status = CONTRACT.errors.named("nsfw").status
        asked = [client.post(SYNC, json=BODY) for _ in range(10)]
        assert {answer.status_code for answer in asked} == {status}
        client.put("/_emulator/error", json={"error": None})
        client.put("/_emulator/limits", json={"rate_limit": "3/day"})
        asked = [client.post(SYNC, json=BODY) for _ in range(10)]
        limit = CONTRACT.errors.named("rate_limit").status
        assert Counter(answer.status_code for answer in asked) == {200: 3, limit: 7}

        def journal() -> list[dict[str, object]]:
            entries = client.get("/_emulator/journal?limit=1000").json()["entries"]
            assert isinstance(entries, list)
            return entries

        # What another worker received is written a moment later.
        until(lambda: len(journal()) == 20)
        assert {entry["worker"] for entry in journal()} == {0, 1}


def test_workers_that_keep_dying_end_the_emulator() -> None:
    with running(Options(profile="instant", workers=2)) as emulator:
        killed: set[int] = set()
        while emulator.parent.poll() is None:
            for pid in set(emulator.workers()) - killed:
                with contextlib.suppress(ProcessLookupError):
                    os.kill(pid, signal.SIGKILL)
                killed.add(pid)
            time.sleep(0.005)
        _, complaints = emulator.parent.communicate(timeout=10)
    assert emulator.parent.returncode == 6
    assert complaints.count("starting it again") == 9
    assert complaints.count("\n") == 10
    assert complaints.endswith("was killed by SIGKILL; gave up\n")


@pytest.mark.parametrize("how", [signal.SIGTERM, signal.SIGINT])
def test_a_signal_to_the_parent_stops_all_and_leaves_nothing(how: signal.Signals) -> None:
    with running(Options(speed=0.2, workers=2)) as emulator:
        workers = emulator.workers()
        with httpx.stream("POST", emulator.url + STREAM, json=BODY, headers=KEY) as response:
            assert response.status_code == 200
            began = time.monotonic()
            rest, complaints = emulator.stop(how)
            assert time.monotonic() - began < 4
            with pytest.raises(httpx.RemoteProtocolError):
                response.read()
    assert (rest, complaints, emulator.parent.returncode) == ("", "", 0)
    assert not any(Path(f"/proc/{pid}").exists() for pid in workers)


def test_workers_do_not_outlive_a_parent_that_was_killed_and_leave_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("TMPDIR", str(tmp_path))
    with running(Options(profile="instant", workers=2)) as emulator:
        workers = emulator.workers()
        assert len(workers) == 2
        assert len(list(tmp_path.glob("*/*.sqlite"))) == 1
        emulator.parent.kill()
        emulator.parent.wait()

        def gone(pid: int) -> bool:
            stat = Path(f"/proc/{pid}/stat")
            # Nobody may be there to collect it: a zombie is as good as gone.
            return not stat.exists() or ") Z " in stat.read_text()

        until(lambda: all(gone(pid) for pid in workers))
        assert list(tmp_path.iterdir()) == []


def test_a_port_of_another_program_is_not_shared() -> None:
    with running(Options(profile="instant", workers=2)) as emulator:
        port = int(emulator.url.rpartition(":")[2])
        arguments = Options(port=port, workers=2).arguments()
        done = subprocess.run(
            [sys.executable, "-m", "soundstage", "emulate", *arguments],
            capture_output=True,
            text=True,
            timeout=30,
            check=False,
        )
    assert done.returncode == 6
    assert "Address already in use" in done.stderr
    assert done.stderr.count("\n") == 1
