"""What must hold for anything at all that an API may send: Hypothesis looks for the exception."""

from __future__ import annotations

import copy
import functools
import json
import math
import random

import jsonschema
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from soundstage.conformance.engine import StreamCheck
from soundstage.conformance.fields import FieldCheck, shown
from soundstage.conformance.judge import Judge
from soundstage.conformance.stages import compiled
from soundstage.contract import load
from soundstage.contract.json_schema.field_schemas import pointer
from soundstage.generation import walk
from soundstage.untrusted import json_text

APIS = ("v5", "v6")
json_values = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(max_size=8),
    lambda inner: (
        st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=6), inner, max_size=3)
    ),
    max_leaves=6,
)


@functools.cache
def contract(api):
    return load(api)


@functools.cache
def names(api):
    """Words that a contract knows: names of fields, and values that stages are told by."""
    values = ["COMPLETED", "PROCESSING", *contract(api).protocol.by_name, 1, 2, 3, 0, True, 100]
    return sorted(contract(api).protocol.fields), values


@functools.cache
def stream(api, seed=0):
    rng = random.Random(seed)
    steps = walk.plan(contract(api), rng)
    return walk.payloads(contract(api), steps, walk.random_story(rng), rng)


@st.composite
def chunks_like(draw, api):
    """Objects made of the contract's own words, so that they get far into the engine."""
    fields, values = names(api)
    value = st.sampled_from(values) | json_values
    return draw(st.dictionaries(st.sampled_from(fields) | st.text(max_size=4), value, max_size=8))


@pytest.mark.parametrize("api", APIS)
@settings(deadline=None, max_examples=75)
@given(data=st.data())
@pytest.mark.proof
def test_no_sequence_of_json_values_raises(api, data):
    values = data.draw(st.lists(chunks_like(api) | json_values, max_size=8))
    check = StreamCheck(contract(api))
    for value in values:
        check.event(json.dumps(value).encode())
    check.close()
    assert check.events == len(values)
    rules = contract(api).rules.rules
    for violation in check.violations:
        assert violation.rule in rules
        assert violation.severity == rules[violation.rule].severity
        assert len(violation.message) < 600
        json.dumps(violation.to_json()).encode()
    assert check.verdict() in ("conforms", "violates", "inconclusive")


@pytest.mark.parametrize("api", APIS)
@settings(deadline=None, max_examples=150)
@given(pieces=st.lists(st.binary(max_size=40), max_size=8))
def test_no_bytes_raise(api, pieces):
    check = StreamCheck(contract(api))
    for piece in pieces:
        check.event(piece)
    check.close()
    assert check.verdict() == "violates"


NUMBERS = ["1e400", "-1e400", "1e-400", "9" * 4300, "-" + "9" * 4299, "1" + "0" * 4400,
           "9e99999999999999999999", "1e999999999999999999", "1.5e300",
           "18446744073709551616", "-0", "-0.0", "5.0", "1E2"]  # fmt: skip


@pytest.mark.parametrize("api", APIS)
@pytest.mark.parametrize("number", NUMBERS)
def test_no_number_raises_wherever_it_stands(api, number):
    chunks = stream(api)
    for field in contract(api).protocol.fields:
        check = StreamCheck(contract(api))
        for chunk in chunks:
            text = json.dumps({**chunk, field: "@"}).replace('"@"', number)
            check.event(text.encode())
        check.close()
        assert all(len(violation.message) < 600 for violation in check.violations)


@pytest.mark.parametrize("api", APIS)
def test_a_wrong_index_of_any_size_is_reported_once(api):
    field = contract(api).protocol.index.field.name
    for number, code in (
        ("1e400", "index.gap"),
        ("9" * 4300, "index.gap"),
        ("-1e400", "index.decreased"),
    ):
        check = StreamCheck(contract(api))
        chunks = stream(api)
        for place, chunk in enumerate(chunks):
            text = json.dumps({**chunk, field: "@"} if place == 1 else chunk)
            check.event(text.replace('"@"', number).encode())
        check.close()
        assert [v.code for v in check.violations if v.severity != "info"] == [code], number


