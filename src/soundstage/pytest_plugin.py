"""The pytest side of the contract gate: fixtures, a test case per rule, the run bundle.

`pytest contracts --target URL` and `soundstage check` run the same checks; the command hands its
gate over (`Provided`), plain pytest opens one from its options (`pytest_gate.py`). Does nothing for
other tests.

What the checks say beside the rules is sorted here: a failed check is the contract's doing, an
exception that nobody expected is ours, and what could not be told is neither.
"""

from __future__ import annotations

from collections.abc import Callable, Generator, Iterator
from contextlib import contextmanager
from typing import Any

import pytest

from soundstage import pytest_gate, pytest_words
from soundstage.contract import Contract, available
from soundstage.contract.rules import Rule
from soundstage.errors import BudgetError, SoundstageError
from soundstage.gate import conclusion, progress_words
from soundstage.gate.contract_check import EXPLORED
from soundstage.gate.gate import ContractGate
from soundstage.gate.progress import Progress
from soundstage.gate.rule_outcomes import Beside, RuleOutcome, exit_code, of_budget
from soundstage.output import outgoing, visible
from soundstage.output.progress_lines import repeated
from soundstage.process import contract_folders
from soundstage.pytest_gate import (
    BESIDE,
    BUNDLE,
    GATE,
    STACK,
    contracts_of,
    gate_of,
    has_target,
    spread,
)
from soundstage.results.weight import Weighed

_RULE = "rule"
_RULE_TEST = "test_rule"
_MARKERS = ("rules", "each_contract")
#: A rule's own test case says at most this many of its violations.
_SHOWN = 5
#: What a check says, by `pytest.skip`, whose answer is not known.
_OPEN = "inconclusive: "
_OUR_BUG = 70
#: Seconds between two lines that say how far it is.
_TELL_S = 10.0


class Provided:
    """A plugin that hands a gate to the checks instead of letting them open one."""

    def __init__(self, gate: ContractGate) -> None:
        self._gate = gate
        self.outcomes: list[RuleOutcome] = []
        #: What came of the checks that are no rule's.
        self.beside = Beside()
        #: How many test cases, and rules among them, there were to run, and how many cases ran.
        self.cases = self.rules = self.ran = 0
        self._of_rules: set[str] = set()
        self._failed = False

    def pytest_configure(self, config: pytest.Config) -> None:
        config.stash[GATE] = self._gate
        config.stash[BESIDE] = self.beside

    @pytest.hookimpl(tryfirst=True)
    def pytest_sessionstart(self, session: pytest.Session) -> None:
        pytest_words.keep_colours(session.config)

    @pytest.hookimpl(tryfirst=True)
    def pytest_collection_finish(self, session: pytest.Session) -> None:
        self.cases = len(session.items)
        self._of_rules = {item.nodeid for item in session.items if _rule_of(item) is not None}
        self.rules = self._gate.sender.progress.rules = len(self._of_rules)

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        self.ran += report.when == "teardown"
        self._failed = report.failed or (self._failed and report.when != "setup")
        if report.when == "teardown" and report.nodeid in self._of_rules:
            self._gate.sender.progress.decide(broken=self._failed)

    def pytest_collectreport(self, report: pytest.CollectReport) -> None:
        if report.failed:
            said = report.longreprtext.strip().splitlines()
            self.beside.errors.append((_OUR_BUG, f"{report.nodeid}: {said[-1] if said else '?'}"))

    def pytest_sessionfinish(self, session: pytest.Session) -> None:
        self.outcomes = _outcomes(session, self._gate)


def pytest_addoption(parser: pytest.Parser) -> None:
    pytest_gate.add_options(parser)


def pytest_configure(config: pytest.Config) -> None:
    line = "rules(*kinds): one test case per rule of endpoints of these kinds, or error, request"
    config.addinivalue_line("markers", line)
    config.addinivalue_line("markers", "each_contract: the test runs once for each API version")
    _add_contracts(config)
    if config.getoption("--target") is not None and (how := spread(config)) is not None:
        pytest.exit(
            f"contract checks run in one process, which has the budget and the bundle: {how} would "
            "make several; leave it out (-n 0), nothing was sent",
            returncode=2,
        )


def _add_contracts(config: pytest.Config) -> None:
    """Do what `--schemas` asks for, until the end of this session."""
    before = contract_folders.now()
    config.add_cleanup(lambda: contract_folders.restore(before))
    asked = config.getoption(contract_folders.OPTION) or ()
    try:
        contract_folders.add(asked)
        if asked or config.getoption("--target") is not None:
            available()  # or every file of checks says what is wrong with them
    except SoundstageError as error:
        pytest.exit(visible.alone(error), returncode=error.exit_code)


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    marker = metafunc.definition.get_closest_marker("rules")
    if marker is None and metafunc.definition.get_closest_marker("each_contract") is None:
        return
    contracts = contracts_of(metafunc.config)
    if marker is None:
        metafunc.parametrize("contract", contracts, ids=[each.api for each in contracts])
        return
    rules = [rule for each in contracts for rule in each.rules if _kind(each, rule) in marker.args]
    metafunc.parametrize(_RULE, rules, ids=[visible.alone(rule.id) for rule in rules])


