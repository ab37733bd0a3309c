"""What Locust's own statistics hold of a run: each exchange as a request, and each milestone as a
row beside them that is no request, so that "Aggregated" counts what was sent, and no more.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from locust import stats as locust_stats
from locust.env import Environment
from locust.stats import RequestStats

from soundstage.conformance.violations import Verdict
from soundstage.exchange.client import Exchange
from soundstage.output import outgoing

_SECOND_NS = 1_000_000_000
#: Of Locust's requests by the second, so many are kept; it shows the last dozen.
_SECONDS_KEPT = 60
#: The types of rows that are milestones, by the kind of endpoint. Bodies that come at once have no
#: milestones that would say more than the exchange.
_TYPES = {"stream": "SSE", "job": "POLL"}


class ExchangeFailedError(Exception):
    """Shown in Locust's table of failures: outcome, verdict and why."""


def exact_statistics() -> None:
    """Make Locust keep response times to the millisecond; it rounds those over 10 s to seconds."""
    if hasattr(locust_stats, "bucket_response_time"):
        locust_stats.bucket_response_time = lambda response_time: round(response_time)


def forget_old_seconds(environment: Environment) -> None:
    """Locust counts requests by the second and never forgets; only the last few are ever shown.

    In a soak of days they would fill the memory.
    """
    for entry in [environment.stats.total, *environment.stats.entries.values()]:
        for counted in (entry.num_reqs_per_sec, entry.num_fail_per_sec):
            if len(counted) > 2 * _SECONDS_KEPT:
                for second in sorted(counted)[:-_SECONDS_KEPT]:
                    del counted[second]


class LocustRows:
    """Tells the statistics of `environment` of exchanges that ended."""

    def __init__(self, environment: Environment) -> None:
        self._environment = environment
        self._milestones = _kept_apart(environment.stats)

    def add(self, exchange: Exchange, verdict: Verdict, row: Mapping[str, Any]) -> None:
        """Count an exchange, failed if it broke the contract or brought no song, and the milestones
        that its row says it reached. Times count from the intended start; "stalled" is a length:
        how long those who listened to the song heard nothing.
        """
        call = exchange.call
        api, endpoint = call.contract.api, call.endpoint
        reason = exchange.reason or ", ".join(sorted({each.code for each in exchange.violations}))
        failed = exchange.outcome != "ok" or verdict is Verdict.VIOLATES
        said = outgoing.text(f"{exchange.outcome}, {verdict}: {reason}")
        self._fire(
            endpoint.method,
            f"{api} {endpoint.name}",
            (exchange.ended_ns - exchange.intended_ns) / _SECOND_NS,
            exchange.response.body_bytes,
            ExchangeFailedError(said) if failed else None,
        )
        if (kind := _TYPES.get(endpoint.kind)) is None:
            return
        late = (exchange.started_ns - exchange.intended_ns) / _SECOND_NS
        # Of a job it is the moment by which it was seen: the later end.
        reached = {
            milestone: at + late for milestone, at in row["milestones"].items() if at is not None
        }
        heard = [each["stalled_s"] for each in row.get("playback", {}).get("tracks", {}).values()]
        for milestone, seconds in {**reached, **({"stalled": sum(heard)} if heard else {})}.items():
            name = f"{api} {milestone}"
            self._milestones.add((name, kind))
            self._fire(kind, name, seconds, 0, None)

    def _fire(
        self, kind: str, name: str, seconds: float, length: int, exception: Exception | None
    ) -> None:
        facts: dict[str, Any] = {
            "request_type": kind,
            "name": name,
            "response_time": seconds * 1000,
            "response_length": length,
            "exception": exception,
            "context": {},
        }
        self._environment.events.request.fire(**facts)


def _kept_apart(stats: RequestStats) -> set[tuple[str, str]]:
    """The rows (name, type) of `stats` that are no requests: what is put in here is left out of its
    total, now and in what a worker reports of it. Everybody who listens to Locust's requests, as
    its exporter for OpenTelemetry does, hears of them as before.
    """
    known: set[tuple[str, str]] | None = vars(stats).get("soundstage_milestones")
    if known is not None:
        return known
    apart: set[tuple[str, str]] = set()
    count = stats.log_request

    def log_request(method: str, name: str, response_time: int, content_length: int) -> None:
        if (name, method) in apart:
            stats.entries[name, method].log(response_time, content_length)
        else:
            count(method, name, response_time, content_length)

    vars(stats).update(soundstage_milestones=apart, log_request=log_request)
    return apart
