"""How much violations weigh by the user's configuration: severities, waivers, and how strict it is.

The only place that says what turns a run red: rules that are captured, requests that are explored,
files, and load. Values in, values out.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from datetime import date
from typing import Any

from soundstage.config import Config, Waiver
from soundstage.conformance.violations import Verdict, Violation, occurrences
from soundstage.results.weight import Weighed, Weight, by_severity


class Weights:
    """Weighs violations. `today` (default: by the user's calendar) decides which waivers still
    hold; `strict`: a warning fails, too.
    """

    def __init__(
        self, config: Config | None = None, *, strict: bool = False, today: date | None = None
    ) -> None:
        self.config = config or Config()
        self.strict = strict
        self._today = today or date.today()
        self._used: set[Waiver] = set()

    def of(self, violation: Violation) -> Weighed:
        """What a violation weighs, with the severity that it has here."""
        violation = self.config.reweighed(violation)
        waivers = self.config.waivers_of(violation)
        self._used.update(waivers)
        weight = by_severity(violation.severity, strict=self.strict)
        for waiver in waivers:
            if waiver.holds(self._today):
                return Weighed(violation, Weight.KNOWN, f"waived: {waiver.describe()}")
        if waivers:
            return Weighed(violation, weight, f"its waiver has expired: {waivers[0].describe()}")
        return Weighed(violation, weight)

    def failing(self, violations: Iterable[Violation]) -> list[Violation]:
        """Those that turn a run red, with the severities that they have here."""
        return [each.violation for each in map(self.of, violations) if each.fails]

    def verdict(self, violations: Iterable[Violation], reason: str | None) -> Verdict:
        """The verdict for an exchange; see `verdict_of`."""
        if self.failing(violations):
            return Verdict.VIOLATES
        return Verdict.CONFORMS if reason is None else Verdict.INCONCLUSIVE

    def row(self, row: Mapping[str, Any], violations: Iterable[Violation]) -> dict[str, Any]:
        """A row of `exchanges.ndjson.gz` with the verdict and the errors that it has here: `errors`
        are the violations that turn a run red, by code.
        """
        failing = self.failing(violations)
        weighed = {key: value for key, value in row.items() if key != "errors"}
        if failing:
            weighed["verdict"] = Verdict.VIOLATES.value
            weighed["errors"] = dict(occurrences(failing))
        elif row["verdict"] == Verdict.VIOLATES.value:
            reason = row.get("reason")
            weighed["verdict"] = (Verdict.INCONCLUSIVE if reason else Verdict.CONFORMS).value
        return weighed

    def violation_rows(
        self, rows: Iterable[Mapping[str, Any]], violations: Iterable[Violation]
    ) -> list[dict[str, Any]]:
        """Rows of `violations.ndjson`, those of `violations`, with the severities of this run."""
        return [
            {**row, "severity": self.config.severity(violation).value}
            for row, violation in zip(rows, violations, strict=True)
        ]

    def unused(self) -> list[Waiver]:
        """Waivers that spoke of nothing that was weighed; known only when all of it was. Those of
        drift speak of two runs, and say nothing here.
        """
        unused = (each for each in self.config.waivers if each not in self._used)
        return [waiver for waiver in unused if waiver.drift is None]
