"""Polls that any tool recorded are put together with the request that gave their id, and judged."""

from __future__ import annotations

import io
import json
from pathlib import Path
from typing import Any

import pytest
from tests.support.saved_jobs import (
    GALLERY,
    ID,
    PICTURES,
    QUEUED,
    SONGS,
    archive,
    entry,
    painted,
    painting,
)

from soundstage import cli
from soundstage.contract.contract import SCHEMAS_VARIABLE
from soundstage.errors import UsageError
from soundstage.linting import archived_jobs
from soundstage.linting.archived_jobs import ArchivedAnswer, put_together
from soundstage.observed.exchanges import observe_transcripts
from soundstage.saved import har

OTHER = "job_ffffffffffff"
MADE = entry("POST", "/v1/pictures", QUEUED, status=202, at="10:00:00", sent={"prompt": "A hare"})


def poll(value: Any, at: str | None = None, job: str = ID, **more: Any) -> dict[str, Any]:
    return entry("GET", f"/v1/pictures/{job}", value, at=at, **more)


def found(*entries: dict[str, Any], endpoint: str | None = None) -> list[ArchivedAnswer]:
    read = har.read(archive(*entries), "a.har")
    return put_together(read, [PICTURES, SONGS], "a.har", endpoint)


def shape(*entries: dict[str, Any], endpoint: str | None = None) -> list[tuple[int, str, int]]:
    """Of each answer its number, its endpoint, and how many looks it has."""
    return [
        (each.number, each.endpoint.name, len(each.exchange.looks))
        for each in found(*entries, endpoint=endpoint)
    ]


def test_polls_are_put_together_with_the_request_that_gave_their_id() -> None:
    assert shape(MADE, poll(QUEUED), poll(painting()), poll(painted())) == [(0, "job", 3)]


def test_the_default_port_is_the_same_place_whether_or_not_it_is_named() -> None:
    named = poll(QUEUED)
    named["request"]["url"] = named["request"]["url"].replace(".example/", ".example:443/")
    assert shape(MADE, named, poll(painted())) == [(0, "job", 2)]


def test_single_looks_are_observed_as_the_states_that_they_show(tmp_path: Path) -> None:
    """What a contract says of a state is no field that nobody documented."""
    file = tmp_path / "a.har"
    file.write_bytes(archive(MADE, poll(painting()), poll(painted())))
    seen = observe_transcripts([file], {"pictures": PICTURES})
    facts = seen.apis["pictures"]["status"].counts
    assert [each for each in facts if each.startswith("extra/")] == []
    assert any("running" in each for each in facts)


def test_two_jobs_at_once_are_told_apart() -> None:
    second = entry("POST", "/v1/pictures", {"job_id": OTHER, "status": "queued"}, status=202)
    polls = [poll(QUEUED), poll({**QUEUED, "job_id": OTHER}, job=OTHER), poll(painted())]
    assert shape(MADE, second, *polls) == [(0, "job", 2), (1, "job", 1)]


def test_an_id_that_is_given_again_begins_another_job() -> None:
    assert shape(MADE, poll(painted()), MADE, poll(QUEUED)) == [(0, "job", 1), (2, "job", 1)]


def test_polls_without_the_request_are_judged_together_and_one_is_an_answer() -> None:
    assert shape(poll(QUEUED), poll(painted())) == [(0, "status", 2)]
    assert shape(poll(QUEUED)) == [(0, "status", 0)]


def test_polls_of_another_host_are_not_those_of_the_job() -> None:
    strange = poll(painted())
    strange["request"]["url"] = f"https://evil.example/v1/pictures/{ID}"
    assert shape(MADE, poll(QUEUED), strange) == [(0, "job", 1), (2, "status", 0)]


def test_they_are_put_into_the_order_they_were_sent_in_where_all_say_it() -> None:
    polls = [poll(painted(), "10:00:03"), poll(QUEUED, "10:00:01"), poll(painting(), "10:00:02")]
    (answer,) = found(*polls, MADE)
    assert [look.header["t"] for look in answer.exchange.looks] == [1.0, 2.0, 3.0]
    told = [json.loads(look.body)["status"] for look in answer.exchange.looks]
    assert told == ["queued", "running", "succeeded"]


def test_ids_in_queries_tell_jobs_apart_whatever_else_stands_there() -> None:
    accepted = {"job_id": "job_0123456789abcdef", "status": "queued"}
    made = entry("POST", "/songs", accepted, status=202)

    def at(query: str) -> dict[str, Any]:
        return entry("GET", f"/songs/status?{query}", accepted)

    mine, others = "job_id=job_0123456789abcdef", "job_id=job_ffffffffffffffff"
    assert shape(made, at(mine + "&_=1"), at(others), at("_=2&" + mine)) == [
        (0, "job", 2),
        (2, "status", 0),
    ]


def test_the_id_of_a_stream_ties_its_polls_to_it() -> None:
    chunk = {"job_id": "job_0123456789abcdef", "status": "job_created", "chunkIndex": 0}
    stream = entry("POST", "/songs/stream", f"data: {json.dumps(chunk)}\n\n")
    status = entry("GET", "/songs/status?job_id=job_0123456789abcdef", QUEUED)
    assert shape(stream, status) == [(0, "stream", 1)]


