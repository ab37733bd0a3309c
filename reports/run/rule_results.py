"""Rules as a bundle tells of them: what became of each at an endpoint, how often it was broken, and
where. Rules that the run did not come to write are made up for from their violations.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from soundstage.conformance.defects import BrokenRule, Defects, counted
from soundstage.reports.words import plain, plural

if TYPE_CHECKING:  # a comparison shows no streams, and starts without the engine
    from soundstage.reports.story.ask_again import AskAgain
    from soundstage.reports.story.evidence import ShownExchange, Smallest

#: The severity of a violation, as the outcome of its rule when the run had no time to write one.
_OUTCOME_OF_SEVERITY = {"error": "failed", "warning": "warned", "info": "passed"}

#: Places shown for a rule.
EVIDENCE_LIMIT = 3


@dataclass(frozen=True, slots=True)
class Evidence:
    """One place where a rule was broken; `transcript` is a path in the bundle, if it is there.
    `expected` and `received` are in words, "" where it is not one value that is to blame.
    `late`: by so many seconds the exchange was sent later than it was due.
    """

    exchange: str
    chunk: int | None
    path: str
    message: str
    transcript: str | None
    expected: str = ""
    received: str = ""
    late: float = 0.0


@dataclass(frozen=True, slots=True)
class RuleResult:
    """A rule at an endpoint, and what became of it. `exchanges` were held against it, `broken_in`
    of them broke it; `codes` are those of its violations, `defect` what is wrong in one line;
    `kind` is that of its endpoint, `selected`: it was asked about. Where a transcript was kept,
    `smallest` is the smallest stream that shows it, `shown` the exchange as it came, and `again`
    how to ask for it once more.
    """

    id: str
    api: str
    endpoint: str
    outcome: str
    reason: str | None
    severity: str | None
    basis: str | None
    source: str | None
    text: str | None
    violations: int
    exchanges: int
    broken_in: int
    seconds: float | None
    codes: tuple[str, ...]
    evidence: tuple[Evidence, ...]
    defect: str = ""
    kind: str | None = None
    selected: bool = True
    smallest: Smallest | None = None
    shown: ShownExchange | None = None
    again: AskAgain | None = None

    @property
    def subject(self) -> str:
        """What the rule is about: the third step of its id, a stage or `order`, `index`, …"""
        steps = self.id.split("/")
        return steps[2] if len(steps) > 2 else steps[-1]

    @property
    def flaky(self) -> bool:
        """Whether some exchanges broke it and others, held against it too, did not."""
        return 0 < self.broken_in < self.exchanges

    @property
    def times(self) -> str:
        """`3 times in 2 of 40 streams`; `2 of 40 streams`, where it is once in each of them."""
        often = plural(self.violations, "time")
        if not self.broken_in:
            return often
        seen = counted(self.broken_in, self.exchanges, self.kind)
        return seen if self.violations == self.broken_in else f"{often} in {seen}"

    @property
    def title(self) -> str:
        """What a finding is called: the defect, where anything was seen; else what is asked."""
        return self.defect or plain(self.text or self.id).rstrip(".")

    @property
    def asked(self) -> str:
        """`In a chunk of final, version is an integer. (documented, page:12)`; "" where a bundle
        does not say.
        """
        if not self.text:
            return ""
        grounds = ", ".join(plain(each) for each in (self.basis, self.source) if each)
        return f"{plain(self.text)} ({grounds})" if grounds else plain(self.text)

    @property
    def broken(self) -> BrokenRule:
        """What is wrong, for a headline."""
        seen = counted(self.broken_in, self.exchanges, self.kind)
        return BrokenRule(self.title, seen, self.broken_in, self.violations)


def rule_results(
    rules: Iterable[Mapping[str, Any]],
    violations: Iterable[Mapping[str, Any]],
    contracts: Mapping[str, Any] | None = None,
) -> list[RuleResult]:
    """The rules of rules.ndjson in their order, then those that only violations tell of. Which
    transcripts are kept is not known here. `contracts` is that of run.json, which says what kinds
    endpoints are of.
    """
    rows = list(rules)
    known_rules = {row["rule"] for row in rows}
    codes: dict[str, Counter[str]] = {}
    broken_in: Counter[str] = Counter()
    last: dict[str, str] = {}
    defects: dict[str, Defects] = {}
    rebuilt: dict[tuple[str, str, str], dict[str, Any]] = {}
    for violation in violations:
        rule, exchange = violation.get("rule", ""), violation.get("exchange", "")
        code, times = violation.get("code", ""), violation.get("times", 1)
        codes.setdefault(rule, Counter())[code] += times
        said, path = violation.get("message", ""), violation.get("path", "")
        defects.setdefault(rule, Defects(rule)).add(code, said, path, times)
        # The violations of an exchange were written together: no set of ids is needed.
        if last.get(rule) != exchange:
            broken_in[rule] += 1
            last[rule] = exchange
        if rule not in known_rules:
            _note(rebuilt, violation)
    return [
        _result(
            row,
            codes.get(row["rule"], Counter()),
            broken_in[row["rule"]],
            defects.get(row["rule"]),
            _kind(contracts or {}, row),
        )
        for row in (*rows, *rebuilt.values())
    ]


def _kind(contracts: Mapping[str, Any], row: Mapping[str, Any]) -> str | None:
    """The kind of a rule's endpoint, as far as the bundle says it."""
    endpoint: str = row["endpoint"]
    kinds = contracts.get(row["api"], {}).get("kinds")
    return None if kinds is None else kinds.get(endpoint, endpoint)


