"""What is known about each rule once a gate has seen what it could, and what follows from all of
it: the exit code.

Values in, values out; nothing is sent from here.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any

from soundstage.conformance.defects import BrokenRule, Defects, counted, headline_of
from soundstage.contract.rules import Rule
from soundstage.contract.stream_rules import AS_MADE
from soundstage.errors import BudgetError
from soundstage.exchange.exchange import Exchange
from soundstage.exchange.patience import REASON, TimeUpError
from soundstage.exit_codes import ExitCode, worst
from soundstage.results.matrix import EVIDENCE, evidence_of, rule_row
from soundstage.results.weight import Weighed, outcome_of
from soundstage.wire.outages import http_reason, is_outage, reason_in_words

#: Reasons that are the target's or the environment's, not the contract's: exit code 6.
_ENVIRONMENT = ("api.", "http.", "environment.", "budget.missing")
_REFUSED, _RATE_LIMIT = 400, 429
#: How the reasons begin for which an answer says nothing about the contract.
_NOT_THE_APIS = ("http.", "environment.", "harness.", "cap.")
#: So many sentences of one kind stand in a headline.
_MOST_SAID = 3


@dataclass(slots=True)
class RuleOutcome:
    """What is known about one rule. `outcome`: "passed", "failed", "warned", "known" (broken, and
    waived), "inconclusive", "not_exercised", or "outside" (broken, but not among the rules that
    were selected); `reason` says why where it is none of the first two, or what became of a waiver.
    `kind` is that of its endpoint, `seconds` how long its own check took, None if it had none;
    `selected`: it was asked about.
    """

    rule: Rule
    outcome: str
    reason: str | None = None
    found: list[tuple[str, Weighed]] = field(default_factory=list)
    exchanges: int = 0
    kind: str | None = None
    seconds: float | None = None
    selected: bool = True

    @property
    def broken(self) -> BrokenRule:
        """What is wrong, for a headline."""
        defects = Defects(self.rule.id)
        for _, each in self.found:
            one = each.violation
            defects.add(one.code, one.message, one.path, one.times)
        broken_in = len({exchange for exchange, _ in self.found})
        return BrokenRule(
            defects.sentence,
            counted(broken_in, self.exchanges, self.kind),
            broken_in,
            sum(each.violation.times for _, each in self.found),
        )

    def weigh(self) -> None:
        """Decide the outcome of a rule that was broken."""
        self.outcome, self.reason = outcome_of((each.weight, each.reason) for _, each in self.found)

    def to_json(self) -> dict[str, Any]:
        """The row of `rules.ndjson`."""
        return rule_row(
            self.rule,
            self.outcome,
            self.reason,
            violations=sum(each.violation.times for _, each in self.found),
            exchanges=self.exchanges,
            evidence=[evidence_of(name, each.violation) for name, each in self.found[:EVIDENCE]],
            seconds=self.seconds,
            selected=self.selected,
        )


@dataclass(slots=True)
class Beside:
    """What came of the checks that are no rule's test case. `failed`, `of_rules` (what failed as it
    saw rules broken, which tell of it themselves) and `open` (could not be told, with the reason)
    are sentences; `errors`: (exit code, sentence) of what went wrong in the harness itself, which
    is never the contract's doing.
    """

    failed: list[str] = field(default_factory=list)
    of_rules: list[str] = field(default_factory=list)
    open: list[str] = field(default_factory=list)
    errors: list[tuple[int, str]] = field(default_factory=list)


def exit_code(outcomes: Iterable[RuleOutcome], beside: Beside, *, sent: bool) -> int:
    """The exit code that follows: 2 or 70 for an error of ours, else 1, 6, 5, 4 or 0,
    the first that applies. `sent`: anything was sent at all.
    """
    outcomes = list(outcomes)
    codes: set[int] = {code for code, _ in beside.errors}
    failed = beside.failed or beside.of_rules
    if failed or any(outcome.outcome == "failed" for outcome in outcomes):
        codes.add(ExitCode.BROKEN)
    reasons = [o.reason or "" for o in outcomes if o.outcome == "inconclusive"] + beside.open
    if any(map(is_environment, reasons)):
        codes.add(ExitCode.ENVIRONMENT)
    if not sent:
        codes.add(ExitCode.NO_DATA)
    # What is broken outside of a selection makes it no pass, and is not what was asked.
    if reasons or any(o.outcome == "outside" for o in outcomes):
        codes.add(ExitCode.INCONCLUSIVE)
    return worst(codes)


def is_environment(reason: str) -> bool:
    """Whether a reason is the target's or the environment's, not the contract's."""
    return reason.startswith(_ENVIRONMENT)


