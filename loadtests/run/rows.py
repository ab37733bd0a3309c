"""What becomes of each exchange of a load run: rows in the bundle, in Locust's statistics, and in
the counts that the verdict follows from.

Called as exchanges end; holds nothing of them but numbers.
"""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import replace
from typing import Any, Protocol

from locust.env import Environment

from soundstage.conformance.coverage import exercised
from soundstage.conformance.defects import BrokenRule, Defects, counted, headline_of
from soundstage.conformance.violations import Verdict, Violation
from soundstage.exchange.client import Call, Exchange
from soundstage.exchange.session import Session
from soundstage.gate.kept_transcripts import TranscriptChoice
from soundstage.loadtests.generator.lateness import Lateness
from soundstage.loadtests.run.locust_statistics import LocustRows
from soundstage.observed.exchanges import Sampler, observe
from soundstage.observed.facts import Observed
from soundstage.results.arrivals.held_streams import HeldStreams
from soundstage.results.listening.listened import first_sound
from soundstage.results.matrix import Matrix
from soundstage.results.row_facts import lateness
from soundstage.results.user_weights import Weights
from soundstage.results.verdicts import Scorecard

_SECOND_NS = 1_000_000_000
#: So many exchanges of an endpoint are looked at for which rules they put to the test.
LOOKED_AT = 100


class RowOutlet(Protocol):
    """Where rows go: a bundle on disk (`BundleWriter`), or a master (`shipment.Shipment`)."""

    def exchange(self, row: Mapping[str, Any]) -> None: ...
    def violations(self, rows: Iterable[Mapping[str, Any]]) -> None: ...
    def transcript(self, name: str, data: bytes) -> str: ...
    def health(self, row: Mapping[str, Any]) -> None: ...