def _note(
    rebuilt: dict[tuple[str, str, str], dict[str, Any]], violation: Mapping[str, Any]
) -> None:
    """Count a violation towards the rule row that the run did not come to write."""
    rule = violation.get("rule", "")
    steps = [*rule.split("/"), "", ""]
    api, endpoint = violation.get("api") or steps[0], violation.get("endpoint") or steps[1]
    row = rebuilt.get((rule, api, endpoint))
    if row is None:
        row = rebuilt[rule, api, endpoint] = {
            "rule": rule,
            "api": api,
            "endpoint": endpoint,
            "outcome": _OUTCOME_OF_SEVERITY.get(violation.get("severity", ""), "failed"),
            "severity": violation.get("severity"),
            "violations": 0,
            "evidence": [],
        }
    row["violations"] += violation.get("times", 1)
    if len(row["evidence"]) < EVIDENCE_LIMIT:
        row["evidence"].append(
            {
                "exchange": violation.get("exchange", ""),
                "chunk": violation.get("chunk"),
                "path": violation.get("path", ""),
                "message": violation.get("message", ""),
                "expected": violation.get("expected", ""),
                "received": violation.get("received", ""),
            }
        )


def _result(
    row: Mapping[str, Any],
    codes: Counter[str],
    broken_in: int,
    defects: Defects | None,
    kind: str | None,
) -> RuleResult:
    return RuleResult(
        id=row["rule"],
        api=row["api"],
        endpoint=row["endpoint"],
        outcome=row["outcome"],
        reason=row.get("reason"),
        severity=row.get("severity"),
        basis=row.get("basis"),
        source=row.get("source"),
        text=row.get("text"),
        violations=row.get("violations", 0),
        exchanges=row.get("exchanges", 0),
        broken_in=broken_in,
        seconds=row.get("seconds"),
        codes=tuple(code for code, _ in codes.most_common(5)),
        evidence=tuple(
            Evidence(
                exchange=item["exchange"],
                chunk=item["chunk"],
                path=item["path"],
                message=item["message"],
                transcript=None,
                expected=item.get("expected", ""),
                received=item.get("received", ""),
            )
            for item in row.get("evidence", ())[:EVIDENCE_LIMIT]
        ),
        defect=plain((defects or _of_evidence(row)).sentence),
        kind=kind,
        selected=row.get("selected", True),
    )


def _of_evidence(row: Mapping[str, Any]) -> Defects:
    """What is known of the defect where the bundle has lost its violations."""
    found = Defects(row["rule"])
    for item in row.get("evidence", ()):
        found.add("", item["message"], item["path"])
    return found
