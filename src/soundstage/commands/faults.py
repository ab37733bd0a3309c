"""`soundstage faults`: the kill matrix. Every fault that the contracts' data describes is put into
valid answers and judged as a client would (`proof/fault_trials.py`); and valid answers are judged
for false alarms.
"""

from __future__ import annotations

import argparse
import fnmatch
from collections import Counter
from collections.abc import Iterator, Sequence
from typing import TextIO

from soundstage.arguments import Parser, whole
from soundstage.contract import Contract, available, load, load_all
from soundstage.contract.contract import folder_of
from soundstage.errors import NoDataError, UsageError
from soundstage.generation.faults.catalogue import Fault, catalogue, near, wire_faults
from soundstage.near_names import asked_back
from soundstage.output.streams import json_line, say
from soundstage.proof.contract_files import ContractFiles
from soundstage.proof.fault_trials import judge_all
from soundstage.proof.kill_matrix import KillMatrix, KillTable
from soundstage.proof.no_fault import UnbrokenKeyword, unbroken_keywords

HELP = "prove that every fault in the catalogue is caught"

_EXAMPLES = """examples:
  soundstage faults
  soundstage faults --api v6 --only 'order/*'
  soundstage faults --valid 10000 --format json
  soundstage faults --list

A fault is killed if each of its streams shows one of its codes at its severity. One that is not
noticed survives; one for which only something else is found has the wrong code. One that no valid
answer had a place for was not tried, and is named at the end; so is each keyword of a request, an
answer or a chunk that no fault breaks.

exit codes: 0 all that were tried are killed and no false alarm, 1 otherwise, 2 wrong usage
"""


def parser() -> Parser:
    """The options of `soundstage faults`, before anything is parsed."""
    options = Parser(
        prog="soundstage faults",
        description="Put every fault of the catalogue into valid answers, and see that it is "
        "caught under the right code; judge valid streams, and see that nothing is.",
        epilog=_EXAMPLES,
    )
    add = options.add_argument
    text = f"only this version (repeatable; {', '.join(available())}; default: all)"
    add("--api", action="append", default=[], dest="apis", metavar="API", help=text)
    add("--format", choices=("text", "json"), default="text")
    text = "valid streams to judge for each version (default: %(default)s)"
    add("--valid", type=_count, default=1000, metavar="N", help=text)
    add("--seed", type=whole, default=0, metavar="N", help="draw other streams (default: 0)")
    text = "only faults whose name matches, as in a shell (order/*)"
    add("--only", metavar="PATTERN", help=text)
    add("--list", action="store_true", help="list the faults instead, with what must catch them")
    return options


def parse_args(argv: list[str]) -> argparse.Namespace:
    return parser().parse_args(argv)


def run(args: argparse.Namespace, stdout: TextIO, stderr: TextIO) -> int:
    contracts = [load(api) for api in dict.fromkeys(args.apis)] or list(load_all().values())
    if not contracts:
        raise NoDataError("there are no contracts")
    chosen = {each.api: _chosen(each, args.only) for each in contracts}
    if not any(chosen.values()):
        alike = asked_back(near(args.only, contracts))
        more = alike or "; `soundstage faults --list` names all"
        raise UsageError(f"no fault is called {args.only!r}{more}")
    clean = True
    for contract in contracts:
        faults = chosen[contract.api]
        if args.list:
            _list(contract, faults, args.format, stdout)
            continue
        matrix = judge_all(contract, faults, valid=args.valid, seed=args.seed)
        clean = clean and matrix.clean
        unbroken: list[UnbrokenKeyword] = []
        if args.only is None:
            unbroken = unbroken_keywords(contract, ContractFiles.of(folder_of(contract.api)))
        if args.format == "json":
            row = {**matrix.to_json(), "no_fault_for": [each._asdict() for each in unbroken]}
            say(json_line(row, stdout), stdout)
        else:
            print_matrix(matrix, stdout)
            for each in unbroken:
                say(f"{contract.api}: {each}", stdout)
        stdout.flush()
    return 0 if clean else 1


# --- output ---------------------------------------------------------------------------------------


def _chosen(contract: Contract, pattern: str | None) -> list[Fault]:
    known = (*catalogue(contract), *wire_faults(contract))
    return [fault for fault in known if pattern is None or _matches(fault.name, pattern)]


def _matches(name: str, pattern: str) -> bool:
    return name == pattern or fnmatch.fnmatchcase(name, pattern)


def _count(text: str) -> int:
    number = int(text)
    if number < 0:
        raise argparse.ArgumentTypeError(f"{number} is not a number of streams")
    return number


def expected(fault: Fault) -> str:
    """What a client must make of a fault, in words."""
    if fault.codes:
        return f"{fault.severity}: {' or '.join(sorted(fault.codes))}"
    reasons = " or ".join(sorted(fault.reasons))
    return f"{fault.verdict}: {reasons}" if fault.verdict == "inconclusive" else fault.verdict


def _list(contract: Contract, faults: Sequence[Fault], form: str, stdout: TextIO) -> None:
    for fault in faults:
        row = {
            "api": contract.api,
            "name": fault.name,
            "level": fault.level,
            "of": fault.of,
            "codes": sorted(fault.codes),
            "severity": fault.severity,
            "description": fault.description,
            "verdict": fault.verdict,
            "reasons": sorted(fault.reasons),
            "seconds": fault.setting,
        }
        if form == "json":
            say(json_line(row, stdout), stdout)
        else:
            say(f"{contract.api} {fault.name}: {fault.description}", stdout)
            say(f"    {fault.level} of {fault.of}; {expected(fault)}", stdout)


def print_matrix(matrix: KillMatrix, stdout: TextIO) -> None:
    for title, table in (("errors", matrix.errors), ("warnings", matrix.warnings)):
        if not table.trials:
            continue
        killed, nowhere = len(table.of("killed")), len(table.of("no_place"))
        many = f"{killed}/{len(table.tried)}{_nowhere(nowhere)}"
        say(f"{table.api}, faults that are {title}: {many}", stdout)
        for row in _rows(table):
            say(f"  {row}", stdout)
        for trial in (*table.of("survived"), *table.of("wrong_code")):
            found = ", ".join(trial.found) or "nothing"
            what = "survived" if trial.outcome == "survived" else "wrong code"
            say(f"  {what}: {trial.fault.name}", stdout)
            say(f"      expected {expected(trial.fault)}; found {found}", stdout)
    many_streams = matrix.errors.valid_streams
    wrong = matrix.errors.false_alarms + matrix.warnings.false_alarms
    say(f"{matrix.errors.api}: {wrong} false alarms on {many_streams} valid streams", stdout)
    for alarm in matrix.alarms:
        say(f"  {alarm}", stdout)
    untried = [*matrix.errors.of("no_place"), *matrix.warnings.of("no_place")]
    if untried:
        say(f"{matrix.errors.api}: no valid answer has a place for", stdout)
        for trial in untried:
            say(f"  {trial.fault.name}", stdout)


def _rows(table: KillTable) -> Iterator[str]:
    totals = Counter(trial.fault.family for trial in table.trials)
    tried = Counter(trial.fault.family for trial in table.tried)
    killed = Counter(trial.fault.family for trial in table.of("killed"))
    width = max(map(len, totals))
    for family, total in totals.items():
        nowhere = _nowhere(total - tried[family])
        yield f"{family:<{width}}  {killed[family]:>4}/{tried[family]}{nowhere}"


def _nowhere(many: int) -> str:
    return f", {many} with no place" if many else ""
