"""What is kept of what was seen: counts that can be put together in any order, nobody's words, and
never more than a bound whatever comes.
"""

from __future__ import annotations

import random
import time
from dataclasses import replace
from pathlib import Path
from typing import Any

import jsonschema_rs
import orjson
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from made_up_api import SHAPES
from observations import made_up, observed_results, observed_run, observed_stream
from soundstage.contract import Contract, load
from soundstage.generation.faults.catalogue import valid_stream
from soundstage.observed.documented import documented
from soundstage.observed.facts import (
    MANY,
    MOST_PLACES,
    MOST_UNKNOWN,
    MOST_VALUES,
    RESULT,
    Fact,
    Facts,
    Observed,
)
from soundstage.observed.inferred import document, schema_of
from soundstage.observed.recorder import observe_result, observe_stream
from soundstage.observed.text_classes import EXAMPLES, format_of, name_of
from soundstage.reports.drift import docs_diff
from soundstage.results.bundle import why_not_observed

SCALARS = (
    st.none()
    | st.booleans()
    | st.integers(-(10**30), 10**30)
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.sampled_from(["", "word", "two words", "https://host.example/x", "2026-11-21", "12345678"])
    | st.text(max_size=8)
)
VALUES = st.recursive(
    SCALARS,
    lambda inner: (
        st.lists(inner, max_size=4)
        | st.dictionaries(st.sampled_from("abcdef") | st.text(max_size=6), inner, max_size=5)
    ),
    max_leaves=12,
)
OBJECTS = st.dictionaries(st.sampled_from(["status", "mood", "x", "y"]), VALUES, max_size=4)
QUICK = settings(
    max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)


def merged(parts: list[Observed]) -> Observed:
    whole = Observed()
    for part in parts:
        whole.merge(part)
    return whole


def one(contract: Contract, chunks: list[dict[str, Any]], stage: str = "running") -> Observed:
    """What a stream of chunks of one stage shows."""
    endpoint = contract.endpoints["stream"]
    found = [(stage, chunk) for chunk in chunks]
    return observe_stream(contract, endpoint, found, framing="sse", whole=True)


def of_stream(seen: Observed) -> Facts:
    return seen.apis["v6"]["stream"]


def paths(seen: Observed, stage: str = "running") -> list[str]:
    """The places that were seen in chunks of a stage."""
    return [f.path for f in of_stream(seen) if (f.facet, f.stage) == ("field", stage)]


def counts(seen: Observed, facet: str, path: str, stage: str = "running") -> dict[str, int]:
    """How many exchanges showed each detail of a facet at a place."""
    return dict(of_stream(seen).details(facet, stage, path))


# ------------------------------------------------------------------ put together


@QUICK
@given(st.lists(st.lists(OBJECTS, min_size=1, max_size=3), min_size=2, max_size=5), st.randoms())
def test_parts_give_the_same_whole_in_any_order_and_grouping(parts, rng):
    contract = load("v6")
    straight = merged([one(contract, chunks) for chunks in parts]).to_json()
    seen = [one(contract, chunks) for chunks in parts]
    while len(seen) > 1:  # any two of them, until one is left
        a = seen.pop(rng.randrange(len(seen)))
        b = seen.pop(rng.randrange(len(seen)))
        a.merge(b)
        seen.append(a)
    assert seen[0].to_json() == straight
    assert why_not_observed(straight) is None
    assert Observed.of(orjson.loads(orjson.dumps(straight))).to_json() == straight


