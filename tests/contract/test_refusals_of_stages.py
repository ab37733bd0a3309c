"""What the loader refuses of stages, states and tracks: the file, the place, and what to
write instead (or which two things cannot both be).
"""

from __future__ import annotations

import re

import pytest
from tests.support.refused_contracts import all_of, drop, put, refused

#: Stages of `songs` by their numbers: those of the stream, then the states.
CREATED, VALIDATED, RUNNING, READY, TRACK, COMPLETED = (f"stages/{n}" for n in range(1, 7))
LOST, QUEUED, WORKING, DONE = (f"stages/{n}" for n in range(7, 11))
STREAM, STATUS = "endpoints/0", "endpoints/3"
P = "protocol.json"


def milestone(name, at, **more):
    return {"name": name, "at": at, **more}


# what is wrong, the change to its protocol.json, the place, the reason
OF_STAGES = [
    (
        "an after_all that names no stage",
        put(COMPLETED, after_all=[["track_over"]]),
        "/stages/6/after_all",
        "no stage is called 'track_over': there are failed, job_created",
    ),
    (
        "an exception from the index that is no stage",
        put("index", **{"except": ["ping"]}),
        "/index/except",
        "no stage is called 'ping': there are failed, job_created",
    ),
    (
        "an exception of one endpoint that is no stage",
        put(STREAM, index={"field": "chunkIndex", "start": 0, "step": 1, "except": ["ping"]}),
        "/endpoints/0/index/except",
        "no stage is called 'ping'",
    ),
    *(
        (
            f"what may come anywhere, with {word}",
            all_of(drop(RUNNING, "after", "times"), put(RUNNING, anywhere=True, **{word: value})),
            f"/stages/3/{word}",
            "what may come anywhere is no step, and has no such word",
        )
        for word, value in (
            ("after", [["validated"]]),
            ("after_all", [["track_done"]]),
            ("ends", "close"),
            ("per_track", True),
            ("failure", True),
            ("charges", True),
            ("times", [0, 1]),
        )
    ),
    (
        "a stage more often than it may",
        put(RUNNING, times=[3, 2]),
        "/stages/3/times",
        "3 times at least, 2 at most",
    ),
    (
        "a stage that ends the stream twice",
        put(COMPLETED, times=[1, 2]),
        "/stages/6/times",
        "it ends its stream, and so it comes once at most",
    ),
    (
        "a most where there is no limit",
        put(RUNNING, most={"basis": "inferred"}),
        "/stages/3/most",
        "there is no most: `times` sets no limit",
    ),
    (
        "an end of a track that is none's",
        drop(TRACK, "per_track"),
        "/stages/5/ends",
        "a stage that ends its track is one per track",
    ),
    *(
        (
            f"a milestone called {name}",
            put(VALIDATED, milestones=[milestone(name, "first")]),
            "/stages/2/milestones/0/name",
            f"'{name}' is a moment of every exchange already: call it otherwise",
        )
        for name in ("accepted", "first_chunk")
    ),
    (
        "two milestones of one name in a stage",
        put(VALIDATED, milestones=[milestone("on", "first"), milestone("on", "all")]),
        "/stages/2/milestones/1/name",
        "'on' is there twice",
    ),
    (
        "the end of a body that a chunk ends",
        put(COMPLETED, milestones=[milestone("complete", "end")]),
        "/stages/6/milestones/0/at",
        "the end of the body is a moment of stages that end with `close`",
    ),
    (
        "a milestone of a field that nothing describes",
        put(WORKING, milestones=[milestone("ready", "first", field="/songs/*/url")]),
        "/stages/9/milestones/0/field",
        r"no chunk has a field 'songs\.\*\.url': add it to `fields` or a schema",
    ),
    (
        "two stages told by the same",
        put(
            RUNNING, when={"properties": {"status": {"const": "validated"}}, "required": ["status"]}
        ),
        "/stages/3/when",
        "running is never recognised: `when` is that of validated, which comes first",
    ),
    (
        "a stage that waits for a state",
        put(RUNNING, after=[["queued"]]),
        "/stages/3/after",
        "queued never comes at 'stream'",
    ),
    (
        "stages that wait for each other across tracks",
        put(READY, after_all=[["track_done"]]),
        "/stages",
        "streaming_ready, track_done, completed can never come: each must come after another",
    ),
    (
        "tracks by name that are counted",
        put("tracks", start=1),
        "/tracks/start",
        "tracks that are named by `values` are not counted",
    ),
    (
        "tracks both by name and by number",
        put("tracks", count=[1, 2]),
        "/tracks",
        "say one of .*, not several",
    ),
    (
        "fewer tracks at most than at least",
        all_of(drop("tracks", "values"), put("tracks", count=[3, 2])),
        "/tracks/count",
        "3 tracks at least, 2 at most",
    ),
    (
        "tracks of one endpoint, fewer at most than at least",
        put(STREAM, tracks={"field": "version", "count": [3, 2]}),
        "/endpoints/0/tracks/count",
        "3 tracks at least, 2 at most",
    ),
    (
        "as many tracks as no request asks for",
        all_of(drop("tracks", "values"), put("tracks", count={"request": "/n"})),
        "/endpoints/0/tracks",
        "no request of 'stream' has 'n', which says how many: add it to its schema",
    ),
    (
        "any number of tracks whose ends end the stream",
        all_of(
            drop("tracks", "values"),
            put("tracks", count=[1, None]),
            drop(COMPLETED, "ends"),
        ),
        "/tracks",
        "not fixed, so that their ends do not end the stream: let a stage say `ends`",
    ),
    (
        "stages of tracks where there are none",
        drop("", "tracks"),
        "/stages/4/per_track",
        "per_track needs tracks: add `tracks`",
    ),
    (
        "a stage for all tracks where there are none",
        all_of(
            drop("", "tracks"),
            drop(READY, "per_track"),
            drop(TRACK, "per_track", "ends"),
        ),
        "/stages/6/after_all",
        "after_all needs tracks: add `tracks`",
    ),
    (
        "a stream that nothing ends",
        all_of(drop(COMPLETED, "ends"), drop(TRACK, "ends")),
        "/stages",
        "no stage ends the stream: say `ends` of one, or give its endpoint a `sentinel`",
    ),
    (
        "states of which none is the last",
        all_of(drop(DONE, "ends"), drop(COMPLETED, "state")),
        "/endpoints/3/stages",
        "no state is the last: say `ends` with stream of the one that is done",
    ),
    (
        "states of which only a failure is the last",
        all_of(put(DONE, failure=True), drop(COMPLETED, "state")),
        "/endpoints/3/stages",
        "no state is the last: say `ends` with stream of the one that is done",
    ),
    *(
        (
            f"a state with {word}",
            put(WORKING, **{word: value}),
            f"/stages/9/{word}",
            f"working is a state, and has no `{word}`: that is of chunks",
        )
        for word, value in (("per_track", True), ("event", "working"), ("after_all", [["queued"]]))
    ),
    (
        "an event of JSON lines",
        all_of(put(VALIDATED, event="validated"), put(STREAM, framings=["lines"])),
        "/endpoints/0/framings",
        "validated has an `event`, which only Server-Sent Events have",
    ),
    (
        "an event over two lines",
        put(VALIDATED, event="vali\ndated"),
        "/stages/2/event",
        "does not match",
    ),
    (
        "a sentinel that comes twice",
        put(STREAM, sentinel={"data": "[DONE]", "times": [2, 2]}),
        "/endpoints/0/sentinel/times",
        "is not one of",
    ),
    (
        "tracks that rest on nothing",
        all_of(
            drop("", "basis"),
            *(put(f"endpoints/{n}", basis="documented") for n in range(4)),
            *(put(f"stages/{n}", basis="documented") for n in range(11)),
        ),
        "/tracks",
        "`basis` is missing: say it here, or once for the whole contract",
    ),
    (
        "a song as long as nothing asks",
        put("", song_length={"within_seconds": 5}),
        "/song_length",
        "no request has a parameter of the role 'duration'",
    ),
]


@pytest.mark.parametrize(
    ("change", "place", "reason"), [row[1:] for row in OF_STAGES], ids=[row[0] for row in OF_STAGES]
)
def test_stages_that_do_not_fit_are_refused_where_it_stands(tmp_path, change, place, reason):
    said = refused("songs", P, change, tmp_path)
    assert said.startswith(f"{P}#{place}: "), said
    assert re.search(reason, said), said
