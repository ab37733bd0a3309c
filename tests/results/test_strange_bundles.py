"""Bundles from strangers: each row is held against its schema, nothing is followed out of the
folder, nothing is waited for, and nothing unpacks without bound.
"""

from __future__ import annotations

import gzip
import io
import json
import os
import tracemalloc
from pathlib import Path
from typing import Any

import pytest
from bundle_rows import END, RULE, RUN, row, violation
from changed_rows import mutants

from soundstage.commands import runs as runs_command
from soundstage.errors import SoundstageError, UsageError
from soundstage.reports import cli as report_command
from soundstage.results import bundle as bundle_module
from soundstage.results.bundle import Bundle, BundleWriter
from soundstage.results.run_history import MARKS, Runs

HEALTH = {
    "t": 0.5, "asked": 1, "started": 1, "dropped": 0, "in_flight": 1, "lag_max_s": 0.1, "cpu": 0.1,
    "steal": None, "rss": None,
}  # fmt: skip
EVIDENCE = {"exchange": "e000001", "chunk": 0, "path": "/version", "message": "missing"}
ROWS: dict[str, dict[str, Any]] = {
    "exchanges.ndjson.gz": row(1, silence=[1.0, 2.0], ended=2.0, transcript=None, reason="x"),
    "violations.ndjson": violation(),
    "rules.ndjson": {**RULE, "outcome": "failed", "violations": 1, "evidence": [EVIDENCE]},
    "health.ndjson": HEALTH,
}


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    path = tmp_path / "runs" / "one"
    with BundleWriter.create(path, RUN) as writer:
        writer.transcript("e000001", b'{"transcript":1}\n')
        writer.exchange(ROWS["exchanges.ndjson.gz"])
        writer.violations([ROWS["violations.ndjson"]])
        writer.health(HEALTH)
        writer.observed({"format": 2, "apis": {}})
        writer.finish(**{**END, "verdict": "fail", "exit_code": 1, "rules": [ROWS["rules.ndjson"]]})
    return path


def put(folder: Path, name: str, rows: list[Any]) -> None:
    raw = b"".join(json.dumps(each).encode() + b"\n" for each in rows)
    (folder / name).write_bytes(gzip.compress(raw) if name.endswith(".gz") else raw)


def report(folder: Path, *argv: str) -> str:
    stdout = io.StringIO()
    args = report_command.parse_args([str(folder), *argv])
    report_command.run(args, stdout, io.StringIO())
    return stdout.getvalue()


@pytest.mark.parametrize("name", ROWS)
def test_each_field_of_a_row_that_is_something_else_is_refused_by_its_place_or_taken(folder, name):
    good = ROWS[name]
    refused: dict[str, str] = {}
    for label, changed in mutants(good):
        put(folder, name, [good, changed])
        try:
            report(folder, "--format", "json")
        except UsageError as error:
            refused[label] = str(error)
    assert len(refused) > len(good)
    assert [each for each in refused.values() if not each.startswith(f"{folder / name}:2: ")] == []


def test_each_field_of_run_json_that_is_something_else_is_refused_by_its_place_or_taken(folder):
    good = json.loads((folder / "run.json").read_text())
    good |= {"versions": {"soundstage": "1"}, "totals": {"exchanges": 1, "outcomes": {"ok": 1}}}
    good["workers"] = [{"name": "w", "state": "lost", "exchanges": 1, "asked": 1}]
    good["voids"] = [{"kind": "clock", "message": "x"}]
    (folder / "run.json").write_text(json.dumps(good))
    report(folder)
    refused: dict[str, str] = {}
    for label, changed in mutants(good):
        (folder / "run.json").write_text(json.dumps(changed))
        try:
            report(folder)
            Runs(folder.parent).entries()
        except UsageError as error:
            refused[label] = str(error)
    assert len(refused) > len(good)
    place = f"{folder / 'run.json'}: "
    assert [each for each in refused.values() if not each.startswith(place)] == []


def test_a_rule_that_is_null_is_refused_in_one_line_by_every_reader(folder):
    put(folder, "violations.ndjson", [{**violation(), "rule": None}])
    for form in ("html", "junit", "markdown", "json", "sarif", "annotations"):
        with pytest.raises(UsageError, match=r"violations\.ndjson:1: /rule: null is not of type"):
            report(folder, "--format", form)


@pytest.mark.parametrize("when", ["2026-02-31T00:00:00Z", "2026-01-01T25:00:00Z"])
def test_an_instant_that_no_calendar_has_is_refused(folder, when):
    run = json.loads((folder / "run.json").read_text())
    (folder / "run.json").write_text(json.dumps({**run, "created": when}))
    with pytest.raises(UsageError, match=r"run\.json: /created: "):
        Bundle.open(folder)