def test_parts_that_go_beyond_every_cap_still_give_the_same_whole():
    contract = load("v6")
    endpoint = contract.endpoints["stream"]

    def part(number: int) -> Observed:
        rng = random.Random(number)
        chunks: list[dict[str, Any]] = [
            {f"key_{rng.randrange(3000)}": {f"k{rng.randrange(50)}": n} for n in range(120)}
            | {"status": f"name-{number}-{each}", "mood": f"mood-{rng.randrange(40)}"}
            for each in range(5)
        ]
        found: list[Any] = [("running", chunk) for chunk in chunks] + [(None, chunks[0])] * 3
        return observe_stream(contract, endpoint, found, framing="sse", whole=True)

    orders = [list(range(6)), list(range(5, -1, -1)), [3, 0, 5, 1, 4, 2]]
    wholes = [merged([part(n) for n in order]).to_json() for order in orders]
    paired = [merged([part(n), part(n + 1)]) for n in (0, 2, 4)]
    wholes.append(merged(paired[::-1]).to_json())
    assert all(whole == wholes[0] for whole in wholes)
    facts = Observed.of(wholes[0]).apis["v6"]["stream"]
    extra = [fact for fact in facts if (fact.facet, fact.stage) == ("extra", "running")]
    assert len(extra) == MOST_PLACES
    assert facts.details("value", "running", "/status") == {MANY: 6}
    names = [Fact.of(key) for key in wholes[0]["apis"]["v6"]["stream"]["counts"]]
    kept = [
        fact
        for fact in names
        if (fact.facet, fact.stage, fact.path) == ("value", "running", "/status")
    ]
    assert len(kept) == MOST_VALUES + 1


def test_unknown_stages_are_told_apart_up_to_a_cap_in_any_order():
    contract = load("v6")
    endpoint = contract.endpoints["stream"]

    def part(number: int) -> Observed:
        chunks = [(None, {"status": f"new{number}-{each}"}) for each in range(7)]
        return observe_stream(contract, endpoint, chunks, framing="sse", whole=True)

    forward = merged([part(n) for n in range(5)])
    assert forward.to_json() == merged([part(n) for n in (4, 2, 0, 1, 3)]).to_json()
    facts = of_stream(forward)
    assert len(facts.stages()) == MOST_UNKNOWN
    assert all(name.startswith("?new") for name in facts.stages())
    named = {fact.detail for fact in facts if fact.facet in ("order", "last")}
    assert named <= set(facts.stages())


@pytest.mark.parametrize("detail", ["", '"done"', "constant/message_id"])
@pytest.mark.parametrize("path", ["", "/a/*/b", "/", "/a~1b"])
def test_a_key_is_read_as_the_fact_that_it_was_made_of(detail, path):
    fact = Fact("value", "?s", detail, path)
    assert Fact.of(fact.key) == fact


@pytest.mark.parametrize("key", ["", "/", "type", "type/final", "x/y/z", "field//a/", "::error::"])
def test_a_key_that_is_none_is_a_fact_that_nobody_asks_for(key):
    facts = Facts({key: 1})
    assert facts.stages() == []
    assert document("v6", {"stream": facts})["$defs"] == {}
    assert docs_diff.against(Observed({"v6": {"stream": facts}}), load("v6")) == []


# ------------------------------------------------------------------ counts


def test_presence_counts_exchanges():
    contract = load("v6")
    seen = merged(
        [
            one(contract, [{"mood": "calm"}, {"mood": "calm"}]),
            one(contract, [{"mood": "calm"}, {}]),
            one(contract, [{}, {}]),
        ]
    )
    facts = of_stream(seen)
    place = Fact("field", "running", "", "/mood")
    assert (facts.count(place), facts.around(place)) == (2, 3)
    assert facts.count(place._replace(facet="always")) == 1
    assert facts.count(place._replace(facet="extra")) == 2


def test_types_ranges_sizes_and_formats_are_counted():
    contract = load("v6")
    values: list[Any] = [None, 1, 2.0, 2.5, True, "x", [], [1, 2], {"a": 1}, "https://a.example/b"]
    seen = merged([one(contract, [{"x": value}]) for value in values])
    assert counts(seen, "type", "/x") == {
        "null": 1, "integer": 2, "number": 1, "boolean": 1, "string": 2, "array": 2, "object": 1,
    }  # fmt: skip
    assert of_stream(seen).range("number", "running", "/x") == (1, 3)  # to the next whole number
    assert of_stream(seen).range("length", "running", "/x") == (1, 19)
    assert counts(seen, "size", "/x") == {"0": 1, "2": 1}
    assert counts(seen, "format", "/x") == {"token": 1, "uri": 1}
    together = one(contract, [{"x": value} for value in values])
    assert set(counts(together, "type", "/x").values()) == {1}


