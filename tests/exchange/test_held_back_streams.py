"""A proxy between an emulator and the client that holds chunks back is found, and one that does not
is not; over sockets.
"""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from tests.support.emulated import served
from tests.support.holding import Holding, holding

from soundstage.contract import load
from soundstage.emulator.options import Options
from soundstage.exchange.client import Call, Exchange
from soundstage.exchange.requests import sent_body, valid_body
from soundstage.exchange.session import open_session

V6 = load("v6")
#: So fast a song of the emulator takes some five seconds.
SPEED = 14.0


@pytest.fixture(scope="module")
def emulator() -> Iterator[str]:
    with served(Options(port=0, profile="realistic", speed=SPEED, seed=5)) as url:
        yield url


def asked(url: str) -> Exchange:
    session = open_session(url)
    try:
        stream = V6.endpoints["stream"]
        return session.client.exchange(
            Call(V6, stream, sent_body(stream, valid_body(V6, stream, 0)))
        )
    finally:
        session.close()


def through(emulator: str, how: Holding) -> Exchange:
    with holding(emulator, how) as url:
        return asked(url)


def found(exchange: Exchange) -> list[str]:
    return [each.message for each in exchange.violations if each.code == "stream.buffered"]


@pytest.mark.timing
@pytest.mark.parametrize("framed", [False, True])
@pytest.mark.parametrize(
    ("how", "said"),
    [
        ({"whole": True}, "chunks came together after"),
        ({"octets": 4_096}, "chunks came"),
        ({"seconds": 1.0}, "chunks came in blocks, one in 1 s: at"),
    ],
)
def test_a_proxy_that_holds_chunks_back_is_found(
    emulator: str, how: dict[str, float], said: str, framed: bool
) -> None:
    exchange = through(emulator, Holding(**how, framed=framed))  # type: ignore[arg-type]
    assert exchange.outcome == "ok"
    assert [said in each for each in found(exchange)] == [True]
    row = exchange.row(exchange.started_ns)
    assert row["held_back"] in ("whole", "bytes", "seconds")
    assert row["milestones_low"]["streaming_ready"] < row["milestones"]["streaming_ready"]
    assert "complete" not in row["milestones_low"]


@pytest.mark.timing
@pytest.mark.parametrize("how", [Holding(), Holding(jitter=0.1), Holding(jitter=0.05, cut=100)])
def test_a_proxy_that_passes_on_what_comes_is_not_found(emulator: str, how: Holding) -> None:
    exchange = through(emulator, how)
    assert exchange.judge.arrived.reason is None
    assert found(exchange) == []


def test_a_stream_that_is_over_at_once_is_not_judged() -> None:
    with served(Options(port=0, profile="instant")) as url:
        exchange = asked(url)
    assert found(exchange) == []
    assert "arrivals are judged from 1 s on" in str(exchange.judge.arrived.reason)


def test_an_emulator_whose_whole_takes_time_but_not_its_stages_is_not_judged() -> None:
    with served(Options(port=0, profile="mdc", speed=1.9)) as url:
        exchange = asked(url)
    assert found(exchange) == []
    assert exchange.judge.arrived.reason is not None
