"""`soundstage faults`: the kill matrix. Every fault that the contracts' data describes is put into
valid answers and judged as a client would; and valid answers are judged for false alarms.

Faults of the wire are sent over sockets (`wire_trials.py`). The one place where the fault catalogue
and the conformance engine meet.
"""

from __future__ import annotations

import argparse
import fnmatch
import random
from collections import Counter
from collections.abc import Iterator, Sequence
from typing import Final, TextIO

from soundstage.arguments import Parser, whole
from soundstage.commands.kill_matrix import KillMatrix, KillTable, Trial
from soundstage.commands.wire_trials import found_on_the_wire
from soundstage.conformance.judge import Judge
from soundstage.conformance.looks_judge import LooksJudge
from soundstage.conformance.violations import Severity, Verdict, Violation
from soundstage.contract import Contract, available, load, load_all
from soundstage.contract.protocol import Endpoint
from soundstage.errors import NoDataError, UsageError
from soundstage.generation.faults.catalogue import (
    OPTIONAL,
    Fault,
    WholeAnswer,
    broken_answer,
    catalogue,
    encoded,
    near,
    request_for,
    tracks_for,
    valid_answer,
    valid_stream,
    wire_faults,
)
from soundstage.output.streams import json_line, say

HELP = "prove that every fault in the catalogue is caught"

_EXAMPLES = """examples:
  soundstage faults
  soundstage faults --api v6 --only 'order/*'
  soundstage faults --valid 10000 --format json
  soundstage faults --list

A fault is killed if each of its streams shows one of its codes at its severity. One that is not
noticed survives; one for which only something else is found has the wrong code. One that no valid
answer had a place for was not tried, and is named at the end.

exit codes: 0 all that were tried are killed and no false alarm, 1 otherwise, 2 wrong usage
"""

#: On how many valid answers each fault is tried, and how many are drawn to find them.
TRIES: Final = 4
DRAWN: Final = 200
_WEIGHTY: Final = (Severity.ERROR, Severity.WARNING)
_SHOWN: Final = 5


def parse_args(argv: list[str]) -> argparse.Namespace:
    parser = Parser(
        prog="soundstage faults",
        description="Put every fault of the catalogue into valid answers, and see that it is "
        "caught under the right code; judge valid streams, and see that nothing is.",
        epilog=_EXAMPLES,
    )
    add = parser.add_argument
    text = f"only this version (repeatable; {', '.join(available())}; default: all)"
    add("--api", action="append", default=[], dest="apis", metavar="API", help=text)
    add("--format", choices=("text", "json"), default="text")
    text = "valid streams to judge for each version (default: %(default)s)"
    add("--valid", type=_count, default=1000, metavar="N", help=text)
    add("--seed", type=whole, default=0, metavar="N", help="draw other streams (default: 0)")
    text = "only faults whose name matches, as in a shell (order/*)"
    add("--only", metavar="PATTERN", help=text)
    add("--list", action="store_true", help="list the faults instead, with what must catch them")
    return parser.parse_args(argv)


def run(args: argparse.Namespace, stdout: TextIO, stderr: TextIO) -> int:
    contracts = [load(api) for api in dict.fromkeys(args.apis)] or list(load_all().values())
    if not contracts:
        raise NoDataError("there are no contracts")
    chosen = {each.api: _chosen(each, args.only) for each in contracts}
    if not any(chosen.values()):
        known = ", ".join(near(args.only, contracts)) or "see soundstage faults --list"
        raise UsageError(f"no fault is called {args.only!r}: did you mean {known}?")
    clean = True
    for contract in contracts:
        faults = chosen[contract.api]
        if args.list:
            _list(contract, faults, args.format, stdout)
            continue
        matrix = judge_all(contract, faults, valid=args.valid, seed=args.seed)
        clean = clean and matrix.clean
        if args.format == "json":
            say(json_line(matrix.to_json(), stdout), stdout)
        else:
            _print(matrix, stdout)
        stdout.flush()
    return 0 if clean else 1


def judge_all(
    contract: Contract, faults: Sequence[Fault], *, valid: int = 0, seed: int = 0
) -> KillMatrix:
    """The kill matrix of a contract: each fault tried, and `valid` streams judged."""
    matrix = KillMatrix(KillTable(contract.api), KillTable(contract.api))
    for fault in faults:
        if fault.level not in ("wire", "service"):
            table = matrix.errors if fault.severity == Severity.ERROR else matrix.warnings
            table.trials.append(tried(contract, fault, seed))
    on_the_wire = [fault for fault in faults if fault.level == "wire"]
    for fault, finding in found_on_the_wire(contract, on_the_wire, seed):
        outcome = "killed" if finding.caught else "wrong_code" if finding.placed else "no_place"
        found = () if finding.caught else finding.found
        matrix.errors.trials.append(Trial(fault, outcome, found))
    for table in (matrix.errors, matrix.warnings):
        table.valid_streams = valid if contract.told is not None else 0
    for number in range(matrix.errors.valid_streams):
        _alarm(contract, matrix, f"{seed}/{number}", number)
    return matrix


