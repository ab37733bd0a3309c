"""What the loader refuses of endpoints, jobs and what ties them: the file, the place, and what to
write instead (or which two things cannot both be).
"""

from __future__ import annotations

import re

import pytest
from tests.support.refused_contracts import Change, all_of, drop, put, refused

STREAM, SYNC, JOB, STATUS = (f"endpoints/{number}" for number in range(4))

# What is wrong, the change to protocol.json, its place, the reason
OF_ENDPOINTS: list[tuple[str, Change, str, str]] = [
    (
        "an endpoint whose name stands for other rules",
        put(SYNC, name="request"),
        "/endpoints/1/name",
        "'request' stands for other rules: call it otherwise",
    ),
    (
        "an endpoint with a stage that there is not",
        put(STREAM, stages=["validated", "dreaming"]),
        "/endpoints/0/stages",
        "no stage is called 'dreaming': there are .*job_created",
    ),
    (
        "stages of a result",
        put(SYNC, stages=["validated"]),
        "/endpoints/1/stages",
        "only streams have stages, and states of a status endpoint",
    ),
    (
        "framings of a result",
        put(SYNC, framings=["sse"]),
        "/endpoints/1/framings",
        "only a stream is cut into chunks",
    ),
    (
        "a body of a status endpoint",
        put("endpoints/3", request="request.json"),
        "/endpoints/3/request",
        "means nothing at an endpoint of the kind status, but at stream or sync or job",
    ),
    (
        "values that a status endpoint gives",
        put("endpoints/3", gives={"next": {"from": "/job_id"}}),
        "/endpoints/3/gives",
        "means nothing at an endpoint of the kind status",
    ),
    (
        "a result of a stream",
        put(STREAM, response="accepted.json"),
        "/endpoints/0/response",
        "means nothing at an endpoint of the kind stream, but at sync or job or status",
    ),
    (
        "what holds across chunks of a result",
        put(SYNC, index={"field": "number", "start": 0, "step": 1}),
        "/endpoints/1/index",
        "means nothing at an endpoint of the kind sync, but at stream or status",
    ),
    (
        "the flag of completion of a job",
        put(
            JOB,
            completion={
                "field": "done",
                "before_last": {"basis": "documented", "source": "Songs"},
                "last": {"basis": "documented", "source": "Songs"},
            },
        ),
        "/endpoints/2/completion",
        "means nothing at an endpoint of the kind job, but at stream",
    ),
    (
        "tracks that a chunk has several of",
        put("", tracks={"field": "/tracks/*/version", "values": [1, 2]}),
        "/tracks/field",
        "a chunk belongs to one track",
    ),
    (
        "numbers that a chunk has several of",
        put("", index={"field": "/tracks/*/version", "start": 0, "step": 1}),
        "/index/field",
        "a chunk has one number",
    ),
    (
        "a sentinel of a job",
        put(JOB, sentinel={"data": "[DONE]"}),
        "/endpoints/2/sentinel",
        "only a stream is cut into chunks",
    ),
    (
        "a status that is asked with POST",
        put(STATUS, method="POST"),
        "/endpoints/3/method",
        "a status endpoint is asked with GET",
    ),
    (
        "a longest wait that is shorter than the first",
        put(f"{JOB}/poll", every_s=5, at_most_every_s=2),
        "/endpoints/2/poll/at_most_every_s",
        "the longest wait is shorter than the first, 5",
    ),
    (
        "an end before the first question",
        put(f"{JOB}/poll", every_s=5, until_s=2),
        "/endpoints/2/poll/until_s",
        "nobody asks any more before it is asked first, at 5",
    ),
    (
        "a status that is asked for nothing",
        put(STATUS, query={"kind": "song"}),
        "/endpoints/3/path",
        "looked up by its id: one part must be filled in",
    ),
    (
        "a query with a name that nothing gives",
        put(STATUS, query={"job_id": "{job_id}", "part": "{part}"}),
        "/endpoints/3/query",
        "nothing gives 'part': let another endpoint say `gives`, or describe it in `parameters`",
    ),
    (
        "a path with a name that nothing gives",
        put(SYNC, path="/songs/{part}"),
        "/endpoints/1/path",
        "nothing gives 'part': let another endpoint say `gives`, or describe it in `parameters`",
    ),
    (
        "a parameter that is filled in nowhere",
        put(STATUS, parameters={"part": {"type": "string"}}),
        "/endpoints/3/parameters/part",
        r"it is filled in nowhere: write \{part\}",
    ),
    (
        "a value that no stage gives",
        put(f"{STREAM}/gives/job_id", stage="dreaming"),
        "/endpoints/0/gives/job_id/stage",
        "no stage is called 'dreaming': there are ",
    ),
    (
        "a value of a field that nothing describes",
        put(f"{JOB}/gives/job_id", **{"from": "/task/id"}),
        "/endpoints/2/gives/job_id/from",
        "nothing describes '/task/id'",
    ),
    (
        "a value that no path could hold",
        put(f"{STREAM}/gives/job_id", **{"from": "/isComplete"}),
        "/endpoints/0/gives/job_id/from",
        "'/isComplete' is no text that a path could hold",
    ),
    (
        "a value both from a field and from a header",
        put(f"{JOB}/gives/job_id", header="Location"),
        "/endpoints/2/gives/job_id",
        "say one of .*, not several",
    ),
    (
        "the last part of Location in a query",
        put(f"{JOB}/gives", job_id={"header": "Location"}),
        "/endpoints/2/gives/job_id/header",
        r"the last part is taken: let the path of 'status' end in it, /\{job_id\}",
    ),
    (
        "a poll of a stream",
        put(STREAM, poll={"endpoint": "status"}),
        "/endpoints/0/poll",
        "only a job is polled",
    ),
    (
        "a job that is polled nowhere",
        drop(JOB, "poll"),
        "/endpoints/2",
        '"poll" is a required property',
    ),
    (
        "a job that gives nothing",
        drop(JOB, "gives"),
        "/endpoints/2",
        '"gives" is a required property',
    ),
    (
        "a poll of what there is not",
        put(f"{JOB}/poll", endpoint="state"),
        "/endpoints/2/poll",
        "no status endpoint is called 'state': there are status",
    ),
    (
        "a poll of what is no status",
        put(f"{JOB}/poll", endpoint="sync"),
        "/endpoints/2/poll",
        "no status endpoint is called 'sync': there are status",
    ),
    (
        "a stream looked up by what there is not",
        put(STREAM, looked_up_by={"endpoint": "state"}),
        "/endpoints/0/looked_up_by",
        "no status endpoint is called 'state': there are status",
    ),
    (
        "a poll of what shows no states",
        all_of(
            drop(STATUS, "stages"),
            put(STATUS, response="response.json"),
            drop("stages/0", "state"),
            *(drop(f"stages/{number}", "state") for number in range(1, 7)),
        ),
        "/endpoints/0/looked_up_by",
        "'status' shows no states: list them in its `stages`",
    ),
    (
        "a status that is asked with what is not given",
        put(f"{JOB}", gives={"task": {"from": "/job_id"}}),
        "/endpoints/2/gives",
        "'status' is asked with 'job_id', which is not given",
    ),
    (
        "a stage that reaches a state of nobody",
        put("stages/2", state="paused"),
        "/stages/2/state",
        "no state of a status endpoint is called 'paused': there are .*working",
    ),
    (
        "a stage that reaches a state of another endpoint",
        all_of(
            put(STATUS, stages=["lost", "queued", "working"]),
            lambda data: data["endpoints"].append(
                {**data["endpoints"][3], "name": "other", "path": "/o", "stages": ["done"]}
            ),
        ),
        "/endpoints/0/stages",
        "completed reaches 'done', which is no state of 'status'",
    ),
    (
        "two endpoints for one request",
        put(JOB, path="/songs/sync"),
        "/endpoints/2",
        "'job' is never reached: 'sync' takes POST /songs/sync; say with `when`",
    ),
    (
        "two paths that differ in a name alone",
        all_of(
            put(STATUS, path="/songs/{job_id}", query={}),
            lambda data: data["endpoints"].append(
                {**data["endpoints"][3], "name": "other", "path": "/songs/{id}"}
            ),
            put(f"{JOB}/gives", id={"from": "/job_id"}),
            put(f"{STREAM}/gives", id={"from": "/job_id"}),
        ),
        "/endpoints/4",
        r"'other' is never reached: 'status' takes GET /songs/\{id\}; say with `when`",
    ),
    (
        "a when of what takes no body",
        all_of(drop(SYNC, "request"), put(SYNC, when={"required": ["now"]})),
        "/endpoints/1/when",
        "it looks at the body of a request, and `request` is missing",
    ),
    (
        "a key in a query",
        put("", auth={"query": "key"}),
        "/auth",
        "query",
    ),
]


