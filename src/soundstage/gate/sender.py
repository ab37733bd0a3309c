"""Sends the requests of a contract check, within its time and its purses, and keeps what came: in
the bundle as it happens, and as exchanges for what is said of the rules.
"""

from __future__ import annotations

import threading
import time
from contextlib import suppress
from datetime import date

from soundstage.assets.asset_checks import AssetChecks
from soundstage.config import Config
from soundstage.conformance.violations import Verdict
from soundstage.errors import BudgetError
from soundstage.exchange.budget import Budget
from soundstage.exchange.client import Call, Client, Exchange
from soundstage.exchange.patience import REASON, Patience, TimeUpError
from soundstage.exchange.session import Session
from soundstage.gate.kept_transcripts import MOST_KINDS_OF_A_CHECK, TranscriptChoice
from soundstage.gate.lookup import unusable
from soundstage.gate.progress import Progress
from soundstage.gate.rule_outcomes import unjudged
from soundstage.gate.server_errors import ServerErrors, check_probe, is_server_error
from soundstage.observed.exchanges import observe
from soundstage.observed.facts import Observed
from soundstage.results.bundle import BundleWriter
from soundstage.results.user_weights import Weights

_REFUSED = 400
_INTERRUPTED = "it was interrupted before this was sent"
#: Raw bytes that an exchange keeps once its transcript is written.
_REMEMBERED = 64 * 2**10
#: After so many exchanges that came to no end nothing more is provoked or explored.
MOST_TIMEOUTS = 3


def _never_began(exchange: Exchange) -> bool:
    """Whether there was not even a connection for its request."""
    response = exchange.response
    return response.times.connected_ns is None and not response.reused


def _number(name: str) -> tuple[int, str]:
    """Where an id stands: `e1000000` after `e999999`."""
    return len(name), name


