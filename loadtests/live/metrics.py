"""A run as Prometheus scrapes it while it runs: `--metrics-port`.

Every figure is worked out when somebody asks, from what the run keeps anyway. Histograms are of the
times from the intended start, with buckets that follow the counts to within one percent.
"""

from __future__ import annotations

import bisect
import math
from collections.abc import Iterator
from contextlib import contextmanager

from prometheus_client import CollectorRegistry, start_http_server
from prometheus_client.core import (
    CounterMetricFamily,
    GaugeMetricFamily,
    HistogramMetricFamily,
    Metric,
)
from prometheus_client.registry import Collector

from soundstage.errors import UsageError
from soundstage.loadtests.generator.lag import resident_bytes
from soundstage.loadtests.live.board import Board, MilestoneTimes
from soundstage.loadtests.web.wsgi_guard import guarded
from soundstage.output import outgoing
from soundstage.results import verdicts
from soundstage.untrusted.same_origin import Callers, is_loopback

#: Upper bounds in seconds: songs take minutes, their first chunk milliseconds.
BUCKETS = (
    *(0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 15.0, 20.0),
    *(30.0, 45.0, 60.0, 90.0, 120.0, 180.0, 300.0, 600.0),
)


@contextmanager
def served(board: Board, host: str, port: int) -> Iterator[int]:
    """Serve the metrics of `board` over HTTP until the block ends; yields the port (0 asks for a
    free one). Raises UsageError if it cannot be had.
    """
    registry = CollectorRegistry()
    registry.register(RunCollector(board))
    try:
        server, thread = start_http_server(port, addr=host, registry=registry)
    except OSError as error:
        raise UsageError(f"--metrics-port {host}:{port}: {error.strerror or error}") from error
    # Where other machines may read them, pages may, too: by which name they ask is theirs to know.
    server.set_app(guarded(server.get_app(), Callers(any_name=not is_loopback(host), links=True)))
    try:
        yield int(server.server_port)
    finally:
        server.shutdown()
        server.server_close()
        thread.join(5.0)


class RunCollector(Collector):
    """The metrics of one run."""

    def __init__(self, board: Board) -> None:
        self._board = board

    def describe(self) -> list[Metric]:
        """Nothing is promised ahead: names of endpoints come with the rows."""
        return []

    def collect(self) -> Iterator[Metric]:
        """All metrics as they are now."""
        board = self._board
        run, recording = board.run, board.run.recording
        load = run.loaded()
        yield _counter("arrivals_asked", "Arrivals that came due.", load.asked)
        yield _counter("arrivals_started", "Arrivals that were started.", load.started)
        yield _counter("arrivals_dropped", "Arrivals dropped by the cap in flight.", load.dropped)
        ended = CounterMetricFamily(
            "soundstage_exchanges",
            "Exchanges that ended, by how they did.",
            labels=("api", "endpoint", "outcome"),
        )
        for place, many in board.outcomes.items():
            ended.add_metric(_labels(*place), many)
        yield ended
        yield _counter("exchanges_violating", "Exchanges with an error.", recording.violating)
        found = CounterMetricFamily(
            "soundstage_findings", "Findings of the contract, by code.", labels=("code",)
        )
        for code, many in recording.codes.items():
            found.add_metric(_labels(code), many)
        yield found
        chunks = CounterMetricFamily(
            "soundstage_chunks", "Chunks that came, by stage.", labels=("api", "stage")
        )
        for api, stages in board.stages.items():
            for stage, many in stages.items():
                chunks.add_metric(_labels(api, stage), many)
        yield chunks
        yield self._milestones()
        spent, limit = run.spent(), run.session.budget.limit
        yield _counter("budget_spent", "Billable requests that were sent.", spent)
        if limit is not None:
            yield _gauge("budget_limit", "Billable requests that may be sent.", limit)
        due = run.due(max(0.0, run.elapsed_s))
        if due is not None:
            yield _gauge("arrivals_due_per_second", "Arrivals a second asked for just now.", due)
        yield _gauge("exchanges_in_flight", "Exchanges that are under way.", run.in_flight)
        lag = load.lags.quantile(0.99)
        yield _gauge("generator_loop_lag_p99_seconds", "Lateness of its event loop so far.", lag)
        late = load.late.quantile(0.99)
        yield _gauge("generator_late_p99_seconds", "Lateness of starts so far.", late)
        yield _gauge("generator_cpu_share", "CPU it takes; 1 is a core.", run.cpu_share())
        yield _gauge(
            "generator_invalid",
            "1 if the load is not what was asked for, so that its figures count for nothing.",
            run.why_invalid() is not None,
        )
        if (memory := resident_bytes()) is not None:
            yield _gauge("generator_resident_bytes", "Memory that this process holds.", memory)
        yield self._objectives()

    def _milestones(self) -> Metric:
        family = HistogramMetricFamily(
            "soundstage_milestone_seconds",
            "Time to a milestone from the intended start; what never got there is in +Inf alone.",
            labels=("api", "endpoint", "milestone"),
        )
        for place, times in self._board.times.items():
            n = self._board.measured[place[:2]]
            family.add_metric(_labels(*place), _buckets(times, n), sum_value=times.sum)
        return family

    def _objectives(self) -> Metric:
        family = GaugeMetricFamily(
            "soundstage_slo_met",
            "1 if an objective is shown to be met by now, 0 if missed, NaN if it cannot be told.",
            labels=("slo", "api", "endpoint"),
        )
        values = {"pass": 1.0, "fail": 0.0}
        for tally in self._board.run.recording.scorecard.tallies:
            of_it = tally.objective
            labels = _labels(of_it.slo.text, of_it.api or "", of_it.endpoint or "")
            family.add_metric(labels, values.get(verdicts.verdict(tally), math.nan))
        return family


def _labels(*values: str) -> tuple[str, ...]:
    return tuple(map(outgoing.text, values))


def _buckets(times: MilestoneTimes, n: int) -> list[tuple[str, float]]:
    """Cumulative counts; the last holds all `n`, whether they got there or not."""
    within = [0] * len(BUCKETS)
    for seconds, many in times.reached.counted():
        place = bisect.bisect_left(BUCKETS, seconds)
        if place < len(BUCKETS):
            within[place] += many
    found, total = [], 0
    for bound, many in zip(BUCKETS, within, strict=True):
        total += many
        found.append((str(bound), float(total)))
    return [*found, ("+Inf", float(n))]


def _counter(name: str, text: str, value: float) -> Metric:
    return CounterMetricFamily(f"soundstage_{name}", text, value=value)


def _gauge(name: str, text: str, value: float) -> Metric:
    return GaugeMetricFamily(f"soundstage_{name}", text, value=value)
