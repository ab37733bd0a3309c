"""The contract matrix of a run: what all its exchanges together say about each rule.

Counts as exchanges come and keeps nothing of them but a little evidence, so that it stays small
however long the run is. Rules are anything with the attributes of `Ruled`.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Callable, Iterable
from typing import Any, Protocol

from soundstage.conformance.violations import Violation
from soundstage.results.weight import SeverityWeights, Weighing, Weight, outcome_of

#: Violations of a rule that its row shows.
EVIDENCE = 3


class Ruled(Protocol):
    """What is asked of a rule here."""

    @property
    def id(self) -> str: ...
    @property
    def api(self) -> str: ...
    @property
    def endpoint(self) -> str: ...
    @property
    def basis(self) -> str: ...
    @property
    def severity(self) -> str: ...
    @property
    def source(self) -> str: ...
    @property
    def text(self) -> str: ...


def evidence_of(exchange: str, violation: Violation) -> dict[str, Any]:
    """A violation as the row of its rule shows it; `exchange`: the id of the one that broke it."""
    compared = violation.compared
    return {
        "exchange": exchange,
        "chunk": violation.chunk,
        "path": violation.path,
        "message": violation.message,
        **({} if compared is None else compared._asdict()),
    }


def rule_row(
    rule: Ruled,
    outcome: str,
    reason: str | None,
    *,
    violations: int,
    exchanges: int,
    evidence: list[dict[str, Any]],
    seconds: float | None = None,
    selected: bool = True,
) -> dict[str, Any]:
    """The row of `rules.ndjson` (run.schema.json, `rule`). `seconds`: how long its own check took,
    None where it had none; `selected`: it was asked about.
    """
    return {
        "rule": rule.id,
        "api": rule.api,
        "endpoint": rule.endpoint,
        "outcome": outcome,
        "reason": reason,
        "severity": rule.severity,
        "basis": rule.basis,
        "source": rule.source,
        "text": rule.text,
        "violations": violations,
        "exchanges": exchanges,
        "evidence": evidence,
        "seconds": seconds,
        **({} if selected else {"selected": False}),
    }


class Matrix:
    """Counts violations and exchanges by rule. `weights` says what a violation does to its rule;
    `strict`, where nobody else does: warnings fail a rule, too.
    """

    def __init__(
        self, rules: Iterable[Ruled], *, weights: Weighing | None = None, strict: bool = False
    ) -> None:
        self._rules = {rule.id: rule for rule in rules}
        self._weights = weights or SeverityWeights(strict=strict)
        self._exchanges: Counter[tuple[str, str]] = Counter()
        self._judged: Counter[tuple[str, str]] = Counter()
        self._reasons: defaultdict[tuple[str, str], Counter[str]] = defaultdict(Counter)
        self._violations: Counter[str] = Counter()
        #: By rule, the weights that its violations had, each with the first reason of that weight.
        self._weighed: defaultdict[str, dict[Weight, str | None]] = defaultdict(dict)
        self._evidence: defaultdict[str, list[dict[str, Any]]] = defaultdict(list)
        self._unseen: defaultdict[tuple[str, str], dict[str, Ruled]] = defaultdict(dict)
        for rule in self._rules.values():
            self._unseen[rule.api, rule.endpoint][rule.id] = rule

    def add(
        self,
        exchange: str,
        api: str,
        endpoint: str,
        violations: Iterable[Violation],
        *,
        judged: bool,
        reason: str | None = None,
        exercised: Callable[[Any], bool] | None = None,
    ) -> None:
        """Count one exchange. `judged`: its verdict was not inconclusive, else `reason` says why.
        `exercised` says of a rule whether this exchange could have broken it; it is asked only
        about rules that no exchange has put to the test yet. None: nobody looked.
        """
        place = (api, endpoint)
        self._exchanges[place] += 1
        if judged:
            self._judged[place] += 1
        elif reason:
            self._reasons[place][reason] += 1
        self.note(exchange, violations)
        if exercised is not None:
            unseen = self._unseen[place]
            for rule_id in [key for key, rule in unseen.items() if exercised(rule)]:
                del unseen[rule_id]

    def note(self, exchange: str, violations: Iterable[Violation]) -> None:
        """Count what an exchange shows, or what stands by it though only the whole run shows it."""
        for violation in violations:
            rule = violation.rule
            self._violations[rule] += violation.times
            weighed = self._weights.of(violation)
            reasons = self._weighed[rule]
            reasons[weighed.weight] = reasons.get(weighed.weight) or weighed.reason
            if len(self._evidence[rule]) < EVIDENCE:
                self._evidence[rule].append(evidence_of(exchange, violation))

    def exercised(self, api: str, endpoint: str, rule: str) -> None:
        """A rule was put to the test, though no exchange by itself does that."""
        self._unseen[api, endpoint].pop(rule, None)

    @property
    def broken(self) -> bool:
        """Whether at least one rule failed."""
        return any(Weight.FAILED in weights for weights in self._weighed.values())

    def judged(self) -> int:
        """How many exchanges had a verdict that is not inconclusive."""
        return self._judged.total()

    def reasons(self) -> list[tuple[str, int]]:
        """Why exchanges were inconclusive, the most frequent reason first."""
        total: Counter[str] = Counter()
        for counted in self._reasons.values():
            total += counted
        return total.most_common()

    def rows(self) -> list[dict[str, Any]]:
        """The rows of `rules.ndjson`: each rule of the endpoints that were spoken to, and any
        other that was broken.
        """
        return [
            self._row(rule)
            for rule in self._rules.values()
            if self._exchanges[rule.api, rule.endpoint] or self._violations[rule.id]
        ]

    def _row(self, rule: Ruled) -> dict[str, Any]:
        place = (rule.api, rule.endpoint)
        outcome, reason = self._outcome(rule, place)
        return rule_row(
            rule,
            outcome,
            reason,
            violations=self._violations[rule.id],
            exchanges=self._exchanges[place],
            evidence=self._evidence.get(rule.id, []),
        )

    def _outcome(self, rule: Ruled, place: tuple[str, str]) -> tuple[str, str | None]:
        # What is only worth an info is noted with its evidence, and passes.
        if self._violations[rule.id] or rule.id not in self._unseen[place]:
            return outcome_of(self._weighed[rule.id].items())
        if not self._judged[place]:
            known = self._reasons[place].most_common(1)
            return "inconclusive", known[0][0] if known else "no exchange was judged"
        return "not_exercised", "nothing that was looked at could have broken it"
