"""The generations of a check start together, and one by one once they were too many."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from itertools import pairwise

import pytest
from emulated import served

from soundstage.contract import load
from soundstage.emulator.options import Options
from soundstage.exchange.session import open_session
from soundstage.gate.gate import ContractGate
from soundstage.gate.progress import Progress
from soundstage.gate.sender import Sender

SONGS = [(api, name) for api in ("v5", "v6") for name in ("stream", "sync")]


class Heard(Progress):
    """Keeps what is said."""

    def __init__(self) -> None:
        super().__init__()
        self.texts: list[str] = []

    def said(self, text: str) -> None:
        self.texts.append(text)


@contextmanager
def rehearsal(
    *, budget: int = 9, at_once: int | None = None, timeout_s: float | None = None, **limits: str
) -> Iterator[tuple[ContractGate, Heard]]:
    """A gate to an emulator that is treated as the live API."""
    with served(Options(profile="instant", seed=1, **limits)) as url:
        session = open_session(url, treat_as_live=True, budget=budget)
        heard = Heard()
        sender = Sender(session, None, progress=heard, timeout_s=timeout_s)
        with sender.patience:
            yield ContractGate(sender, [load("v5"), load("v6")], at_once=at_once), heard
        session.close()


def most_at_once(gate: ContractGate) -> int:
    """How many exchanges were under way together at most."""
    moments = [(each.started_ns, 1) for each in gate.exchanges]
    moments += [(each.ended_ns, -1) for each in gate.exchanges]
    most = running = 0
    for _, step in sorted(moments):
        running += step
        most = max(most, running)
    return most


def test_where_it_may_cost_money_two_songs_are_made_at_a_time() -> None:
    with rehearsal() as (gate, heard):
        gate.captures.all(SONGS)
        assert [each.outcome for each in gate.exchanges] == ["ok"] * 4
        assert most_at_once(gate) <= 2
        assert gate.captures.facts() == {"at_once": 2, "slowed_by": None, "asked_again": 0}
        assert heard.texts == []


def test_after_one_too_many_the_rest_come_one_by_one_and_it_is_asked_again() -> None:
    with rehearsal(budget=4, at_once=3, rate_limit="2/second") as (gate, heard):
        gate.captures.all(SONGS)
        assert [gate.captures.of(*pair).outcome for pair in SONGS] == ["ok"] * 4
        limited = [each for each in gate.exchanges if each.response.status == 429]
        assert limited
        facts = gate.captures.facts()
        assert facts["slowed_by"] in [each.id for each in limited]
        assert facts["asked_again"] == len(limited)
        first = limited[0]
        later = [each for each in gate.exchanges if each.started_ns > first.ended_ns]
        assert all(one.ended_ns <= other.started_ns for one, other in pairwise(later))
        assert len(heard.texts) == 1
        assert "one request too many (429, not billed): the rest go one by one" in heard.texts[0]
        # What was too many is not paid for: a budget of four is enough for four songs.
        assert gate.session.budget.spent == 4
        assert [each.billed for each in limited] == [False] * len(limited)


def test_a_budget_pays_in_the_order_in_which_songs_are_asked_for() -> None:
    for _ in range(5):
        with rehearsal(budget=2, at_once=4) as (gate, _heard):
            gate.captures.all(SONGS)
            sent = [gate.captures.of(*pair) is not None for pair in SONGS]
            assert sent == [True, True, False, False]
            assert gate.session.budget.spent == 2
            assert [each.id for each in gate.exchanges] == ["e000001", "e000002"]


def test_who_is_told_to_wait_for_ever_gives_up_and_says_so(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("soundstage.gate.captures._LONGEST_WAIT_S", 0.01)
    with rehearsal(rate_limit="1/day") as (gate, _heard):
        gate.captures.all(SONGS[:2])
        outcomes = sorted(str(gate.captures.of(*pair).reason) for pair in SONGS[:2])
        assert outcomes == ["None", "api.rate_limit"]
        assert gate.captures.facts()["asked_again"] == 3
        assert gate.session.budget.spent == 1


def test_nothing_is_sent_after_the_time_is_over_that_had_to_wait() -> None:
    with rehearsal(rate_limit="1/day", timeout_s=1.0) as (gate, _heard):
        gate.captures.all(SONGS[:2])
        assert gate.patience.over()
        assert sorted(str(each.reason) for each in gate.exchanges) == ["None", "api.rate_limit"]
        assert gate.session.budget.spent == 1
        [why] = gate.sender.not_sent.values()
        assert why.startswith("cap.time: ")
