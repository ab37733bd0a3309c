"""The report of a check whose bundle could not be written: what is in memory, as text."""

from __future__ import annotations

from collections.abc import Iterable
from importlib import import_module
from typing import TextIO

from soundstage.errors import TargetError
from soundstage.exit_codes import ExitCode
from soundstage.gate.gate import ContractGate
from soundstage.gate.rule_outcomes import RuleOutcome
from soundstage.output.streams import say


def unwritten_report(
    gate: ContractGate,
    outcomes: Iterable[RuleOutcome],
    why: TargetError,
    stdout: TextIO,
    stderr: TextIO,
) -> int:
    """Print what was judged, and say why there is no bundle of it; gives the code of a report that
    could not be written.
    """
    assert gate.bundle is not None
    findings = import_module("soundstage.reports.run.findings")
    intake = import_module("soundstage.results.intake").Intake()
    intake.take(each.row(gate.started_ns) for each in gate.exchanges)
    report = findings.build(
        gate.bundle.run,
        rules=[outcome.to_json() for outcome in outcomes],
        violations=[row for each in gate.exchanges for row in each.violation_rows()],
        exchanges=lambda _: intake,
    )
    import_module("soundstage.reports.formats.text").print_summary(report, stdout)
    say(f"soundstage check: {why}", stderr)
    return ExitCode.ENVIRONMENT
