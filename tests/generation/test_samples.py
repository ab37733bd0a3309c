"""What is drawn at random is what the contract allows, and shrinks to what matters."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import jsonschema_rs
import pytest
from hypothesis import HealthCheck, Phase, find, given, settings
from hypothesis import strategies as st

from soundstage.conformance.judge import Judge
from soundstage.conformance.violations import Verdict
from soundstage.contract import Contract, load_all
from soundstage.generation import samples
from soundstage.generation.faults.legality import stage_of

CONTRACTS = load_all()
each_contract = pytest.mark.parametrize("contract", CONTRACTS.values(), ids=CONTRACTS)
#: The same examples every time, and no deadline that a busy machine could miss. Explaining what it
#: found is what takes Hypothesis longest, and nobody reads it here.
many = settings(
    max_examples=300,
    deadline=None,
    database=None,
    derandomize=True,
    suppress_health_check=list(HealthCheck),
    phases=[Phase.generate, Phase.shrink],
)
few = settings(many, max_examples=100)
#: To find out that there is one, without making it small.
any_one = settings(many, max_examples=1000, phases=[Phase.generate])
small = settings(many, max_examples=200)


def judged(contract: Contract, kind: str, raw: bytes, **how: Any) -> Judge:
    endpoint = contract.endpoint_of_kind(kind)
    assert endpoint is not None
    judge = Judge(contract, endpoint, **how)
    judge.feed(raw)
    judge.close()
    return judge


def weighty(judge: Judge) -> list[tuple[str, str, str]]:
    return [(v.severity.value, v.code, v.message) for v in judge.violations if v.severity != "info"]


@each_contract
@pytest.mark.proof
def test_every_valid_stream_conforms(contract: Contract) -> None:
    stream = contract.endpoint_of_kind("stream")
    assert stream is not None

    @many
    @given(samples.streams(contract), st.sampled_from(stream.framings))
    def conforms(chunks: list[dict[str, Any]], framing: str) -> None:
        judge = judged(contract, "stream", samples.encoded(chunks, framing))
        assert weighty(judge) == []
        assert judge.verdict() is Verdict.CONFORMS

    conforms()


@each_contract
@pytest.mark.proof
def test_a_valid_stream_that_fails_is_inconclusive(contract: Contract) -> None:
    failing = {stage.name for stage in contract.protocol.stages if stage.failure}

    @few
    @given(samples.streams(contract, failures=True))
    def says_so(chunks: list[dict[str, Any]]) -> None:
        judge = judged(contract, "stream", samples.encoded(chunks))
        assert weighty(judge) == []
        last = stage_of(contract, chunks[-1])
        failed = last is not None and last.name in failing
        assert judge.reason == ("stream.failed" if failed else None)

    says_so()


@each_contract
@pytest.mark.proof
def test_undocumented_fields_are_drift_and_nothing_else(contract: Contract) -> None:
    @few
    @given(samples.streams(contract, undocumented=True))
    def drifts(chunks: list[dict[str, Any]]) -> None:
        judge = judged(contract, "stream", samples.encoded(chunks))
        assert {code for _, code, _ in weighty(judge)} <= {"field.undocumented"}
        assert judge.verdict() is Verdict.CONFORMS

    drifts()


@each_contract
@pytest.mark.parametrize("undocumented", [False, True])
def test_every_valid_result_conforms(contract: Contract, undocumented: bool) -> None:
    allowed = {"field.undocumented"} if undocumented else set()

    @few
    @given(samples.results(contract, undocumented=undocumented))
    def conforms(result: dict[str, Any]) -> None:
        judge = judged(contract, "sync", json.dumps(result).encode())
        assert {code for _, code, _ in weighty(judge)} <= allowed
        assert judge.verdict() is Verdict.CONFORMS

    conforms()


@each_contract
def test_every_valid_error_conforms(contract: Contract) -> None:
    @few
    @given(samples.errors(contract))
    def conforms(refusal: samples.Refusal) -> None:
        endpoint = contract.endpoint_of_kind("stream")
        assert endpoint is not None
        judge = Judge(contract, endpoint, expect_error=True)
        judge.head(refusal.status, "application/json")
        judge.feed(json.dumps(refusal.body).encode())
        judge.close()
        assert weighty(judge) == []

    conforms()


@each_contract
def test_every_valid_request_meets_its_schema(contract: Contract) -> None:
    for endpoint in contract.endpoints.values():
        if endpoint.request is None:
            continue
        valid = jsonschema_rs.validator_for(endpoint.request)

        @few
        @given(samples.requests(contract, endpoint.name), st.just(valid))
        def meets(body: dict[str, Any], valid: Any) -> None:
            assert valid.is_valid(body)
            json.dumps(body, ensure_ascii=False).encode()

        meets()


@each_contract
@pytest.mark.proof
def test_every_near_miss_is_refused_under_its_code(contract: Contract) -> None:
    @small
    @given(samples.near_misses(contract))
    def is_refused(miss: samples.NearMiss) -> None:
        fault, answer = miss.fault, miss.answer
        endpoint = contract.endpoints.get(fault.of) or contract.endpoint_of_kind("stream")
        assert endpoint is not None
        judge = Judge(
            contract, endpoint, expect_error=fault.of == "error", broken_rule=fault.broken_rule
        )
        judge.head(answer.status, answer.content_type)
        judge.feed(miss.raw)
        judge.close()
        found = {(v.code, v.severity.value) for v in judge.violations}
        assert found & {(code, fault.severity) for code in fault.codes}, miss

    is_refused()


@each_contract
@pytest.mark.filterwarnings("ignore:Generating overly large repr")
def test_streams_use_every_stage_every_order_and_all_of_unicode(contract: Contract) -> None:
    tracks = contract.protocol.tracks
    field = tracks.field.name if tracks is not None else ""

    def has(test: Callable[[list[dict[str, Any]]], Any]) -> None:
        assert find(samples.streams(contract), test, settings=any_one)

    for stage in contract.protocol.stages:
        if not stage.failure:
            has(lambda chunks, stage=stage: any(stage_of(contract, c) is stage for c in chunks))
    has(lambda chunks: max(json.dumps(chunks, ensure_ascii=False)) > "\uffff")
    has(lambda chunks: len(chunks) > 2 * shortest(contract))
    for value in tracks.values if tracks is not None else ():
        has(lambda chunks, value=value: next(c for c in chunks if field in c)[field] == value)
        has(lambda chunks, value=value: [c for c in chunks if field in c][-1][field] == value)


def shortest(contract: Contract) -> int:
    """How many chunks a valid stream has at least."""
    tracks = contract.protocol.tracks
    many = len(tracks.values) if tracks else 1
    return sum(
        max(stage.times[0], 1 if stage.charges else 0) * (many if stage.per_track else 1)
        for stage in contract.protocol.stages
    )


@each_contract
def test_a_failure_shrinks_to_the_necessary_chunks(contract: Contract) -> None:
    stage = next(stage for stage in contract.protocol.stages if stage.times[1] is None)

    def fails(chunks: list[dict[str, Any]]) -> bool:
        return sum(stage_of(contract, chunk) is stage for chunk in chunks) > 2

    found = find(samples.streams(contract), fails, settings=small)
    extra = 3 - max(stage.times[0], 1 if stage.charges else 0)
    assert len(found) == shortest(contract) + extra


@each_contract
def test_values_shrink_to_plain_ones(contract: Contract) -> None:
    found = find(
        samples.results(contract),
        lambda result: not result["song_name"].isascii(),
        settings=small,
    )
    assert len(found["song_name"]) == 1
    assert found["album_art"] == "https://storage.example/"
