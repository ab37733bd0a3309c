"""The bundle on disk: what is written can be read, also when the writer was killed."""

from __future__ import annotations

import gzip
import json
import os
import signal
import subprocess
import sys
import time
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import jsonschema
import pytest
from bundle_rows import END, RULE, RUN, row, violation

from soundstage.errors import NoDataError, UsageError
from soundstage.results import bundle as bundle_module
from soundstage.results.bundle import Bundle, BundleWriter, new_folder


def test_what_is_written_is_read_back(tmp_path: Path) -> None:
    path = tmp_path / "runs" / "one"
    writer = BundleWriter.create(path, RUN)
    place = writer.transcript("e000001", b"{}\n")
    writer.exchange(row(1, transcript=place))
    writer.flush()
    writer.exchange(row(2))
    writer.violations([violation(), violation("other")])
    writer.finish(
        **{**END, "rules": [{**RULE, "outcome": "passed"}]},
        totals={"songs": 2},
        budget={"limit": 4, "spent": 2},
    )
    read = Bundle.open(path)
    assert read.complete
    assert [one["id"] for one in read.exchanges()] == ["e000001", "e000002"]
    assert [one["message"] for one in read.violations()] == ["missing", "other"]
    assert [one["outcome"] for one in read.rules()] == ["passed"]
    assert read.transcripts() == [place] == ["transcripts/e000001.ndjson"]
    assert read.torn == 0
    assert read.run["id"] == "one"
    assert read.run["budget"] == {"limit": 4, "spent": 2}
    assert read.run["totals"] == {"songs": 2}
    assert not list(path.glob(".*"))


def test_run_json_meets_its_schema_for_another_validator_too(tmp_path: Path) -> None:
    schema = json.loads(Path(bundle_module.__file__).with_name("run.schema.json").read_text())
    jsonschema.Draft202012Validator.check_schema(schema)
    validator = jsonschema.Draft202012Validator(schema)
    writer = BundleWriter.create(tmp_path / "a", RUN)
    validator.validate(json.loads((tmp_path / "a" / "run.json").read_text()))
    writer.finish(**END)
    validator.validate(json.loads((tmp_path / "a" / "run.json").read_text()))


def test_a_run_that_was_never_finished_is_read_as_incomplete(tmp_path: Path) -> None:
    with BundleWriter.create(tmp_path / "a", RUN) as writer:
        writer.exchange(row(1))
    read = Bundle.open(tmp_path / "a")
    assert read.run["status"] == "running"
    assert not read.complete
    assert len(list(read.exchanges())) == 1
    assert list(read.rules()) == []


def test_an_interrupted_run_says_so(tmp_path: Path) -> None:
    writer = BundleWriter.create(tmp_path / "a", RUN)
    writer.finish(verdict=None, exit_code=130, reason="interrupted", rules=[], status="interrupted")
    assert not Bundle.open(tmp_path / "a").complete


