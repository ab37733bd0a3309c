"""The time that a check has in all, and what a server that wastes it comes to."""

from __future__ import annotations

import threading
from contextlib import ExitStack, contextmanager

import pytest
from hostile import STREAM, drips_chunks, drips_head, drips_result, hostile, pings, silent

from soundstage.config import Config, TargetDefaults
from soundstage.contract import load
from soundstage.contracts.explored_requests import MadeUp
from soundstage.errors import BudgetError
from soundstage.exchange.patience import Patience, TimeUpError
from soundstage.exchange.session import open_session
from soundstage.gate import conclusion, made_up_calls
from soundstage.gate.contract_check import CheckOptions, timeout_of
from soundstage.gate.gate import ContractGate
from soundstage.gate.rule_outcomes import Beside, exit_code
from soundstage.gate.sender import MOST_TIMEOUTS, Sender

KEY = "soundstage-emulator-key-of-a-test"


@contextmanager
def gate_to(url, monkeypatch, *, timeout_s=None, **limits):
    monkeypatch.setenv("SOUNDVERSE_API_KEY", KEY)
    with ExitStack() as stack:
        session = open_session(url, **limits)
        stack.callback(session.close)
        session.client.keep_chunks = True
        gate = ContractGate(Sender(session, None, timeout_s=timeout_s), [load("v6")], at_once=1)
        stack.enter_context(gate.patience)
        yield gate


def test_patience_cuts_once_it_is_over_and_again_until_it_is_left():
    twice = threading.Semaphore(0)
    with Patience(0.01, twice.release) as patience:
        patience.check()
        assert twice.acquire(timeout=5)
        assert twice.acquire(timeout=5)
        assert patience.over()
        with pytest.raises(TimeUpError, match="limit of"):
            patience.check()


def test_what_is_left_is_known_before_the_first_request_and_never_less_than_nothing():
    assert Patience(None, pytest.fail).left_s() is None
    over = threading.Event()
    with Patience(0.01, over.set) as patience:
        assert patience.left_s() == 0.01
        patience.check()
        assert over.wait(5)
        assert patience.left_s() == 0.0


def test_without_a_limit_nothing_is_ever_over():
    with Patience(None, pytest.fail) as patience:
        patience.check()
    assert not patience.over()


def test_the_time_is_what_is_asked_for_else_what_is_configured_else_follows_from_the_plan():
    configured = Config(target=TargetDefaults(timeout=30.0))
    assert timeout_of(CheckOptions("x", (), timeout_s=5.0, config=configured)) == 5.0
    assert timeout_of(CheckOptions("x", (), config=configured)) == 30.0
    assert timeout_of(CheckOptions("x", ())) == 3600.0
    assert timeout_of(CheckOptions("x", (), explore_budget=6)) == 3600.0 + 6 * 600.0


NEVER_ENDING = {
    "pings": pings,
    "silence": silent,
    "a head": drips_head,
    "chunks": drips_chunks,
    "a result": drips_result,
}


@pytest.mark.parametrize("answer", NEVER_ENDING.values(), ids=NEVER_ENDING.keys())
def test_what_never_ends_is_cut_and_leaves_the_rules_inconclusive(answer, monkeypatch):
    with hostile(answer) as server, gate_to(server.url, monkeypatch, timeout_s=0.4) as gate:
        contract = gate.contracts["v6"]
        gate.captures.all([("v6", name) for name in contract.endpoints])
        rules = [rule for rule in contract.rules if rule.endpoint in ("stream", "sync")]
        outcomes = [conclusion.outcome(gate, rule) for rule in rules]
        assert all(each.outcome in ("inconclusive", "failed", "passed") for each in outcomes)
        undecided = [each for each in outcomes if each.outcome == "inconclusive"]
        assert undecided
        assert all("cap.time" in str(each.reason) for each in undecided)
        broken = any(each.outcome == "failed" for each in outcomes)
        assert exit_code(outcomes, Beside(), sent=True) == (1 if broken else 4)
        assert {each.outcome for each in gate.exchanges} == {"cut"}
        with pytest.raises(BudgetError):
            gate.sender.send(
                made_up_calls.probe(contract, contract.endpoints["stream"], 0, key=None)
            )