@pytest.mark.parametrize("api", APIS)
def test_a_field_that_is_nested_very_deeply_elsewhere_does_not_hide_the_stage(api):
    chunk = {**stream(api)[1], "mood": json.loads("[" * 400 + "]" * 400)}
    check = StreamCheck(contract(api), max_depth=500)
    first = check.event(json.dumps(stream(api)[0]).encode())
    seen = check.event(json.dumps(chunk).encode())
    assert None not in (first.stage, seen.stage)
    assert [v.code for v in check.violations] == ["field.undocumented"]


def test_a_change_of_identity_with_every_chunk_takes_linear_time(v6):
    check = StreamCheck(v6)
    for number in range(1_000):
        check.event(b'{"status":"running","message_id":"%d","version":%d}' % (number, number))
    check.close()
    assert sum(v.code == "identity.changed" for v in check.violations) == 999


@pytest.mark.parametrize("api", APIS)
@settings(deadline=None, max_examples=60)
@given(data=st.data())
def test_every_split_of_a_body_gives_the_same(api, data):
    body = b"".join(b"data: " + json.dumps(chunk).encode() + b"\n\n" for chunk in stream(api))
    body = data.draw(
        st.just(body)
        | st.integers(0, len(body)).map(lambda end: body[:end])
        | st.integers(0, len(body) - 1).map(lambda at: body[:at] + b"\xff" + body[at + 1 :])
    )
    cuts = data.draw(st.lists(st.integers(0, len(body)), max_size=12).map(sorted))

    def judged(pieces):
        judge = Judge(contract(api), contract(api).endpoints["stream"])
        for piece in pieces:
            judge.feed(piece)
        judge.close()
        return judge.violations, judge.reason, judge.framing, judge.events, judge.verdict()

    pieces = [body[a:b] for a, b in zip([0, *cuts], [*cuts, len(body)], strict=True)]
    assert judged(pieces) == judged([body])


FAULTY = [None, "", "x", 7, -1, 1.5, True, False, [], {}, "/relative", 101, "1"]


@pytest.mark.parametrize("api", APIS)
def test_any_fault_in_one_field_other_than_status_keeps_a_chunks_stage(api):
    """What makes another documented stage of it is no fault: an error is a failure, and
    in v5 all that says COMPLETED and complete is the last chunk.
    """
    known = compiled(contract(api), "stream")
    failure = {"error"}
    for seed in range(10):
        for chunk in stream(api, seed):
            stage = known.kind(chunk).stage.name
            for field in {*chunk, *contract(api).protocol.fields} - {"status"} - failure:
                for value in (*FAULTY, ...):
                    broken = dict(chunk)
                    broken.pop(field, None)
                    if value is not ...:
                        broken[field] = value
                    if field not in chunk and value is not ...:
                        continue  # a field too many is another matter
                    kind = known.kind(broken)
                    assert kind is not None, (stage, field, value)
                    assert kind.stage.name == stage, (stage, field, value)


@pytest.mark.parametrize("api", APIS)
def test_what_is_remembered_of_a_chunk_is_what_it_is_found_to_be(api):
    known = compiled(contract(api), "stream")
    rng = random.Random(1)
    marks = [None, True, False, 0, 1, 1.0, "", "x", "completed", "COMPLETED", "streaming", [], {}]
    for _ in range(2_000):
        chunk = dict(rng.choice(stream(api, rng.randrange(5))))
        for field in rng.sample(["status", "error", "isComplete", "version", "audio_url"], 2):
            chunk[field] = rng.choice(marks)
        assert known.kind(chunk) == known._recognised(chunk), chunk
        assert known.kind(chunk) == known._recognised(chunk), chunk


def test_what_is_remembered_has_bounds(v6):
    known = compiled(v6, "stream")
    for number in range(3_000):
        known.kind({"status": "running", f"field {number}": 1})
        known.kind({"status": "running", "x" * 10_000 + str(number): 1})
    remembered = known.remembered
    assert remembered.many == sum(len(shape.kinds) for shape in remembered.shapes.values()) <= 1024
    assert len(remembered.shapes) <= 1024
    assert all(sum(map(len, names)) <= 1000 for names, _, _ in remembered.shapes)


def schemas(api):
    one = contract(api)
    for stage in one.protocol.stages:
        check = FieldCheck(one.rules, "stream", f"{stage.name}/", stage.schema, one.protocol.fields)
        yield check, [c for seed in range(3) for c in stream(api, seed)]
    sync = one.endpoints["sync"]
    samples = [each.payload for each in one.examples if each.of == "response"]
    yield FieldCheck(one.rules, "sync", "", sync.response, {}), samples


