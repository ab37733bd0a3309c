"""`soundstage check`: runs the contract checks against a target, and says pass, fail or why not."""

from __future__ import annotations

import argparse
import io
import shlex
from datetime import date, timedelta
from importlib import import_module
from pathlib import Path
from typing import Any, TextIO

from soundstage import cli, contracts
from soundstage.arguments import (
    Hidden,
    Parser,
    at_most,
    base_url,
    between,
    count,
    header,
    shown,
    whole,
    words,
)
from soundstage.commands import check_plan, isolation
from soundstage.commands.printing import json_line
from soundstage.commands.unwritten import unwritten_report
from soundstage.config import find_config
from soundstage.conformance.violations import fingerprint
from soundstage.contract import available
from soundstage.errors import SoundstageError, TargetError, UsageError, environment_reason
from soundstage.exchange import consent, destination
from soundstage.exchange.budget import is_loopback
from soundstage.exchange.patience import LONGEST_TIMEOUT_S
from soundstage.exit_codes import ExitCode, with_report, worst
from soundstage.gate.contract_check import EMULATOR, CheckOptions, open_gate
from soundstage.gate.gate import ContractGate
from soundstage.gate.rule_outcomes import RuleOutcome
from soundstage.output import visible
from soundstage.output.streams import say
from soundstage.output.written_files import check_place, put
from soundstage.process import signals

HELP = "check a target against the contract"

_EXAMPLES = """examples:
  soundstage check --target emulator
  soundstage check --target emulator --fault order/streaming/skipped
  soundstage check --target http://127.0.0.1:8000 --api v6
  soundstage check --target https://api.soundverse.ai --budget 4 --dry-run
  SOUNDVERSE_API_KEY=... soundstage check --target https://api.soundverse.ai --budget 4 --yes

A live check costs one generation per version and endpoint. The key is read from
SOUNDVERSE_API_KEY or --key-file, never from the command line. Known findings are waived, and
severities set, in soundstage.toml (docs/configuration.md).

It runs in its own house: no conftest.py, pytest.ini, PYTEST_ADDOPTS or plugin of yours has a say
in it (`pytest contracts --target URL` is the form that is yours).

It ends after --timeout, whatever the target does, and tries nothing more out on a target that has
let three requests run into their own timeouts.

exit codes: 0 pass, 1 contract broken, 2 wrong usage, 4 inconclusive, 5 no data,
6 target or environment failed, 70 our bug
"""


#: Requests of exploration for an endpoint where it is free, and at most.
_EXPLORED, _MOST_EXPLORED = 10, 10_000
#: A drafted waiver holds this long, unless a person says otherwise.
_WAIVED_DAYS = 30


def parse_args(argv: list[str]) -> argparse.Namespace:
    parser = Parser(
        prog="soundstage check",
        description="Check a target against the contract: a test case for every rule.",
        epilog=_EXAMPLES,
    )
    parser.add_argument(
        "--target",
        type=base_url,
        metavar="URL",
        help="base URL of the API; `emulator` starts one (free)",
    )
    parser.add_argument(
        "--api", action="append", metavar="API", help=f"{', '.join(available())} (default: all)"
    )
    parser.add_argument(
        "--budget", type=count, metavar="N", help="billable requests that may be sent"
    )
    parser.add_argument(
        "--timeout",
        type=between(0.1, LONGEST_TIMEOUT_S),
        metavar="SECONDS",
        help="time for all that is sent; what is not decided by then is inconclusive "
        "(default: an hour, and ten minutes more for each request of --explore-budget)",
    )
    parser.add_argument("--key-file", metavar="FILE", help="file with the API key")
    parser.add_argument("--out", metavar="DIR", help="folder of the run bundle (default: in runs/)")
    parser.add_argument(
        "--explore",
        type=at_most(_MOST_EXPLORED),
        metavar="N",
        help=f"explored requests per endpoint (default {_EXPLORED} where that is free)",
    )
    parser.add_argument(
        "--explore-budget", type=count, metavar="N", help="billable requests of exploration (live)"
    )
    parser.add_argument("--seed", type=whole, default=0, help="of the requests (default 0)")
    parser.add_argument("--strict", action="store_true", help="warnings fail, too")
    parser.add_argument("--header", action=Hidden, default=[], metavar="'NAME: VALUE'")
    parser.add_argument(
        "--ca-file", metavar="PEM", help="authorities to trust instead of the system's"
    )
    parser.add_argument("--client-cert", nargs=2, metavar=("CERT", "KEY"), help="PEM files")
    parser.add_argument("--insecure", action="store_true", help="do not verify certificates")
    parser.add_argument(
        "--keep-private", action="store_true", help="do not redact prompts in bundles"
    )
    parser.add_argument(
        "--fault",
        action="append",
        default=[],
        metavar="NAME",
        help="let the emulator that is started break every answer (`soundstage faults --list`)",
    )
    parser.add_argument(
        "--emulator-args",
        type=words,
        default="--profile instant",
        metavar="ARGS",
        help="options for --target emulator (default: --profile instant)",
    )
    parser.add_argument("--config", metavar="FILE", help="default: soundstage.toml, if it is here")
    parser.add_argument(
        "--write-waivers", metavar="FILE", help="draft waivers of what failed into this new file"
    )
    parser.add_argument("--dry-run", action="store_true", help="say what would be sent, and stop")
    parser.add_argument("--yes", action="store_true", help="do not ask before a live run")
    parser.add_argument(
        "--treat-as-live", action="store_true", help="rehearse a live run: nothing is free"
    )
    parser.add_argument("--on-inconclusive", choices=("fail", "warn"), default="fail")
    parser.add_argument("--format", choices=("text", "json"), default="text")
    parser.add_argument("--verbose", action="store_true", help="show pytest's own output")
    parser.add_argument(
        "-k",
        dest="only",
        metavar="EXPRESSION",
        help="only rules that match: the answer is then that of a selection",
    )
    args = parser.parse_args(argv)
    args.command = shlex.join(["soundstage", "check", *shown(argv, args)])
    return args


