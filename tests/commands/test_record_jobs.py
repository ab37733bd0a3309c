"""`soundstage record` of jobs: followed until they are over, kept even if it is interrupted."""

from __future__ import annotations

import io
import json
import threading
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from tests.support.saved_jobs import GALLERY

from soundstage import cli
from soundstage.commands.interruptible import interruptible_exchange
from soundstage.contract import load_all
from soundstage.contract.contract import SCHEMAS_VARIABLE
from soundstage.emulator.options import Options
from soundstage.emulator.service.server import running
from soundstage.saved.transcript import Transcript, read

KEY = "sk-recorded-0123456789"


@pytest.fixture(autouse=True)
def _gallery(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(SCHEMAS_VARIABLE, str(GALLERY))


@pytest.fixture(scope="module")
def emulator() -> Iterator[str]:
    with running(Options(profile="instant", seed=4), contracts=load_all(GALLERY)) as started:
        yield started.url


def ran(command: str, *argv: object) -> tuple[int, str, str]:
    out, err = io.StringIO(), io.StringIO()
    code = cli.run(command, [str(each) for each in argv], out, err)
    return code, out.getvalue(), err.getvalue()


def saved(folder: Path) -> dict[str, Transcript]:
    return {each.name: read(each.read_bytes(), each.name) for each in sorted(folder.iterdir())}


def test_a_job_is_followed_to_its_end_and_lint_says_the_same(emulator: str, tmp_path: Path) -> None:
    code, out, err = ran(
        "record",
        *("--target", emulator, "--api", "pictures", "--api", "songs", "--endpoint", "job"),
        *("--out", tmp_path, "--format", "json"),
    )
    assert (code, err) == (0, "")
    rows = [json.loads(line) for line in out.splitlines()]
    assert [row["endpoint"] for row in rows] == ["job", "job"]
    assert all(row["verdict"] == "conforms" and row["looks"] >= 2 for row in rows)
    code, out, err = ran("lint", *sorted(tmp_path.iterdir()))
    assert (code, err) == (0, "")
    assert "pictures job, json, " in out
    for row, found in zip(rows, saved(tmp_path).values(), strict=True):
        assert len(found.looks) == row["looks"]
        last = [json.loads(look.body)["status"] for look in found.looks[-2:]]
        assert len(set(last)) == 1  # it is looked at once more, since it must stay


def test_endpoints_are_named_by_name_or_kind(emulator: str, tmp_path: Path) -> None:
    words = ("--api", "songs", "--endpoint", "sync", "--endpoint", "stream")
    assert ran("record", "--target", emulator, *words, "--out", tmp_path)[0] == 0
    assert list(saved(tmp_path)) == ["001-songs-stream.ndjson", "002-songs-sync.ndjson"]


def test_what_no_version_can_be_asked_for_is_refused(tmp_path: Path) -> None:
    with pytest.raises(SystemExit) as stop:
        ran("record", "--target", "http://127.0.0.1:1", "--endpoint", "status", "--out", tmp_path)
    assert stop.value.code == 2
    code, _, err = ran("record", "--target", "http://127.0.0.1:1", "--api", "pictures",
                       "--out", tmp_path)  # fmt: skip
    assert code == 2
    assert "no endpoint of the name or kind stream in pictures: say --endpoint job" in err


def test_no_key_and_no_value_of_a_query_stays_in_a_recorded_job(
    emulator: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SOUNDVERSE_API_KEY", KEY)
    body = tmp_path / "body.json"
    body.write_text(json.dumps({"prompt": "A hare that nobody may ever hear of"}))
    words = ("--api", "songs", "--endpoint", "job", "--body", body, "--out", tmp_path / "r")
    assert ran("record", "--target", emulator, *words)[0] == 0
    raw = (tmp_path / "r" / "001-songs-job.ndjson").read_bytes()
    found = read(raw, "r")
    urls = {look.header["request"]["url"] for look in found.looks}
    assert urls == {f"{emulator}/songs/status?job_id=[redacted]"}
    heads = [dict(look.header["request"]["headers"]) for look in found.looks]
    assert {head["Authorization"] for head in heads} == {"[redacted]"}
    assert KEY.encode() not in raw
    assert b"hare" not in raw


class Cut:
    """A session whose exchange ends when it is halted."""

    def __init__(self, result: Any) -> None:
        self.client = self
        self._result = result
        self._cut = threading.Event()

    def exchange(self, call: Any) -> Any:
        if not self._cut.wait(10):
            raise AssertionError("nobody halted it")
        return self._result

    def halt(self) -> None:
        self._cut.set()


class FirstWaitIsInterrupted(threading.Event):
    interrupted = False

    def wait(self, timeout: float | None = None) -> bool:
        if not self.interrupted:
            self.interrupted = True
            raise KeyboardInterrupt
        return super().wait(timeout)


def interrupted(status: int | None, monkeypatch: pytest.MonkeyPatch) -> Any:
    """What becomes of an exchange that is interrupted, and whose answer had that status."""
    monkeypatch.setattr("soundstage.commands.interruptible.Event", FirstWaitIsInterrupted)
    session: Any = Cut(SimpleNamespace(response=SimpleNamespace(status=status)))
    call: Any = None
    return interruptible_exchange(session, call)


def test_what_had_come_when_it_was_interrupted_is_kept(monkeypatch: pytest.MonkeyPatch) -> None:
    exchange, why = interrupted(202, monkeypatch)
    assert exchange.response.status == 202
    assert isinstance(why, KeyboardInterrupt)


def test_an_interruption_before_anything_came_is_raised(monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(KeyboardInterrupt):
        interrupted(None, monkeypatch)