def test_after_a_few_timeouts_nothing_more_is_tried_out(monkeypatch):
    with (
        hostile(pings) as server,
        gate_to(server.url, monkeypatch, timeout_s=60.0) as gate,
    ):
        # Each exchange runs into a deadline of its own.
        from dataclasses import replace

        from soundstage.wire.transport import Limits, Transport

        settings = replace(gate.session.transport.settings, limits=Limits(total_s=0.1))
        gate.sender._explorer.transport = gate.session.client.transport = Transport(settings)
        contract = gate.contracts["v6"]
        stream = contract.endpoints["stream"]
        made = [MadeUp(stream, {"prompt": f"{n}"}, "POST") for n in range(6)]
        sent = gate.made_up.send(made_up_calls.explored(contract, each) for each in made)
        assert [each is not None for each in sent] == [True] * MOST_TIMEOUTS + [False] * 3
        assert "after 3 timeouts" in gate.sender.not_sent["v6", "request"]
        rule = next(rule for rule in contract.rules if rule.endpoint == "request")
        assert gate.made_up.send(
            [made_up_calls.refusal(contract, MadeUp(stream, b"{", "POST"), rule)]
        ) == [None]
        outcome = conclusion.outcome(gate, rule)
        assert (outcome.outcome, exit_code([outcome], Beside(), sent=True)) == ("inconclusive", 4)
        provoking = list(made_up_calls.provoking(contract, 0, freely=False))
        assert gate.made_up.send(provoking) == [None] * len(provoking) != []
        assert len(server.asked) == 1 + MOST_TIMEOUTS  # one asks whether it is an emulator


def test_an_ordinary_target_is_not_hurried(monkeypatch, stream_of):
    body = stream_of("v6")

    def answer(connection, path, server):
        connection.sendall(STREAM + body)

    with hostile(answer) as server, gate_to(server.url, monkeypatch, timeout_s=60.0) as gate:
        exchange = gate.captures.of("v6", "stream")
        assert exchange is not None
        assert exchange.outcome == "ok"
        assert not gate.patience.over()


IDS = {
    "a way up": "../../admin",
    "another origin": "//evil.example/x",
    "a line break": "a\\r\\nX-Injected: yes",
    "a NUL": "a\\u0000b",
    "an encoded way up": "%2e%2e",
    "a book": "x" * 5_000,
}


def made(identifier: str):
    chunk = b'{"status":"validated","chunkIndex":0,"isComplete":false,"message_id":"%b"}'

    def answer(connection, path, server):
        body = b"data: " + chunk % identifier.encode() + b"\n\n"
        connection.sendall(STREAM + body if "song" in path else STREAM)

    return answer


@pytest.mark.parametrize("identifier", IDS.values(), ids=IDS.keys())
def test_an_id_that_is_no_segment_of_a_path_is_a_finding_and_nothing_is_asked(
    identifier, monkeypatch
):
    with hostile(made(identifier)) as server, gate_to(server.url, monkeypatch) as gate:
        assert gate.captures.of("v6", "status") is None
        assert "cannot stand in a URL" in gate.sender.not_sent["v6", "status"]
        stream = gate.captures.of("v6", "stream")
        assert stream is not None
        found = [each for each in stream.violations if "looked up" in each.message]
        assert [each.code for each in found] == ["field.value"]
        assert gate.failing(stream)
        asked = [line for line in server.asked if "_emulator" not in line]
        assert [line.split()[0] for line in asked] == ["POST"]
        row = stream.row(0)
        assert len(row["message_id"]) <= 200


@pytest.mark.parametrize(
    ("identifier", "path"),
    {
        "a1?x=1": "/status/generation/a1%3Fx%3D1",
        "a#b": "/status/generation/a%23b",
        "a b": "/status/generation/a%20b",
        "song/1": "/status/generation/song%2F1",
        "@evil.example": "/status/generation/%40evil.example",
        "zo\\u00eb": "/status/generation/zo%C3%AB",
    }.items(),
)
def test_an_id_that_can_be_one_is_asked_for_as_one(identifier, path, monkeypatch):
    with hostile(made(identifier)) as server, gate_to(server.url, monkeypatch) as gate:
        gate.captures.of("v6", "status")
        assert server.asked[-1] == f"GET {path} HTTP/1.1"


@pytest.mark.parametrize("identifier", ["7", "null", '["a"]', '{"a":1}', '""', "true"])
def test_an_id_of_another_type_is_no_id(identifier, monkeypatch):
    def answer(connection, path, server):
        chunk = b'{"status":"validated","chunkIndex":0,"isComplete":false,"message_id":%b}'
        connection.sendall(STREAM + b"data: " + chunk % identifier.encode() + b"\n\n")

    with hostile(answer) as server, gate_to(server.url, monkeypatch) as gate:
        assert gate.captures.of("v6", "status") is None
        assert len([line for line in server.asked if "_emulator" not in line]) == 1
        stream = gate.captures.of("v6", "stream")
        assert stream is not None
        assert any("message_id" in each.path for each in stream.violations)