@pytest.hookimpl(wrapper=True)
def pytest_pycollect_makeitem() -> Generator[None, Any, Any]:
    """Where no contract has rules of a kind, there is no test case for them: no placeholder that is
    counted and skipped, either.
    """
    made = yield
    if not isinstance(made, list):
        return made
    return [item for item in made if item.get_closest_marker("rules") is None or _rule_of(item)]


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Stop with one line where contract checks have no target."""
    checks = any(item.get_closest_marker(name) for item in items for name in _MARKERS)
    if checks and not (has_target(config) or config.option.collectonly):
        raise pytest.UsageError(
            "contract checks need --target URL (or --target emulator, which is free)"
        )


def pytest_collection_finish(session: pytest.Session) -> None:
    """Capture what the collected rules need, several endpoints at once."""
    rules = [rule for item in session.items if (rule := _rule_of(item)) is not None]
    # Also called where the collection has just been refused.
    if not rules or session.config.option.collectonly or not has_target(session.config):
        return
    gate = gate_of(session.config)
    gate.selected = rules
    wanted = [(rule.api, rule.endpoint) for rule in rules]
    known = [pair for pair in wanted if pair[1] in gate.contracts[pair[0]].endpoints]
    # Songs take minutes, in which pytest itself says nothing.
    with _telling(session.config, gate.sender.progress):
        gate.captures.all(known)
        gate.ties.all(rules)
        gate.bill.retry(rules)


@pytest.hookimpl(trylast=True)
def pytest_sessionfinish(session: pytest.Session, exitstatus: int) -> None:
    """Without the command around it, the plugin finishes the bundle and sets the exit code."""
    stack = session.config.stash.get(STACK, None)
    if stack is None:
        return
    gate = session.config.stash[GATE]
    outcomes, beside = _outcomes(session, gate), session.config.stash[BESIDE]
    code = exit_code(outcomes, beside, sent=bool(gate.exchanges))
    if exitstatus in (pytest.ExitCode.OK, pytest.ExitCode.TESTS_FAILED):
        # Other tests of the same session may have failed, too.
        session.exitstatus = code = code or int(exitstatus)
    if gate.bundle is not None:
        code = code or int(exitstatus != pytest.ExitCode.OK)
        selection = _selection(session, gate, outcomes)
        conclusion.finish(gate, outcomes, code, beside=beside, selection=selection)
        session.config.stash[BUNDLE] = gate.bundle.path
    stack.close()


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(
    item: pytest.Item, call: pytest.CallInfo[None]
) -> Generator[None, pytest.TestReport, pytest.TestReport]:
    """Sort what a contract check says: broken, not known, or our own mistake."""
    report = yield
    _without_secrets(report)
    if not any(map(item.get_closest_marker, _MARKERS)):
        return report
    if (rule := _rule_of(item)) is not None and GATE in item.config.stash:
        seconds = item.config.stash[GATE].check_seconds
        seconds[rule.id] = round(seconds.get(rule.id, 0.0) + call.duration, 6)
    pytest_words.show(report)
    beside = item.config.stash.get(BESIDE, None)
    if beside is None or call.excinfo is None:
        return report
    error, name = call.excinfo.value, item.nodeid.rpartition("/")[2]
    if isinstance(error, pytest.skip.Exception):
        said = str(error.msg or "")
        if _rule_of(item) is None and said.startswith(_OPEN):
            beside.open.append(said.removeprefix(_OPEN))
    elif isinstance(error, pytest.fail.Exception | AssertionError):
        if _rule_of(item) is None:
            # What a check reports by `pytest.fail` are violations, which their rules tell of.
            of_rules = isinstance(error, pytest.fail.Exception)
            told = beside.of_rules if of_rules else beside.failed
            told.append(f"{_in_words(item)}: {_one_line(str(error))}")
    elif isinstance(error, BudgetError):
        beside.open.append(of_budget(error))
    elif isinstance(error, SoundstageError):
        beside.errors.append((error.exit_code, f"{name}: {error}"))
    elif isinstance(error, Exception):
        said = f"{type(error).__name__}: {_one_line(str(error))}"
        beside.errors.append((_OUR_BUG, f"{name}: this is our bug, please report it: {said}"))
    return report


@pytest.hookimpl(wrapper=True)
def pytest_make_collect_report(
    collector: pytest.Collector,
) -> Generator[None, pytest.CollectReport, pytest.CollectReport]:
    del collector
    report = yield
    _without_secrets(report)
    return report


def _without_secrets(report: pytest.TestReport | pytest.CollectReport) -> None:
    """What pytest shows and keeps of a test (JUnit, logs, locals) goes through the gate, too."""
    report.sections = [(name, outgoing.text(text)) for name, text in report.sections]
    if isinstance(report.longrepr, tuple):
        path, line, said = report.longrepr
        report.longrepr = path, line, outgoing.text(said)
    elif report.longrepr and (kept := outgoing.text(shown := report.longreprtext)) is not shown:
        report.longrepr = kept
    if isinstance(report, pytest.TestReport):
        report.user_properties = outgoing.document(report.user_properties)


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    config = terminalreporter.config
    if (path := config.stash.get(BUNDLE, None)) is not None:
        gate = config.stash[GATE]
        terminalreporter.section("Soundstage")
        target = gate.session.target
        said = f"run bundle: {path} (soundstage report {path})"
        for line in (f"target: {target.url} ({target.kind})", said):
            terminalreporter.write_line(visible.alone(outgoing.text(line)))


@pytest.fixture(scope="session")
def gate(pytestconfig: pytest.Config) -> ContractGate:
    """The gate: captured exchanges, and what they say about each rule."""
    return gate_of(pytestconfig)


@pytest.fixture
def holds(gate: ContractGate, request: pytest.FixtureRequest) -> Callable[[Rule], None]:
    """Fails, skips or passes a rule by what has been seen of it."""

    def check(rule: Rule) -> None:
        outcome = conclusion.outcome(gate, rule)
        if outcome.outcome == "failed":
            pytest.fail(explained(outcome), pytrace=False)
        if outcome.outcome in ("inconclusive", "not_exercised", "known"):
            pytest.skip(f"{outcome.outcome}: {outcome.reason}")
        if outcome.outcome == "warned":
            said = visible.text(explained(outcome))
            request.node.user_properties.append(("warning", said))

    return check


@pytest.fixture(scope="session")
def explore(pytestconfig: pytest.Config, gate: ContractGate) -> int:
    """How many requests to explore an endpoint with. Off by default where that may cost money: an
    "invalid" request may be accepted, and billed.
    """
    asked = pytestconfig.getoption("--explore")
    many = asked if asked is not None else (0 if gate.costly else EXPLORED)
    if many == 0:
        pytest.skip("not explored: each request may cost money; ask for it with --explore N")
    return many


def explained(outcome: RuleOutcome) -> str:
    """A rule's violations as text: what was found, what is asked, and where that is written."""
    rule = outcome.rule
    lines = [_line(exchange, each) for exchange, each in outcome.found[:_SHOWN]]
    shown = sum(each.violation.times for _, each in outcome.found)
    if (more := shown - min(_SHOWN, len(outcome.found))) > 0:
        lines.append(f"and {more} more")
    if outcome.reason:
        lines.append(outcome.reason)
    return visible.lines([*lines, f"asked: {rule.text}", f"{rule.basis}: {rule.source}"])


