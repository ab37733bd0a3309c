"""Transcripts and archives from strangers: every member is what it must be, and nothing is large
without bound.
"""

from __future__ import annotations

import base64
import gzip
import json
import os
from pathlib import Path
from typing import Any

import pytest

from soundstage.errors import UsageError
from soundstage.saved import har, saved_file, transcript
from soundstage.untrusted import json_values

HEADER: dict[str, Any] = {
    "transcript": 1,
    "api": "v6",
    "endpoint": "stream",
    "request": {"method": "POST", "url": "http://h/v6/generate/song", "headers": [["a", "b"]]},
    "response": {"status": 200, "reason": "OK", "headers": [["a", "b"]], "t": 0.1},
    "timing": "kernel",
}
END: dict[str, Any] = {"kind": "complete", "fault_of": None, "message": "", "cut": None, "t": 1.0}


def text(*rows: Any) -> bytes:
    return b"".join(json.dumps(row).encode() + b"\n" for row in rows)


@pytest.mark.parametrize("part", [None, "request", "response"])
@pytest.mark.parametrize("odd", [7, True, [1], {"x": 1}, -1e300, [["a"]], [["a", 1]]], ids=repr)
def test_a_member_of_the_header_that_is_something_else_is_refused_by_its_place(part, odd):
    holder = HEADER if part is None else HEADER[part]
    for name in holder.keys() - {"transcript", "request", "response"}:
        # One that is a number, or headers, may be what is odd elsewhere.
        if (name, odd) in (("status", 7), ("t", 7)):
            continue
        changed = {**holder, name: odd}
        header = changed if part is None else {**HEADER, part: changed}
        with pytest.raises(UsageError, match=rf"f:1: .*/{name} is not as"):
            transcript.read(text(header), "f")


@pytest.mark.parametrize("odd", [7, True, [1], {"x": 1}, float("nan"), float("inf")], ids=repr)
def test_a_member_of_the_end_that_is_something_else_is_refused(odd):
    for name in END:
        if (name, odd) == ("t", 7):
            continue
        with pytest.raises(UsageError, match=rf"f:2: /end/{name} is not as"):
            transcript.read(text(HEADER, {"end": {**END, name: odd}}), "f")


@pytest.mark.parametrize("odd", [None, "1", True, [], float("nan"), 1e300, 10**400], ids=repr)
def test_an_event_at_no_time_is_refused(odd):
    row = json.dumps({"t": 0, "raw": ""}).replace("0", json.dumps(odd), 1).encode() + b"\n"
    with pytest.raises(UsageError, match="f:2: not an event"):
        transcript.read(text(HEADER) + row, "f")


@pytest.mark.parametrize(
    "line", [b'{"t":' + b"9" * 5_000 + b',"raw":""}', b"[" * 50_000, b"", b"7"]
)
def test_a_line_that_a_parser_would_choke_on_is_refused_by_its_number(line):
    with pytest.raises(UsageError, match="f:2: not"):
        transcript.read(text(HEADER) + line + b"\n", "f")


def test_lines_may_end_as_another_system_ends_them():
    whole = text(HEADER, {"t": 0, "raw": "YQ=="}, {"end": END})
    for end in (b"\r\n", b"\r"):
        read = transcript.read(whole.replace(b"\n", end), "f")
        assert (read.body, read.end) == (b"a", END)


def test_a_last_line_that_breaks_off_is_dropped_with_all_that_it_held():
    whole = text(HEADER, {"t": 0, "raw": "YQ=="}, {"end": END})
    read = transcript.read(whole[:-1], "f")
    assert (read.body, read.end) == (b"a", None)
    assert transcript.read(json.dumps(HEADER).encode(), "f").header["api"] == "v6"


def test_more_events_than_any_exchange_has_are_refused(monkeypatch):
    monkeypatch.setattr(transcript, "MOST_EVENTS", 10)
    with pytest.raises(UsageError, match="f:12: more than 10 events"):
        transcript.read(text(HEADER, *[{"t": 0, "raw": ""}] * 11), "f")