def of_budget(error: BudgetError) -> str:
    """The reason for which something was not sent: nothing could ever be paid for, or what could
    is used up, or the time for it is over.
    """
    if isinstance(error, TimeUpError):
        return f"{REASON}: {error}"
    return f"budget.{'missing' if error.missing else 'spent'}: {error}"


def reasons_of(outcomes: Iterable[RuleOutcome], beside: Beside) -> list[str]:
    """Why something could not be told; what has to do with the environment first."""
    found = {each.reason or "" for each in outcomes if each.outcome == "inconclusive"}
    return sorted({*found, *beside.open}, key=lambda reason: (not is_environment(reason), reason))


def reason_of(
    exit_code: int, reasons: list[str], outcomes: list[RuleOutcome], beside: Beside
) -> str | None:
    """What the headline says beside the verdict."""
    if beside.errors:
        return "; ".join(said for _, said in beside.errors[:_MOST_SAID])
    if exit_code == ExitCode.BROKEN:
        return "; ".join(_broken(outcomes, beside)) or None
    outside = sum(each.outcome == "outside" for each in outcomes)
    if outside and exit_code in (ExitCode.PASS, ExitCode.INCONCLUSIVE):
        rules = "1 rule is" if outside == 1 else f"{outside} rules are"
        return f"{rules} broken outside of the selection"
    return reasons[0] if reasons else None


def _broken(outcomes: list[RuleOutcome], beside: Beside) -> list[str]:
    """What is broken, in sentences: of the rules that were asked about, else of those that other
    checks saw broken; and beside them.
    """
    failed = [each.broken for each in outcomes if each.outcome == "failed"]
    failed = failed or [each.broken for each in outcomes if each.outcome == "outside"]
    said = [headline_of(failed)] if failed else beside.of_rules
    return [*said[:_MOST_SAID], *beside.failed[:_MOST_SAID]]


def voids_of(exit_code: int, reasons: list[str], beside: Beside) -> list[dict[str, str]]:
    """The `voids` of run.json."""
    voids = [
        {"kind": "harness", "message": said}
        for code, said in beside.errors
        if code != ExitCode.NO_DATA
    ]
    if exit_code == ExitCode.ENVIRONMENT and reasons:
        voids.append({"kind": "target", "message": reasons[0]})
    return voids


def not_shown(outcome: RuleOutcome, exchanges: list[Exchange], not_sent: str | None) -> None:
    """Decide the outcome of a rule that none of the `exchanges` that concern it puts to the test.
    `not_sent`: why its endpoint was not asked, None if it was.
    """
    rule = outcome.rule
    if not_sent:
        outcome.outcome, outcome.reason = "inconclusive", not_sent
        return
    reasons = [exchange.reason for exchange in exchanges if exchange.reason]
    if reasons and len(reasons) == len(exchanges):
        outcome.outcome, outcome.reason = "inconclusive", explained(exchanges[0])
        return
    outcome.outcome = "not_exercised"
    outcome.reason = "nothing that was sent or seen could have broken it"
    if rule.id.endswith(f"/{AS_MADE}"):
        untold = (each.judge.arrived.reason for each in exchanges)
        if (why := next(filter(None, untold), None)) is not None:
            outcome.reason = f"not judged: {why}"
    if rule.endpoint in ("error", "request") and not exchanges:
        outcome.reason = "not provoked on this target: it may cost money, or cannot be asked for"


def unjudged(exchange: Exchange) -> str | None:
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


def explained(exchange: Exchange) -> str:
    reason = reason_in_words(exchange.reason or "")
    if (failed := exchange.failed) is not None:
        return f"{reason}: {failed}"
    if reason == REASON:
        return f"{reason}: it was cut, as the time for the whole check was over"
    if (end := exchange.end) is not None and end.message and reason.startswith("environment"):
        return f"{reason}: {end.message}"
    if exchange.response.status not in (None, 200) and not reason.startswith("http."):
        return f"{reason}: the answer was {exchange.response.status}"
    return reason