@pytest.mark.parametrize(
    ("endpoint", "expected"),
    [("job", [(0, "job", 2)]), ("status", [(1, "status", 2)]), ("sync", []), ("error", None)],
)
def test_a_word_chooses_which_answers_are_judged(endpoint: str, expected: Any) -> None:
    polls = [MADE, poll(QUEUED), poll(painted())]
    assert shape(*polls, endpoint=endpoint) == ([(0, "job", 2)] if expected is None else expected)


def test_too_many_looks_at_one_job_are_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(archived_jobs, "MOST_LOOKS", 2)
    with pytest.raises(UsageError, match=r"a.har#0: more than 2 looks at one job"):
        found(MADE, poll(QUEUED), poll(QUEUED), poll(QUEUED))


def test_strange_urls_and_bodies_are_no_jobs_and_raise_nothing() -> None:
    bad = poll(QUEUED)
    bad["request"]["url"] = "https://[pictures.example/v1/pictures/x"
    long = poll(QUEUED, job="x" * 100_000)
    entries = [MADE, bad, long, poll("<html>", status=502), poll("{" * 9_000)]
    assert [name for _, name, _ in shape(*entries)] == ["job", "status", "status"]


# --- as a command ---------------------------------------------------------------------------------


@pytest.fixture(autouse=True)
def _gallery(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(SCHEMAS_VARIABLE, str(GALLERY))


def linted(tmp_path: Path, raw: bytes, *options: str) -> tuple[int, str, str]:
    file = tmp_path / "saved"
    file.write_bytes(raw)
    out, err = io.StringIO(), io.StringIO()
    code = cli.run("lint", [*options, str(file)], out, err)
    return (
        code,
        out.getvalue().replace(str(file), "FILE"),
        err.getvalue().replace(str(file), "FILE"),
    )


@pytest.mark.parametrize(
    ("seen", "code", "says"),
    [
        ([QUEUED, painting(), painted()], 0, "FILE#0: conforms: pictures job, json, 3 looks"),
        ([painting(), QUEUED, painted()], 1, "[job.backwards]"),
        ([QUEUED, painting()], 4, "inconclusive (job.not_done): pictures job"),
    ],
)
def test_lint_judges_the_job_of_an_archive(
    tmp_path: Path, seen: list[Any], code: int, says: str
) -> None:
    got, out, err = linted(tmp_path, archive(MADE, *map(poll, seen)))
    assert (got, err) == (code, "")
    assert says in out


def test_one_saved_state_is_judged_as_one_look(tmp_path: Path) -> None:
    raw = json.dumps(QUEUED).encode()
    told = ("--api", "pictures", "--endpoint", "status")
    assert linted(tmp_path, raw, *told)[:2] == (0, "FILE: conforms: pictures status, json\n")
    wrong = json.dumps({**painting(), "progress": 7}).encode()
    code, out, _ = linted(tmp_path, wrong, *told)
    assert code == 1
    assert "[field.value]" in out
    head = b"HTTP/1.1 200 OK\r\ncontent-type: text/html\r\n\r\n"
    assert "[http.content_type]" in linted(tmp_path, head + raw, *told)[1]


def test_a_state_that_only_states_look_like_is_guessed(tmp_path: Path) -> None:
    raw = json.dumps(painting()).encode()
    assert linted(tmp_path, raw)[1] == "FILE: conforms: took it for pictures status, json\n"


def test_what_may_be_a_job_or_a_state_is_asked_for(tmp_path: Path) -> None:
    raw = json.dumps(QUEUED).encode()
    code, out, err = linted(tmp_path, raw, "--api", "pictures")
    assert (code, out) == (2, "")
    assert "pictures job or pictures status: say --endpoint job or status" in err
    assert "say --api and --endpoint job or status" in linted(tmp_path, raw)[2]


def test_a_status_tells_an_accepted_job_from_a_state(tmp_path: Path) -> None:
    raw = json.dumps(QUEUED).encode()
    for status, endpoint in ((b"202 Accepted", "job"), (b"200 OK", "status")):
        head = b"HTTP/1.1 " + status + b"\r\ncontent-type: application/json\r\n\r\n"
        code, out, _ = linted(tmp_path, head + raw, "--api", "pictures")
        assert code == 0
        assert f"pictures {endpoint}," in out


def test_an_endpoint_that_a_contract_lacks_is_named_with_those_it_has(tmp_path: Path) -> None:
    raw = json.dumps(QUEUED).encode()
    code, _, err = linted(tmp_path, raw, "--api", "pictures", "--endpoint", "stream")
    assert code == 2
    assert "FILE: pictures has no endpoint of the name or kind stream: only job, status" in err


def test_json_says_how_many_looks_there_were(tmp_path: Path) -> None:
    raw = archive(MADE, poll(QUEUED), poll(painted()))
    row = json.loads(linted(tmp_path, raw, "--format", "json")[1])
    assert (row["endpoint"], row["verdict"], row["looks"]) == ("job", "conforms", 2)