# --- one fault ------------------------------------------------------------------------------------


def tried(contract: Contract, fault: Fault, seed: int = 0) -> Trial:
    """Put a fault into valid answers, in all framings that there are, and see what is found."""
    tries = 0
    endpoint = contract.endpoints.get(fault.of)
    framings = (endpoint.framings if endpoint is not None else ()) or ("json",)
    for attempt in range(DRAWN):
        rng = random.Random(f"{seed}/{fault.name}/{attempt}")
        framing = framings[tries % len(framings)] if attempt < DRAWN // 2 else None
        status, framing, chunks = valid_answer(contract, fault, rng, framing)
        answer = broken_answer(contract, fault, status, framing, chunks, rng)
        if answer is None:
            continue
        tries += 1
        found = judged(contract, fault, answer)
        if not any(v.code in fault.codes and v.severity == fault.severity for v in found):
            weighty = [f"{v.code} ({v.severity})" for v in found if v.severity in _WEIGHTY]
            outcome = "wrong_code" if weighty else "survived"
            return Trial(fault, outcome, tuple(dict.fromkeys(weighty)))
        if tries == TRIES:
            return Trial(fault, "killed")
    if tries:
        return Trial(fault, "killed")
    return Trial(fault, "no_place")


def judged(contract: Contract, fault: Fault, answer: WholeAnswer) -> list[Violation]:
    """What a client finds in a broken answer."""
    if fault.kind == "states":
        return _looked_at(contract, contract.endpoints[fault.of], answer).violations
    endpoint = contract.endpoint_of_errors()
    if fault.of != "error":
        endpoint = contract.endpoints[fault.of]
    request = None
    if endpoint.kind == "stream":
        seen = contract.seen_through(endpoint)
        request = request_for(seen, tracks_for(seen))
    judge = Judge(
        contract,
        endpoint,
        expect_error=fault.of == "error",
        broken_rule=fault.broken_rule,
        request=request,
    )
    return _fed(judge, answer).violations


def _fed(judge: Judge, answer: WholeAnswer) -> Judge:
    judge.head(answer.status, answer.content_type)
    for frame in answer.body.frames:
        judge.feed(frame)
    judge.close()
    return judge


def _looked_at(contract: Contract, endpoint: Endpoint, answer: WholeAnswer) -> LooksJudge:
    """Each frame of the answer is the body of one look at a job."""
    looks = LooksJudge(contract, endpoint)
    for frame in answer.body.frames:
        one = answer._replace(body=answer.body._replace(frames=[frame]))
        looks.take(_fed(looks.judge(), one))
    looks.check.close()
    return looks


# --- false alarms ---------------------------------------------------------------------------------


def _alarm(contract: Contract, matrix: KillMatrix, seed: str, number: int) -> None:
    """Judge one valid stream, or the looks at one job, and count what is found in it."""
    rng = random.Random(seed)
    told = [each for each in contract.endpoints.values() if each.protocol is not None]
    endpoint = told[number % len(told)]
    seen = contract.seen_through(endpoint)
    tracks = None if tracks_for(seen) is None else 1 + number % 3
    chunks = valid_stream(seen, rng, optional=rng.choice((0.0, OPTIONAL, 1.0)), tracks=tracks)
    judge: Judge | LooksJudge
    if endpoint.sampled:
        answer = WholeAnswer(endpoint.usual_status, "application/json", encoded(chunks, "json"))
        judge = _looked_at(contract, endpoint, answer)
        verdict, reason = judge.check.verdict(), judge.check.reason
        if any(each.severity is Severity.ERROR for each in judge.violations):
            verdict = Verdict.VIOLATES
    else:
        judge = Judge(contract, endpoint, request=request_for(seen, tracks))
        for frame in encoded(chunks, rng.choice(endpoint.framings), endpoint.protocol).frames:
            judge.feed(frame)
        judge.close()
        verdict, reason = judge.verdict(), judge.reason
    severities = {violation.severity for violation in judge.violations}
    if verdict is not Verdict.CONFORMS:
        matrix.errors.false_alarms += 1
    elif Severity.WARNING in severities:
        matrix.warnings.false_alarms += 1
    else:
        return
    if len(matrix.alarms) < _SHOWN:
        said = [v for v in judge.violations if v.severity in _WEIGHTY]
        why = f"{said[0].message} [{said[0].code}]" if said else str(reason)
        matrix.alarms.append(f"valid stream {seed}: {why}")


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


def _print(matrix: KillMatrix, stdout: TextIO) -> None:
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
