"""`soundstage check`: runs the contract checks against a target, and says pass, fail or why not."""

from __future__ import annotations

import argparse
import io
import shlex
from contextlib import ExitStack, nullcontext
from datetime import date, timedelta
from functools import partial
from importlib import import_module
from pathlib import Path
from typing import TextIO

from soundstage import cli
from soundstage.arguments import Parser, at_most, between, count, from_one, shown, whole
from soundstage.commands.checking import check_session, check_view
from soundstage.commands.checking.check_plan import planned
from soundstage.commands.checking.check_session import CheckedRules
from soundstage.config import Config, find_config
from soundstage.conformance.violations import fingerprint
from soundstage.contract import available
from soundstage.errors import SoundstageError, UsageError
from soundstage.exchange import consent
from soundstage.exchange.patience import LONGEST_TIMEOUT_S
from soundstage.exchange.spawn import EMULATOR, is_free
from soundstage.exit_codes import ExitCode, with_report, worst
from soundstage.gate.contract_check import (
    EXPLORED,
    MOST_AT_ONCE,
    MOST_EXPLORED,
    CheckOptions,
    begun_gate,
    open_target,
)
from soundstage.gate.gate import FREE, POLITE, ContractGate
from soundstage.gate.progress import Progress
from soundstage.output import visible
from soundstage.output.streams import json_line, say
from soundstage.output.written_files import check_place, put
from soundstage.process import signals
from soundstage.proof.one_conforming import refuse_unkept
from soundstage.results.layout import free_folder
from soundstage.target_options import (
    add_config_option,
    add_target_options,
    apis_of,
    confirm_configured,
    connection_of,
    target_of,
    tell_config,
    tell_unknown_rules,
)

HELP = "check a target against the contract"

_EXAMPLES = """examples:
  soundstage check --target emulator
  soundstage check --target emulator --fault order/streaming/skipped
  soundstage check --target http://127.0.0.1:8000 --api v6
  soundstage check --target https://api.soundverse.ai --budget 4 --dry-run
  SOUNDVERSE_API_KEY=... soundstage check --target https://api.soundverse.ai --budget 4 --yes

A live check costs one generation per version and endpoint. The key is read from
SOUNDVERSE_API_KEY or --key-file, never from the command line. Known findings are waived, and
severities set, in soundstage.toml (docs/reference/configuration.md).

It runs in its own house: no conftest.py, pytest.ini, PYTEST_ADDOPTS or plugin of yours has a say
in it (`pytest contracts --target URL` is the form that is yours).

It ends after --timeout, whatever the target does, and tries nothing more out on a target that has
let three requests run into their own timeouts.

exit codes: 0 pass, 1 contract broken, 2 wrong usage, 4 inconclusive, 5 no data,
6 target or environment failed, 70 our bug
"""


#: A drafted waiver holds this long, unless a person says otherwise.
_WAIVED_DAYS = 30


def parser() -> Parser:
    """The options of `soundstage check`, before anything is parsed."""
    options = Parser(
        prog="soundstage check",
        description="Check a target against the contract: a test case for every rule.",
        epilog=_EXAMPLES,
    )
    add_target_options(options, emulator_args="--profile instant")
    _add_selection(options)
    _add_verdict(options)
    return options


def parse_args(argv: list[str]) -> argparse.Namespace:
    args = parser().parse_args(argv)
    args.command = shlex.join(["soundstage", "check", *shown(argv, args)])
    return args


def _add_selection(parser: Parser) -> None:
    """What is checked, and with how much."""
    add = parser.add_argument
    add("--api", action="append", metavar="API", help=f"{', '.join(available())} (default: all)")
    text = "only rules that match: the answer is then that of a selection"
    add("-k", dest="only", metavar="EXPRESSION", help=text)
    text = "let the emulator that is started break every answer (`soundstage faults --list`)"
    add("--fault", action="append", default=[], metavar="NAME", help=text)
    text = (
        f"at most so many explored requests an endpoint (default: {EXPLORED} where they are free)"
    )
    add("--explore", type=at_most(MOST_EXPLORED), metavar="N", help=text)
    text = "billable requests that may be made up (live)"
    add("--explore-budget", type=count, metavar="N", help=text)
    text = (
        f"requests, and songs, under way at once (default: {FREE}, or {POLITE} where they may cost)"
    )
    add("--parallel", type=from_one(MOST_AT_ONCE), metavar="N", help=text)
    add("--seed", type=whole, default=0, help="of the requests (default 0)")
    text = (
        "time for all that is sent; what is not decided by then is inconclusive "
        "(default: an hour, and ten minutes more for each request of --explore-budget)"
    )
    add("--timeout", type=between(0.1, LONGEST_TIMEOUT_S), metavar="SECONDS", help=text)
    text = "rehearse a live run: nothing is free"
    add("--treat-as-live", action="store_true", help=text)


