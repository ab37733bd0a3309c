"""The kill matrix of a contract: each fault is put into valid answers that are judged as a client
would, and valid answers are judged for false alarms.

Faults of the wire and of what two endpoints say of one generation need sockets (`wire_trials.py`,
`tie_trials.py`), those of arrivals a time that is made up (`arrival_trials.py`). The one place
where the fault catalogue and the conformance engine meet.
"""

from __future__ import annotations

import random
from collections.abc import Callable, Sequence
from typing import Final, NamedTuple

from soundstage.conformance.judge import Judge
from soundstage.conformance.looks_judge import LooksJudge
from soundstage.conformance.violations import Severity, Verdict, Violation, verdict_of
from soundstage.contract import Contract
from soundstage.contract.protocol import Endpoint
from soundstage.generation.faults.catalogue import (
    OPTIONAL,
    Fault,
    WholeAnswer,
    broken_answer,
    encoded,
    request_for,
    tracks_for,
    valid_answer,
    valid_result,
    valid_stream,
)
from soundstage.proof.arrival_trials import found_in_arrivals, unheld
from soundstage.proof.bill_trials import found_in_bills, unbilled
from soundstage.proof.kill_matrix import KillMatrix, KillTable, Trial, TrialFinding
from soundstage.proof.tie_trials import found_in_ties, untied
from soundstage.proof.wire_trials import found_on_the_wire

#: On how many valid answers each fault is tried, and how many are drawn to find them.
TRIES: Final = 4
DRAWN: Final = 200
_WEIGHTY: Final = (Severity.ERROR, Severity.WARNING)
_SHOWN: Final = 5
#: Told how many faults have been tried.
Tried = Callable[[int], None]


def judge_all(
    contract: Contract,
    faults: Sequence[Fault],
    *,
    valid: int = 0,
    seed: int = 0,
    told: Tried = lambda done: None,
) -> KillMatrix:
    """The kill matrix of a contract: each fault tried, and `valid` streams judged."""
    matrix = KillMatrix(KillTable(contract.api), KillTable(contract.api))
    done = 0

    def add(trial: Trial) -> None:
        nonlocal done
        table = matrix.errors if trial.fault.severity == Severity.ERROR else matrix.warnings
        table.trials.append(trial)
        done += 1
        told(done)

    of_answers = [fault for fault in faults if fault.level not in ("wire", "service")]
    for fault in of_answers:
        add(tried(contract, fault, seed))
    held = [fault for fault in faults if fault.timed]
    for fault, finding in found_in_arrivals(contract, held, seed):
        add(_trial(fault, finding, "wrong_code" if finding.found else "survived"))
    on_the_wire = [fault for fault in faults if fault.level == "wire" and not fault.timed]
    for fault, finding in found_on_the_wire(contract, on_the_wire, seed):
        add(_trial(fault, finding, "wrong_code"))
    of_bills = [fault for fault in faults if fault.kind == "bill"]
    for fault, finding in found_in_bills(contract, of_bills, seed):
        add(_trial(fault, finding, "wrong_code" if finding.found else "survived"))
    of_ties = [fault for fault in faults if fault.kind == "tie"]
    for fault, finding in found_in_ties(contract, of_ties, seed):
        add(_trial(fault, finding, "wrong_code" if finding.found else "survived"))
    for table in (matrix.errors, matrix.warnings):
        table.valid_streams = valid if contract.told is not None else 0
    for number in range(matrix.errors.valid_streams):
        _alarm(contract, matrix, f"{seed}/{number}", number)
    for each in unheld(contract, matrix.errors.valid_streams, seed):
        _count_alarm(matrix, {each.severity}, f"{each.message} [{each.code}]")
    if valid and of_bills:
        for endpoint, judged in unbilled(contract, seed):
            assert judged.found is not None
            said = f"{endpoint.name}: {judged.found.message} [{judged.found.code}]"
            _count_alarm(matrix, {judged.found.severity}, said)
    if valid and of_ties:
        for endpoint, violation in untied(contract, seed):
            said = f"{endpoint.name} and what looks it up: {violation.message} [{violation.code}]"
            _count_alarm(matrix, {violation.severity}, said)
    return matrix


def _trial(fault: Fault, finding: TrialFinding, otherwise: str) -> Trial:
    outcome = "killed" if finding.caught else otherwise if finding.placed else "no_place"
    return Trial(fault, outcome, () if finding.caught else finding.found)


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


class ValidFinding(NamedTuple):
    """What a client finds in an answer that should be valid."""

    verdict: Verdict
    reason: str | None
    violations: list[Violation]

    @property
    def why(self) -> str | None:
        """What is wrong with it, None if nothing that weighs."""
        said = [each for each in self.violations if each.severity in _WEIGHTY]
        if said:
            return f"{said[0].message} [{said[0].code}]"
        return None if self.verdict is Verdict.CONFORMS else str(self.reason)


def judged_valid(
    contract: Contract, endpoint: Endpoint, rng: random.Random, number: int
) -> ValidFinding:
    """Judge one valid stream, or the looks at one job; with other tracks by `number`.

    Raises ContractDataError if none can be made up.
    """
    seen = contract.seen_through(endpoint)
    tracks = None if tracks_for(seen) is None else 1 + number % 3
    chunks = valid_stream(seen, rng, optional=rng.choice((0.0, OPTIONAL, 1.0)), tracks=tracks)
    if endpoint.sampled:
        answer = WholeAnswer(endpoint.usual_status, "application/json", encoded(chunks, "json"))
        looks = _looked_at(contract, endpoint, answer)
        verdict = verdict_of(looks.violations, looks.check.reason)
        return ValidFinding(verdict, looks.check.reason, looks.violations)
    judge = Judge(contract, endpoint, request=request_for(seen, tracks))
    for frame in encoded(chunks, rng.choice(endpoint.framings), endpoint.protocol).frames:
        judge.feed(frame)
    judge.close()
    return ValidFinding(judge.verdict(), judge.reason, judge.violations)


def judged_result(contract: Contract, endpoint: Endpoint, rng: random.Random) -> ValidFinding:
    """Judge one valid result. Raises ContractDataError if none can be made up."""
    body = encoded(valid_result(contract, endpoint.name, rng), "json")
    judge = Judge(contract, endpoint)
    _fed(judge, WholeAnswer(endpoint.usual_status, "application/json", body))
    return ValidFinding(judge.verdict(), judge.reason, judge.violations)


def _alarm(contract: Contract, matrix: KillMatrix, seed: str, number: int) -> None:
    """Judge one valid stream, or the looks at one job, and count what is found in it."""
    told = [each for each in contract.endpoints.values() if each.protocol is not None]
    found = judged_valid(contract, told[number % len(told)], random.Random(seed), number)
    severities = {violation.severity for violation in found.violations}
    if found.verdict is not Verdict.CONFORMS:
        severities.add(Severity.ERROR)
    _count_alarm(matrix, severities, f"valid stream {seed}: {found.why}")


def _count_alarm(matrix: KillMatrix, severities: set[Severity], said: str) -> None:
    """Count what was found where nothing should be, under the worst that it is."""
    if Severity.ERROR in severities:
        matrix.errors.false_alarms += 1
    elif Severity.WARNING in severities:
        matrix.warnings.false_alarms += 1
    else:
        return
    if len(matrix.alarms) < _SHOWN:
        matrix.alarms.append(said)
