"""What is remembered of streams says what working it out says: of whole and damaged streams of each
contract, and no stream can make it grow without end.
"""

from __future__ import annotations

import json
import random
from dataclasses import replace
from pathlib import Path

import pytest

from soundstage.conformance.engine import StreamCheck
from soundstage.conformance.order.remembered_states import RememberedStates
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


def pair(contract, name):
    """Two checks of a stream: one that remembers, one that forgets."""
    remembering, forgetting = StreamCheck(contract, name), StreamCheck(contract, name)
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


def same(contract, name, texts, names=("",)):
    """Whether both checks say the same of each event and of the stream."""
    remembering, forgetting = pair(contract, name)
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