@pytest.mark.parametrize("api", APIS)
@settings(deadline=None, max_examples=100)
@given(data=st.data())
def test_the_fast_library_and_the_reference_agree(api, data):
    """And what the fast one refuses is explained: there is a violation for it."""
    check, samples = data.draw(st.sampled_from(list(schemas(api))))
    value = copy.deepcopy(data.draw(st.sampled_from(samples)))
    for _ in range(data.draw(st.integers(0, 3))):
        field = data.draw(st.sampled_from(sorted(value)) if value else st.text())
        if data.draw(st.booleans()):
            value.pop(field, None)
        else:
            value[field] = data.draw(st.sampled_from(FAULTY) | json_values)
    value = json_text.parse(json.dumps(value).encode()).value
    fits = check.fits(value)
    assert fits is jsonschema.Draft202012Validator(check._schema).is_valid(value)
    broken = [v for v in check.violations(value, 0) if v.code != "field.undocumented"]
    assert bool(broken) is not fits
    assert len({v.path for v in broken}) == len(broken)


@given(st.lists(st.text() | st.integers(0, 9)))
def test_a_pointer_leads_to_its_parts(parts):
    tokens = [token.replace("~1", "/").replace("~0", "~") for token in pointer(*parts).split("/")]
    assert tokens[1:] == list(map(str, parts))


@given(json_values | st.integers(10**50, 10**60))
def test_a_value_is_shown_on_one_short_line(value):
    text = shown(value)
    assert len(text) <= 61
    assert "\n" not in text


def test_values_are_shown_as_json_calls_them():
    assert [shown(v) for v in (None, True, False, 1, 2.5, "a", [], {}, [1], {"a": 1})] == [
        "null", "true", "false", "1", "2.5", "'a'", "[]", "{}", "an array", "an object",
    ]  # fmt: skip
    assert shown(10**4300) == "an integer of about 4301 digits"
    assert shown("x" * 100).endswith("…")
    assert math.isfinite(len(shown("\x1b[31m")))


EXTRA_EVENTS = [
    b'{"type": "ping"}',
    b"{}",
    b"ping",
    b"",
    b"[]",
    b"null",
    b'"alive"',
    b"[DONE]",
]


@pytest.mark.parametrize("api", APIS)
@given(data=st.data())
def test_each_extra_event_without_an_index_gives_one_finding(api, data):
    texts = [json.dumps(chunk).encode() for chunk in stream(api)]
    whole = len(texts)
    for _ in range(data.draw(st.integers(1, 4))):
        place = data.draw(st.integers(0, len(texts) - 1))
        texts.insert(place, data.draw(st.sampled_from(EXTRA_EVENTS)))
    check = StreamCheck(contract(api))
    for text in texts:
        check.event(text)
    check.close()
    found = [each for each in check.violations if each.severity != "info"]
    assert len(found) == len(texts) - whole, [each.message for each in found]
    assert {each.code.partition(".")[0] for each in found} <= {"stage", "json"}


@pytest.mark.parametrize("api", APIS)
def test_a_chunk_whose_index_is_left_out_counts_or_not_and_a_gap_is_still_seen(api):
    field = contract(api).protocol.index.field.name

    def codes(change):
        check = StreamCheck(contract(api))
        chunks = [dict(chunk) for chunk in stream(api)]
        change(chunks)
        for chunk in chunks:
            check.event(json.dumps(chunk).encode())
        check.close()
        return [v.code for v in check.violations if v.code.startswith("index.")]

    assert codes(lambda chunks: chunks[1].pop(field)) == []
    assert codes(lambda chunks: (chunks[1].pop(field), chunks[2].pop(field))) == []

    def shifted(by):
        def change(chunks):
            chunks[1].pop(field)
            for chunk in chunks[2:]:
                chunk[field] += by

        return change

    assert codes(shifted(-1)) == [], "an event that did not count"
    assert codes(shifted(1)) == ["index.gap"]
    assert codes(shifted(-2)) == ["index.repeated"]
    assert codes(shifted(-3)) == ["index.decreased"]