def run(args: argparse.Namespace, stdout: TextIO, stderr: TextIO) -> int:
    config = find_config(args.config)
    target = args.target or config.target.url
    if not target:
        raise UsageError("--target is needed: a base URL, or `--target emulator`, which is free")
    budget = args.budget if args.budget is not None else config.target.budget
    if args.only is not None:
        _check_expression(args.only)
    if args.write_waivers:
        check_place(Path(args.write_waivers), "--write-waivers")
    if args.write_waivers and Path(args.write_waivers).exists():
        raise UsageError(f"--write-waivers {args.write_waivers}: there is such a file already")
    if args.write_waivers and not Path(args.write_waivers).parent.is_dir():
        raise UsageError(f"--write-waivers {args.write_waivers}: there is no such folder")
    options = CheckOptions(
        target=target,
        apis=tuple(args.api or config.target.api or available()),
        budget=budget,
        explore_budget=args.explore_budget,
        key_file=args.key_file or config.target.key_file,
        out=args.out,
        strict=args.strict,
        seed=args.seed,
        command=args.command,
        headers=tuple(map(header, args.header)),
        ca_file=args.ca_file or config.target.ca_file,
        client_cert=tuple(args.client_cert) if args.client_cert else None,
        insecure=args.insecure,
        keep_private=args.keep_private,
        treat_as_live=args.treat_as_live,
        config=config,
        emulator_arguments=_emulator_arguments(args, target),
        only=args.only,
        timeout_s=args.timeout,
    )
    if args.dry_run:
        print(planned(options, args.explore, costly=_may_cost(options)), file=stdout)
        return 0
    if args.target is None and config.path is not None and target != EMULATOR:
        destination.confirm(
            target,
            config.path,
            option="--target",
            key_file=options.key_file,
            secrets=(*options.headers, *(options.client_cert or ())),
            stderr=stderr,
        )
    with open_gate(options) as gate:
        for warning in gate.session.warnings:
            say(f"soundstage check: {warning}", stderr)
        pays = gate.session.budget.left or gate.exploring.left
        if gate.costly and pays and not args.yes:
            consent.ask(planned(options, args.explore, costly=True), stderr)
        elif stderr.isatty() and not args.verbose:
            many = ", ".join(options.apis)
            say(f"checking {gate.session.target.url} ({many}) …", stderr)
        try:
            _load()
        except KeyboardInterrupt:
            code, outcomes, unwritten = _interrupted(gate, [])
        else:
            code, outcomes, unwritten = _check(gate, args)
    if code == ExitCode.INCONCLUSIVE and args.on_inconclusive == "warn":
        code = ExitCode.PASS
    assert gate.bundle is not None
    printed = io.StringIO() if args.format == "json" else stdout
    if unwritten is None:
        reported = cli.run("report", [str(gate.bundle.path)], printed, stderr)
    else:
        reported = unwritten_report(gate, outcomes, unwritten, printed, stderr)
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
    return with_report(code, reported)


def _load() -> None:
    """Load what the checks need: it takes a while, in which somebody may lose patience."""
    with isolation.undisturbed():
        # Not before: Hypothesis looks at the environment when it is loaded.
        import_module("soundstage.commands.breakdown")
        import_module("soundstage.pytest_plugin")


