"""What a check comes to once nothing more is sent: the time is over, the budget is used up, or the
user has interrupted it.
"""

from __future__ import annotations

import os
import signal
import socket
import threading
from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import replace
from pathlib import Path

import httpx
import pytest
from emulated import served
from hostile import Hostile, hostile

from soundstage.contract import Contract, load
from soundstage.contracts import check_requests
from soundstage.contracts.explored_requests import MadeUp
from soundstage.emulator.options import Options
from soundstage.emulator.service.server import running
from soundstage.exchange.exchange import Call
from soundstage.exchange.patience import TimeUpError
from soundstage.exchange.session import open_session
from soundstage.exit_codes import ExitCode
from soundstage.gate import conclusion, made_up_calls
from soundstage.gate.gate import ContractGate
from soundstage.gate.progress_words import counts
from soundstage.gate.rule_outcomes import Beside, exit_code
from soundstage.gate.sender import MOST_TIMEOUTS, Sender
from soundstage.wire.end import EndKind
from soundstage.wire.settings import Limits, TransportSettings
from soundstage.wire.transport import Request, Transport

EXAMPLES = Path(__file__).parents[2] / "examples" / "contracts"
APIS = ("v5", "v6")
#: What is said where the song was not made that something else would be asked about.
NOTHING = "no generation to look up"
SONGS = [(api, name) for api in APIS for name in ("stream", "sync")]


@contextmanager
def gate_to(
    url: str,
    *,
    apis: tuple[str, ...] = APIS,
    contracts: Iterable[Contract] = (),
    at_once: int | None = None,
    timeout_s: float | None = None,
    explore_budget: int | None = None,
    budget: int | None = None,
    treat_as_live: bool = False,
) -> Iterator[ContractGate]:
    session = open_session(url, budget=budget, treat_as_live=treat_as_live)
    session.client.keep_chunks = True
    sender = Sender(session, None, timeout_s=timeout_s, explore_budget=explore_budget)
    with ExitStack() as stack:
        stack.callback(session.close)
        stack.enter_context(sender.patience)
        yield ContractGate(sender, contracts or map(load, apis), at_once=at_once)


def everything(gate: ContractGate) -> list[conclusion.RuleOutcome]:
    """All that a check sends, and what is known of every rule then."""
    gate.selected = [rule for contract in gate.contracts.values() for rule in contract.rules]
    gate.captures.all((rule.api, rule.endpoint) for rule in gate.selected
                      if rule.endpoint in gate.contracts[rule.api].endpoints)  # fmt: skip
    gate.ties.all(gate.selected)
    calls = []
    for contract in gate.contracts.values():
        rules = [each for each in contract.rules if each.endpoint == "request"]
        calls += made_up_calls.provoking(contract, 0, freely=gate.freely)
        calls += check_requests.breaking(contract, rules, 0)
        calls += [call for _, call in check_requests.unusual(contract, 0)]
    gate.made_up.send(calls)
    return conclusion.outcomes(gate, gate.selected)


@pytest.mark.parametrize("timeout_s", [0.01, 0.06, 0.12, 0.2, 0.3, 0.5])
def test_a_time_that_is_over_anywhere_is_inconclusive_and_nothing_else(timeout_s: float) -> None:
    with (
        served(Options(profile="fast", speed=8, seed=1)) as url,
        gate_to(url, timeout_s=timeout_s) as gate,
    ):
        outcomes = everything(gate)
        assert gate.patience.over()
    assert {each.reason for each in gate.exchanges if each.outcome == "cut"} <= {"cap.time"}
    undecided = {str(each.reason) for each in outcomes if each.outcome == "inconclusive"}
    assert [each for each in undecided if not each.startswith(("cap.time: ", NOTHING))] == []
    wrong = [each for each in outcomes if each.outcome in ("failed", "warned", "outside")]
    assert [(each.rule.id, each.found[:1]) for each in wrong] == []
    due = ExitCode.INCONCLUSIVE if undecided else ExitCode.PASS
    assert exit_code(outcomes, Beside(), sent=True) == due
    # What was never sent is not told to cost money.
    not_provoked = [each for each in outcomes if "may cost money" in str(each.reason)]
    assert not_provoked == []