def test_nested_objects_and_items_are_places_of_their_own():
    contract = load("v6")
    seen = one(contract, [{"a": {"b": [{"c": 1}, {"c": None}, {}]}}])
    facts = of_stream(seen)
    assert paths(seen) == ["", "/a", "/a/b", "/a/b/*", "/a/b/*/c"]
    c = Fact("always", "running", "", "/a/b/*/c")
    assert (facts.count(c), facts.around(c)) == (0, 1)
    assert facts.count(c._replace(path="/a/b/*")) == 1
    assert counts(seen, "type", "/a/b/*") == {"object": 1}


@pytest.mark.parametrize(("kind", "text"), EXAMPLES.items())
def test_a_text_has_a_class(kind, text):
    assert format_of(text) == kind


@pytest.mark.parametrize(
    ("text", "kind"),
    [
        ("https:///path", "text"),
        ("https://", "text"),
        ("http://a b", "text"),
        ("2026-11-21 08:36", "date-time"),
        ("123", "token"),
        ("z" * 65, "text"),
        ("0" * 300, "digits"),
        ("https://host.example/" + "x" * 10**6, "uri"),
    ],
)
def test_what_only_looks_like_a_class_is_not_of_it(text, kind):
    assert format_of(text) == kind


# ------------------------------------------------------------------ the protocol


@pytest.mark.parametrize("shape", [None, *SHAPES])
def test_facts_of_the_protocol_are_those_of_the_streams(shape, tmp_path: Path):
    contract = load("v6") if shape is None else made_up(tmp_path, shape)
    (name,) = (n for n, e in contract.endpoints.items() if e.kind == "stream")
    seen = observed_run(contract, 12, 5).apis[contract.api][name]
    protocol = contract.protocol
    assert (seen.counts["exchanges//"], seen.counts["whole//"]) == (12, 12)
    if protocol.tracks is not None:
        assert seen.details("track") == {str(value): 12 for value in protocol.tracks.values}
    if protocol.index is not None:
        assert seen.details("index.start") == {str(protocol.index.start): 12}
        assert set(seen.details("index.step")) == {str(protocol.index.step)}
    assert set(seen.details("last")) <= {stage.name for stage in protocol.stages if stage.ends}
    for stage in protocol.stages:
        if stage.name not in seen.stages():
            assert stage.times[0] == 0
            continue
        least, most = stage.times
        for times in map(int, seen.details("times", stage.name)):
            assert times >= least
            assert most is None or times <= most
        for group in stage.after:
            for before in group if len(group) == 1 else ():
                assert seen.count(Fact("order", stage.name, before)) == 0
                together = seen.count(Fact("stage", stage.name))
                assert seen.count(Fact("order", before, stage.name)) == together


def test_a_stream_that_was_cut_says_nothing_of_what_did_not_come(v6: Contract):
    chunks = [payload for _, payload in valid_stream(v6, random.Random(1))][:4]
    seen = of_stream(observed_stream(v6, chunks, cut=True))
    facets = {fact.facet for fact in seen}
    assert seen.counts["exchanges//"] == 1
    assert not facets & {"whole", "last", "track", "ended", "times"}
    assert seen.count(Fact("field", "validated", "", "/message_id")) == 1


def test_a_stream_that_reports_a_failure_is_not_whole(v6: Contract):
    chunks = [payload for _, payload in valid_stream(v6, random.Random(1), fails=True)]
    seen = of_stream(observed_stream(v6, chunks))
    assert "whole//" not in seen.counts
    assert seen.count(Fact("stage", "failed")) == 1


def test_a_track_that_the_contract_has_not_is_another(v6: Contract):
    chunks = [{"status": "uploading", "version": value} for value in (1, True, "1", 3, 1.5, [2])]
    found = [("uploading", chunk) for chunk in chunks]
    endpoint = v6.endpoints["stream"]
    seen = of_stream(observe_stream(v6, endpoint, found, framing="sse", whole=True))
    assert seen.details("track") == seen.details("track", "uploading") == {"1": 1, "other": 1}


# ------------------------------------------------------------------ whose words are kept