def _line(exchange: str, weighed: Weighed) -> str:
    violation = weighed.violation
    place = exchange if violation.chunk is None else f"{exchange} chunk {violation.chunk}"
    return f"{place} {violation.path}: {violation.message} [{violation.code}]"


def _kind(contract: Contract, rule: Rule) -> str:
    if rule.id.startswith(f"{rule.api}/{rule.endpoint}/asset/"):
        return "asset"
    endpoint = contract.endpoints.get(rule.endpoint)
    return endpoint.kind if endpoint is not None else rule.endpoint


def _rule_of(item: pytest.Item) -> Rule | None:
    callspec = getattr(item, "callspec", None)
    rule = callspec.params.get(_RULE) if callspec is not None else None
    return rule if isinstance(rule, Rule) else None


@contextmanager
def _telling(config: pytest.Config, progress: Progress) -> Iterator[None]:
    """Say in pytest's own output, now and then, how far the gate is; nothing where that is off."""
    if (say := pytest_words.printer(config)) is None:
        yield
        return
    with (
        progress.telling(say),
        repeated(lambda: _TELL_S, lambda: say(progress_words.line(progress))),
    ):
        yield


def _outcomes(session: pytest.Session, gate: ContractGate) -> list[RuleOutcome]:
    rules = [rule for item in session.items if (rule := _rule_of(item)) is not None]
    return conclusion.outcomes(gate, rules)


def _selection(
    session: pytest.Session, gate: ContractGate, outcomes: list[RuleOutcome]
) -> dict[str, object] | None:
    """What run.json says of a session that was asked about some rules only; None if about all."""
    keyword = session.config.option.keyword
    rules = sum(_rule_of(item) is not None for item in session.items)
    return conclusion.selection(gate, keyword, rules, outcomes) if keyword else None


def _in_words(item: pytest.Item) -> str:
    """The name of a check as a reader takes it: `a refused request costs nothing (v6)`."""
    name, _, api = item.name.partition("[")
    said = name.removeprefix("test_").replace("_", " ")
    return f"{said} ({api.removesuffix(']')})" if api else said


def _one_line(text: str) -> str:
    return next(iter(text.strip().splitlines()), "see --verbose")