def test_what_a_later_version_may_say_more_of_a_row_is_no_fault(folder):
    for name, good in ROWS.items():
        put(folder, name, [{**good, "later": {"x": [1]}}])
    assert json.loads(report(folder, "--format", "json"))["summary"]["exchanges"] == 1


# --- links, pipes, devices ------------------------------------------------------------------------

FILES = [*ROWS, "run.json", "observed.json"]


def read_all(folder: Path) -> None:
    bundle = Bundle.open(folder)
    for rows in (bundle.exchanges, bundle.violations, bundle.rules, bundle.health):
        list(rows())
    bundle.observed()


@pytest.mark.parametrize("name", FILES)
@pytest.mark.parametrize("kind", ["fifo", "folder", "link", "device"])
def test_what_is_no_file_of_the_bundle_is_refused_without_waiting(folder, name, kind, tmp_path):
    (folder / name).rename(tmp_path / name)
    if kind == "fifo":
        os.mkfifo(folder / name)
    elif kind == "folder":
        (folder / name).mkdir()
    else:
        (folder / name).symlink_to(tmp_path / name if kind == "link" else "/dev/zero")
    with pytest.raises(UsageError, match=rf"{name}: (is a .*, not a file|a link that)"):
        read_all(folder)


def test_transcripts_that_lead_out_of_the_bundle_are_none(folder, tmp_path):
    secret = tmp_path / "secret.ndjson"
    secret.write_text('{"transcript":1,"request":{"method":"GET","url":"http://secret/"}}\n')
    (folder / "transcripts" / "e000002.ndjson").symlink_to(secret)
    os.mkfifo(folder / "transcripts" / "e000003.ndjson")
    bundle = Bundle.open(folder)
    assert bundle.transcripts() == ["transcripts/e000001.ndjson"]
    for place in ("transcripts/e000002.ndjson", "transcripts/e000003.ndjson", "../secret.ndjson",
                  str(secret), "transcripts/../run.json", "run.json"):  # fmt: skip
        assert bundle.transcript(place, 9) is None
    assert bundle.transcript("transcripts/e000001.ndjson", 9) == b'{"transcr'


def test_a_folder_of_transcripts_that_leads_out_is_none(folder, tmp_path):
    (folder / "transcripts").rename(tmp_path / "elsewhere")
    (folder / "transcripts").symlink_to(tmp_path / "elsewhere")
    assert Bundle.open(folder).transcripts() == []


@pytest.mark.parametrize("name", ["report.html", "junit.xml", "summary.md", ".report.html.tmp"])
def test_a_report_in_a_bundle_of_a_stranger_overwrites_nothing_elsewhere(folder, name, tmp_path):
    precious = tmp_path / "precious"
    precious.write_text("mine")
    (folder / name).symlink_to(precious)
    report(folder)
    assert precious.read_text() == "mine"
    assert "<html" in (folder / "report.html").read_text()


def test_a_transcripts_folder_that_was_there_before_is_not_written_into(tmp_path):
    (tmp_path / "a").mkdir()
    (tmp_path / "elsewhere").mkdir()
    (tmp_path / "a" / "transcripts").symlink_to(tmp_path / "elsewhere")
    with pytest.raises(UsageError, match="not empty"):
        BundleWriter.create(tmp_path / "a", RUN)
    assert os.listdir(tmp_path / "elsewhere") == []


# --- bombs ----------------------------------------------------------------------------------------


def test_rows_that_are_all_alike_are_no_run_and_do_not_fill_the_memory(folder, monkeypatch):
    monkeypatch.setattr(bundle_module, "UNPACKED_FREELY", 2**20)
    line = json.dumps(row(1, reason="x" * 10_000)).encode() + b"\n"
    (folder / "exchanges.ndjson.gz").write_bytes(gzip.compress(line * 2_000, 9))
    tracemalloc.start()
    with pytest.raises(UsageError, match="unpacks to more than 100 times its size"):
        list(Bundle.open(folder).exchanges())
    assert tracemalloc.get_traced_memory()[1] < 60 * 2**20
    tracemalloc.stop()


@pytest.mark.parametrize("text", [b"\0", b"{", b" ", b"["])
def test_a_gigabyte_without_a_line_end_is_refused_after_some_of_it(folder, text, monkeypatch):
    monkeypatch.setattr(bundle_module, "LINE_LIMIT", 2**20)
    (folder / "exchanges.ndjson.gz").write_bytes(gzip.compress(text * 4_000_000))
    with pytest.raises(UsageError, match=r"exchanges\.ndjson\.gz:1: longer than"):
        list(Bundle.open(folder).exchanges())