ERROR = b"HTTP/1.1 500 Oh\r\nContent-Length: 2\r\nConnection: close\r\n\r\n"
KEY = "sk-of-a-test-4711"


def always(answer: bytes) -> Callable[[socket.socket, str, Hostile], None]:
    return lambda connection, path, server: connection.sendall(answer)


@pytest.mark.parametrize(
    "answer", [ERROR + b"no", b"", ERROR], ids=["a 500", "no answer", "a 500 that breaks off"]
)
def test_a_failure_that_comes_as_all_is_over_says_nothing(
    answer: bytes, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SOUNDVERSE_API_KEY", KEY)
    with hostile(always(answer)) as server, gate_to(server.url, apis=("v6",)) as gate:
        contract = gate.contracts["v6"]
        # The moment between the end of the time and that at which connections are cut.
        gate.session.client.interrupt.halt("cap.time")
        calls = [
            Call(contract, contract.endpoints["stream"], {"prompt": "a song"}),
            Call(contract, contract.endpoints["sync"], {"prompt": "a song"}),
            *check_requests.wrong(contract, "no key", 0),
            *(call for _, call in check_requests.unusual(contract, 0)),
        ]
        for call in calls:
            exchange = gate.sender.send(call)
            assert (exchange.outcome, exchange.reason) == ("cut", "cap.time")
            assert exchange.violations == []
            assert str(gate.unjudged(exchange)).startswith("cap.time: ")


def test_a_500_is_not_asked_for_again_once_nothing_more_is_tried_and_is_kept(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("SOUNDVERSE_API_KEY", KEY)
    gates: list[ContractGate] = []

    def answer(connection: socket.socket, path: str, server: Hostile) -> None:
        if len(server.asked) <= 1 + MOST_TIMEOUTS:  # one asks whether it is an emulator
            server.over.wait()
        connection.sendall(b"HTTP/1.1 500 Oh\r\nConnection: close\r\n\r\n")
        while gates[0].sender.taken < MOST_TIMEOUTS:
            connection.sendall(b".")
            server.over.wait(0.02)

    with hostile(answer) as server, gate_to(server.url, apis=("v6",), at_once=4) as gate:
        gates.append(gate)
        settings = replace(gate.session.transport.settings, limits=Limits(idle_s=0.2))
        gate.sender._explorer.transport = Transport(settings)
        contract = gate.contracts["v6"]
        made = [MadeUp(contract.endpoints["stream"], {"prompt": f"{n}"}, "POST") for n in range(9)]
        sent = gate.made_up.send(made_up_calls.explored(contract, each) for each in made)
        found = Counter(each and each.outcome for each in sent)
        assert found.keys() == {"timeout", "refused", None}
        assert found["timeout"] == MOST_TIMEOUTS
        assert "after 3 timeouts" in gate.sender.not_sent["v6", "request"]


def test_a_file_that_is_not_fetched_as_the_time_is_over_is_no_fault_of_the_surroundings() -> None:
    with served(Options(profile="instant", seed=1)) as url, gate_to(url) as gate:
        exchange = gate.captures.of("v6", "sync")
        assert exchange is not None
        with gate_to(url, apis=("v6",)) as other:
            other.assets.halt()
            assert other.assets.examine(exchange) == []
            rules = [rule for rule in other.contracts["v6"].rules if "/asset/" in rule.id]
            told = {other.assets.unknown(rule) for rule in rules} - {None}
            assert told == {"cap.time: not fetched any more"}


def test_a_budget_that_is_used_up_in_lanes_pays_no_more_and_ends_nothing() -> None:
    with (
        served(Options(profile="instant", seed=1)) as url,
        gate_to(url, budget=3, explore_budget=2, treat_as_live=True, at_once=4) as gate,
    ):
        outcomes = everything(gate)
        assert gate.session.budget.spent == 3
        assert gate.sender.exploring.spent <= 2
        spent = gate.sender.exploring.spent
        purses = ["budget 3 of 3 spent", f"exploration {spent} of 2 spent"]
        assert counts(gate.sender.progress)[-2:] == purses
        charges = httpx.get(f"{url}/_emulator/health").json()["charges"]
        assert charges <= 5
        assert {each.outcome for each in outcomes} <= {"passed", "inconclusive", "not_exercised"}
        reasons = [str(each.reason) for each in outcomes if each.outcome == "inconclusive"]
        assert [each for each in reasons if not each.startswith(("budget.spent: ", NOTHING))] == []
        assert exit_code(outcomes, Beside(), sent=True) == ExitCode.INCONCLUSIVE


# --- Ctrl-C


def charged(url: str) -> int:
    return int(httpx.get(f"{url}/_emulator/health").json()["charges"])


@contextmanager
def interrupted_once(ready: Callable[[], bool]) -> Iterator[None]:
    """Ctrl-C for the main thread, as soon as something is so."""
    given_up = threading.Event()

    def wait() -> None:
        while not ready():
            if given_up.wait(0.005):
                return
        os.kill(os.getpid(), signal.SIGINT)

    watching = threading.Thread(target=wait)
    watching.start()
    try:
        with pytest.raises(KeyboardInterrupt):
            yield
    finally:
        given_up.set()
        watching.join()


def test_after_ctrl_c_nothing_more_starts_and_what_is_in_flight_is_kept() -> None:
    with (
        served(Options(profile="realistic", seed=1)) as url,
        gate_to(url, budget=4, treat_as_live=True, at_once=2) as gate,
    ):
        under_way = gate.sender.progress.under_way
        with interrupted_once(lambda: sum(bool(each.stage) for each in under_way()) == 2):
            gate.captures.all(sorted(SONGS, key=lambda pair: pair[1]))
        # What is under way is paid for, and is said to be.
        assert "budget 2 of 4 spent" in counts(gate.sender.progress)
        assert [each.outcome for each in gate.exchanges] == ["cut", "cut"]
        assert {each.reason for each in gate.exchanges} == {"harness.cancelled"}
        assert gate.session.budget.spent == 2
        assert gate.captures.of("v6", "sync") is None
        assert gate.sender.not_sent["v6", "sync"]
        assert gate.session.budget.spent == 2
        assert charged(url) <= 2


def test_what_waits_for_its_turn_as_ctrl_c_comes_is_not_sent_and_not_paid_for() -> None:
    with (
        served(Options(profile="instant", seed=1, rate_limit="1/day")) as url,
        gate_to(url, budget=4, treat_as_live=True, at_once=2) as gate,
    ):
        with interrupted_once(lambda: len(gate.exchanges) == 2):
            gate.captures.all(SONGS)
        assert len(gate.exchanges) == 2
        assert gate.session.budget.spent == 1 == charged(url)


def test_a_song_that_is_left_on_purpose_is_kept_when_ctrl_c_comes() -> None:
    contract = load("songs", EXAMPLES)
    with (
        running(Options(profile="realistic", seed=1), contracts={"songs": contract}) as emulator,
        gate_to(emulator.url, contracts=[contract], budget=9, treat_as_live=True) as gate,
    ):
        with interrupted_once(lambda: any(each.stage for each in gate.sender.progress.under_way())):
            gate.ties.all(contract.rules)
        assert [(each.call.scenario, each.outcome) for each in gate.exchanges] == [("ties", "cut")]
        assert gate.session.budget.spent == 1


def test_a_transport_that_is_halted_sends_nothing_more(raw_server) -> None:
    server = raw_server([("send", b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n")], repeat=True)
    transport = Transport(TransportSettings())
    with transport.open(Request("POST", server.url(), (), b"{}")) as response:
        assert response.status == 200
    transport.halt()
    for _ in range(3):
        with transport.open(Request("POST", server.url(), (), b"{}")) as response:
            assert response.status is None
        assert response.end is not None
        assert response.end.kind is EndKind.CANCELLED
    assert server.accepted == 1
    assert len(server.requests) == 1


def test_what_was_paid_for_and_is_halted_before_it_is_sent_is_given_back() -> None:
    with (
        served(Options(profile="instant", seed=1)) as url,
        gate_to(url, budget=4, treat_as_live=True) as gate,
    ):
        contract = gate.contracts["v6"]
        call = Call(contract, contract.endpoints["sync"], {"prompt": "a song"})
        admitted = gate.sender.admit(call)
        assert gate.session.budget.spent == 1
        gate.sender.halt()
        with pytest.raises(TimeUpError, match="interrupted"):
            gate.sender.send(call, admitted)
        assert gate.session.budget.spent == 0 == charged(url)
        assert gate.exchanges == []
