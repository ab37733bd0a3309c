"""Whether the memory of a load run stays flat: rows of 200,000 exchanges through a whole run.

The exchanges are real ones, one with each endpoint of an emulator, which come again and again with
ids and times of their own: so many at a rate that no soak reaches. What is looked at is what a run
keeps of them: bundle, Locust's statistics, verdicts, objectives.
"""

from __future__ import annotations

import copy
import json
import subprocess
import sys
import tempfile
from pathlib import Path

from benchmarks.result import Row
from soundstage.exchange.spawn import spawned_emulator

_SAMPLES = 10


def measure(exchanges: int = 200_000) -> list[Row]:
    """Resident memory after a tenth of the rows, and after all of them."""
    with tempfile.TemporaryDirectory() as folder, spawned_emulator(["--profile", "instant"]) as url:
        words = [sys.executable, "-m", __name__, url, str(Path(folder) / "run"), str(exchanges)]
        said = subprocess.run(words, capture_output=True, text=True, check=True).stdout
    samples: list[tuple[int, float]] = json.loads(said.splitlines()[-1])
    (early, before), (late, after) = samples[0], samples[-1]
    grown = (after - before) / (late - early)
    return [
        Row(f"memory of a run, {early:,} rows", f"{before / 1e6:.1f} MB"),
        Row(f"memory of a run, {late:,} rows", f"{after / 1e6:.1f} MB"),
        Row("memory for each further row", f"{grown:.1f} B", target="about 0"),
    ]


def _run(url: str, folder: str, many: int) -> list[tuple[int, float]]:
    import gevent
    from locust.env import Environment

    from soundstage.exchange.client import Exchange
    from soundstage.loadtests.generator.lag import resident_bytes
    from soundstage.loadtests.run.load_run import LoadOptions
    from soundstage.loadtests.run.run_end import conclude
    from soundstage.loadtests.run.run_setup import open_run
    from soundstage.loadtests.schedule.scenario import Part, Scenario

    scenario = Scenario(
        parts=(Part("", "stream"), Part("", "sync")), slos=("complete.p95<30s", "error_rate<1%")
    )
    run = open_run(Environment(user_classes=[]), LoadOptions(url, scenario, out=folder))
    run.begin()
    patterns: list[Exchange] = []
    for number in range(len(run.traffic.places)):
        patterns.append(run.session.client.exchange(run.traffic.call(number)))
    samples = []
    for number in range(1, many + 1):
        exchange = copy.copy(patterns[number % len(patterns)])
        exchange.id, exchange.message_id = f"e{number:07d}", f"{number:032x}"
        later = number * 2_000_000  # 500 a second
        exchange.intended_ns += later
        exchange.started_ns += later
        exchange.ended_ns += later
        run.recording.ended(exchange, cut=False)
        if number % 100 == 0:
            gevent.sleep(0)
        if number % (many // _SAMPLES) == 0:
            samples.append((number, resident_bytes() or 0.0))
    run.drain(1.0)
    conclude(run)
    return samples


if __name__ == "__main__":
    import locust  # noqa: F401 - patches sockets, and must before anything uses one

    print(json.dumps(_run(sys.argv[1], sys.argv[2], int(sys.argv[3]))))  # noqa: T201