# --- values ---------------------------------------------------------------------------------------


@pytest.mark.parametrize("raw", [b"[" + b"{}," * 50 + b"{}]", b"[" * 60, b'{"a":1,' * 40])
def test_many_small_values_are_counted_before_they_are_made(raw):
    assert json_values.many_values(raw, most=20)


@pytest.mark.parametrize(
    "raw", [b'["' + b"," * 500 + b'"]', b'["\\"' + b"[" * 500 + b'"]', b'"' + b"{" * 500]
)
def test_what_stands_in_a_string_is_no_value(raw):
    assert json_values.many_values(raw, most=20) == (raw[-1:] == b"{")


def test_an_archive_of_millions_of_values_is_refused():
    raw = b'{"log":{"entries":[' + b"[]," * 3_100_000 + b"[]]}}"
    with pytest.raises(UsageError, match="f: a HAR file of more than 3,000,000 values"):
        har.read(raw, "f")


# --- bodies of archives ---------------------------------------------------------------------------


def entry(**content: Any) -> dict[str, Any]:
    return {
        "request": {"method": "POST", "url": "http://h/v6/generate/song"},
        "response": {"status": 200, "headers": [], "content": content},
    }


def archive(*entries: Any) -> bytes:
    return json.dumps({"log": {"entries": entries}}).encode()


def test_bodies_that_each_unpack_to_the_limit_are_refused_together():
    packed = base64.b64encode(gzip.compress(b"0" * 1_000)).decode()
    entries = [entry(text=packed, encoding="base64")] * 9
    with pytest.raises(UsageError, match="bodies come to more than"):
        har.read(archive(*entries), "f", limit=1_000)
    assert len(har.read(archive(*entries[:3]), "f", limit=1_000)) == 3


def test_one_file_that_is_named_often_is_not_held_often():
    entries = [entry(_file="body.sse")] * 9
    with pytest.raises(UsageError, match="bodies come to more than"):
        har.read(archive(*entries), "f", lambda name: b"0" * 1_000, limit=1_000)


@pytest.mark.parametrize(
    "name",
    [
        "../secret",
        "/etc/passwd",
        "a/../../secret",
        "..\\secret",
        "C:secret",
        "fifo",
        "out",
        "folder",
        "device",
        "a\x00b",
        "loop",
    ],
)
def test_a_body_that_lies_elsewhere_or_is_no_file_is_missing(tmp_path: Path, name: str):
    (tmp_path / "secret").write_text("precious")
    folder = tmp_path / "inside"
    folder.mkdir()
    os.mkfifo(folder / "fifo")
    (folder / "out").symlink_to(tmp_path / "secret")
    (folder / "folder").mkdir()
    (folder / "device").symlink_to("/dev/zero")
    (folder / "loop").symlink_to("loop")
    (folder / "saved.har").write_bytes(archive(entry(_file=name)))
    (found,) = saved_file.read_file(str(folder / "saved.har")).entries
    assert found.exchange is not None
    assert found.exchange.body == b""


def test_a_body_beside_an_archive_is_read_also_through_a_link_that_stays_there(tmp_path: Path):
    (tmp_path / "body.sse").write_text("data: {}\n\n")
    (tmp_path / "link").symlink_to("body.sse")
    (tmp_path / "saved.har").write_bytes(archive(entry(_file="link"), entry(_file="body.sse")))
    found = saved_file.read_file(str(tmp_path / "saved.har")).entries
    assert [each.exchange.body for each in found if each.exchange] == [b"data: {}\n\n"] * 2


@pytest.mark.parametrize("odd", [{"message": {"a": [1]}}, {"message": []}, 1e300, {"name": {}}])
def test_an_error_that_is_no_text_is_some_error(odd):
    (found,) = har.read(archive({**entry(text="x"), "_error": odd}), "f")
    assert found.exchange is not None
