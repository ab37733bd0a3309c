"""What a contract check ends with: what its exchanges say about each rule, and its bundle's end.

Nothing is sent from here; how the outcomes weigh together is in `rule_outcomes`.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from soundstage.assets.asset_checks import inconclusive
from soundstage.conformance.coverage import exercised, is_tied
from soundstage.contract import Contract
from soundstage.contract.rules import Rule
from soundstage.exchange.account.billing import cost_of
from soundstage.exchange.exchange import Exchange
from soundstage.gate.gate import ContractGate
from soundstage.gate.gate_bill import is_of_bill
from soundstage.gate.rule_outcomes import (
    Beside,
    RuleOutcome,
    not_shown,
    reason_of,
    reasons_of,
    unjudged,
    voids_of,
)
from soundstage.results.weight import Weight

#: The verdict of run.json by exit code; any other code leaves it inconclusive.
_VERDICTS = {0: "pass", 1: "fail", 70: "invalid", 2: "invalid"}


def outcome(gate: ContractGate, rule: Rule) -> RuleOutcome:
    """What all exchanges so far say about a rule."""
    shown = gate.shown()
    found = [(each.id, gate.weights.of(violation)) for each, violation in shown.found(rule)]
    concerned = shown.concerned(rule)
    known = RuleOutcome(
        rule,
        "passed",
        found=found,
        exchanges=len(concerned),
        kind=_kind(gate.contracts[rule.api], rule),
        seconds=gate.check_seconds.get(rule.id),
    )
    if is_of_bill(rule):
        return _of_bill(gate, known, [exchange for exchange, _ in concerned])
    unknown = gate.assets.unknown(rule)
    # What is only noted of a file that is not looked into has not put its rule to the test.
    noted = unknown is not None and not gate.assets.exercised(rule)
    if any(not noted or each.weight is not Weight.NOTED for _, each in found):
        known.weigh()
    elif inconclusive(unknown):
        known.outcome, known.reason = "inconclusive", unknown
    elif not gate.assets.exercised(rule) and not any(
        # A stream that we left on purpose says what it was left for.
        exercised(rule, seen) and (is_tied(rule) or unjudged(exchange) is None)
        for exchange, seen in concerned
    ):
        not_sent = gate.sender.not_sent.get((rule.api, rule.endpoint))
        if is_tied(rule):
            not_sent = gate.ties.not_sent.get((rule.api, rule.endpoint), not_sent)
        not_shown(known, [exchange for exchange, _ in concerned], not_sent)
        if known.outcome == "not_exercised" and unknown is not None:
            known.reason = unknown
    return known


def _of_bill(gate: ContractGate, known: RuleOutcome, exchanges: list[Exchange]) -> RuleOutcome:
    """What is known about a rule that only the account of an emulator shows."""
    judged, exchange = gate.bill.judge(known.rule)
    if judged.found is not None and exchange is not None:
        known.found = [(exchange, gate.weights.of(judged.found))]
        known.weigh()
    elif judged.reason is not None:
        place = known.rule.api, known.rule.endpoint
        not_shown(known, exchanges, gate.sender.not_sent.get(place))
        if known.outcome == "not_exercised":
            known.reason = f"not judged: {judged.reason}"
    return known


def _kind(contract: Contract, rule: Rule) -> str:
    """The kind of a rule's endpoint; what it is about, where that is no endpoint."""
    endpoint = contract.endpoints.get(rule.endpoint)
    return rule.endpoint if endpoint is None else endpoint.kind


def outcomes(gate: ContractGate, selected: Iterable[Rule]) -> list[RuleOutcome]:
    """What is known about the rules that were selected, and of any other that was broken."""
    found = [outcome(gate, rule) for rule in selected]
    ids = {each.rule.id for each in found}
    broken = gate.shown().broken - ids
    for contract in gate.contracts.values():
        for rule in contract.rules:
            if rule.id in broken:
                known = outcome(gate, rule)
                known.selected = False
                if known.outcome == "failed":
                    known.outcome = "outside"
                    known.reason = known.reason or "broken, but it was not selected"
                found.append(known)
    return found


def selection(
    gate: ContractGate, expression: str, rules: int, outcomes: Iterable[RuleOutcome]
) -> dict[str, Any]:
    """What run.json says of a check that was asked about some rules only: so many, by this
    expression.
    """
    return {
        "expression": expression,
        "rules": rules,
        "of": sum(1 for contract in gate.contracts.values() for _ in contract.rules),
        "outside": sum(each.outcome == "outside" for each in outcomes),
    }


def finish(
    gate: ContractGate,
    outcomes: Iterable[RuleOutcome],
    exit_code: int,
    *,
    beside: Beside | None = None,
    interrupted: bool = False,
    selection: Mapping[str, Any] | None = None,
) -> None:
    """End the bundle with what is known about each rule, and beside them. `selection`: what
    run.json says of it, if not all rules were asked for.
    """
    if gate.bundle is None:
        return
    beside = beside or Beside()
    gate.sender.keep_all()
    outcomes = list(outcomes)
    budget, transport = gate.session.budget, gate.session.transport
    exploring = gate.sender.exploring
    # Where probes are free and only the generations have a limit, they are no part of it.
    apart = exploring.limit is None and budget.limit is not None
    sources = {exchange.response.timing_source for exchange in gate.exchanges}
    reasons = reasons_of(outcomes, beside)
    for each in outcomes:
        if is_of_bill(each.rule) and each.found:
            exchange, weighed = each.found[0]
            ids = {"exchange": exchange, "api": each.rule.api, "endpoint": each.rule.endpoint}
            rows = [{**ids, **weighed.violation.to_json()}]
            gate.bundle.violations(gate.weights.violation_rows(rows, [weighed.violation]))
    gate.bundle.observed(gate.sender.observed.to_json())
    gate.bundle.finish(
        verdict=None if interrupted else _VERDICTS.get(exit_code, "inconclusive"),
        exit_code=exit_code,
        reason=reason_of(exit_code, reasons, outcomes, beside),
        rules=[outcome.to_json() for outcome in outcomes],
        voids=voids_of(exit_code, reasons, beside),
        selection=selection,
        status="interrupted" if interrupted else "complete",
        budget={
            "limit": _sum(budget.limit, exploring.limit),
            "spent": budget.spent + (0 if apart else exploring.spent),
            **cost_of(gate.bill.billing()[0]),
        },
        sending=gate.captures.facts(),
        clock={
            "source": sources.pop() if len(sources) == 1 else "mixed",
            "stepped": transport.clock_stepped(),
        },
    )


def _sum(limit: int | None, more: int | None) -> int | None:
    return limit if more is None else (limit or 0) + more