def test_more_rows_than_any_run_has_are_refused(folder, monkeypatch):
    monkeypatch.setattr(bundle_module, "ROW_LIMIT", 10)
    put(folder, "violations.ndjson", [violation()] * 11)
    with pytest.raises(UsageError, match=r"violations\.ndjson: more than 10 rows"):
        list(Bundle.open(folder).violations())


@pytest.mark.parametrize("depth", [100, 1_000, 100_000])
def test_a_row_nested_deep_is_refused(folder, depth):
    text = json.dumps({**violation(), "message": "(deep)"}).encode()
    deep = text.replace(b'"(deep)"', b"[" * depth + b"]" * depth)
    (folder / "violations.ndjson").write_bytes(deep + b"\n")
    with pytest.raises(UsageError, match=r"violations\.ndjson:1:"):
        list(Bundle.open(folder).violations())


def test_names_that_no_contract_gave_do_not_fill_the_memory(folder):
    many = [row(n, milestones={f"m{n}": 1.0}, stages={f"s{n}": [1, 1, 1]}) for n in range(600)]
    put(folder, "exchanges.ndjson.gz", many)
    with pytest.raises(UsageError, match="more than 500 names of milestones and stages"):
        report(folder, "--format", "json")
    put(folder, "exchanges.ndjson.gz", [row(n, endpoint=f"e{n}") for n in range(1_001)])
    with pytest.raises(UsageError, match="more than 1,000 endpoints"):
        report(folder, "--format", "json")


# --- folders of runs ------------------------------------------------------------------------------


def test_prune_deletes_nothing_outside_the_folder_of_runs(folder, tmp_path):
    root = folder.parent
    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir()
    (elsewhere / "run.json").write_text((folder / "run.json").read_text())
    (root / "link").symlink_to(elsewhere)
    (folder / "transcripts" / "out").symlink_to(elsewhere)
    args = runs_command.parse_args(["prune", "--keep", "0", "--runs", str(root)])
    stdout = io.StringIO()
    runs_command.run(args, stdout, io.StringIO())
    assert not folder.exists()
    assert (elsewhere / "run.json").exists()
    assert (root / "link").is_symlink()


@pytest.mark.parametrize(
    "marks",
    [
        {"tags": {"one": "candidate"}, "pins": {}},
        {"tags": {"one": [None]}, "pins": {}},
        {"tags": {"one": ["\x1b[2J"]}, "pins": {}},
        {"tags": {}, "pins": {"base": None}},
        {"tags": {}, "pins": {"../x": "one"}},
        {"tags": [], "pins": {}},
        None,
    ],
    ids=lambda marks: json.dumps(marks),
)
def test_marks_that_are_not_as_we_write_them_are_refused(folder, marks):
    (folder.parent / MARKS).write_text(json.dumps(marks))
    with pytest.raises(UsageError, match=r"marks\.json: expected"):
        Runs(folder.parent).entries()


@pytest.mark.parametrize("kind", ["link", "fifo"])
def test_marks_that_are_no_file_are_neither_followed_nor_waited_for(folder, kind, tmp_path):
    if kind == "link":
        (folder.parent / MARKS).symlink_to(tmp_path / "made")
    else:
        os.mkfifo(folder.parent / MARKS)
    with pytest.raises(UsageError, match=MARKS):
        Runs(folder.parent).tag("one", "candidate")
    assert not (tmp_path / "made").exists()


def test_marks_larger_than_any_are_refused(folder):
    (folder.parent / MARKS).write_bytes(b" " * (16 * 2**20 + 1))
    runs = Runs(folder.parent)
    with pytest.raises(UsageError, match="larger than 16 MiB"):
        runs.entries()


def test_a_bundle_that_cannot_be_read_is_listed_with_its_fault(folder):
    (folder / "run.json").unlink()
    os.mkfifo(folder / "run.json")
    (entry,) = Runs(folder.parent).entries()
    assert entry.fault is not None
    assert "is a FIFO, not a file" in entry.fault


def test_every_refusal_is_one_line(folder):
    put(folder, "violations.ndjson", [{**violation(), "rule": ["\n" * 9, "x" * 9_000]}])
    with pytest.raises(SoundstageError) as caught:
        report(folder)
    assert len(str(caught.value)) < 1_000


def test_a_whole_number_is_an_integer_however_it_is_written(tmp_path):
    path = tmp_path / "observed.json"
    for text in ("2.0", "2e0"):
        path.write_text(f'{{"format": {text}, "apis": {{}}}}')
        assert isinstance(bundle_module.read_observed(path)["format"], int)


def test_numbers_that_are_not_whole_stay_as_they_are():
    said = {"p50": 1.5, "far": 1e300, "many": [-0.0, True, None, "2.0"]}
    assert bundle_module._whole(said) == said
    assert isinstance(bundle_module._whole(-0.0), int)
