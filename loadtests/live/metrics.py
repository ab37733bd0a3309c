"""A run as Prometheus scrapes it while it runs: `--metrics-port`, with Locust
`--soundstage-metrics-port`.

Every figure is worked out when somebody asks, from what the run keeps anyway. Histograms are of the
times from the intended start, with buckets that follow the counts to within one percent.
"""

from __future__ import annotations

import bisect
import math
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from itertools import accumulate
from typing import Any

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
from soundstage.loadtests.generator.lateness import Lateness
from soundstage.loadtests.live.board import Board
from soundstage.loadtests.web.wsgi_guard import guarded
from soundstage.output import outgoing
from soundstage.results import verdicts
from soundstage.untrusted.same_origin import Callers, is_loopback

#: Upper bounds in seconds: songs take minutes, their first chunk milliseconds.
BUCKETS = (
    *(0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 15.0, 20.0),
    *(30.0, 45.0, 60.0, 90.0, 120.0, 180.0, 300.0, 600.0),
)
_MET = {"pass": 1.0, "fail": 0.0}


#: The board of the run that goes on; None before the first one.
Shown = Callable[[], Board | None]


@contextmanager
def served(shown: Shown, host: str, port: int) -> Iterator[str]:
    """Serve the metrics of whichever board is `shown` over HTTP until the block ends; yields their
    URL. Port 0 asks for a free one. Raises UsageError if it cannot be had.
    """
    registry = CollectorRegistry()
    registry.register(RunCollector(shown))
    try:
        server, thread = start_http_server(port, addr=host, registry=registry)
    except OSError as error:
        raise UsageError(f"--metrics-port {host}:{port}: {error.strerror or error}") from error
    # Where other machines may read them, pages may, too: by which name they ask is theirs to know.
    callers = Callers(any_name=not is_loopback(host), links=True)
    app = server.get_app()
    assert app is not None
    server.set_app(guarded(app, callers))
    try:
        yield f"http://{f'[{host}]' if ':' in host else host}:{server.server_port}/metrics"
    finally:
        server.shutdown()
        server.server_close()
        thread.join(5.0)


class RunCollector(Collector):
    """The metrics of the run that goes on, or was the last one; none before the first one."""

    def __init__(self, shown: Shown) -> None:
        self._shown = shown

    def describe(self) -> list[Metric]:
        """Nothing is promised ahead: names of endpoints come with the rows."""
        return []

    def collect(self) -> Iterator[Metric]:
        """All metrics as they are now."""
        if (board := self._shown()) is None:
            return
        run, recording, load = board.run, board.run.recording, board.run.loaded()
        yield _counter("arrivals_asked", "Arrivals that came due.", load.asked)
        yield _counter("arrivals_started", "Arrivals that were started.", load.started)
        yield _counter("arrivals_dropped", "Arrivals dropped by the cap in flight.", load.dropped)
        labels = ("api", "endpoint", "outcome")
        ended = "Exchanges that ended, by how they did."
        yield _counter("exchanges", ended, board.outcomes, *labels)
        yield _counter("exchanges_violating", "Exchanges with an error.", recording.violating)
        codes = {(code,): many for code, many in recording.codes.items()}
        yield _counter("findings", "Findings of the contract, by code.", codes, "code")
        yield _counter("chunks", "Chunks that came, by stage.", board.stages, "api", "stage")
        yield _milestones(board, "soundstage_milestone_seconds", board.times)
        if board.lows:
            name = "soundstage_milestone_low_seconds"
            yield _milestones(board, name, board.lows, "Low ends of what is known by polling. ")
        yield from board.heard.metrics()
        yield _counter("budget_spent", "Billable requests that were sent.", run.spent())
        limit, due = run.session.budget.limit, run.due(max(0.0, run.elapsed_s))
        yield _gauge("budget_limit", "Billable requests that may be sent.", limit)
        yield _gauge("arrivals_due_per_second", "Arrivals a second asked for just now.", due)
        yield _gauge("exchanges_in_flight", "Exchanges that are under way.", run.in_flight)
        lag, late = load.lags.quantile(0.99), load.late.quantile(0.99)
        yield _gauge("generator_loop_lag_p99_seconds", "Lateness of its event loop so far.", lag)
        yield _gauge("generator_late_p99_seconds", "Lateness of starts so far.", late)
        yield _gauge("generator_cpu_share", "CPU it takes; 1 is a core.", run.cpu_share())
        void = "1 if the load is not what was asked for, so that its figures count for nothing."
        yield _gauge("generator_invalid", void, run.why_invalid() is not None)
        memory = resident_bytes()
        yield _gauge("generator_resident_bytes", "Memory that this process holds.", memory)
        met = "1 if an objective is shown to be met by now, 0 if missed, NaN if it cannot be told."
        yield _gauge("slo_met", met, _objectives(board), "slo", "api", "endpoint")


def _objectives(board: Board) -> dict[tuple[str, ...], float]:
    found: dict[tuple[str, ...], float] = {}
    for tally in board.run.recording.scorecard.tallies:
        of_it = tally.objective
        place = (of_it.slo.text, of_it.api or "", of_it.endpoint or "")
        found[place] = _MET.get(verdicts.verdict(tally), math.nan)
    return found


def _milestones(
    board: Board, name: str, of_places: Mapping[tuple[str, str, str], Lateness], about: str = ""
) -> Metric:
    text = "Time to a milestone from the intended start; what never got there is in +Inf alone."
    labels = ("api", "endpoint", "milestone")
    family = HistogramMetricFamily(name, about + text, labels=labels)
    for place, times in of_places.items():
        n = board.asked(place)
        whole = sum(seconds * many for seconds, many in times.counted())
        family.add_metric(_shown(place), _buckets(times, n), sum_value=whole)
    return family


#: One number, None where nobody knows it; or one for each row of labels.
Values = float | None | Mapping[Any, float]


def _counter(name: str, text: str, values: Values, *labels: str) -> Metric:
    return _filled(CounterMetricFamily(f"soundstage_{name}", text, labels=labels), values)


def _gauge(name: str, text: str, values: Values, *labels: str) -> Metric:
    return _filled(GaugeMetricFamily(f"soundstage_{name}", text, labels=labels), values)


def _filled(family: CounterMetricFamily | GaugeMetricFamily, values: Values) -> Metric:
    for place, value in (values if isinstance(values, Mapping) else {(): values}).items():
        if value is not None:
            family.add_metric(_shown(place), value)
    return family


def _shown(labels: tuple[str, ...]) -> tuple[str, ...]:
    return tuple(map(outgoing.text, labels))


def _buckets(times: Lateness, n: int) -> list[tuple[str, float]]:
    """Cumulative counts; the last holds all `n`, whether they got there or not."""
    within = [0] * (len(BUCKETS) + 1)
    for seconds, many in times.counted():
        within[bisect.bisect_left(BUCKETS, seconds)] += many
    counts = map(float, accumulate(within[:-1]))
    return [*zip(map(str, BUCKETS), counts, strict=True), ("+Inf", float(n))]