def _check(
    gate: ContractGate, args: argparse.Namespace
) -> tuple[int, list[RuleOutcome], TargetError | None]:
    """Run the checks and finish the bundle: the exit code, what is known about each rule, and why
    the bundle could not be finished, if so.
    """
    import pytest

    from soundstage.commands.breakdown import Breakdown
    from soundstage.pytest_plugin import Provided

    with isolation.undisturbed():
        provided, breakdown = Provided(gate), Breakdown()
        try:
            status = int(pytest.main(_pytest_arguments(args), plugins=[provided, breakdown]))
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
    selection = None if args.only is None else gate.selection(args.only, provided.rules, outcomes)
    # Checks that cannot even be collected interrupt pytest, too.
    stopped = signals.heard() is not None or not beside.errors
    if status == pytest.ExitCode.INTERRUPTED and stopped:
        return _interrupted(gate, outcomes, selection=selection)
    if status == pytest.ExitCode.NO_TESTS_COLLECTED and args.only is not None:
        beside.errors.append((ExitCode.NO_DATA, f"-k {args.only!r} selects nothing"))
    elif status not in (pytest.ExitCode.OK, pytest.ExitCode.TESTS_FAILED) and not beside.errors:
        beside.errors.append((ExitCode.BUG, f"the checks did not run: pytest ended with {status}"))
    due = check_plan.cases(gate.contracts.values())
    if args.only is None and provided.cases != due:
        said = f"{provided.cases} test cases were collected; the contracts yield {due}"
        beside.errors.append((ExitCode.BUG, said))
    elif provided.ran < provided.cases:
        said = f"{provided.ran} of {provided.cases} test cases were run"
        beside.errors.append((ExitCode.BUG, said))
    code = gate.exit_code(outcomes, beside)
    unwritten = _finished(gate, outcomes, code, beside=beside, selection=selection)
    return code, outcomes, unwritten


def _interrupted(
    gate: ContractGate, outcomes: list[RuleOutcome], **more: Any
) -> tuple[int, list[RuleOutcome], TargetError | None]:
    code = signals.code()
    return code, outcomes, _finished(gate, outcomes, code, interrupted=True, **more)


def _finished(
    gate: ContractGate, outcomes: list[RuleOutcome], code: int, **more: Any
) -> TargetError | None:
    """Finish the bundle. Gives why it could not be: what was judged counts nevertheless."""
    try:
        gate.finish(outcomes, code, **more)
    except TargetError as error:
        return error
    return None


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
    here = options.target == EMULATOR or is_loopback(options.target)
    return options.treat_as_live or not here


def planned(options: CheckOptions, explore: int | None, *, costly: bool) -> str:
    """What a check sends, and how much of it is billable, in words. Sends nothing. `costly`: the
    target is one where nothing is explored unless it is asked for.
    """
    many = explore if explore is not None else 0 if costly else _EXPLORED
    with isolation.undisturbed():
        plan = check_plan.plan(options.apis, many, options.seed)
    lines = [f"{options.target}: one request to each of", *(f"  {each}" for each in plan.endpoints)]
    budget = options.budget
    billable = plan.captured if budget is None else min(plan.captured, budget)
    if many:
        limit, made_up = options.explore_budget, plan.made_up
        most = f"; at most {limit} are paid for (--explore-budget)" if limit is not None else ""
        lines.append(
            f"{plan.requests} explored requests ({plan.explored} that Schemathesis thinks of, "
            f"{plan.unusual} unusual, {plan.breaking} that break a rule), {made_up} of them "
            f"billable{most}"
        )
        paid = made_up if limit is None else min(made_up, limit)
        if limit is None and costly:
            lines.append("none of these billable requests is sent without --explore-budget N")
            paid = 0
        billable += paid
    said = "no budget" if budget is None else f"a budget of {budget}"
    if budget is None and costly:
        said += ": without --budget N none of them is sent"
    least = "at most " if options.only is not None else ""
    lines.append(f"{least}{billable} billable requests, {said}; requests without a key are free")
    return visible.lines(lines)


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
    say(f"{len(found)} waivers drafted in {file}", stdout)


def _pytest_arguments(args: argparse.Namespace) -> list[str]:
    arguments = [
        "--pyargs",
        "soundstage.contracts",
        "-p",
        "soundstage.pytest_plugin",
        "-p",
        "no:cacheprovider",
        "-p",
        "no:schemathesis",
        "--import-mode=importlib",
        "--noconftest",
        f"--rootdir={Path(contracts.__file__).parent}",
        "-c",
        "/dev/null",
        "-W",
        "ignore",
    ]
    if not args.verbose:
        arguments += ["-p", "no:terminal"]
    if args.explore is not None:
        arguments += ["--explore", str(args.explore)]
    if args.only:
        arguments += ["-k", args.only]
    return arguments


def _emulator_arguments(args: argparse.Namespace, target: str) -> tuple[str, ...]:
    if args.fault and target != EMULATOR:
        raise UsageError("--fault: only an emulator that is started here can be told to fail")
    faults = [word for name in args.fault for word in ("--fault", name)]
    return (*args.emulator_args, *faults)