def _add_verdict(parser: Parser) -> None:
    """What weighs how much, and what is said and kept of it."""
    add = parser.add_argument
    add("--strict", action="store_true", help="warnings fail, too")
    add("--on-inconclusive", choices=("fail", "warn"), default="fail")
    add_config_option(parser)
    text = "draft waivers of what failed into this new file"
    add("--write-waivers", metavar="FILE", help=text)
    add("--out", metavar="DIR", help="folder of the run bundle (default: in runs/)")
    add("--format", choices=("text", "json"), default="text")
    add("--verbose", action="store_true", help="show pytest's own output")


def run(args: argparse.Namespace, stdout: TextIO, stderr: TextIO) -> int:
    config = find_config(args.config)
    tell_config(config, "soundstage check", stderr)
    target = target_of(args, config)
    options = _options(args, config, target)
    if args.dry_run:
        print(planned(options, args.explore, costly=_may_cost(options)), file=stdout)
        return 0
    confirm_configured(args, config, target, stderr)
    refuse_unkept(options.apis)
    tell_unknown_rules(config, options.apis, "soundstage check", stderr)
    check_view.begun(target, options.apis, stderr)
    progress = Progress(lambda text: say(f"soundstage check: {text}", stderr))
    # pytest's own output says how far it is, and would be drawn over.
    view = nullcontext() if args.verbose else check_view.shown(progress, target, stderr)
    load = partial(check_session.load, args.explore)
    with ExitStack() as stack:
        # Whoever may be asked something sees nothing move until then.
        asks = _may_cost(options) and not args.yes
        if not asks:
            stack.enter_context(view)
        checked = stack.enter_context(open_target(options, meanwhile=load))
        for warning in checked.session.warnings:
            progress.said(warning)
        if checked.may_be_paid(options) and not args.yes:
            consent.ask(planned(options, args.explore, costly=True), stderr)
        if asks:
            stack.enter_context(view)
        # Whoever stops the check once its bundle has begun finds a report in it.
        with signals.held():
            gate = stack.enter_context(begun_gate(options, checked, progress))
            ran = check_session.ran(
                gate, explore=args.explore, only=args.only, verbose=args.verbose
            )
    code = ran.code if signals.heard() is None else signals.code()
    if code == ExitCode.INCONCLUSIVE and args.on_inconclusive == "warn":
        code = ExitCode.PASS
    return with_report(code, _told(gate, ran, args, stdout, stderr))


def _options(args: argparse.Namespace, config: Config, target: str) -> CheckOptions:
    """What is to be checked. Raises UsageError for what can be seen to be wrong before anything is
    sent.
    """
    if args.only is not None:
        _check_expression(args.only)
    if args.write_waivers:
        _check_waiver_file(args.write_waivers)
    if args.out is not None:
        free_folder(Path(args.out))
    return CheckOptions(
        target=target,
        apis=apis_of(args.api, config),
        budget=args.budget if args.budget is not None else config.target.budget,
        explore_budget=args.explore_budget,
        out=args.out,
        strict=args.strict,
        seed=args.seed,
        command=args.command,
        treat_as_live=args.treat_as_live,
        config=config,
        emulator_arguments=_emulator_arguments(args, target),
        only=args.only,
        timeout_s=args.timeout,
        at_once=args.parallel,
        **connection_of(args, config),
    )


