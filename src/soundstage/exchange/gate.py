"""A contract gate: captures each endpoint once, and answers for every rule from what was seen.

One generation per version and endpoint serves all rules, so that a live gate costs four. What
was sent and seen goes into the run bundle as it happens.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Iterable
from dataclasses import replace
from datetime import date
from random import Random
from threading import Thread
from typing import Any

from soundstage.config import Config, Waiver
from soundstage.conformance.answers import media_type
from soundstage.conformance.coverage import exercised
from soundstage.conformance.fields import FieldCheck
from soundstage.conformance.observed import Observed
from soundstage.conformance.violations import Verdict
from soundstage.contract import Contract
from soundstage.contract.assets import duration_of
from soundstage.contract.protocol import DocumentedError, Endpoint
from soundstage.contract.rules import Rule
from soundstage.errors import BudgetError
from soundstage.exchange.assets import AssetChecks, inconclusive
from soundstage.exchange.budget import Budget
from soundstage.exchange.client import Call, Client, Exchange
from soundstage.exchange.observing import observe
from soundstage.exchange.outcomes import RuleOutcome, Weights, exit_code, not_shown
from soundstage.exchange.requests import request_body
from soundstage.exchange.session import Session
from soundstage.exchange.target import find
from soundstage.results.bundle import BundleWriter
from soundstage.wire import jsontext

#: Asks our emulator for an error; any other target ignores it.
ERROR_HEADER = "Soundstage-Error"
_VERDICTS = {0: "pass", 1: "fail"}
#: An exchange that is cut gets so long to say so, in seconds.
_CUT_S = 2.0


class Gate:
    """The exchanges of one contract check with one target."""

    def __init__(
        self,
        session: Session,
        contracts: Iterable[Contract],
        bundle: BundleWriter | None,
        *,
        seed: int = 0,
        strict: bool = False,
        at_once: int = 4,
        config: Config | None = None,
        explore_budget: int | None = None,
        today: date | None = None,
    ) -> None:
        self.session = session
        self.contracts = {contract.api: contract for contract in contracts}
        self.bundle = bundle
        self.config = config or Config()
        # Requests that are made up are paid from a purse of their own: an "invalid" one may be
        # accepted, and billed.
        self.assets = AssetChecks(session)
        self.exploring = Budget(explore_budget, free=session.budget.free)
        self._explorer = Client(
            session.target,
            session.transport,
            self.exploring,
            caps=session.client.caps,
            keep_chunks=True,
            ids=session.client.next_id,
        )
        # Waivers hold by the user's calendar.
        self._weights = Weights(self.config, strict=strict, today=today or date.today())
        self.started_ns = time.monotonic_ns()
        self.exchanges: list[Exchange] = []
        self.not_sent: dict[tuple[str, str], str] = {}
        self.observed = Observed()
        self._at_once = at_once
        self._cut = False
        self._seed = seed
        self._lock = threading.Lock()
        self._captured: dict[tuple[str, str], Exchange | None] = {}
        self._provoked: dict[tuple[str, str], list[Exchange]] = {}

    @property
    def live(self) -> bool:
        """Whether the target is the live API, as far as can be told."""
        return self.session.target.kind == "live"

    # ------------------------------------------------------------------ what is sent

    def send(self, call: Call) -> Exchange:
        """Send one request and keep its story in the bundle. Raises BudgetError if not covered."""
        client = self.session.client if call.scenario == "check" else self._explorer
        exchange = client.exchange(call)
        if call.scenario == "check" and not self._cut:
            exchange.in_assets = self.assets.examine(exchange)
        with self._lock:
            self.exchanges.append(exchange)
            self.observed.merge(observe(exchange))
            if self.bundle is not None:
                if exchange.verdict is not Verdict.CONFORMS:
                    transcript = exchange.transcript(self.session.redactor).to_bytes()
                    name = f"{exchange.id}-{call.contract.api}-{call.endpoint.name}.ndjson"
                    exchange.transcript_name = self.bundle.transcript(name, transcript)
                self.bundle.exchange(exchange.row(self.started_ns))
                self.bundle.violations(exchange.violation_rows())
        return exchange

    def capture_all(self, wanted: Iterable[tuple[str, str]]) -> None:
        """Capture several (api, endpoint) at once, as a generation may take minutes."""
        todo = [pair for pair in dict.fromkeys(wanted) if pair not in self._captured]
        # What looks a generation up needs one first.
        first = [pair for pair in todo if self._endpoint(pair).kind != "status"]
        failed: list[BaseException] = []

        def capture(pair: tuple[str, str]) -> None:
            try:
                self.captured(*pair)
            except BaseException as error:  # noqa: BLE001 - given to the caller below
                failed.append(error)

        # Daemons, so that Ctrl-C need not wait for songs that take minutes.
        threads = [Thread(target=capture, args=(pair,), daemon=True) for pair in first]
        try:
            for number, thread in enumerate(threads):
                if number >= self._at_once:
                    threads[number - self._at_once].join()
                thread.start()
            for thread in threads:
                thread.join()
        except KeyboardInterrupt:
            # What has come so far was paid for: it is judged, and stands in the report.
            self._cut = True
            self.session.cut()
            deadline = time.monotonic() + _CUT_S
            for thread in threads:
                if thread.ident is not None:
                    thread.join(max(0.0, deadline - time.monotonic()))
            raise
        if failed:
            raise failed[0]
        for pair in todo:
            self.captured(*pair)

    def captured(self, api: str, endpoint: str) -> Exchange | None:
        """The one exchange with an endpoint; sent when first asked for. None if it could not be
        sent, with the reason in `not_sent`.
        """
        pair = (api, endpoint)
        if pair not in self._captured:
            try:
                self._captured[pair] = self._capture(self.contracts[api], self._endpoint(pair))
            except BudgetError as error:
                self._captured[pair] = None
                self.not_sent[pair] = f"budget: {error}"
        return self._captured[pair]

    def _endpoint(self, pair: tuple[str, str]) -> Endpoint:
        return self.contracts[pair[0]].endpoints[pair[1]]

    def _capture(self, contract: Contract, endpoint: Endpoint) -> Exchange | None:
        if endpoint.kind == "status":
            stream = contract.endpoint_of_kind("stream")
            made = self.captured(contract.api, stream.name) if stream is not None else None
            if made is None or made.message_id is None:
                reason = "no generation to look up: none was given an id"
                self.not_sent[(contract.api, endpoint.name)] = reason
                return None
            name = endpoint.path[endpoint.path.index("{") : endpoint.path.index("}") + 1]
            path = endpoint.path.replace(name, made.message_id)
            return self.send(Call(contract, endpoint, path=path))
        body = self.valid_body(contract, endpoint)
        if endpoint.kind == "sync" and (asked := duration_of(endpoint.request)) is not None:
            # Streams get the documented default, results another length: both must be kept to.
            name, schema = asked
            if isinstance(default := schema.get("default"), int):
                body.setdefault(name, max(1, default * 2 // 3))
        return self.send(Call(contract, endpoint, body))

    def valid_body(self, contract: Contract, endpoint: Endpoint) -> dict[str, Any]:
        """A request that the contract allows; the same for the same seed."""
        rng = Random(f"{self._seed}/{contract.api}/{endpoint.name}")
        return request_body(contract, endpoint, rng)

    def provoked(self, contract: Contract, error: DocumentedError) -> list[Exchange]:
        """Answers to requests that should give a documented error; empty where it cannot be
        provoked. Our emulator is asked for it by a header; elsewhere only a missing key costs
        nothing, so nothing else is tried.
        """
        key = (contract.api, error.name)
        if key not in self._provoked:
            sent = []
            for endpoint in contract.endpoints.values():
                if endpoint.request is None:
                    continue
                body = self.valid_body(contract, endpoint)
                call = Call(contract, endpoint, body, scenario="errors", expect_error=True)
                if self.session.target.kind == "emulator":
                    header = ((ERROR_HEADER, error.name),)
                    sent.append(self.send(replace(call, headers=header)))
                elif error.status == 401:
                    sent.append(self.send(replace(call, key=None)))
            self._provoked[key] = sent
        return self._provoked[key]

    def refused(
        self, contract: Contract, endpoint: Endpoint, body: Any, rule: str, **changes: Any
    ) -> None:
        """Send a request that breaks `rule` (without the API's name) and should be refused; each
        once. Where the budget does not cover it, it is not sent.
        """
        key = (contract.api, f"{endpoint.name} {rule} {body!r} {changes!r}")
        if key in self._provoked:
            return
        call = Call(
            contract,
            endpoint,
            body,
            scenario="refusals",
            expect_error=True,
            broken_rule=rule,
            **changes,
        )
        try:
            self._provoked[key] = [self.send(call)]
        except BudgetError as error:
            self.not_sent[(contract.api, "request")] = f"budget: {error}"

    def probe(self, contract: Contract, endpoint: Endpoint, **changes: Any) -> Exchange:
        """Send a valid request but for `changes` (fields of `Call`), which should be refused."""
        body = self.valid_body(contract, endpoint)
        call = Call(contract, endpoint, body, scenario="refusals", expect_error=True)
        return self.send(replace(call, **changes))

    def explored(
        self,
        contract: Contract,
        endpoint: Endpoint,
        body: Any,
        *,
        method: str | None = None,
        content_type: str = "application/json",
    ) -> Exchange | None:
        """Send a request that was made up. Whether it is valid the contract's data says, not
        whoever made it; an invalid one should be refused. None where no budget covers it.
        """
        broken = self._broken_rule(contract, endpoint, body)
        if media_type(content_type) != "application/json":
            broken = "request/body"
        other_method = method is not None and method.upper() != endpoint.method
        call = Call(
            contract,
            endpoint,
            body,
            scenario="explored",
            method=method,
            content_type=content_type,
            expect_error=broken is not None or other_method,
            broken_rule=None if other_method else broken,
        )
        try:
            return self.send(call)
        except BudgetError as error:
            self.not_sent[(contract.api, "request")] = f"budget: {error}"
            return None

    @staticmethod
    def _broken_rule(contract: Contract, endpoint: Endpoint, body: Any) -> str | None:
        parsed = jsontext.parse(body) if isinstance(body, bytes) else None
        value = parsed.value if parsed is not None else body
        if not isinstance(value, dict) or (parsed is not None and parsed.problems):
            return "request/body"
        check = FieldCheck(contract.rules, "request", "", endpoint.request or {}, None)
        found = sorted(check.violations(value, None), key=lambda each: each.severity)
        return found[0].rule.removeprefix(f"{contract.api}/") if found else None

    def charges(self) -> int | None:
        """How many generations an emulator has charged for; None where nobody says."""
        if self.live or "charges" not in self.session.target.about:
            return None
        about = find(self.session.target.url, self.session.transport).about
        return int(about["charges"])

    # ------------------------------------------------------------------ what is known

    def outcome(self, rule: Rule) -> RuleOutcome:
        """What all exchanges so far say about a rule."""
        contract = self.contracts[rule.api]
        concerned = []
        found = []
        for exchange in self.exchanges:
            seen = exchange.observation(live=self.live)
            if exchange.call.contract is contract:
                found += [
                    (exchange.id, self.config.reweighed(violation))
                    for violation in exchange.violations
                    if violation.rule == rule.id
                ]
            if seen.concerns(rule):
                concerned.append((exchange, seen))
        outcome = RuleOutcome(rule, "passed", found=found, exchanges=len(concerned))
        if found:
            self._weights.weigh(outcome)
        elif inconclusive(unknown := self.assets.unknown(rule)):
            outcome.outcome, outcome.reason = "inconclusive", unknown
        elif not self.assets.exercised(rule) and not any(
            exercised(rule, seen) for _, seen in concerned
        ):
            not_sent = self.not_sent.get((rule.api, rule.endpoint))
            not_shown(outcome, [exchange for exchange, _ in concerned], not_sent)
            if outcome.outcome == "not_exercised" and unknown is not None:
                outcome.reason = unknown
        return outcome

    def finish(
        self,
        outcomes: Iterable[RuleOutcome],
        exit_code: int,
        *,
        reason: str | None = None,
        interrupted: bool = False,
    ) -> None:
        """End the bundle with what is known about each rule. `reason` says what else there is to
        say about the exit code.
        """
        if self.bundle is None:
            return
        outcomes = list(outcomes)
        budget, transport = self.session.budget, self.session.transport
        exploring = self.exploring
        # Where probes are free and only the generations have a limit, they are no part of it.
        apart = exploring.limit is None and budget.limit is not None
        sources = {exchange.response.timing_source for exchange in self.exchanges}
        reasons = sorted({o.reason or "" for o in outcomes if o.outcome == "inconclusive"})
        hidden = exit_code == 6
        self.bundle.observed(self.observed.to_json())
        self.bundle.finish(
            verdict=None if interrupted else _VERDICTS.get(exit_code, "inconclusive"),
            exit_code=exit_code,
            reason=reason or (reasons[0] if reasons else None),
            rules=[outcome.to_json() for outcome in outcomes],
            voids=[{"kind": "target", "message": reasons[0]}] if hidden and reasons else [],
            status="interrupted" if interrupted else "complete",
            budget={
                "limit": _sum(budget.limit, exploring.limit),
                "spent": budget.spent + (0 if apart else exploring.spent),
            },
            clock={
                "source": sources.pop() if len(sources) == 1 else "mixed",
                "stepped": transport.clock_stepped(),
            },
        )

    def exit_code(self, outcomes: Iterable[RuleOutcome]) -> int:
        """The exit code that follows (design 12)."""
        return exit_code(outcomes, sent=bool(self.exchanges))

    def unused_waivers(self) -> list[Waiver]:
        """Waivers that spoke of nothing that was found; known only when all outcomes are."""
        return self._weights.unused()


def _sum(limit: int | None, more: int | None) -> int | None:
    return limit if more is None else (limit or 0) + more
