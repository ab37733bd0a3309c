"""What is remembered of streams says what working it out says: of whole and damaged streams of each
contract, and no stream can make it grow without end.
"""

from __future__ import annotations

import json
import random
from dataclasses import replace
from pathlib import Path

import pytest
from tests.support.small_api import small, stage

from soundstage.conformance.engine import StreamCheck
from soundstage.conformance.order.remembered_states import LARGEST_STATE, RememberedStates
from soundstage.conformance.stages import Compiled, compiled
from soundstage.contract import available, load
from soundstage.generation import walk

GALLERY = Path(__file__).parents[2] / "examples/contracts"
CONTRACTS = {api: load(api) for api in available()}
CONTRACTS |= {api: load(api, GALLERY) for api in available(GALLERY)}
STREAMED = [
    (api, endpoint.name)
    for api, contract in CONTRACTS.items()
    for endpoint in contract.endpoints.values()
    if endpoint.kind == "stream"
]
#: What a damaged field may say.
VALUES = (
    None,
    True,
    False,
    0,
    1,
    2,
    3,
    -1,
    7,
    100,
    10**30,
    1.0,
    0.5,
    "",
    "1",
    "x",
    "[DONE]",
    [],
    {},
)


class Forgetful(Compiled):
    """Works everything out for each chunk: nothing of its order, its kind or its fields is known
    from chunks before it.
    """

    def __init__(self, contract, endpoint):
        super().__init__(contract, endpoint)
        self.states = RememberedStates(most_states=0)
        self.kind = lambda chunk, event, types: self._recognised(chunk, event)
        self.read = lambda raw, event, max_depth: None


def pair(contract, name, request=None):
    """Two checks of a stream: one that remembers, one that forgets."""
    remembering, forgetting = (StreamCheck(contract, name, request=request) for _ in range(2))
    forgetting._c = Forgetful(contract, contract.endpoints[name])
    forgetting._state = forgetting._state.own()
    return remembering, forgetting


def whole(contract, rng):
    steps = walk.plan(contract, rng)
    return walk.payloads(contract, steps, walk.random_story(rng), rng)


def damaged(chunks, rng):
    """The chunks as (bytes, name of the event), with some faults in them."""
    chunks = [dict(chunk) for chunk in chunks]
    for _ in range(rng.choice((0, 1, 1, 2, 5))):
        at = rng.randrange(len(chunks))
        fault = rng.choice(("lost", "again", "swapped", "field", "field", "taken", "new", "moved"))
        if fault == "lost":
            del chunks[at : at + rng.choice((1, 1, 3))]
        elif fault == "again":
            chunks.insert(rng.randrange(len(chunks)), dict(chunks[at]))
        elif fault == "swapped":
            chunks[at], chunks[at - 1] = chunks[at - 1], chunks[at]
        elif fault == "moved":
            chunks.append(chunks.pop(at))
        elif fault == "new":
            chunks[at][rng.choice(("extra", "error", "progress"))] = rng.choice(VALUES)
        elif chunks[at]:
            name = rng.choice(list(chunks[at]))
            if fault == "taken":
                del chunks[at][name]
            else:
                other = rng.choice(chunks).get(name)
                chunks[at][name] = rng.choice((other, rng.choice(VALUES)))
        if not chunks:
            break
    for chunk in chunks:
        text = json.dumps(chunk).encode()
        odd = rng.random()
        if odd < 0.01:
            text = rng.choice(
                (b"{", b"[1]", b"null", b"[DONE]", b'{"a": 1, "a": 2}', b"{}", b'"x"')
            )
        elif odd < 0.02:
            text = text[:-1] + b"," + text[1:]  # each key twice
        yield text


def told(check):
    return (
        check.violations, check.reason, check.refusal, check.failed, check.ended, check.capped,
        check.due(), check.at_the_end, check.last_stage, check.verdict(),
    )  # fmt: skip


def same(contract, name, texts, names=("",), request=None):
    """Whether both checks say the same of each event and of the stream."""
    remembering, forgetting = pair(contract, name, request)
    rng = random.Random(len(texts))
    for text in texts:
        event = rng.choice(names)
        assert remembering.event(text, event) == forgetting.event(text, event), text
        assert remembering.ended == forgetting.ended
    for check in (remembering, forgetting):
        check.close()
    assert told(remembering) == told(forgetting)
    return remembering


def event_names(contract, name):
    stages = contract.endpoints[name].protocol.stages
    return ("", *{each.event.name for each in stages if each.event is not None and each.event.name})


@pytest.mark.parametrize(("api", "name"), STREAMED)
@pytest.mark.parametrize("seed", range(2))
def test_what_is_remembered_of_damaged_streams_says_what_working_it_out_says(api, name, seed):
    contract = CONTRACTS[api]
    rng = random.Random(f"{api} {name} {seed}")
    for _ in range(25):
        chunks = whole(contract, rng)
        same(contract, name, list(damaged(chunks, rng)), event_names(contract, name))


