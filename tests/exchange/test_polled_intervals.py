"""What is seen by asking came about between two questions: the emulator, which knows when it was,
says that it did.
"""

from __future__ import annotations

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor

import pytest
from tests.support.job_mode import v6_with_jobs

from soundstage.contract import Contract
from soundstage.emulator.options import Options
from soundstage.emulator.service.app import Emulator
from soundstage.emulator.service.server import in_thread
from soundstage.exchange.client import Call
from soundstage.exchange.exchange import Exchange
from soundstage.exchange.session import open_session


def polled(contract: Contract, many: int, at_once: int) -> Iterator[tuple[Exchange, float, float]]:
    """(exchange, the moment of the first stream URL, that of the end) of so many jobs. Moments are
    the emulator's own, in monotonic ns.
    """
    emulator = Emulator(Options(profile="fast", seed=5), {contract.api: contract})
    with in_thread(emulator) as url, ThreadPoolExecutor(at_once) as pool:
        session = open_session(url)
        job = contract.endpoints["job"]

        def make(number: int) -> Exchange:
            return session.client.exchange(Call(contract, job, {"prompt": f"song {number}"}))

        for exchange in pool.map(make, range(many)):
            found = emulator.store.find(contract.api, {"message_id": str(exchange.message_id)})
            assert found is not None
            told = [found.told_at(each) for each in found.story.stream_urls]
            first = min(each for each in told if each is not None)
            yield exchange, first * 1e9, found.end * 1e9


@pytest.mark.parametrize(
    ("many", "every_s"),
    [(30, 0.05), pytest.param(150, 1.0, marks=pytest.mark.proof)],
    ids=["often", "every second"],
)
def test_the_moment_lies_in_the_interval_of_every_job(tmp_path, many, every_s):
    contract = v6_with_jobs(tmp_path / "contracts", every_s)
    widths = []
    for exchange, ready_ns, end_ns in polled(contract, many, at_once=30):
        assert exchange.verdict == "conforms", exchange.violations
        for name, truth_ns in (("streaming_ready", ready_ns), ("complete", end_ns)):
            low, high = exchange.milestones_low[name], exchange.milestones[name]
            assert low <= (truth_ns - exchange.started_ns) / 1e9 <= high, (name, exchange.row(0))
            widths.append(high - low)
    assert len(widths) == 2 * many
    assert min(widths) > 0
