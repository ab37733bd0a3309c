"""The violations of one exchange: bounded, counted, and nothing hidden by a flood."""

from __future__ import annotations

import json
from datetime import date

import pytest

import made_up_api
from soundstage.config import Config, Waiver
from soundstage.conformance.bounded_violations import SAID, Allowance, Findings, bounded, is_rest
from soundstage.conformance.engine import StreamCheck
from soundstage.conformance.judge import Judge
from soundstage.conformance.violations import (
    LONGEST_MESSAGE,
    LONGEST_PATH,
    Severity,
    Violation,
    fingerprint,
    occurrences,
)
from soundstage.contract import load
from soundstage.results.user_weights import Weights
from soundstage.untrusted import json_text


def violation(path="", rule="v6/stream/json", code="json.nan", chunk=0, message="wrong"):
    return Violation(code, Severity.ERROR, chunk, path, message, rule)


def test_a_few_are_kept_as_they_are():
    few = [violation(f"/{number}/a", chunk=number) for number in range(SAID.of_a_place)]
    assert bounded(few, SAID) == few


def test_what_comes_again_at_a_place_is_counted_in_the_last_that_is_kept():
    found = bounded((violation(f"/items/{n}/x", chunk=n) for n in range(5_000)), SAID)
    assert len(found) == SAID.of_a_place
    assert [each.times for each in found[:-1]] == [1] * (SAID.of_a_place - 1)
    assert sum(each.times for each in found) == 5_000


def test_places_beyond_the_room_are_counted_at_no_place():
    found = bounded((violation(f"/key{n}") for n in range(70_000)), SAID)
    assert len(found) == SAID.places + 1
    rest = found[-1]
    assert is_rest(rest)
    assert (rest.path, rest.chunk) == ("", None)
    assert sum(each.times for each in found) == 70_000
    assert occurrences(found) == {"json.nan": 70_000}


def test_a_flood_hides_no_other_rule_and_no_other_code():
    flood = (violation(f"/key{n}") for n in range(10_000))
    found = bounded(
        [*flood, violation(rule="v6/stream/framing"), violation(code="json.empty")], SAID
    )
    assert {(each.code, each.rule) for each in found} == {
        ("json.nan", "v6/stream/json"),
        ("json.nan", "v6/stream/framing"),
        ("json.empty", "v6/stream/json"),
    }


def test_places_are_kept_before_any_is_kept_again():
    found = Findings(Allowance(places=5, repeated=5, of_a_place=100))
    for number in range(4):
        for _ in range(50):
            found.add(violation(f"/key{number}"))
    places = [each.path for each in found]
    assert set(places) == {"/key0", "/key1", "/key2", "/key3"}
    assert len(places) == 4 + 5
    assert sum(each.times for each in found) == 200


def test_bounding_what_is_bounded_changes_no_count():
    once = bounded(violation(f"/key{n}") for n in range(9_000))
    again = bounded(once, SAID)
    assert sum(each.times for each in again) == 9_000
    assert sum(map(is_rest, again)) == 1


def test_a_waiver_of_one_place_does_not_speak_for_those_that_were_not_kept():
    flood = [violation(f"/key{n}") for n in range(1_000)]
    mark = fingerprint(flood[-1])
    config = Config(waivers=(Waiver(reason="known", until=date.max, fingerprint=mark),))
    assert Weights(config).failing(bounded(flood, SAID))


def test_a_flood_that_is_waived_does_not_hide_what_is_not():
    flood = [violation(f"/items/{n}", chunk=n) for n in range(1_000)]
    other = violation("/items/7/x", chunk=999)
    mark = fingerprint(flood[0])
    config = Config(waivers=(Waiver(reason="known", until=date.max, fingerprint=mark),))
    assert [v.path for v in Weights(config).failing(bounded([*flood, other], SAID))] == [other.path]


def test_pointers_and_messages_are_cut_to_their_head_and_tail_with_their_length():
    found = violation("/" + "k" * 2**20 + "/end", message="m" * 2**20)
    assert len(found.path) <= LONGEST_PATH
    assert len(found.message) <= LONGEST_MESSAGE
    assert found.path.startswith("/kkk")
    assert found.path.endswith("/end")
    assert str(2**20) in found.message
    assert str(2**20 + 5) in found.path
    assert violation("/k" * 20).path == "/k" * 20


# --- through the engine ---


def judged(*chunks: bytes, api="v6") -> Judge:
    contract = load(api)
    judge = Judge(contract, contract.endpoints["stream"])
    judge.head(200, "text/event-stream")
    for chunk in chunks:
        judge.feed(b"data: " + chunk + b"\n\n")
    judge.close()
    return judge


START = {"status": "initializing", "chunkIndex": 0, "isComplete": False}
FLOODS = {
    "unknown fields": {**START, **{f"extra{n}": n for n in range(150_000)}},
    "one field of a megabyte": {**START, "k" * 2**20: 1},
    "many long fields": {**START, **{f"{n}" + "k" * 10_000: 1 for n in range(300)}},
    "a key with control characters": {**START, "\x1b[2J\r\n::error::" * 1_000: 1},
    "a wrong type that is large": {**START, "status": ["x"] * 150_000},
    "a very long value": {**START, "chunkIndex": "9" * 2**20},
}


@pytest.mark.parametrize("chunk", FLOODS.values(), ids=FLOODS.keys())
def test_what_is_said_of_one_event_is_small_whatever_it_is(chunk):
    raw = json.dumps(chunk).encode()
    found = judged(raw).violations
    said = json.dumps([each.to_json() for each in found])
    assert found
    assert len(said) < 200_000, len(said)