class Sender:
    """Sends what a gate asks for, and remembers all of it. Safe to use from several threads."""

    def __init__(
        self,
        session: Session,
        bundle: BundleWriter | None,
        *,
        strict: bool = False,
        config: Config | None = None,
        explore_budget: int | None = None,
        today: date | None = None,
        timeout_s: float | None = None,
        timeout_option: str = "--timeout",
        progress: Progress | None = None,
    ) -> None:
        """`timeout_s`: the time for everything that is sent, None for any; see `patience`."""
        self.session = session
        self.bundle = bundle
        self.progress = progress or Progress()
        self.assets = AssetChecks(session)
        # Requests that are made up are paid from a purse of their own: an "invalid" one may be
        # accepted, and billed.
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
        self._explorer.interrupt = session.client.interrupt
        self.patience = Patience(timeout_s, self._out_of_time, option=timeout_option)
        self.progress.within(session.budget, self.exploring, self.patience)
        self.config = config or Config()
        self.weights = Weights(self.config, strict=strict, today=today)
        self.started_ns = time.monotonic_ns()
        self._exchanges: dict[str, Exchange] = {}
        #: Why something was not sent, by (api, endpoint).
        self.not_sent: dict[tuple[str, str], str] = {}
        self.observed = Observed()
        self._timeouts = 0
        self._lock = threading.Lock()
        self._server_errors = ServerErrors()
        self._choice = TranscriptChoice(MOST_KINDS_OF_A_CHECK)
        #: Exchanges whose rows wait until it is known whether a 500 comes again.
        self._held: list[Exchange] = []

    @property
    def exchanges(self) -> list[Exchange]:
        """All exchanges so far, in the order of their ids: that in which they were begun."""
        with self._lock:
            return [self._exchanges[name] for name in sorted(self._exchanges, key=_number)]

    @property
    def taken(self) -> int:
        """How many exchanges there are so far."""
        return len(self._exchanges)

    @property
    def live(self) -> bool:
        """Whether the target is the live API, as far as can be told, or treated as it is."""
        return self.session.target.as_live

    @property
    def costly(self) -> bool:
        """Whether a billable request may cost the user money: then nothing is explored, and nothing
        provoked that could be accepted, unless that is asked for.
        """
        return not self.session.budget.free

    def admit(self, call: Call) -> str:
        """Pay for a request, and give it its id. Raises BudgetError if it is not covered, or if the
        time is over.
        """
        self.patience.check()
        if call.scenario != "check" and self._timeouts >= MOST_TIMEOUTS:
            raise TimeUpError(
                f"after {MOST_TIMEOUTS} timeouts nothing more was tried out on this target"
            )
        return self._client(call).admit(call)

    def halted(self) -> bool:
        """Whether nothing more is sent: the time is over, or the user has interrupted it."""
        return self.session.client.interrupt.halted

    def send(self, call: Call, admitted: str | None = None) -> Exchange:
        """Send one request and keep its story in the bundle. `admitted`: what `admit` gave for it;
        without it, it is admitted here. Raises BudgetError if it is not covered; TimeUpError if
        nothing more is sent: what was paid for it is given back.
        """
        admitted = admitted or self.admit(call)
        with self.progress.sending(call) as watched:
            exchange = self._client(call).exchange(watched, admitted)
            if self.halted() and _never_began(exchange):
                self.withdraw(call)
                raise TimeUpError(self.patience.words if self.patience.over() else _INTERRUPTED)
            if not exchange.billed:
                self.withdraw(call)
            return self.take(exchange)

    def ask(self, call: Call, admitted: str | None = None) -> Exchange:
        """As `send`; what is answered with a 500 is asked once more where that is free: does it
        come again?
        """
        exchange = self.send(call, admitted)
        if is_server_error(exchange) and self._client(call).budget.left is None:
            with suppress(BudgetError):  # then the first answer is what is known
                exchange = self.send(call)
        return exchange

    def withdraw(self, call: Call) -> None:
        """Give back what was paid for a request that was admitted, and cost nothing."""
        if call.billable:
            self._client(call).budget.give_back()

    def _client(self, call: Call) -> Client:
        return self.session.client if call.scenario == "check" else self._explorer

    def take(self, exchange: Exchange) -> Exchange:
        """Keep an exchange, and what it shows."""
        call = exchange.call
        if call.scenario == "check":
            exchange.in_assets = self.assets.examine(exchange)
        if unjudged(exchange) is None:
            check_probe(exchange)
        self._look_at_id(exchange)
        with self._lock:
            self._timeouts += exchange.outcome == "timeout"
            self._exchanges[exchange.id] = exchange
            self.observed.merge(observe(exchange))
            for each in self._server_errors.seen(exchange):
                self._held.remove(each)
                self._keep(each)
            if is_server_error(exchange) and not exchange.found_later:
                self._held.append(exchange)
            else:
                self._keep(exchange)
        return exchange

    def halt(self) -> None:
        """End what is in flight, and start nothing more; what has come so far is kept, and its
        files are not looked at.
        """
        self._halt(None)

    def _out_of_time(self) -> None:
        self._halt(REASON)

    def _halt(self, reason: str | None) -> None:
        self.assets.halt()
        self.session.halt(reason)

    @staticmethod
    def _look_at_id(exchange: Exchange) -> None:
        call, given = exchange.call, exchange.message_id
        if given is not None and not call.expect_error and call.endpoint.kind != "status":
            wrong = unusable(call.contract, call.endpoint, given)
            if wrong is not None:
                exchange.found_later = [*exchange.found_later, wrong]

    def _keep(self, exchange: Exchange) -> None:
        """Put an exchange into the bundle, as it weighs here."""
        if self.bundle is None:
            return
        found = exchange.violations
        row = self.weights.row(exchange.row(self.started_ns), found)
        place = f"{exchange.call.contract.api}-{exchange.call.endpoint.name}"
        in_order = {exchange.verdict.value, row["verdict"]} == {Verdict.CONFORMS.value}
        # Here a refusal is often what was wanted.
        if not in_order and self._choice.takes(
            (place, False),
            exchange.outcome,
            exchange.response.status,
            exchange.reason,
            {each.code for each in found},
            violates=True,
            rules={each.rule for each in found},
        ):
            transcript = exchange.transcript(self.session.redactor).to_bytes()
            name = f"{exchange.id}-{place}.ndjson"
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