class RowRecorder:
    """Takes exchanges as they end. `epoch_ns` is the beginning of the run (monotonic); requests
    that were due before `measured_from_ns` (since then) are warm-up. `scorecard` gets every row,
    and so does everyone in `watchers`; `on_exercised` the ids of the rules that a row was the first
    to put to the test. `weights` says what turns the run red: whoever has the last
    word on a row (the master, where there are workers) weighs it.
    """

    def __init__(
        self,
        environment: Environment,
        session: Session,
        outlet: RowOutlet,
        matrix: Matrix,
        *,
        kinds: Mapping[tuple[str, str], str] | None = None,
        warmup_s: float = 0.0,
        scorecard: Scorecard | None = None,
        weights: Weights | None = None,
    ) -> None:
        self.environment = environment
        self.session = session
        self.outlet = outlet
        self.matrix = matrix
        self._kinds = kinds or {}
        self.epoch_ns = 0
        self.outcomes: Counter[str] = Counter()
        self.timing: Counter[str] = Counter()
        self.codes: Counter[str] = Counter()
        self.violating = 0
        self.late = Lateness()
        self.measured_from_ns = int(warmup_s * _SECOND_NS)
        self.scorecard = scorecard or Scorecard(())
        self.held = HeldStreams()
        self.weights = weights or Weights()
        self.observed = Observed()
        self.on_exercised: Callable[[list[str]], None] | None = None
        self.watchers: list[Callable[[Mapping[str, Any]], None]] = []
        self._sampler = Sampler()
        self._choice = TranscriptChoice()
        #: How many had begun, and how many have been looked at, of those that are looked at.
        self._begun: Counter[tuple[str, str]] = Counter()
        self._looked: Counter[tuple[str, str]] = Counter()
        #: Looks have decided: what ends from now on is in none of them.
        self.decided = False
        self._locust = LocustRows(environment)
        #: What is wrong with each rule that was broken, and in how many exchanges.
        self._defects: dict[str, Defects] = {}
        self._broken_in: Counter[str] = Counter()

    @property
    def done(self) -> int:
        """How many exchanges ended, however they did."""
        return self.outcomes.total() - self.outcomes["dropped"]

    def sampled(self, call: Call, now_ns: int) -> Call:
        """The call that is to be made for `call`: of a few in each second the chunks are kept, so
        that their shapes are observed; and of the first ones, so that they show which rules were
        put to the test. (Of those that begin before these end there may be thousands.)
        """
        place = (call.contract.api, call.endpoint.name)
        first = self._begun[place] < LOOKED_AT
        self._begun[place] += first
        sampled = self._sampler.due(*place, now_ns)
        return replace(call, keep_chunks=True, sampled=sampled) if first or sampled else call

    def ended(
        self, exchange: Exchange, *, cut: bool, playback: Mapping[str, Any] | None = None
    ) -> None:
        """An exchange is over. `cut`: the end of the run cut it, so it is censored. `playback`:
        what players of its tracks met, if there were any.
        """
        call = exchange.call
        if cut:
            exchange.outcome = "censored"
        violations = exchange.violations
        verdict = self.weights.verdict(violations, exchange.reason)
        self._keep_transcript(exchange, verdict)
        row = exchange.row(self.epoch_ns)
        row["warmup"] = self._in_warmup(row["intended_ns"])
        if playback is not None:
            row["playback"] = exchange.hiding(self.session.redactor).document(playback)
            row["milestones"].update(first_sound(playback))
        place = (call.contract.api, call.endpoint.name)
        look = call.keep_chunks and self._looked[place] < LOOKED_AT
        self._looked[place] += look
        if call.sampled:
            self.observed.merge(observe(exchange))
        live = self.session.target.as_live
        seen = exchange.observations(live=live) if look else None
        found: list[str] = []

        def noted(rule: Any) -> bool:
            told = any(exercised(rule, each) for each in seen or ())
            if told:
                found.append(rule.id)
            return told

        self.keep(row, exchange.violation_rows(), violations, None if seen is None else noted)
        if self.on_exercised is not None:
            self.on_exercised(found)
        self._locust.add(exchange, verdict, row)

    def keep(
        self,
        row: Mapping[str, Any],
        found: Iterable[Mapping[str, Any]],
        violations: Sequence[Violation],
        exercised_by: Callable[[Any], bool] | None,
    ) -> None:
        """Weigh, write and count an exchange that ended here or on a worker: its row, and its
        `violations` with the rows that are `found` of them. Raises TargetError if they cannot be
        written.
        """
        row = self._marked(self.weights.row(row, violations))
        self.outlet.exchange(row)
        self.outlet.violations(self.weights.violation_rows(found, violations))
        self.count(row, violations, exercised_by)

    def count(
        self,
        row: Mapping[str, Any],
        violations: Sequence[Violation] = (),
        exercised_by: Callable[[Any], bool] | None = None,
    ) -> None:
        """Count a row that ended here or on a worker; see `Matrix.add` for `exercised_by`."""
        outcome = row["outcome"]
        self.outcomes[outcome] += 1
        self.scorecard.add(row)
        self.held.add(row)
        for watch in self.watchers:
            watch(row)
        if "timing" not in row:
            return  # it was never sent, or not answered
        self.timing[row["timing"]] += row["http_status"] is not None
        self.violating += bool(row.get("errors"))
        self.codes.update(row["codes"])
        self.late.add(lateness(row))
        for each in violations:
            defects = self._defects.setdefault(each.rule, Defects(each.rule))
            defects.add(each.code, each.message, each.path, each.times)
        self._broken_in.update({each.rule for each in violations})
        self.matrix.add(
            row["id"],
            row["api"],
            row["endpoint"],
            violations,
            judged=row["verdict"] != Verdict.INCONCLUSIVE.value,
            reason=row["reason"],
            exercised=exercised_by,
        )

    def found_at_the_end(self, exchange: str, api: str, endpoint: str, found: Violation) -> None:
        """What only the whole run shows to be wrong; it stands by one of its exchanges."""
        ids = {"exchange": exchange, "api": api, "endpoint": endpoint}
        rows = [{**ids, **found.to_json()}]
        self.outlet.violations(self.weights.violation_rows(rows, [found]))
        defects = self._defects.setdefault(found.rule, Defects(found.rule))
        defects.add(found.code, found.message, found.path, found.times)
        self._broken_in[found.rule] += 1
        self.matrix.note(exchange, [found])

    def broken(self) -> str:
        """What is broken, in a sentence; "" for nothing."""
        failed = (row for row in self.matrix.rows() if row["outcome"] == "failed")
        return headline_of(self._broken(row) for row in failed)

    def _broken(self, row: Mapping[str, Any]) -> BrokenRule:
        name, many = row["rule"], self._broken_in[row["rule"]]
        kind = self._kinds.get((row["api"], row["endpoint"]), row["endpoint"])
        seen = counted(many, row["exchanges"], kind)
        return BrokenRule(self._defects[name].sentence, seen, many, row["violations"])

    def not_sent(self, call: Call, outcome: str, reason: str) -> None:
        """A request that was due and never came to anything: "dropped" by the cap on exchanges in
        flight, or "censored" by the end of the run before it was answered.
        """
        intended = (call.intended_ns or self.epoch_ns) - self.epoch_ns
        row: dict[str, Any] = {
            "id": f"{self.session.client.next_id()}-{outcome}",
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
        if outcome == "censored":
            # It had lasted so long at least, from when it was due.
            row["ended"] = round((time.monotonic_ns() - self.epoch_ns - intended) / _SECOND_NS, 6)
        marked = self._marked(row)
        self.outlet.exchange(marked)
        self.count(marked)

    def _marked(self, row: Mapping[str, Any]) -> Mapping[str, Any]:
        return {**row, "after_decision": True} if self.decided else row

    def _in_warmup(self, intended_ns: int) -> bool:
        return intended_ns < self.measured_from_ns

    def _keep_transcript(self, exchange: Exchange, verdict: Verdict) -> None:
        place = f"{exchange.call.contract.api}-{exchange.call.endpoint.name}"
        if self._choice.takes(
            (place, self._in_warmup(exchange.intended_ns - self.epoch_ns)),
            exchange.outcome,
            exchange.response.status,
            exchange.reason,
            {each.code for each in exchange.violations},
            violates=verdict is Verdict.VIOLATES,
        ):
            name = f"{exchange.id}-{place}.ndjson"
            text = exchange.transcript(self.session.redactor).to_bytes()
            exchange.transcript_name = self.outlet.transcript(name, text)
