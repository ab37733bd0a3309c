"""A proxy between an emulator and the client that holds chunks back is found, and one that does not
is not; over sockets.
"""

from __future__ import annotations

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack

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
#: What is said of what each does to a stream.
HOLDS = {
    Holding(**how, framed=framed): said  # type: ignore[arg-type]
    for framed in (False, True)
    for how, said in [
        ({"whole": True}, "chunks came together after"),
        ({"octets": 4_096}, "chunks came"),
        ({"seconds": 1.0}, "chunks came in blocks, one in 1 s: at"),
    ]
}
PASSES_ON = [Holding(), Holding(jitter=0.1), Holding(jitter=0.05, cut=100)]


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


@pytest.fixture(scope="module")
def exchanges(emulator: str) -> dict[Holding, Exchange]:
    """A song through each proxy. They are made at once: each is five seconds of waiting."""
    hows = [*HOLDS, *PASSES_ON]
    with ExitStack() as stack, ThreadPoolExecutor(len(hows)) as threads:
        urls = [stack.enter_context(holding(emulator, how)) for how in hows]
        return dict(zip(hows, threads.map(asked, urls), strict=True))


def found(exchange: Exchange) -> list[str]:
    return [each.message for each in exchange.violations if each.code == "stream.buffered"]


@pytest.mark.timing
@pytest.mark.parametrize("how", HOLDS, ids=str)
def test_a_proxy_that_holds_chunks_back_is_found(
    exchanges: dict[Holding, Exchange], how: Holding
) -> None:
    exchange = exchanges[how]
    assert exchange.outcome == "ok"
    assert [HOLDS[how] in each for each in found(exchange)] == [True]
    row = exchange.row(exchange.started_ns)
    assert row["held_back"] in ("whole", "bytes", "seconds")
    assert row["milestones_low"]["streaming_ready"] < row["milestones"]["streaming_ready"]
    assert "complete" not in row["milestones_low"]


@pytest.mark.timing
@pytest.mark.parametrize("how", PASSES_ON, ids=str)
def test_a_proxy_that_passes_on_what_comes_is_not_found(
    exchanges: dict[Holding, Exchange], how: Holding
) -> None:
    exchange = exchanges[how]
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