def test_nobodys_words_ids_or_urls_are_kept(v6: Contract, v5: Contract):
    secrets = [
        "kidnapping ballad", "Waltz", "3f2a9c0d11aa22bb33cc44dd", "user-7781", "hunter2",
        "https://storage.example/private/song.mp3?sig=abc", "9b2f6d1e-2a5c-4f7e-8d3b-0a1b2c3d4e5f",
    ]  # fmt: skip
    ballad, title, message, user, word, url, key = secrets
    chunk = {
        "status": "running", "message_id": message, "song_name": title, "album_art": url,
        "operation": ballad, "prompt": {"text": ballad, "n": 778_123}, "userId": user,
        "lyrics_sections": [{"name": title, "lines": [ballad, word]}],
        "unheard_of": ballad, "password": word, "account": 4_815_162_342, key: {"x": 1},
        ballad: 1, url: 2,
    }  # fmt: skip
    seen = one(v6, [chunk])
    seen.merge(observe_result(v6, v6.endpoints["sync"], chunk))
    seen.merge(observe_result(v5, v5.endpoints["sync"], {"data": chunk, "content": ballad}))
    text = orjson.dumps(seen.to_json()).decode()
    for secret in [*secrets, "4815162342", "778123"]:
        assert secret not in text, secret
    assert counts(seen, "value", "/status") == {'"running"': 1}
    assert [key[0] for key in counts(seen, "value", "/password")] == ["#"]
    assert counts(seen, "value", "/userId") == {}
    around = of_stream(seen).range("number", "running", "/account")
    assert around == (4_000_000_000, 5_000_000_000)
    assert {"/<uuid>", "/<text>", "/<uri>"} <= set(paths(seen))


def test_a_name_that_nobody_documented_is_kept_and_a_sentence_in_its_place_is_not(v6: Contract):
    seen = one(v6, [{"status": "paused"}, {"status": "my own words"}])
    assert counts(seen, "value", "/status") == {'"paused"': 1, "<text>": 1}


@pytest.mark.parametrize(
    ("key", "name"),
    [
        ("queue_position", "queue_position"),
        ("X-Trace", "X-Trace"),
        ("deadbeefdeadbeefdeadbeef", "<hex>"),
        ("9b2f6d1e-2a5c-4f7e-8d3b-0a1b2c3d4e5f", "<uuid>"),
        ("a song about rain", "<text>"),
        ("", "<empty>"),
        ("k" * 65, "<text>"),
        ("12345", "<digits>"),
    ],
)
def test_a_key_that_may_be_data_is_kept_as_its_class(key, name):
    assert name_of(key) == name


# ------------------------------------------------------------------ hostile input


def _deep(levels: int) -> Any:
    value: Any = 1
    for _ in range(levels):
        value = {"a": [value]}
    return value


def _wide(many: int) -> Any:
    return {f"b{n}": {"c": n} for n in range(many)}


HOSTILE = {
    "a text of 10 MB": lambda: {"x": "a" * 10_000_000, "status": "b" * 10_000_000},
    "100,000 keys": lambda: {f"key{n}": n for n in range(100_000)},
    "100,000 keys that are sentences": lambda: {f"words {n}": n for n in range(100_000)},
    "depth 100": lambda: _deep(50),
    "a million items": lambda: {"x": [1] * 1_000_000},
    "objects in objects": lambda: {f"a{i}": _wide(60) for i in range(60)},
    "a number of 4,000 digits": lambda: {"x": 10**4000, "progress": -(10**4000), "y": 1e308},
    "a key of 1 MB": lambda: {"k" * 1_000_000: 1},
}  # fmt: skip


@pytest.mark.parametrize("make", HOSTILE.values(), ids=HOSTILE)
def test_what_is_kept_and_the_work_are_bounded(make, v6: Contract):
    chunk = {**make(), "message_id": "m-1", "chunkIndex": 4}
    begin = time.process_time()
    seen = merged([one(v6, [chunk] * 8) for _ in range(2)])
    spent = time.process_time() - begin
    text = orjson.dumps(seen.to_json())
    assert len(text) < 150_000
    assert why_not_observed(orjson.loads(text)) is None
    assert spent < 5  # about 0.5 s; without caps far more
    # What is documented is looked at first, wherever it stands.
    for facet in ("field", "always"):
        assert of_stream(seen).count(Fact(facet, "running", "", "/message_id")) == 2