@pytest.mark.parametrize(("api", "name"), STREAMED)
def test_whole_streams_share_their_states(api, name):
    """They do not leave what is remembered, so they hold nothing of their own."""
    contract = replace(CONTRACTS[api])
    for seed in range(10):
        check = StreamCheck(contract, name)
        for chunk in whole(contract, random.Random(seed)):
            event = chunk.get("type", "") if check.named else ""
            check.event(json.dumps(chunk).encode(), event)
            assert check._state.shared, (chunk, check.violations)


def test_streams_without_end_do_not_make_the_states_grow():
    """Neither those that go ever other ways nor one that goes on and on."""
    contract = replace(CONTRACTS["v6"])
    known = compiled(contract, "stream")
    known.states = RememberedStates(most_states=20, most_steps=30)
    for seed in range(30):
        same(contract, "stream", [json.dumps(each).encode() for each in
                                  whole(contract, random.Random(seed))])  # fmt: skip
    assert len(known.states.states) <= 20
    assert known.states.steps <= 30


# --- contracts with rarer words -------------------------------------------------------------------

FIRST_ID = [{"name": "known", "at": "first", "field": "id"}]
ALL_IDS = [
    {"name": "named", "at": "all", "field": "/deep/id"},
    {"name": "begun", "at": "first"},
    {"name": "whole", "at": "all"},
]
COUNTED = {"field": "n", "count": [1, None]}
RARE = {
    "counted tracks": (
        (
            stage("part", per_track=True, ends="track", fields=["n"], milestones=ALL_IDS),
            stage("ping", anywhere=True, milestones=FIRST_ID),
            stage("over", ends="stream", after_all=[["part"]]),
        ),
        {"tracks": COUNTED, "index": {"field": "i", "start": 0, "step": 1}},
    ),
    "as many as asked for": (
        (
            stage("part", per_track=True, times=[2, None], fields=["n"]),
            stage("last", per_track=True, ends="track", after=[["part"]], fields=["n"]),
            stage("over", times=[0, 1], ends="close"),
        ),
        {"tracks": {"field": "n", "count": {"request": "/n"}}},
    ),
    "all of it deeper": (
        (
            stage("part", times=[0, None], milestones=ALL_IDS),
            stage("over", times=[0, 2], ends="close", milestones=FIRST_ID),
            stage("last", times=[0, 1], ends="stream", after=[["part", "over"]]),
            stage("more", times=[0, 1], ends="stream", after=[["last"]]),
        ),
        {
            "tracks": {"field": "/deep/n", "values": [0, 1]},
            "index": {"field": "/deep/i", "start": 0, "step": 1},
            "completion": {"field": "/deep/over", "before_last": {}, "last": {}},
            "constant": [{"field": "/deep/id"}, {"field": "id", "per_track": True}],
        },
    ),
    "a text at the end": (
        (
            stage("part", times=[1, None], milestones=FIRST_ID),
            stage("over", times=[0, 1], after=[["part"]]),
            stage("lost", failure=True, ends="stream", fields=["error"]),
        ),
        {
            "endpoint": {"sentinel": {"data": "[DONE]"}},
            "constant": [{"field": "id"}, {"field": "n"}],
            "never_decrease": [{"field": "share", "stages": ["part"]}],
            "completion": {"field": "over", "before_last": {}, "last": {}},
        },
    ),
}


def rare(root, name):
    stages, words = RARE[name]
    asked = {"type": "object", "properties": {"n": {"type": "integer"}}}
    return small(root, *stages, request=asked, **words)


def told_at_random(names, rng):
    chunk = {"t": rng.choice(names)}
    for field in rng.sample(("n", "i", "id", "share", "over", "deep", "error"), rng.randrange(5)):
        chunk[field] = rng.choice((0, 1, 2, 3, None, "a", "b", True, False, 0.5))
    if rng.random() < 0.5:
        chunk["n"] = rng.choice((0, 1, 1, 2, 3))
    if rng.random() < 0.5:
        chunk["deep"] = {"n": rng.choice((0, 1, 1.0)), "id": rng.choice(("a", "b", None)), "i": 0}
    return json.dumps(chunk).encode()


@pytest.mark.parametrize("name", RARE)
def test_what_is_remembered_of_rarer_contracts_says_what_working_it_out_says(tmp_path, name):
    contract = rare(tmp_path, name)
    names = [each.name for each in contract.protocol.stages]
    shared = 0
    for seed in range(150):
        rng = random.Random(seed)
        texts = [told_at_random(names, rng) for _ in range(rng.randrange(12))]
        if rng.random() < 0.5:
            texts.append(b"[DONE]")
        if rng.random() < 0.1:
            texts.append(texts[0])
        check = same(contract, "stream", texts, request=rng.choice((None, {"n": rng.randrange(4)})))
        shared += check._state.shared
    assert shared


def test_a_stream_of_very_many_tracks_is_not_remembered(tmp_path):
    """A state of a thousand tracks takes a hundred kilobytes."""
    contract = rare(tmp_path, "counted tracks")
    check = StreamCheck(contract)
    for number in range(LARGEST_STATE):
        check.event(json.dumps({"t": "part", "n": number, "i": number}).encode())
        assert check._state.order.tracks == tuple(range(number + 1))
    assert not check._state.shared
    assert not check.violations
    states = compiled(contract, "stream").states.states.values()
    assert max(state.order.size for state in states) <= LARGEST_STATE