def _told(
    gate: ContractGate, ran: CheckedRules, args: argparse.Namespace, stdout: TextIO, stderr: TextIO
) -> int:
    """Say what came of it; the exit code of saying it."""
    assert gate.bundle is not None
    printed = io.StringIO() if args.format == "json" else stdout
    if ran.unwritten is None:
        reported = cli.run("report", [str(gate.bundle.path)], printed, stderr)
    else:
        reported = _unwritten_report(gate, ran, printed, stderr)
    if args.format == "json":
        say(json_line(gate.bundle.run, stdout), stdout)
    else:
        for waiver in gate.unused_waivers():
            say(f"unused waiver: {waiver.describe()}", stdout)
    if gate.patience.over():
        said = "what was not decided by then is inconclusive"
        say(f"soundstage check: {gate.patience.words}; {said}", stderr)
    if signals.heard() is not None:
        said = f"{signals.words()}; what was judged is in {gate.bundle.path}"
        say(f"soundstage check: {said}", stderr)
    if args.write_waivers:
        try:
            _draft_waivers(gate, Path(args.write_waivers), stdout)
        except SoundstageError as error:
            say(f"soundstage check: {error}", stderr)
            reported = worst((reported, ExitCode.ENVIRONMENT))
    return reported


def _unwritten_report(gate: ContractGate, ran: CheckedRules, stdout: TextIO, stderr: TextIO) -> int:
    """The report of a check whose bundle could not be written, of what is in memory; the code of a
    report that could not be written.
    """
    assert gate.bundle is not None
    findings = import_module("soundstage.reports.run.findings")
    intake = import_module("soundstage.results.intake").Intake()
    intake.take(each.row(gate.sender.started_ns) for each in gate.exchanges)
    report = findings.build(
        gate.bundle.run,
        rules=[outcome.to_json() for outcome in ran.outcomes],
        violations=[row for each in gate.exchanges for row in each.violation_rows()],
        exchanges=lambda _: intake,
    )
    import_module("soundstage.reports.formats.text").print_summary(report, stdout)
    say(f"soundstage check: {ran.unwritten}", stderr)
    return ExitCode.ENVIRONMENT


def _check_expression(text: str) -> None:
    """Raises UsageError for an expression that pytest would not understand."""
    from _pytest.mark.expression import Expression

    try:
        Expression.compile(text)
    # Which exception it is depends on pytest's version.
    except (SyntaxError, ValueError, getattr(Expression, "ParseError", SyntaxError)) as error:
        why = error.args[0] if error.args else error
        raise UsageError(
            f"-k {text!r}: not an expression: {why}; try -k 'index or order'"
        ) from error
    if not text.strip():
        raise UsageError("-k: an empty expression selects nothing; leave it out for all rules")


def _may_cost(options: CheckOptions) -> bool:
    """Whether a check may cost money, as far as can be told without asking the target."""
    return options.treat_as_live or not is_free(options.target)


def _check_waiver_file(name: str) -> None:
    """Raises UsageError for a file that no waivers can be drafted into."""
    check_place(Path(name), "--write-waivers")
    if Path(name).exists():
        raise UsageError(f"--write-waivers {name}: there is such a file already")
    if not Path(name).parent.is_dir():
        raise UsageError(f"--write-waivers {name}: there is no such folder")


def _draft_waivers(gate: ContractGate, file: Path, stdout: TextIO) -> None:
    """Write a waiver for each finding that fails, to be given a reason and a date by a person."""
    found: dict[str, tuple[str, str, str]] = {}
    for exchange in gate.exchanges:
        for violation in exchange.violations:
            if gate.weights.of(violation).fails and not gate.config.waivers_of(violation):
                found[fingerprint(violation)] = (violation.code, violation.rule, violation.message)
    until = (date.today() + timedelta(days=_WAIVED_DAYS)).isoformat()
    lines = []
    for mark, (code, rule, message) in sorted(found.items(), key=lambda item: item[1]):
        said = visible.line(f"# {code} {rule}: {message}")
        lines.append(f'{said}\n[[waiver]]\nfingerprint = "{mark}"')
        lines.append(f'reason = "TODO: why is this known, and who mends it?"\nuntil = {until}\n')
    put(file, "\n".join(lines))
    say(f"{len(found)} waiver{'' if len(found) == 1 else 's'} drafted in {file}", stdout)


def _emulator_arguments(args: argparse.Namespace, target: str) -> tuple[str, ...]:
    if args.fault and target != EMULATOR:
        raise UsageError("--fault: only an emulator that is started here can be told to fail")
    faults = [word for name in args.fault for word in ("--fault", name)]
    return (*args.emulator_args, *faults)