def test_a_hostile_track_stage_or_index_is_bounded(v6: Contract):
    endpoint = v6.endpoints["stream"]
    chunks: list[Any] = [
        (None, {"status": f"s{n}" * 500 if n % 2 else f"s{n}", "version": n, "chunkIndex": n * n})
        for n in range(1_500)
    ]
    seen = observe_stream(v6, endpoint, chunks, framing="sse", whole=True)
    document = seen.to_json()
    assert len(orjson.dumps(document)) < 100_000
    assert why_not_observed(document) is None


# ------------------------------------------------------------------ inferred schemas


@pytest.mark.parametrize("shape", [None, "v5", *SHAPES])
def test_every_chunk_meets_the_schema_inferred_from_all(shape, tmp_path: Path):
    contract = load(shape or "v6") if shape in (None, "v5") else made_up(tmp_path, shape)
    (name,) = (n for n, e in contract.endpoints.items() if e.kind == "stream")
    rng = random.Random(3)
    streams = [valid_stream(contract, rng) for _ in range(10)]
    seen = merged([observed_stream(contract, [p for _, p in stream]) for stream in streams])
    seen.merge(observed_results(contract, 3, 1))
    whole = document(contract.api, seen.apis[contract.api])
    jsonschema_rs.meta.validate(whole)
    for stream in streams:
        for step, payload in stream:
            exact = {**whole, "$ref": f"#/$defs/{name}.{step.stage}"}
            jsonschema_rs.validate(exact, payload)
    stage = contract.protocol.ending[0]
    inferred = whole["$defs"][f"{name}.{stage.name}"]
    assert set(stage.schema["required"]) <= set(inferred["required"])


@QUICK
@given(st.lists(OBJECTS, min_size=1, max_size=6))
def test_any_chunk_meets_the_schema_inferred_from_it(chunks):
    seen = of_stream(one(load("v6"), chunks))
    validator = jsonschema_rs.Draft202012Validator(schema_of(seen, "running"))
    for chunk in chunks:
        # A number that the validator cannot hold is not its business.
        if all(-(2**63) <= number < 2**64 for number in _integers(chunk)):
            assert validator.is_valid(chunk)


def _integers(value: Any) -> list[int]:
    if isinstance(value, dict):
        return [number for inner in value.values() for number in _integers(inner)]
    if isinstance(value, list):
        return [number for inner in value for number in _integers(inner)]
    return [value] if type(value) is int else []


def test_an_inferred_schema_says_what_was_seen_of_names_and_formats(v6: Contract):
    chunk = {"status": "running", "album_art": "https://a.example/b", "song_name": "Rain"}
    seen = of_stream(one(v6, [chunk, {**chunk, "song_name": None}]))
    schema = schema_of(seen, "running")
    properties = schema["properties"]
    assert properties["status"]["enum"] == ["running"]
    assert properties["album_art"]["format"] == "uri"
    assert properties["song_name"]["type"] == ["null", "string"]
    assert "enum" not in properties["song_name"]
    assert properties["album_art"]["x-observed"]["exchanges"] == [1, 1]


def test_a_result_is_observed_as_the_one_body_of_its_endpoint(v5: Contract):
    seen = observed_results(v5, 4, 2).apis["v5"]["sync"]
    assert (seen.counts["exchanges//"], seen.stages()) == (4, [RESULT])
    assert seen.details("value", RESULT, "/success") == {"true": 4}


def test_a_field_below_a_private_one_is_private(v6: Contract):
    schema = {
        "type": "object",
        "properties": {
            "prompt": {"type": "object", "properties": {"words": {"enum": ["a"]}}},
            "phase": {"const": "wake"},
        },
    }
    endpoints = {"sync": replace(v6.endpoints["sync"], response=schema)}
    known = documented(replace(v6, endpoints=endpoints), "sync", RESULT)
    assert known["/prompt/words"].private
    assert not known["/prompt/words"].naming
    assert known["/phase"].naming
