"""The checks of a contract as pytest runs them for `soundstage check`: its plugins, what its end
means, and the bundle finished whatever it is. Knows none of the checks.
"""

from __future__ import annotations

from dataclasses import dataclass
from importlib import import_module
from typing import Any

from soundstage.commands.checking import isolation, selected_cases
from soundstage.errors import TargetError, environment_reason
from soundstage.exit_codes import ExitCode
from soundstage.gate import conclusion
from soundstage.gate.gate import ContractGate
from soundstage.gate.rule_outcomes import RuleOutcome, exit_code
from soundstage.process import signals
from soundstage.process.rubbish import uncollected


@dataclass(frozen=True, slots=True)
class CheckedRules:
    """What came of the checks: the exit code, what is known about each rule, and why the bundle
    could not be finished, if so.
    """

    code: int
    outcomes: list[RuleOutcome]
    unwritten: TargetError | None = None


def ran(
    gate: ContractGate, *, explore: int | None, only: str | None, verbose: bool
) -> CheckedRules:
    """Run the checks and finish the bundle. `explore`: requests of exploration for an endpoint,
    `only`: an expression of pytest's `-k`. Raises what broke the checks themselves.
    """
    try:
        with signals.heeded():
            load(0)
    except KeyboardInterrupt:
        return _interrupted(gate, [])
    return _ran(gate, _pytest_arguments(explore, only, verbose), only)


def load(explore: int | None) -> None:
    """Load what the checks need, and an exploration if there will be one (None: perhaps). It takes
    a while, in which somebody may lose patience.
    """
    with isolation.undisturbed(), uncollected():
        # Not before: Hypothesis looks at the environment when it is loaded.
        import_module("soundstage.commands.checking.breakdown")
        import_module("soundstage.pytest_plugin")
        if explore != 0:
            import_module("soundstage.contracts.schemathesis_cases").warm_up()


def _ran(gate: ContractGate, arguments: list[str], only: str | None) -> CheckedRules:
    import pytest

    from soundstage.commands.checking.breakdown import Breakdown
    from soundstage.pytest_plugin import Provided

    with isolation.undisturbed():
        provided, breakdown = Provided(gate), Breakdown()
        try:
            with signals.heeded():
                status = int(pytest.main(arguments, plugins=[provided, breakdown]))
        except KeyboardInterrupt:
            status = pytest.ExitCode.INTERRUPTED
    outcomes, beside = provided.outcomes, provided.beside
    if breakdown.error is not None and signals.heard() is None:
        why = environment_reason(breakdown.error)
        beside.errors.append(
            (ExitCode.BUG, str(breakdown.error)) if why is None else (ExitCode.ENVIRONMENT, why)
        )
        _finished(gate, outcomes, beside.errors[-1][0], beside=beside)
        raise breakdown.error
    selection = None if only is None else conclusion.selection(gate, only, provided.rules, outcomes)
    # Checks that cannot even be collected interrupt pytest, too.
    stopped = signals.heard() is not None or not beside.errors
    if status == pytest.ExitCode.INTERRUPTED and stopped:
        return _interrupted(gate, outcomes, selection=selection)
    if status == pytest.ExitCode.NO_TESTS_COLLECTED and only is not None:
        beside.errors.append((ExitCode.NO_DATA, f"-k {only!r} selects nothing"))
    elif status not in (pytest.ExitCode.OK, pytest.ExitCode.TESTS_FAILED) and not beside.errors:
        beside.errors.append((ExitCode.BUG, f"the checks did not run: pytest ended with {status}"))
    due = selected_cases.cases(gate.contracts.values())
    if only is None and provided.cases != due:
        said = f"{provided.cases} test cases were collected; the contracts yield {due}"
        beside.errors.append((ExitCode.BUG, said))
    elif provided.ran < provided.cases:
        said = f"{provided.ran} of {provided.cases} test cases were run"
        beside.errors.append((ExitCode.BUG, said))
    code = exit_code(outcomes, beside, sent=bool(gate.exchanges))
    unwritten = _finished(gate, outcomes, code, beside=beside, selection=selection)
    return CheckedRules(code, outcomes, unwritten)


def _interrupted(gate: ContractGate, outcomes: list[RuleOutcome], **more: Any) -> CheckedRules:
    code = signals.code()
    unwritten = _finished(gate, outcomes, code, interrupted=True, **more)
    return CheckedRules(code, outcomes, unwritten)


def _finished(
    gate: ContractGate, outcomes: list[RuleOutcome], code: int, **more: Any
) -> TargetError | None:
    """Finish the bundle. Gives why it could not be: what was judged counts nevertheless."""
    try:
        conclusion.finish(gate, outcomes, code, **more)
    except TargetError as error:
        return error
    return None


def _pytest_arguments(explore: int | None, only: str | None, verbose: bool) -> list[str]:
    arguments = selected_cases.arguments(only)
    if not verbose:
        arguments += ["-p", "no:terminal"]
    if explore is not None:
        arguments += ["--explore", str(explore)]
    return arguments