@pytest.mark.parametrize(
    ("change", "place", "reason"),
    [row[1:] for row in OF_ENDPOINTS],
    ids=[row[0] for row in OF_ENDPOINTS],
)
def test_endpoints_that_do_not_fit_are_refused_where_it_stands(tmp_path, change, place, reason):
    said = refused("songs", "protocol.json", change, tmp_path)
    assert said.startswith(f"protocol.json#{place}: "), said
    assert re.search(reason, said), said


@pytest.mark.parametrize("field", ["nothing", "/nothing/x"])
@pytest.mark.parametrize(
    ("word", "more"),
    [("constant", {}), ("never_decrease", {"stages": ["running"]})],
    ids=["constant", "never_decrease"],
)
def test_a_field_of_states_alone_that_nothing_describes_is_refused(tmp_path, word, more, field):
    said = refused(
        "pictures", "protocol.json", put("", **{word: [{"field": field, **more}]}), tmp_path
    )
    assert said.startswith(f"protocol.json#/{word}/0/field: "), said


@pytest.mark.parametrize("place", ["foo", "00", "-1", "-"])
def test_a_pointer_to_what_is_no_item_is_refused(tmp_path, place):
    path = f"/choices/{place}/index"
    said = refused("chat", "protocol.json", put("", constant=[{"field": path}]), tmp_path)
    assert said.startswith("protocol.json#/constant/0/field: "), said