def test_every_unknown_field_is_counted():
    found = judged(json.dumps(FLOODS["unknown fields"]).encode()).violations
    assert occurrences(found)["field.undocumented"] == 150_000


def test_the_same_finding_in_every_chunk_is_counted_and_its_first_ones_kept():
    chunks = [json.dumps({**START, "chunkIndex": n, "debug": 1}).encode() for n in range(300)]
    found = [each for each in judged(*chunks).violations if each.code == "field.undocumented"]
    assert len(found) == SAID.of_a_place
    assert [each.chunk for each in found] == list(range(SAID.of_a_place))
    assert sum(each.times for each in found) == 300


# --- values in one text ---

MANY = json_text.MOST_VALUES
TOO_MANY = {
    "ones": b"[" + b"1," * MANY + b"1]",
    "empty objects": b"[" + b"{}," * MANY + b"{}]",
    "empty lists in a field": b'{"a":[' + b"[]," * MANY + b"[]]}",
    "strings": b"[" + b'"",' * MANY + b'""]',
    "members": b"{" + b",".join(b'"%d":0' % n for n in range(MANY + 1)) + b"}",
    "not even JSON": b"[" + b"x," * MANY,
}
NOT_TOO_MANY = {
    "commas in a text": b'{"a":"' + b",[{:" * MANY + b'"}',
    "quotes in a text": b'{"a":"' + b'\\",' * MANY + b'"}',
    "as many as fit": b"[" + b"1," * (MANY - 2) + b"1]",
    "spaces": b"[1," + b" " * 4 * MANY + b"1]",
    "a long text": b'{"a":"' + b"x" * 4 * MANY + b'"}',
}


@pytest.mark.parametrize("raw", TOO_MANY.values(), ids=TOO_MANY.keys())
def test_a_text_of_more_values_than_anybody_reads_is_not_read(raw):
    value, problems, ok = json_text.parse(raw)
    assert (value, ok) == (None, False)
    assert [each.code for each in problems] == [json_text.TOO_MANY]


@pytest.mark.parametrize("raw", NOT_TOO_MANY.values(), ids=NOT_TOO_MANY.keys())
def test_a_long_text_of_few_values_is_read(raw):
    assert json_text.parse(raw).ok


def test_an_event_of_too_many_values_leaves_the_stream_inconclusive_by_our_bound():
    judge = judged(b'{"status":"initializing","x":' + TOO_MANY["ones"] + b"}")
    assert judge.capped == judge.reason == "cap.event_values"
    assert judge.verdict() == "inconclusive"


def test_a_result_of_too_many_values_is_inconclusive_too():
    contract = load("v6")
    for expect_error in (False, True):
        judge = Judge(contract, contract.endpoints["sync"], expect_error=expect_error)
        judge.head(400 if expect_error else 200, "application/json")
        judge.feed(TOO_MANY["ones"])
        judge.close()
        assert (judge.reason, judge.verdict()) == ("cap.event_values", "inconclusive")


def test_a_result_with_more_faults_than_are_looked_for_still_violates():
    contract = load("v6")
    judge = Judge(contract, contract.endpoints["sync"])
    judge.head(200, "application/json")
    judge.feed(json.dumps({"audio_data": [{}] * 30_000}).encode())
    judge.close()
    assert judge.verdict() == "violates"
    assert judge.reason == "cap.findings", (
        "what was not looked for may be worse than what was found"
    )


def test_problems_of_a_text_are_bounded_and_their_pointers_made_only_where_they_are_said():
    deep = b'{"' + b"k" * 100_000 + b'":'
    raw = deep * 100 + b"[" + b"NaN," * 9_999 + b"NaN]" + b"}" * 100
    _, problems, _ = json_text.parse(raw)
    assert len(problems) == json_text.MOST_PROBLEMS
    assert sum(each.times for each in problems) == 10_000
    assert max(len(each.path) for each in problems) <= 300


def test_many_values_of_an_identifier_take_linear_time_and_are_counted():
    check = StreamCheck(load("v6"))
    for number in range(1_500):
        check.event(b'{"status":"running","message_id":"%d","chunkIndex":%d}' % (number, number))
    check.close()
    assert occurrences(check.violations)["identity.changed"] == 1_499


def test_after_five_thousand_faults_of_fields_a_chunk_is_searched_for_twenty_and_the_stream_is_open(
    tmp_path,
):
    root = made_up_api.folder(tmp_path, "bare")
    chunk = root / "bare/chunks/work.json"
    schema = json.loads(chunk.read_text())
    schema["properties"]["notes"] = made_up_api.field(
        type="array", items=made_up_api.field(type="number")
    )
    chunk.write_text(json.dumps(schema))
    contract = load("bare", root)

    def searched(*wrong: int) -> tuple[int, str | None]:
        judge = Judge(contract, contract.endpoints["tune"])
        judge.head(200, "text/event-stream")
        for number, many in enumerate(wrong):
            sent = {"phase": "work", "n": number, "job": "a", "notes": ["x"] * many}
            judge.feed(b"data: " + json.dumps(sent).encode() + b"\n\n")
        judge.close()
        return occurrences(judge.violations)["field.type"], judge.reason

    assert searched(*[1_000] * 5) == (5_000, None)
    assert searched(*[1_000] * 5, 20) == (5_020, None)
    assert searched(*[1_000] * 5, 30) == (5_020, "cap.findings")
    assert searched(1_030) == (1_000, "cap.findings")