def test_rows_reach_the_disk_by_themselves(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(bundle_module, "FLUSH_SECONDS", 0.02)
    writer = BundleWriter.create(tmp_path / "a", RUN)
    writer.exchange(row(1))
    deadline = time.monotonic() + 5
    while not list(Bundle.open(tmp_path / "a").exchanges()):
        assert time.monotonic() < deadline, "the row was not flushed in time"
        time.sleep(0.01)
    writer.close()


def test_many_rows_are_flushed_at_once(tmp_path: Path) -> None:
    writer = BundleWriter.create(tmp_path / "a", RUN)
    for number in range(bundle_module.FLUSH_ROWS + 5):
        writer.exchange(row(number))
    found = len(list(Bundle.open(tmp_path / "a").exchanges()))
    assert found == bundle_module.FLUSH_ROWS
    writer.close()
    assert len(list(Bundle.open(tmp_path / "a").exchanges())) == found + 5


def test_a_bundle_torn_at_any_byte_keeps_the_rows_before(tmp_path: Path) -> None:
    writer = BundleWriter.create(tmp_path / "a", RUN)
    for number in range(4):
        writer.exchange(row(number))
        writer.flush()
    writer.close()
    path = tmp_path / "a" / bundle_module.EXCHANGES
    whole = path.read_bytes()
    members = [0, *(i for i in range(1, len(whole)) if whole[i : i + 3] == b"\x1f\x8b\x08")]
    for size in range(len(whole)):
        path.write_bytes(whole[:size])
        read = Bundle.open(tmp_path / "a")
        ids = [one["id"] for one in read.exchanges()]
        complete = sum(end <= size for end in [*members[1:], len(whole)])
        assert complete <= len(ids) <= complete + 1
        assert ids == [f"e{number:06d}" for number in range(len(ids))]
        assert read.torn == (size not in members)


def test_a_torn_line_and_padding_are_counted_not_fatal(tmp_path: Path) -> None:
    with BundleWriter.create(tmp_path / "a", RUN) as writer:
        writer.violations([violation()])
        writer.exchange(row(1))
    with (tmp_path / "a" / bundle_module.VIOLATIONS).open("ab") as file:
        file.write(b'{"exchange":"e0000')
    with (tmp_path / "a" / bundle_module.EXCHANGES).open("ab") as file:
        file.write(b"\0" * 512)
    read = Bundle.open(tmp_path / "a")
    assert len(list(read.violations())) == 1
    assert len(list(read.exchanges())) == 1
    assert read.torn == 1


@pytest.mark.parametrize(
    ("content", "place"),
    [
        (b"not json", "exchanges.ndjson.gz:2:"),
        (b"[]", "exchanges.ndjson.gz:2: not a JSON object"),
    ],
)
def test_damage_before_the_end_is_named_by_file_and_line(
    tmp_path: Path, content: bytes, place: str
) -> None:
    BundleWriter.create(tmp_path / "a", RUN).close()
    lines = [json.dumps(row(1)).encode(), content, json.dumps(row(2)).encode(), b""]
    (tmp_path / "a" / bundle_module.EXCHANGES).write_bytes(gzip.compress(b"\n".join(lines)))
    with pytest.raises(UsageError, match=place):
        list(Bundle.open(tmp_path / "a").exchanges())


def test_damaged_gzip_is_named(tmp_path: Path) -> None:
    BundleWriter.create(tmp_path / "a", RUN).close()
    (tmp_path / "a" / bundle_module.EXCHANGES).write_bytes(b"no gzip at all")
    with pytest.raises(UsageError, match="gzip member 0"):
        list(Bundle.open(tmp_path / "a").exchanges())


def test_a_line_without_end_does_not_fill_the_memory(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(bundle_module, "LINE_LIMIT", 1000)
    BundleWriter.create(tmp_path / "a", RUN).close()
    (tmp_path / "a" / bundle_module.EXCHANGES).write_bytes(gzip.compress(b"[" * 100_000))
    with pytest.raises(UsageError, match=r"gz:1: longer than 1000 B"):
        list(Bundle.open(tmp_path / "a").exchanges())


def test_a_killed_writer_leaves_what_it_had(tmp_path: Path) -> None:
    script = f"""
import sys, time
sys.path.insert(0, {str(Path(__file__).parents[1] / "support")!r})
from pathlib import Path
from bundle_rows import RUN, row
from soundstage.results import writer
writer.FLUSH_SECONDS = 0.05
writer = writer.BundleWriter.create(Path({str(tmp_path / "a")!r}), RUN)
writer.exchange(row(1))
time.sleep(0.5)
print("ready", flush=True)
time.sleep(60)
"""
    process = subprocess.Popen([sys.executable, "-c", script], stdout=subprocess.PIPE)
    assert process.stdout is not None
    with process.stdout:
        assert process.stdout.readline() == b"ready\n"
        os.kill(process.pid, signal.SIGKILL)
        process.wait()
    read = Bundle.open(tmp_path / "a")
    assert not read.complete
    assert [one["id"] for one in read.exchanges()] == ["e000001"]


def test_a_folder_that_holds_something_is_refused(tmp_path: Path) -> None:
    (tmp_path / "note.txt").write_text("mine")
    with pytest.raises(UsageError, match="not empty"):
        BundleWriter.create(tmp_path, RUN)
    with pytest.raises(UsageError, match="cannot hold a run bundle"):
        BundleWriter.create(tmp_path / "note.txt", RUN)
    assert (tmp_path / "note.txt").read_text() == "mine"


@pytest.mark.parametrize("name", ["../x", "a/b", "", ".hidden", "/etc/passwd", "a\0b", "x" * 200])
def test_a_transcript_stays_inside(tmp_path: Path, name: str) -> None:
    writer = BundleWriter.create(tmp_path / "a", RUN)
    with pytest.raises(UsageError, match="no name for a transcript"):
        writer.transcript(name, b"")
    writer.close()
    assert list(tmp_path.iterdir()) == [tmp_path / "a"]


def test_a_transcript_is_never_overwritten(tmp_path: Path) -> None:
    with BundleWriter.create(tmp_path / "a", RUN) as writer:
        assert writer.transcript("e1.sse", b"first") == "transcripts/e1.sse"
        with pytest.raises(UsageError, match="already"):
            writer.transcript("e1.sse", b"second")
    assert (tmp_path / "a" / "transcripts" / "e1.sse").read_bytes() == b"first"


@pytest.mark.parametrize(
    ("change", "where"),
    [
        ({"kind": "guess"}, "/kind"),
        ({"target": {"url": "http://user:secret@host", "kind": "live"}}, "/target/url"),
        ({"target": {"url": "http://host/?key=secret", "kind": "live"}}, "/target/url"),
        ({"verdit": "pass"}, "verdit"),
        ({"created": "yesterday"}, "/created"),
        ({"budget": {"limit": 1}}, "/budget"),
    ],
)
def test_a_run_that_is_not_valid_is_refused(
    tmp_path: Path, change: dict[str, Any], where: str
) -> None:
    with pytest.raises(UsageError, match=where):
        BundleWriter.create(tmp_path / "a", {**RUN, **change})
    assert not (tmp_path / "a").exists()


def test_rows_that_are_not_valid_are_our_bug(tmp_path: Path) -> None:
    with BundleWriter.create(tmp_path / "a", RUN) as writer:
        with pytest.raises(ValueError, match="/outcome"):
            writer.exchange(row(1, outcome="fine"))
        with pytest.raises(ValueError, match="/severity"):
            writer.violations([{**violation(), "severity": "bad"}])
        with pytest.raises(ValueError, match=r"rule row /outcome"):
            writer.finish(**{**END, "rules": [{**RULE, "outcome": "maybe"}]})
        with pytest.raises(ValueError, match=r"run\.json"):
            writer.finish(**{**END, "verdict": None})
    assert Bundle.open(tmp_path / "a").run["status"] == "running"


def test_a_finished_bundle_takes_no_more(tmp_path: Path) -> None:
    writer = BundleWriter.create(tmp_path / "a", RUN)
    writer.finish(**END)
    with pytest.raises(ValueError, match="finished"):
        writer.exchange(row(1))
    with pytest.raises(ValueError, match="finished"):
        writer.finish(**END)


def test_text_that_utf8_cannot_carry_is_kept_readable(tmp_path: Path) -> None:
    with BundleWriter.create(tmp_path / "a", RUN) as writer:
        writer.violations([violation("lone \ud800 surrogate")])
        writer.finish(**{**END, "reason": "\udfff"}, totals={"huge": 2**80})
    read = Bundle.open(tmp_path / "a")
    assert [one["message"] for one in read.violations()] == ["lone \\ud800 surrogate"]
    assert read.run["totals"] == {"huge": str(2**80)}


_FILLED = """
import json, resource, sys
from pathlib import Path
from soundstage.errors import TargetError
from soundstage.results.bundle import BundleWriter

run, row = map(json.loads, sys.argv[2:])
writer = BundleWriter.create(Path(sys.argv[1]), run)
_, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
resource.setrlimit(resource.RLIMIT_FSIZE, (20_000, hard))
for number in range(100_000):
    try:
        writer.exchange({**row, "id": f"e{number:06d}"})
    except TargetError as error:
        print(number, error)
        break
try:
    writer.finish(verdict="pass", exit_code=0, reason=None, rules=())
except TargetError as error:
    print("finish", error)
writer.close()
"""


def test_a_full_disk_is_told_of_and_what_was_written_stays_readable(tmp_path: Path) -> None:
    folder = tmp_path / "a"
    said = subprocess.run(
        [sys.executable, "-c", _FILLED, str(folder), json.dumps(RUN), json.dumps(row(0))],
        capture_output=True,
        text=True,
        check=True,
        timeout=60,
    ).stdout.splitlines()
    assert "cannot write: File too large" in said[0]
    assert said[1].startswith("finish")
    many = int(said[0].split()[0])
    bundle = Bundle.open(folder)
    rows = list(bundle.exchanges())
    assert not bundle.complete
    assert bundle.run["reason"] == "nothing more could be written: File too large"
    assert [void["kind"] for void in bundle.run["voids"]] == ["incomplete"]
    assert not list(folder.glob(".*")), "the room that was kept for the reason is used up"
    assert bundle.torn == 0, "a piece that did not fit leaves no part of it"
    assert 256 <= len(rows) < many
    assert len(rows) % 256 == 0
    assert [each["id"] for each in rows] == [row(n)["id"] for n in range(len(rows))]


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        (b"{", r"run.json:1:"),
        (b"[]", r"run.json: "),
        (b'{"format": 2}', "/format: 2, not 1"),
        (b'{"format": 1}', "required"),
    ],
)
def test_a_bad_run_json_is_refused_with_its_place(
    tmp_path: Path, content: bytes, reason: str
) -> None:
    (tmp_path / "run.json").write_bytes(content)
    with pytest.raises(UsageError, match=reason):
        Bundle.open(tmp_path)


def test_what_is_no_bundle_is_refused(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="no such folder"):
        Bundle.open(tmp_path / "nowhere")
    with pytest.raises(NoDataError, match="empty folder"):
        Bundle.open(tmp_path)
    (tmp_path / "x").write_text("x")
    with pytest.raises(UsageError, match=r"it has no run\.json"):
        Bundle.open(tmp_path)
    with pytest.raises(UsageError, match="it is no folder"):
        Bundle.open(tmp_path / "x")
    (tmp_path / "run.json").write_bytes(b"")
    with pytest.raises(NoDataError, match="killed before it began"):
        Bundle.open(tmp_path)


def test_a_folder_name_tells_when_and_what() -> None:
    moment = datetime(2026, 11, 21, 8, 36, 15, tzinfo=UTC)
    name = new_folder("check", now=moment).as_posix()
    assert name.startswith("runs/2026-11-21T08-36-15-check-")
    assert len(name) == len("runs/2026-11-21T08-36-15-check-3f2a")
