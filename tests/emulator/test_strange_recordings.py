"""Folders of recordings, profiles and locks that a stranger prepared."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

import pytest

from soundstage.contract import load_all
from soundstage.emulator.pace import profiles
from soundstage.emulator.replay import recordings
from soundstage.emulator.replay.recordings import find
from soundstage.errors import NoDataError, UsageError

CONTRACTS = list(load_all().values())
DEEP = '{"a":' * 900 + "1" + "}" * 900


def transcript(**response: Any) -> bytes:
    head = {"status": 200, "headers": [["content-type", "text/event-stream"]], **response}
    header = {
        "transcript": 1,
        "request": {"method": "POST", "url": "http://h/v6/generate/song"},
        "response": head,
    }
    event = {"t": 0.1, "raw": "ZGF0YToge30KCg=="}
    return b"".join(json.dumps(row).encode() + b"\n" for row in (header, event))


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "recordings").mkdir()
    (tmp_path / "recordings" / "good.ndjson").write_bytes(transcript())
    (tmp_path / "outside.ndjson").write_bytes(transcript())
    return tmp_path / "recordings"


@pytest.mark.parametrize("kind", ["fifo", "device", "out", "loop", "dangling"])
def test_what_is_no_file_of_the_folder_is_named_and_skipped_without_waiting(folder, kind):
    place = folder / "a.ndjson"
    targets = {"device": "/dev/zero", "out": folder.parent / "outside.ndjson", "loop": place.name}
    if kind == "fifo":
        os.mkfifo(place)
    else:
        place.symlink_to(targets.get(kind, "absent"))
    found = find(folder, CONTRACTS)
    assert [Path(each.name).name for each in found.recordings] == ["good.ndjson"]
    assert len(found.skipped) == 1
    assert found.skipped[0].startswith(f"skipped {place}: ")


def test_transcripts_of_a_bundle_that_lead_out_of_it_are_not_replayed(folder, tmp_path):
    bundle = tmp_path / "run"
    bundle.mkdir()
    (bundle / "run.json").write_text("{}")
    (bundle / "transcripts").symlink_to(folder)
    with pytest.raises(UsageError, match="transcripts: a link that leads out of"):
        find(bundle, CONTRACTS)


@pytest.mark.parametrize("make", [os.mkfifo, Path.touch, None])
def test_transcripts_of_a_bundle_that_are_no_folder_are_none(tmp_path, make):
    (tmp_path / "run.json").write_text("{}")
    if make is not None:
        make(tmp_path / "transcripts")
    with pytest.raises(NoDataError, match="kept no transcript"):
        find(tmp_path, CONTRACTS)


def test_a_file_that_the_user_names_may_be_a_link_to_anywhere(folder, tmp_path):
    (tmp_path / "link.ndjson").symlink_to(folder / "good.ndjson")
    assert len(find(tmp_path / "link.ndjson", CONTRACTS).recordings) == 1


@pytest.mark.parametrize("length", ["²", "9" * 5_000, "-1", " 12", "1e3", ""])
def test_a_length_that_is_none_is_not_announced(folder, length):
    raw = transcript(headers=[["content-length", length]])
    (folder / "good.ndjson").write_bytes(raw)
    assert find(folder, CONTRACTS).recordings[0].length is None


def test_recordings_that_are_too_large_together_are_refused(folder, monkeypatch):
    monkeypatch.setattr(recordings, "_ALL", 9)
    with pytest.raises(UsageError, match="recordings of more than"):
        find(folder, CONTRACTS)


def test_a_hundred_thousand_events_of_one_moment_are_joined_in_no_time(folder):
    header, event, _ = transcript().split(b"\n")
    (folder / "good.ndjson").write_bytes(b"\n".join([header, *[event] * 100_000, b""]))
    (recording,) = find(folder, CONTRACTS).recordings
    assert [len(data) for _, data in recording.pieces] == [1_000_000]


# --- profiles -------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "text",
    [
        '{"description": "x", "default": {"constant": NaN}}',
        '{"description": "x", "default": {"constant": 1e999}}',
        '{"description": "x", "default": {"constant": ' + "9" * 5_000 + "}}",
        '{"description": "x", "default": {"constant": 1}, "fitted": ' + DEEP + "}",
        '{"description": "\\ud800", "default": {"constant": 1}}',
        '{"description": "x", "default": {"constant": 1}, "slots": 1e300}',
        "[" * 100_000,
        "null",
    ],
    ids=["nan", "inf", "digits", "deep", "surrogate", "huge", "brackets", "null"],
)
def test_a_profile_that_is_none_is_refused_in_one_line(tmp_path, text):
    (tmp_path / "p.json").write_text(text)
    with pytest.raises(UsageError, match=r"p\.json: ") as caught:
        profiles.profile(str(tmp_path / "p.json"))
    assert len(str(caught.value)) < 600


def test_a_name_that_stands_twice_is_found_among_a_hundred_thousand(tmp_path):
    names = ",".join(f'"n{n}":1' for n in range(90_000))
    text = f'{{"description":"x","default":{{"constant":1}},"fitted":{{{names},"n89999":2}}}}'
    (tmp_path / "p.json").write_text(text)
    with pytest.raises(UsageError, match="'n89999' stands twice"):
        profiles.profile(str(tmp_path / "p.json"))


# --- locks ----------------------------------------------------------------------------------------
