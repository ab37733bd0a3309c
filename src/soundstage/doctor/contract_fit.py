"""Whether what the target says to free questions fits the contract: the bodies of its errors."""

from __future__ import annotations

from collections.abc import Sequence

from soundstage.conformance.violations import Severity, Violation
from soundstage.doctor.free_requests import FreeAnswer
from soundstage.doctor.health import HealthCheck, ok, problem, unknown
from soundstage.doctor.what_answers import missing_paths


def contract_fit(answers: Sequence[FreeAnswer]) -> HealthCheck:
    """The check of the errors that came to questions that have one coming."""
    asked = [each for each in answers if each.contract is not None and each.status is not None]
    if not asked:
        return unknown("contract", "the contract has nothing that could be asked for free")
    if gone := missing_paths(asked):
        first = gone[0]
        assert first.contract is not None
        said = f"{first.contract.api}: {first.place} is answered with {first.status}"
        return problem("contract", "contract.does_not_fit", said)
    lesser: list[Violation] = []
    for answer in asked:
        if answer.status is not None and 200 <= answer.status < 300 and answer.method == "GET":
            continue  # somebody may have made what nobody was to have made
        judge = answer.judged()
        for violation in judge.violations:
            if violation.severity is Severity.ERROR:
                said = f"{answer.place}: {violation.message} ({violation.rule})"
                return problem("contract", "contract.does_not_fit", said)
            if violation.severity is Severity.WARNING:
                lesser.append(violation)
    many = len(asked)
    said = f"the errors that {many} free question{'' if many == 1 else 's'} got fit"
    said += "; of songs only `soundstage check` tells, and they are paid for"
    if lesser:
        said += f"; of less weight: {lesser[0].message} ({lesser[0].rule})"
    return ok("contract", said)
