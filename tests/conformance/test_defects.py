"""What a finding is called: every violation that can be found has a title, which says what is wrong
and not what is asked.
"""

from __future__ import annotations

import random
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

from soundstage.conformance.codes import codes
from soundstage.conformance.defects import LONGEST, BrokenRule, Defects, counted, headline_of
from soundstage.conformance.violations import Violation
from soundstage.contract import Contract, load_all
from soundstage.generation.faults.catalogue import broken_answer, catalogue, valid_answer
from soundstage.proof.fault_trials import judged

GALLERY = load_all(Path(__file__).parents[2] / "examples/contracts")
CONTRACTS = {**load_all(), **GALLERY}
SMALL = GALLERY["countdown"]
#: Values as Python writes them, and no reader of JSON.
PYTHON = re.compile(r"\b(?:None|True|False)\b|[{\[(]'|': |\\x[0-9a-f]{2}|\bDecimal\(")
#: Slips of grammar, in a title before what follows it in a headline.
SLIPS = re.compile(
    r"[.:;,] *: $|\.\.|\. |  |,,|\b1 (?:items|fields|characters|times|tracks)\b"
    r"|\b[aA] [aeio]|\b[aA]n [^aeiouhxlmnfrs“]|\bis (?:array|object)\b|\b[123]th\b"
)
#: In the id of a rule: the stage and the field that it is about.
OF_STAGE = re.compile(r"(?:times|order)/([^/]+)/?.*|([^/]+)/(?:field/.+|whole/.+|event)")
OF_FIELD = re.compile(
    r"(?:[^/]+/)?field/(.+?)/(?:required|type|value)(?:/\w+)?|(?:constant|never_decrease)/(.+)"
)


def found(contract: Contract) -> Iterator[list[Violation]]:
    """What every fault of a contract leads to."""
    for fault in catalogue(contract):
        rng = random.Random(fault.name)
        answer = broken_answer(contract, fault, *valid_answer(contract, fault, rng), rng)
        if answer is not None:
            yield judged(contract, fault, answer)


def title_of(violations: list[Violation]) -> str:
    defects = Defects(violations[0].rule)
    for each in violations:
        defects.add(each.code, each.message, each.path, each.times)
    return defects.sentence


def check(contract: Contract, violations: list[Violation]) -> None:
    rule = contract.rules[violations[0].rule]
    title = title_of(violations)
    assert title, rule.id
    assert title != rule.text
    assert title.isprintable()
    assert len(title) <= LONGEST
    assert not SLIPS.search(f"{re.sub('“.*?”', '“”', title)}: "), title
    # What stands in marks was sent like that.
    assert not PYTHON.search(re.sub("“.*”", "“”", title)), title
    path = rule.id.split("/", 2)[2]
    if rule.endpoint != "request" and (stage := OF_STAGE.fullmatch(path)):
        assert next(filter(None, stage.groups())) in title, (rule.id, title)
    if field := OF_FIELD.fullmatch(path):
        name = next(filter(None, field.groups()))
        assert name.rpartition(".")[2] in title, (rule.id, title)


def check_all(contract: Contract) -> int:
    together: dict[str, list[Violation]] = {}
    for violations in found(contract):
        alone: dict[tuple[str, str], list[Violation]] = {}
        for each in violations:
            alone.setdefault((each.rule, each.code), []).append(each)
            together.setdefault(each.rule, []).append(each)
        for each in alone.values():
            check(contract, each)
    for each in together.values():
        check(contract, each)
    return len(together)


@pytest.mark.proof
@pytest.mark.parametrize("contract", CONTRACTS.values(), ids=CONTRACTS)
def test_whatever_is_found_of_a_contract_has_a_defect_for_a_title(contract: Contract) -> None:
    assert check_all(contract) > 10


def test_whatever_is_found_of_a_small_contract_has_a_defect_for_a_title() -> None:
    assert check_all(SMALL) > 10


@pytest.mark.parametrize("code", codes())
def test_every_code_has_a_sentence_for_violations_that_have_nothing_in_common(code: str) -> None:
    defects = Defects("v6/stream/x")
    for words in ("one thing", "quite another thing", "or three"):
        defects.add(code, words, "/a")
    assert defects.sentence
    assert defects.sentence not in ("one thing", "quite another thing", "or three")
    assert "{" not in defects.sentence


