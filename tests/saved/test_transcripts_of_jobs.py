"""Transcripts with looks at what was made: written, read, and refused where they are damaged."""

from __future__ import annotations

import json
from importlib import resources

import jsonschema
import pytest
from tests.support.saved_jobs import QUEUED, job, look, painted, painting, states

from soundstage.errors import UsageError
from soundstage.saved import transcript
from soundstage.saved.transcript import Transcript, read

SCHEMA = json.loads(
    resources.files("soundstage.results").joinpath("transcript.schema.json").read_bytes()
)
WHOLE = states(QUEUED, painting(), painted())
LINES = WHOLE.to_bytes().splitlines(keepends=True)
#: The header of a job and its event and end, three looks of three lines each, and the last line.
assert len(LINES) == 3 + 3 * 3 + 1


def test_what_is_written_is_read_again():
    assert read(WHOLE.to_bytes(), "t") == WHOLE
    rows = [json.loads(line) for line in LINES]
    assert rows[0]["transcript"] == 2
    assert [next(iter(row)) for row in rows[3:]] == [*["look", "t", "end"] * 3, "over"]


def test_every_line_of_it_meets_the_schema():
    validator = jsonschema.Draft202012Validator(SCHEMA)
    for line in LINES:
        validator.validate(json.loads(line))


@pytest.mark.parametrize(
    "row",
    [
        {"look": {"request": {"method": "GET", "url": "/"}, "t": 1}},
        {"look": {"request": {"method": "GET", "url": "/"}, "response": {}, "t": "soon"}},
        {"over": {"cut": None}},
        {"over": {"cut": 7, "t": 1}},
        {"over": {"cut": None, "t": 1, "charged": "twice"}},
    ],
)
def test_the_schema_refuses_what_is_no_look(row):
    assert not jsonschema.Draft202012Validator(SCHEMA).is_valid(row)


def test_an_exchange_that_nobody_looked_at_is_of_format_1():
    alone = Transcript({"request": {}}, [(0.1, b"{}", False)], {"kind": "complete"})
    assert b'{"transcript":1,' in alone.to_bytes()
    assert not alone.followed


def test_a_job_that_was_cut_before_the_first_look_is_of_format_2():
    cut = job(cut="harness.cancelled")
    assert read(cut.to_bytes(), "t").over == {"cut": "harness.cancelled", "t": 9.0}


@pytest.mark.parametrize("lines", range(1, 13))
def test_one_that_breaks_off_after_any_line_is_read_as_far_as_it_goes(lines):
    found = read(b"".join(LINES[:lines]) + b'{"t":1.5,"ra', "t")
    assert found.over is None
    assert len(found.looks) == max(0, (lines - 1) // 3)
    assert found.followed is (lines > 3)


LOOK = LINES[3]


@pytest.mark.parametrize(
    ("lines", "says"),
    [
        ([*LINES[:2], LOOK], "t:3: the answer before this line has no end"),
        ([*LINES[:4], LOOK], "t:5: the answer before this line has no end"),
        ([*LINES[:3], LINES[1]], "t:4: neither a look nor the line that says that it was over"),
        ([*LINES[:3], LINES[2]], "t:4: a second end of one answer"),
        ([*LINES[:2], LINES[-1]], "t:3: the answer before this line has no end"),
        ([*LINES, LOOK], "t:14: more after the line that says that it was over"),
        ([*LINES, LINES[-1]], "t:14: more after the line that says that it was over"),
        ([*LINES[:3], b'{"look":7}\n'], "t:4: a look that is no object"),
        ([*LINES[:3], b'{"look":{"t":1}}\n'], "t:4: a look at another host"),
        ([*LINES[:3], b'{"look":{"request":[],"t":1}}\n'], "t:4: not a request: /look/request"),
        ([*LINES[:3], LOOK.replace(b'"t":1.0}', b'"t":"x"}')], "t:4: /look/t is no time"),
        ([*LINES[:3], LOOK.replace(b'"status":200', b'"status":"x"')], "/look/response/status is"),
        ([*LINES[:3], LOOK.replace(b"pictures.example", b"evil.example")], "t:4: a look at anoth"),
        ([*LINES[:3], LOOK.replace(b"https:", b"http:")], "t:4: a look at another host"),
        ([*LINES[:4], b"nope\n"], "t:5: not JSON"),
        ([*LINES[:4], b'{"t":1,"raw":"*"}\n'], "t:5: not an event"),
        ([*LINES[:5], b'{"end":7}\n'], "t:6: the end is no object"),
        ([*LINES[:3], b'{"over":7}\n'], "t:4: what says that it was over is no object"),
        ([*LINES[:3], b'{"over":{"cut":7}}\n'], "t:4: /over/cut is not as"),
        ([*LINES[:3], b'{"over":{"charged":true}}\n'], "t:4: /over/charged is not as"),
        ([*LINES[:3], b'{"over":{"charged":-1}}\n'], "t:4: /over/charged is not as"),
        (
            [LINES[0].replace(b'"transcript":2', b'"transcript":1'), *LINES[1:4]],
            "t:4: not an event",
        ),
        ([LINES[0].replace(b'"transcript":2', b'"transcript":true')], "t:1: not a transcript of"),
    ],
)
def test_a_damaged_one_is_refused_with_its_line(lines, says):
    with pytest.raises(UsageError) as caught:
        read(b"".join(lines), "t")
    assert says in str(caught.value)
    assert "\n" not in str(caught.value)


def test_so_many_looks_are_read_and_one_more_is_refused():
    small = LOOK + b'{"end":{}}\n'
    many = b"".join(LINES[:3]) + small * transcript.MOST_LOOKS
    assert len(read(many, "t").looks) == 10_000
    with pytest.raises(UsageError, match="t:20004: more than 10,000 looks"):
        read(many + small, "t")


def test_the_events_of_all_answers_are_counted_together(monkeypatch):
    monkeypatch.setattr(transcript, "MOST_EVENTS", 3)
    with pytest.raises(UsageError, match="t:11: more than 3 events"):
        read(WHOLE.to_bytes(), "t")


def test_a_look_that_is_large_does_not_make_others_wait():
    found = read(job(look(1.0, "x" * 3_000_000)).to_bytes(), "t")
    assert len(found.looks[0].body) > 3_000_000
