"""What becomes of each exchange of a load run: rows in the bundle, in Locust's statistics, and in
the counts that the verdict follows from.

Called as exchanges end; holds nothing of them but numbers.
"""

from __future__ import annotations

from array import array
from collections import Counter, deque
from typing import Any

from locust import stats as locust_stats
from locust.env import Environment

from soundstage.conformance.coverage import exercised
from soundstage.conformance.violations import Severity, Verdict
from soundstage.exchange.client import Call, Exchange
from soundstage.exchange.session import Session
from soundstage.results.bundle import BundleWriter
from soundstage.results.matrix import Matrix

_SECOND_NS = 1_000_000_000
#: At most so many transcripts are kept: of the first that fail.
MOST_TRANSCRIPTS = 50
#: So many exchanges of an endpoint are looked at for which rules they put to the test.
LOOKED_AT = 100
#: The live median is that of the last so many exchanges.
_RECENT = 500
#: The milestone that progress is shown by: the first of these that is reached.
_HEADLINES = ("streaming_ready", "audio", "complete")


class ExchangeFailedError(Exception):
    """Shown in Locust's table of failures: outcome, verdict and why."""


def exact_statistics() -> None:
    """Make Locust keep response times to the millisecond; it rounds those over 10 s to seconds."""
    if hasattr(locust_stats, "bucket_response_time"):
        locust_stats.bucket_response_time = lambda response_time: round(response_time)


class Recording:
    """Takes exchanges as they end. `epoch_ns` is the beginning of the run (monotonic)."""

    def __init__(
        self,
        environment: Environment,
        session: Session,
        bundle: BundleWriter,
        matrix: Matrix,
        *,
        warmup_s: float = 0.0,
    ) -> None:
        self.environment = environment
        self.session = session
        self.bundle = bundle
        self.matrix = matrix
        self.epoch_ns = 0
        self.outcomes: Counter[str] = Counter()
        self.timing: Counter[str] = Counter()
        self.violating = 0
        self.transcripts = 0
        self.late: array[float] = array("d")
        self.recent: dict[str, deque[float]] = {}
        self._warmup_ns = int(warmup_s * _SECOND_NS)
        self._looked: Counter[tuple[str, str]] = Counter()
        self._made_up = 0

    @property
    def done(self) -> int:
        """How many exchanges ended, however they did."""
        return self.outcomes.total() - self.outcomes["dropped"]

    def headline(self) -> tuple[str, float] | None:
        """The milestone to show while running, with its recent median in seconds."""
        for name in _HEADLINES:
            if recent := self.recent.get(name):
                return name, sorted(recent)[(len(recent) - 1) // 2]
        return None

    def ended(self, exchange: Exchange, *, cut: bool) -> None:
        """An exchange is over. `cut`: the end of the run cut it, so it is censored."""
        call = exchange.call
        if cut:
            exchange.outcome = "censored"
        verdict, violations = exchange.verdict, exchange.violations
        self._keep_transcript(exchange, verdict)
        row = exchange.row(self.epoch_ns)
        row["warmup"] = self._in_warmup(row["intended_ns"])
        self.bundle.exchange(row)
        self.bundle.violations(exchange.violation_rows())
        self.outcomes[exchange.outcome] += 1
        self.timing[exchange.response.timing_source] += exchange.response.status is not None
        self.violating += any(each.severity is Severity.ERROR for each in violations)
        self.late.append((exchange.started_ns - exchange.intended_ns) / _SECOND_NS)
        place = (call.contract.api, call.endpoint.name)
        look = self._looked[place] < LOOKED_AT
        self._looked[place] += look
        # Chunks are kept for this alone.
        client = self.session.client
        client.keep_chunks = client.keep_chunks and min(self._looked.values()) < LOOKED_AT
        live = self.session.target.kind == "live"
        seen = exchange.observation(live=live) if look else None
        self.matrix.add(
            exchange.id,
            *place,
            violations,
            judged=verdict is not Verdict.INCONCLUSIVE,
            reason=exchange.reason,
            exercised=None if seen is None else lambda rule: exercised(rule, seen),
        )
        self._tell_locust(exchange, verdict)

    def not_sent(self, call: Call, outcome: str, reason: str) -> None:
        """A request that was due and never came to anything: "dropped" by the cap on exchanges in
        flight, or "censored" by the end of the run before it was answered.
        """
        intended = (call.intended_ns or self.epoch_ns) - self.epoch_ns
        self._made_up += 1
        self.bundle.exchange(
            {
                "id": f"n{self._made_up:06d}",
                "scenario": call.scenario,
                "api": call.contract.api,
                "endpoint": call.endpoint.name,
                "message_id": None,
                "intended_ns": intended,
                "started_ns": intended,
                "outcome": outcome,
                "verdict": Verdict.INCONCLUSIVE.value,
                "reason": reason,
                "milestones": {},
                "stages": {},
                "codes": {},
                "billed": outcome != "dropped" and call.endpoint.billed,
                "warmup": self._in_warmup(intended),
            }
        )
        self.outcomes[outcome] += 1

    def _in_warmup(self, intended_ns: int) -> bool:
        return self._warmup_ns > 0 and intended_ns < self._warmup_ns

    def _keep_transcript(self, exchange: Exchange, verdict: Verdict) -> None:
        failing = verdict is Verdict.VIOLATES or exchange.outcome in ("failed", "transport")
        if failing and self.transcripts < MOST_TRANSCRIPTS:
            self.transcripts += 1
            call = exchange.call
            name = f"{exchange.id}-{call.contract.api}-{call.endpoint.name}.ndjson"
            text = exchange.transcript(self.session.redactor).to_bytes()
            exchange.transcript_name = self.bundle.transcript(name, text)

    def _tell_locust(self, exchange: Exchange, verdict: Verdict) -> None:
        call = exchange.call
        api, endpoint = call.contract.api, call.endpoint
        late_s = (exchange.started_ns - exchange.intended_ns) / _SECOND_NS
        reason = exchange.reason or ", ".join(sorted({each.code for each in exchange.violations}))
        failed = exchange.outcome != "ok" or verdict is Verdict.VIOLATES
        said = f"{exchange.outcome}, {verdict}: {reason}"
        self._fire(
            endpoint.method,
            f"{api} {endpoint.name}",
            (exchange.ended_ns - exchange.intended_ns) / _SECOND_NS,
            exchange.response.body_bytes,
            ExchangeFailedError(said) if failed else None,
        )
        for name, seconds in exchange.milestones.items():
            self.recent.setdefault(name, deque(maxlen=_RECENT)).append(seconds + late_s)
            if endpoint.kind == "stream":
                self._fire("SSE", f"{api} {name}", seconds + late_s, 0, None)

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
        self.environment.events.request.fire(**facts)  # type: ignore[no-untyped-call]