ORDER = "v6/stream/times/streaming_ready"
VALUE = "v6/stream/running/field/progress/value"


@pytest.mark.parametrize(
    ("rule", "code", "messages", "title"),
    [
        (ORDER, "stage.missing", ["streaming_ready of track 2 never came"] * 13,
         "streaming_ready of track 2 never came"),
        (ORDER, "stage.missing", [f"streaming_ready of track {n} never came" for n in (2, 1)],
         "streaming_ready of track 1 or 2 never came"),
        (VALUE, "field.value", ["progress is 140; expected at most 100"],
         "progress is 140 in running; expected at most 100"),
        (VALUE, "field.value", [f"progress is {n}; expected at most 100" for n in range(101, 109)],
         "progress is 101 or others in running; expected at most 100"),
        (VALUE, "field.value", ["progress is -1; expected 0 or more", "progress is 'x y'; no"],
         "progress is not what is asked in running"),
        ("v6/stream/field/id/type", "field.type",
         ["id is 7, of type integer; expected string", "id is 8, of type integer; expected string"],
         "id is 7 or 8, of type integer; expected string"),
        ("v6/stream/field/id/type", "field.type",
         ["id is an array, of type array; expected string",
          "id is 8, of type integer; expected string"],
         "id is of type array or integer; expected string"),
        ("v6/stream/index/consecutive", "index.gap", ["chunkIndex is 3 after 1; expected 2"],
         "chunkIndex skips a number"),
        ("v6/request/field/prompt/required", "http.accepted_invalid", ["accepted"],
         "a request without prompt was accepted"),
        ("v6/sync/asset/answer/audio_url", "asset.missing",
         ["audio_url 'https://x/1.mp3': it answers with 404"],
         "what audio_url points to is not there"),
        ("v7/stream/x", "made.up", ["what another time says"], "what another time says"),
    ],
)  # fmt: skip
def test_a_title_says_what_violations_have_in_common(
    rule: str, code: str, messages: list[str], title: str
) -> None:
    defects = Defects(rule)
    for each in messages:
        defects.add(code, each, "/chunkIndex" if code.startswith("index") else "")
    assert defects.sentence == title


def test_the_count_of_what_was_not_kept_is_no_message() -> None:
    defects = Defects(ORDER)
    defects.add("stage.missing", "streaming_ready of track 2 never came")
    defects.add("stage.missing", "1,200 more, at other places", times=1200)
    assert defects.sentence == "streaming_ready of track 2 never came"


def test_a_title_is_bounded_and_harmless_whatever_messages_say() -> None:
    defects = Defects("v6/stream/x")
    defects.add("made.up", "\x1b[31m\u202e" + "y" * 5000)
    assert defects.sentence.isprintable()
    assert len(defects.sentence) <= LONGEST


@pytest.mark.parametrize(
    ("numbers", "kind", "words"),
    [
        ((13, 13), "stream", "13 of 13 streams"),
        ((1, 1), "job", "1 of 1 job"),
        ((2, 1_200), "sync", "2 of 1,200 requests"),
        ((3, 0), "error", "3 requests"),
        ((2, 5), "status", "2 of 5 look-ups"),
        ((2, 5), None, "2 of 5 exchanges"),
    ],
)
def test_exchanges_are_counted_in_the_units_of_the_reader(
    numbers: tuple[int, int], kind: str | None, words: str
) -> None:
    assert counted(*numbers, kind) == words


def test_a_headline_is_the_defect_or_the_one_that_most_exchanges_show() -> None:
    few = BrokenRule("a field is missing", "2 of 13 streams", 2, 400)
    all_of_them = BrokenRule("streaming never came", "13 of 13 streams", 13, 13)
    assert headline_of([]) == ""
    assert headline_of([all_of_them]) == "streaming never came: 13 of 13 streams"
    assert headline_of([few, all_of_them, few]) == (
        "3 rules broken: streaming never came, in 13 of 13 streams; and 2 more"
    )
