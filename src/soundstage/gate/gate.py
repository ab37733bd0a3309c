"""A contract gate: captures each endpoint once, provokes errors and explores, all within a budget.

One generation per version and endpoint serves all rules, so that a live gate costs four. What
was sent and seen goes into the run bundle as it happens; what it says of the rules is in
`conclusion`.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Iterable
from dataclasses import replace
from datetime import date
from threading import Thread
from typing import Any

from soundstage.assets.asset_checks import AssetChecks
from soundstage.config import Config, Waiver
from soundstage.conformance.coverage import is_tied
from soundstage.conformance.fields import FieldCheck
from soundstage.conformance.violations import Verdict, Violation
from soundstage.contract import Contract
from soundstage.contract.asset_fields import duration_of
from soundstage.contract.protocol import DocumentedError, Endpoint
from soundstage.contract.rule_book import Rule
from soundstage.errors import BudgetError, TargetError
from soundstage.exchange.budget import Budget
from soundstage.exchange.client import Call, Client, Exchange
from soundstage.exchange.filled_paths import UnusableError, filled, names_in
from soundstage.exchange.given_by import given_by
from soundstage.exchange.patience import REASON, Patience, TimeUpError
from soundstage.exchange.requests import endpoint_of, own_values, sent_body, valid_body
from soundstage.exchange.session import Session
from soundstage.exchange.target import find
from soundstage.exchange.ties import ask_alone, leave_and_ask, leaves_of, tied_endpoints
from soundstage.gate.lookup import unusable
from soundstage.gate.progress import Progress
from soundstage.gate.rule_outcomes import explained, of_budget
from soundstage.gate.server_errors import ServerErrors, check_probe, is_server_error
from soundstage.observed.exchanges import observe
from soundstage.observed.facts import Observed
from soundstage.results.bundle import BundleWriter
from soundstage.results.user_weights import Weights
from soundstage.untrusted import json_text
from soundstage.wire.media_type import media_type
from soundstage.wire.outages import http_reason, is_outage, reason_in_words

#: Asks our emulator for an error; any other target ignores it.
ERROR_HEADER = "Soundstage-Error"
_REFUSED, _RATE_LIMIT = 400, 429
#: How the reasons begin for which an answer says nothing about the contract.
_NOT_THE_APIS = ("http.", "environment.", "harness.", "cap.")
#: An exchange that is cut gets so long to say so, in seconds.
_CUT_S = 2.0
#: Raw bytes that an exchange keeps once its transcript is written.
_REMEMBERED = 64 * 2**10
#: After so many exchanges that came to no end nothing more is provoked or explored.
MOST_TIMEOUTS = 3


class ContractGate:
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
        timeout_s: float | None = None,
        timeout_option: str = "--timeout",
        progress: Progress | None = None,
    ) -> None:
        """`timeout_s`: the time for everything that is sent, None for any; see `patience`."""
        self.session = session
        self.progress = progress or Progress()
        self.contracts = {contract.api: contract for contract in contracts}
        self.bundle = bundle
        self.config = config or Config()
        # Requests that are made up are paid from a purse of their own: an "invalid" one may be
        # accepted, and billed.
        self.assets = AssetChecks(session)
        self.exploring = Budget(explore_budget, free=session.budget.free, option="--explore-budget")
        self._explorer = Client(
            session.target,
            session.transport,
            self.exploring,
            caps=session.client.caps,
            keep_chunks=True,
            ids=session.client.next_id,
            redactor=session.redactor,
            room=session.client.room,
        )
        self.patience = Patience(timeout_s, self._out_of_time, option=timeout_option)
        self.weights = Weights(self.config, strict=strict, today=today)
        self.started_ns = time.monotonic_ns()
        self.exchanges: list[Exchange] = []
        self.not_sent: dict[tuple[str, str], str] = {}
        #: By rule, how long its own check took, with the requests that it sent.
        self.check_seconds: dict[str, float] = {}
        self.observed = Observed()
        self._at_once = at_once
        self._cut = False
        self._timeouts = 0
        self._seed = seed
        self._lock = threading.Lock()
        self._captured: dict[tuple[str, str], Exchange | None] = {}
        self._provoked: dict[tuple[str, str], list[Exchange]] = {}
        self._server_errors = ServerErrors()
        #: Exchanges whose rows wait until it is known whether a 500 comes again.
        self._held: list[Exchange] = []
        self._tied: set[str] = set()
        #: Why an endpoint was not held against the one that knows its generations.
        self.ties_not_sent: dict[tuple[str, str], str] = {}

    @property
    def live(self) -> bool:
        """Whether the target is the live API, as far as can be told."""
        return self.session.target.kind == "live"

    @property
    def costly(self) -> bool:
        """Whether a billable request may cost the user money: then nothing is explored, and nothing
        provoked that could be accepted, unless that is asked for.
        """
        return not self.session.budget.free

    # ------------------------------------------------------------------ what is sent

    def send(self, call: Call) -> Exchange:
        """Send one request and keep its story in the bundle. Raises BudgetError if not covered, or
        if the time is over.
        """
        self.patience.check()
        if call.scenario != "check" and self._timeouts >= MOST_TIMEOUTS:
            raise TimeUpError(
                f"after {MOST_TIMEOUTS} timeouts nothing more was tried out on this target"
            )
        client = self.session.client if call.scenario == "check" else self._explorer
        return self._take(client.exchange(call))

    def _take(self, exchange: Exchange) -> Exchange:
        """Keep an exchange, and what it shows."""
        call = exchange.call
        if call.scenario == "check" and not self._cut:
            exchange.in_assets = self.assets.examine(exchange)
        if self.unjudged(exchange) is None:
            check_probe(exchange)
        self._look_at_id(exchange)
        with self._lock:
            self._timeouts += exchange.outcome == "timeout"
            self.exchanges.append(exchange)
            self.observed.merge(observe(exchange))
            for each in self._server_errors.seen(exchange):
                self._held.remove(each)
                self._keep(each)
            if is_server_error(exchange) and not exchange.found_later:
                self._held.append(exchange)
            else:
                self._keep(exchange)
        return exchange

    def _out_of_time(self) -> None:
        """End what is in flight, and start nothing more."""
        self.session.client.cut_reason = self._explorer.cut_reason = REASON
        self._cut = True
        self.assets.cut()
        self.session.cut()

    @staticmethod
    def _look_at_id(exchange: Exchange) -> None:
        call, given = exchange.call, exchange.message_id
        if given is not None and not call.expect_error and call.endpoint.kind != "status":
            wrong = unusable(call.contract, call.endpoint, given)
            exchange.found_later += [] if wrong is None else [wrong]

    def _keep(self, exchange: Exchange) -> None:
        """Put an exchange into the bundle, as it weighs here."""
        if self.bundle is None:
            return
        found = exchange.violations
        row = self.weights.row(exchange.row(self.started_ns), found)
        verdicts = {exchange.verdict.value, row["verdict"]}
        if verdicts != {Verdict.CONFORMS.value}:
            transcript = exchange.transcript(self.session.redactor).to_bytes()
            name = (
                f"{exchange.id}-{exchange.call.contract.api}-{exchange.call.endpoint.name}.ndjson"
            )
            row["transcript"] = exchange.transcript_name = self.bundle.transcript(name, transcript)
        row.pop("errors", None)  # a figure of load
        self.bundle.exchange(row)
        self.bundle.violations(self.weights.violation_rows(exchange.violation_rows(), found))
        answered = exchange.response.status is not None and exchange.response.status < _REFUSED
        if answered and exchange.tape.kept_bytes > _REMEMBERED:
            # All exchanges are remembered to the end; what they were judged by is not needed again.
            exchange.tape.drop()

    def keep_all(self) -> None:
        """Put exchanges into the bundle that still wait for whether a 500 comes again."""
        with self._lock:
            while self._held:
                self._keep(self._held.pop(0))

    def capture_all(self, wanted: Iterable[tuple[str, str]]) -> None:
        """Capture several (api, endpoint) at once, as a generation may take minutes."""
        todo = [pair for pair in dict.fromkeys(wanted) if pair not in self._captured]
        # What looks a generation up needs one first.
        first = [pair for pair in todo if not names_in(self._endpoint(pair))]
        failed: list[BaseException] = []
        # Threads are not joined: once Ctrl-C has interrupted that, Python takes them for ended.
        ended = {pair: threading.Event() for pair in first}

        def capture(pair: tuple[str, str]) -> None:
            try:
                self.captured(*pair)
            except BaseException as error:  # noqa: BLE001 - given to the caller below
                failed.append(error)
            finally:
                ended[pair].set()

        begun: list[tuple[str, str]] = []
        try:
            for number, pair in enumerate(first):
                if number >= self._at_once:
                    ended[first[number - self._at_once]].wait()
                # Daemons, so that Ctrl-C need not wait for songs that take minutes.
                Thread(target=capture, args=(pair,), daemon=True).start()
                begun.append(pair)
            for pair in first:
                ended[pair].wait()
        except KeyboardInterrupt:
            # What has come so far was paid for: it is judged, and stands in the report.
            self._cut = True
            self.session.cut()
            deadline = time.monotonic() + _CUT_S
            for pair in begun:
                ended[pair].wait(max(0.0, deadline - time.monotonic()))
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
                self.not_sent[pair] = of_budget(error)
        return self._captured[pair]

    def _endpoint(self, pair: tuple[str, str]) -> Endpoint:
        return self.contracts[pair[0]].endpoints[pair[1]]

    def _capture(self, contract: Contract, endpoint: Endpoint) -> Exchange | None:
        values = self._filled_in(contract, endpoint)
        if values is None:
            return None
        path = None
        if values:
            try:
                path = filled(endpoint, values)
            except UnusableError as error:
                reason = f"no generation to look up: its id cannot stand in a URL: {error}"
                self.not_sent[(contract.api, endpoint.name)] = reason
                return None
        if endpoint.kind == "status":
            return self.send(Call(contract, endpoint, path=path))
        body = self.valid_body(contract, endpoint)
        if endpoint.kind == "sync" and (asked := duration_of(endpoint.request)) is not None:
            # Streams get the documented default, results another length: both must be kept to.
            name, schema = asked
            if isinstance(default := schema.get("default"), int):
                body.setdefault(name, max(1, default * 2 // 3))
        call = Call(contract, endpoint, sent_body(endpoint, body), path=path, confirm=1)
        exchange = self.send(call)
        if is_server_error(exchange) and self.session.budget.left is None:
            # Asking is free: does it come again?
            exchange = self.send(call)
        return exchange

    def _filled_in(self, contract: Contract, endpoint: Endpoint) -> dict[str, str] | None:
        """What an endpoint's path and query are filled in with: values of its own, and those that
        an exchange with another endpoint gave. None, with the reason in `not_sent`, where none has.
        """
        names = names_in(endpoint)
        own = own_values(contract, endpoint, self._seed)
        if not names - own.keys():
            return own
        for other in contract.endpoints.values():
            ours = {each.name for each in other.gives} >= names - own.keys()
            if other is endpoint or not (ours or (other.kind == "stream" and not other.gives)):
                continue
            made = self.captured(contract.api, other.name)
            given = {} if made is None else given_by(made)
            if names - own.keys() <= given.keys():
                return {**own, **given}
            if made is not None and made.message_id is not None and len(names) == 1:
                return dict.fromkeys(names, made.message_id)
        reason = "no generation to look up: none was given an id"
        self.not_sent[(contract.api, endpoint.name)] = reason
        return None

    def valid_body(self, contract: Contract, endpoint: Endpoint) -> dict[str, Any]:
        """A request that the contract allows; the same for the same seed."""
        return valid_body(contract, endpoint, self._seed)

    def valid_bodies(self, contract: Contract) -> dict[str, dict[str, Any]]:
        """A valid body for each endpoint that takes one, by its name."""
        return {
            each.name: self.valid_body(contract, each)
            for each in contract.endpoints.values()
            if each.request is not None
        }

    def provoked(self, contract: Contract, error: DocumentedError) -> list[Exchange]:
        """Answers to requests that should give a documented error; empty where it cannot be
        provoked. Our emulator is asked for it by a header; elsewhere only a missing key costs
        nothing, so nothing else is tried.
        """
        key = (contract.api, error.name)
        if key not in self._provoked:
            sent: list[Exchange] = []
            try:
                self._provoke(contract, error, sent)
            except TimeUpError as over:
                self.not_sent[(contract.api, "error")] = of_budget(over)
            self._provoked[key] = sent
        return self._provoked[key]

    def _provoke(self, contract: Contract, error: DocumentedError, sent: list[Exchange]) -> None:
        for endpoint in contract.endpoints.values():
            if endpoint.request is None:
                continue
            body = self.valid_body(contract, endpoint)
            call = Call(
                contract,
                endpoint,
                sent_body(endpoint, body),
                scenario="errors",
                path=self._any_path(contract, endpoint),
                expect_error=True,
            )
            if self.session.target.kind == "emulator" and not self.costly:
                header = ((ERROR_HEADER, error.name),)
                sent.append(self.send(replace(call, headers=header)))
            elif error.status == 401:
                sent.append(self.send(replace(call, key=None)))

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
            self.not_sent[(contract.api, "request")] = of_budget(error)

    def probe(self, contract: Contract, endpoint: Endpoint, **changes: Any) -> Exchange:
        """Send a valid request but for `changes` (fields of `Call`), which should be refused."""
        body = self.valid_body(contract, endpoint)
        call = Call(
            contract,
            endpoint,
            body,
            scenario="refusals",
            path=self._any_path(contract, endpoint),
            expect_error=True,
        )
        return self.send(replace(call, **changes))

    def _any_path(self, contract: Contract, endpoint: Endpoint) -> str | None:
        """The path of an endpoint for a request that is to be refused, whatever is filled in."""
        names = names_in(endpoint)
        if not names:
            return None
        own = own_values(contract, endpoint, self._seed)
        return filled(endpoint, {**dict.fromkeys(names, "none"), **own})

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
        endpoint = endpoint_of(contract, endpoint, body)
        broken = self._broken_rule(contract, endpoint, body)
        if media_type(content_type) != "application/json":
            broken = broken or "request/media_type"
        other_method = method is not None and method.upper() != endpoint.method
        call = Call(
            contract,
            endpoint,
            body,
            scenario="explored",
            method=method,
            content_type=content_type,
            follow=False,
            expect_error=broken is not None or other_method,
            broken_rule=None if other_method else broken,
        )
        try:
            exchange = self.send(call)
        except BudgetError as error:
            self.not_sent[(contract.api, "request")] = of_budget(error)
            return None
        if is_server_error(exchange) and self.exploring.left is None:
            exchange = self.send(call)
        return exchange

    @staticmethod
    def _broken_rule(contract: Contract, endpoint: Endpoint, body: Any) -> str | None:
        parsed = json_text.parse(body) if isinstance(body, bytes) else None
        value = parsed.value if parsed is not None else body
        if not isinstance(value, dict) or (parsed is not None and parsed.problems):
            return "request/body"
        prefix = contract.rules.requests.get(endpoint.name, "")
        check = FieldCheck(contract.rules, "request", prefix, endpoint.request or {}, None)
        found = sorted(check.violations(value, None), key=lambda each: each.severity)
        return found[0].rule.removeprefix(f"{contract.api}/") if found else None

    def tie_all(self, rules: Iterable[Rule]) -> None:
        """Put to the test what rules say of two endpoints and one generation, where any does."""
        for api in dict.fromkeys(rule.api for rule in rules if is_tied(rule)):
            self.tie(self.contracts[api])

    def tie(self, contract: Contract) -> None:
        """Put to the test what the endpoints of a contract say of one generation: leave its streams
        after each stage, and ask for what became of them. Once; where it may cost money, each
        stream is left but once, and only within the budget.
        """
        if contract.api in self._tied:
            return
        self._tied.add(contract.api)
        for endpoint in tied_endpoints(contract):
            own = own_values(contract, endpoint, self._seed)
            call = Call(
                contract,
                endpoint,
                sent_body(endpoint, self.valid_body(contract, endpoint)),
                path=filled(endpoint, own) if own else None,
                confirm=1,
                scenario="ties",
            )
            leaves = list(leaves_of(endpoint))
            if self.costly:
                leaves = leaves[-1:] if len(leaves) < 2 else leaves[1:2]
            try:
                for leave in leaves:
                    self.patience.check()
                    self._take(leave_and_ask(self.session.client, call, leave, self.charges))
                if endpoint.kind == "job" and not self.costly:
                    self._take(ask_alone(self.session.client, call, self.charges))
            except BudgetError as error:
                self.ties_not_sent[contract.api, endpoint.name] = of_budget(error)

    def charges(self) -> int | None:
        """How many generations an emulator has charged for; None where nobody says, or where
        asking for it may cost money.
        """
        if self.live or self.costly or "charges" not in self.session.target.about:
            return None
        if self.patience.over():
            return None
        try:
            charges = find(self.session.target.url, self.session.transport).about.get("charges")
        except TargetError:
            if self.patience.over():
                return None
            raise
        return None if charges is None else int(charges)

    # ------------------------------------------------------------------ what is known

    def failing(self, exchange: Exchange) -> list[Violation]:
        """What turns the run red in an exchange, by severities and waivers."""
        return self.weights.failing(exchange.violations)

    def unjudged(self, exchange: Exchange) -> str | None:
        """Why an answer says nothing about the contract: an outage, a rate limit, none at all, or
        bounds of ours; None if it is the API's word.
        """
        response, reason = exchange.response, exchange.reason or ""
        if reason.startswith(_NOT_THE_APIS) and reason != "http.500":
            return explained(exchange)
        if response.status is None:
            return reason or "environment.no_answer"
        if response.status < _REFUSED:
            return None
        body = b"".join(raw for _, raw, _ in exchange.pieces)
        if response.status == _RATE_LIMIT or is_outage(
            response.status, response.header("content-type"), body
        ):
            return reason_in_words(http_reason(response.status))
        return None

    def unused_waivers(self) -> list[Waiver]:
        """Waivers that spoke of nothing that was found; known only when all outcomes are."""
        return self.weights.unused()
