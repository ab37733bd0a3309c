"""What `emulate --replay` finds at a place: responses as they were saved, beside transcripts."""

from __future__ import annotations

import gzip
import io
import json
from pathlib import Path

import httpx
import pytest
from tests.support.saved_files import GOOD, HEAD, chunks, entry, events, har

from soundstage.contract import load_all
from soundstage.emulator.replay.recordings import Recording, find
from soundstage.errors import NoDataError, UsageError
from soundstage.exchange.spawn import spawned_emulator

CONTRACTS = list(load_all().values())
PRINTED = Path(__file__).parents[2] / "schemas" / "v6" / "examples"


def recorded(tmp_path: Path, raw: bytes, name: str = "a.sse") -> Recording:
    (tmp_path / name).write_bytes(raw)
    (found,) = find(tmp_path / name, CONTRACTS).recordings
    return found


@pytest.mark.parametrize("name", ["a.sse", "a.txt", "a"])
def test_a_saved_stream_is_served_at_the_stream_endpoint_it_is_of(
    tmp_path: Path, name: str
) -> None:
    found = recorded(tmp_path, GOOD, name)
    assert (found.method, found.paths, found.status) == ("POST", ("/v6/generate/song",), 200)
    assert found.headers == (("content-type", "text/event-stream"),)
    assert found.pieces == ((0.0, GOOD),)
    assert found.end == "complete"


def test_other_forms_are_served_as_what_they_are(tmp_path: Path) -> None:
    sync = recorded(tmp_path, (PRINTED / "sync.json").read_bytes(), "sync.json")
    assert sync.paths == ("/v6/generate/song/sync",)
    assert sync.headers == (("content-type", "application/json"),)
    error = b'{"success": false, "message": "Rate limits have been passed for the user."}'
    assert recorded(tmp_path, error).status == 429
    lines = b"".join(json.dumps(each).encode() + b"\n" for each in chunks("v5"))
    assert recorded(tmp_path, lines).headers == (("content-type", "application/x-ndjson"),)
    for raw in (gzip.compress(GOOD), GOOD.decode().encode("utf-16"), HEAD + GOOD):
        assert recorded(tmp_path, raw).pieces == ((0.0, GOOD),)
    head = HEAD.replace(b"200 OK", b"202 Accepted").replace(b"event-stream", b"plain")
    headed = recorded(tmp_path, head + GOOD)
    assert (headed.status, headed.headers) == (202, (("content-type", "text/plain"),))
    cut = recorded(tmp_path, gzip.compress(GOOD)[:-20])
    assert cut.end is None


def test_what_is_nothing_of_the_contracts_is_refused(tmp_path: Path) -> None:
    for raw, says in (
        (b"", "neither a transcript nor a HAR file nor an answer of v5 or v6, but like an empty"),
        (b"<html></html>", "like a page of HTML"),
        (b"data: {}\n\n", "like an event stream"),
        (b"%PDF-1.7", "a PDF document"),
    ):
        with pytest.raises(UsageError, match=says):
            recorded(tmp_path, raw)


def test_a_folder_is_served_file_by_file_and_what_is_strange_is_named(tmp_path: Path) -> None:
    second = events(chunks(seed=2))
    (tmp_path / "1.sse").write_bytes(GOOD)
    (tmp_path / "2.sse").write_bytes(second)
    (tmp_path / "3.har").write_bytes(har(None, entry()))
    (tmp_path / "4.har").write_bytes(b'{"log": {"entries": [')
    (tmp_path / "README.md").write_text("# Recordings\n")
    (tmp_path / ".DS_Store").write_bytes(b"\0\0\0\1Bud1")
    (tmp_path / "older").mkdir()
    found = find(tmp_path, CONTRACTS)
    bodies = [b"".join(data for _, data in each.pieces) for each in found.recordings]
    assert bodies == [GOOD, second, GOOD]
    assert [line.split(": ")[0] for line in found.skipped] == [
        f"skipped {tmp_path}/3.har#0",
        f"skipped {tmp_path}/4.har",
        f"skipped {tmp_path}/README.md",
    ]


def test_an_archive_of_nothing_but_odd_entries_says_what_was_odd(tmp_path: Path) -> None:
    (tmp_path / "a.har").write_bytes(har(None))
    with pytest.raises(NoDataError, match=r"nothing to replay.*a\.har#0: it is null"):
        find(tmp_path, CONTRACTS)


def test_a_saved_stream_comes_out_of_the_server_as_it_went_in(tmp_path: Path) -> None:
    (tmp_path / "a.sse").write_bytes(gzip.compress(GOOD))
    (tmp_path / "notes").write_text("notes\n")
    with spawned_emulator(["--replay", str(tmp_path)]) as url:
        answer = httpx.post(f"{url}/v6/generate/song")
    assert answer.content == GOOD
    assert answer.headers["content-type"] == "text/event-stream"


def test_the_command_names_what_it_skips(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from soundstage import cli
    from soundstage.emulator.replay import replay

    (tmp_path / "a.sse").write_bytes(GOOD)
    (tmp_path / "notes").write_text("no\x1btes\n")
    served: list[list[str]] = []
    monkeypatch.setattr(replay, "serve", lambda found, *_: served.append(found.paths()))
    out, err = io.StringIO(), io.StringIO()
    assert cli.run("emulate", ["--replay", str(tmp_path)], out, err) == 0
    assert served == [["POST /v6/generate/song (1)"]]
    assert err.getvalue().startswith(f"soundstage emulate: skipped {tmp_path}/notes: neither a tra")
    assert "\x1b" not in err.getvalue()
