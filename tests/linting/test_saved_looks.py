"""Saved looks at a job are judged as they were while it was followed."""

from __future__ import annotations

import json
from dataclasses import replace

import pytest
from tests.support.saved_jobs import (
    FAILED,
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

from soundstage.conformance.following import Following
from soundstage.conformance.judge import Caps
from soundstage.conformance.violations import Verdict
from soundstage.errors import UsageError
from soundstage.linting.saved_answers import Judged, judge_saved
from soundstage.observed.exchanges import observe_transcripts
from soundstage.saved.transcript import Transcript, read

NOT_FOUND = {"detail": "no such job"}


def judged(exchange: Transcript, endpoint: str | None = None) -> Judged:
    """What `lint` says of a transcript, once it has been written and read."""
    saved = read(exchange.to_bytes(), "t")
    return judge_saved(saved, [PICTURES, SONGS], endpoint, Caps(), name="t")


def said(exchange: Transcript) -> tuple[str, str | None, list[str]]:
    judge = judged(exchange).judge
    return judge.verdict().value, judge.reason, [each.code for each in judge.violations]


def test_a_job_that_comes_to_its_end_conforms():
    assert said(states(QUEUED, painting(), painted(), painted())) == ("conforms", None, [])


@pytest.mark.parametrize(
    ("seen", "code"),
    [
        ([painting(), QUEUED, painted()], "job.backwards"),
        ([painting(), painted(), painting()], "job.changed"),
        ([painted(), painted("fox")], "identity.changed"),
        ([painting(0.7), painting(0.2), painted()], "progress.decreased"),
        ([QUEUED, {**painting(), "job_id": "job_ffffffffffff"}, painted()], "identity.changed"),
        ([QUEUED, {"job_id": ID, "status": "asleep"}, painted()], "stage.unknown"),
        ([QUEUED, {"job_id": ID, "status": "running"}, painted()], "field.missing"),
    ],
)
def test_what_a_look_shows_that_cannot_be_violates(seen, code):
    verdict, _, codes = said(states(*seen))
    assert (verdict, codes) == ("violates", [code])


def test_a_job_that_is_not_over_is_inconclusive_and_no_violation():
    assert said(states(QUEUED, painting())) == ("inconclusive", "job.not_done", [])
    assert said(job()) == ("inconclusive", "job.not_done", [])


def test_the_reason_for_which_nobody_looked_any_longer_is_kept():
    cut = job(look(1, QUEUED), cut="harness.cancelled")
    assert said(cut) == ("inconclusive", "harness.cancelled", [])


def test_a_transcript_that_breaks_off_is_inconclusive():
    lines = states(QUEUED, painting(), painted()).to_bytes().splitlines(keepends=True)
    cut = read(b"".join(lines[:-2]), "t")
    judge = judge_saved(cut, [PICTURES], None, Caps(), name="t").judge
    assert (judge.verdict(), judge.reason) == (Verdict.INCONCLUSIVE, "transcript.incomplete")


def test_a_job_that_failed_says_so_and_is_inconclusive():
    assert said(states(QUEUED, FAILED)) == ("inconclusive", "stream.failed", [])
    assert judged(states(QUEUED, FAILED)).judge.failed == "failed"


def test_an_id_that_is_not_known_violates():
    gone = job(look(1, NOT_FOUND, status=404))
    assert "job.unknown_id" in said(gone)[2]
    assert said(gone)[0] == "violates"


def test_an_id_may_be_unknown_while_its_grace_lasts():
    endpoints = dict(PICTURES.endpoints)
    poll = endpoints["job"].poll
    assert poll is not None
    endpoints["job"] = replace(endpoints["job"], poll=replace(poll, grace_s=3.0))
    patient = replace(PICTURES, endpoints=endpoints)
    early = job(look(1, NOT_FOUND, status=404), look(2, painted()))
    late = job(look(5, NOT_FOUND, status=404))
    for exchange, codes in ((early, []), (late, ["job.unknown_id"])):
        judge = judge_saved(exchange, [patient], None, Caps(), name="t").judge
        assert [each.code for each in judge.violations] == codes
        assert judge.verdict() == ("violates" if codes else "conforms")
    # An emulator that is ten times as fast has a grace of 0.3 seconds.
    fast = job(look(1, NOT_FOUND, status=404), second=0.1)
    judge = judge_saved(fast, [patient], None, Caps(), name="t").judge
    assert "job.unknown_id" in [each.code for each in judge.violations]


def test_a_gateway_that_answers_last_leaves_the_job_unjudged():
    page = job(look(1, QUEUED), look(2, "<html>", status=502))
    assert said(page) == ("inconclusive", "http.502", [])
    assert said(job(look(1, "<html>", status=502), look(2, painted())))[0] == "conforms"


def test_what_was_charged_twice_is_said_again():
    twice = job(look(1, painting()), look(2, painted()), charged=2)
    assert said(twice)[2] == ["job.charged_twice"]
    assert said(job(look(1, painting()), look(2, painted()), charged=1))[0] == "conforms"


def test_an_acceptance_that_breaks_the_contract_is_judged_with_its_looks():
    wrong = states(painting(), QUEUED, painted())
    wrong.pieces = [(0.1, json.dumps({"job_id": ID, "status": "new"}).encode(), False)]
    assert said(wrong)[2] == ["field.value", "job.backwards"]


def test_an_answer_that_accepted_nothing_is_judged_alone():
    refused = states(painting(), QUEUED)
    refused.header["response"]["status"] = 503
    assert said(refused) == ("inconclusive", "http.503", [])


def test_looks_at_what_nobody_looks_at_are_refused_with_one_line():
    strange = states(QUEUED)
    strange.header |= {"api": "songs", "endpoint": "sync"}
    with pytest.raises(UsageError, match=r"^t: holds looks at a job, and songs sync makes none"):
        judged(strange)


# --- streams that were left -----------------------------------------------------------------------

SONG = "job_0123456789abcdef"


def left(*seen: dict[str, object]) -> Transcript:
    """A stream that was left once it was validated, with looks at its song."""
    chunks = [
        {"job_id": SONG, "status": "job_created", "chunkIndex": 0, "isComplete": False},
        {
            "job_id": SONG,
            "status": "validated",
            "chunkIndex": 1,
            "isComplete": False,
            "message": "Making it",
        },
    ]
    url = "https://pictures.example/songs/status?job_id=[redacted]"
    exchange = job(*(look(1.0 + number, value, url=url) for number, value in enumerate(seen)))
    exchange.header |= {"api": "songs", "endpoint": "stream"}
    exchange.header["request"]["url"] = "https://pictures.example/songs/stream"
    exchange.header["response"] |= {
        "status": 200,
        "headers": [["content-type", "text/event-stream"]],
    }
    exchange.pieces = [
        (0.1, b"data: " + json.dumps(chunk).encode() + b"\n\n", False) for chunk in chunks
    ]
    exchange.end = {"kind": "cancelled", "fault_of": "harness", "cut": "harness.left", "t": 0.2}
    return exchange


WORKING = {"job_id": SONG, "status": "working", "progress": 10}


def test_a_stream_that_was_left_is_inconclusive_where_its_states_conform():
    assert said(left(WORKING)) == ("inconclusive", "harness.left", [])


def test_a_state_that_is_behind_what_the_stream_had_told_violates():
    behind = left({"job_id": SONG, "status": "queued"})
    assert said(behind) == ("violates", "harness.left", ["job.behind"])


def test_a_last_state_of_another_song_violates():
    images = [{"version": n, "audio_url": f"https://s.example/{n}.mp3"} for n in (1, 2)]
    other = {
        "job_id": "job_ffffffffffffffff",
        "status": "done",
        "song_name": "Hare",
        "album_art": "https://s.example/a.png",
        "tracks": images,
    }
    assert said(left({**WORKING, "job_id": "job_ffffffffffffffff"}, other))[2] == [
        "job.other_result"
    ]


def test_looks_without_a_beginning_that_find_nothing_are_judged_by_those_that_do():
    header = {"api": "pictures", "endpoint": "status"}
    found = [look(1, NOT_FOUND, status=404), look(2, painting()), look(3, painted())]
    exchange = Transcript(header, looks=found, over={"cut": None, "t": 9.0})
    judge = judge_saved(exchange, [PICTURES], None, Caps(), name="t").judge
    assert (judge.verdict(), judge.violations) == ("conforms", [])


def test_a_state_that_leaves_tracks_unsaid_may_list_the_files_of_all():
    """Which file is which track's is not said: the stream told both, so both are the song's."""
    following = Following(SONGS, SONGS.endpoints["stream"])
    told = [
        ("track_done", {"version": n, "audio_url": f"https://s.example/{n}.mp3"}) for n in (1, 2)
    ]
    tracks = [{"audio_url": each["audio_url"]} for _, each in told]
    following.compare_results([{"job_id": SONG, "tracks": tracks}], told, done=True)
    assert following.violations == []
    following.compare_results([{"job_id": SONG, "tracks": tracks[:1]}], told, done=True)
    assert [each.code for each in following.ties] == ["job.other_result"]


def test_what_looks_showed_is_observed(tmp_path):
    file = tmp_path / "job.ndjson"
    file.write_bytes(states(QUEUED, painting(), painted()).to_bytes())
    found = observe_transcripts([file], {"pictures": PICTURES})
    assert set(found.apis["pictures"]) == {"job", "status"}
    assert "type/running/object" in found.apis["pictures"]["status"].counts
