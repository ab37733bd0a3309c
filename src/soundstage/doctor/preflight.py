"""The cheap part of the doctor, before a run that costs money: a few free questions to a live
target. What is certain ends the run before it begins; of the rest it is warned.
"""

from __future__ import annotations

from collections.abc import Iterable

from soundstage.contract import Contract
from soundstage.doctor import way_there
from soundstage.doctor.diagnosis import ask, judged
from soundstage.doctor.free_requests import NOBODYS, FreeAnswer, FreeRequests
from soundstage.doctor.health import HealthCheck
from soundstage.doctor.key_check import is_certain
from soundstage.doctor.what_answers import trouble
from soundstage.errors import TargetError
from soundstage.exchange.session import Session
from soundstage.output.visible import line
from soundstage.wire.url import parse_target

#: What the run tells by itself, and better.
_LEFT_TO_THE_RUN = frozenset({"contract"})
#: What is certain only where a documented endpoint has refused the key.
_TOLD_BY_THE_KEY = frozenset({"key.dead", "http.nobody_gets_in"})


def preflight(session: Session, contracts: Iterable[Contract]) -> tuple[str, ...]:
    """Warnings, a line each, for a run that may cost money. At other targets nothing is asked:
    what is found there costs nothing.

    Raises TargetError, with what to do, where nothing could be measured.
    """
    if not session.target.as_live:
        return ()
    chosen = list(contracts)
    asking = FreeRequests(session.target, session.transport.settings, chosen)
    first = asking.get(f"/{NOBODYS}")
    answers = [first]
    checks = way_there.reached(parse_target(session.target.url), first, asking)
    if first.status is not None:
        answers += ask(asking, chosen, most=1)
    if all(each.cause is None for each in checks):
        checks += judged(asking, chosen, answers)
    warnings = []
    for check in checks:
        if check.cause is None or check.name in _LEFT_TO_THE_RUN:
            continue
        said = f"{session.redactor.message(check.said)}: {check.cause.todo}"
        if _is_certain(check, answers):
            more = "nothing was sent that costs money; `soundstage doctor` tells more"
            raise TargetError(line(f"{said} ({more})"))
        warnings.append(line(said))
    return tuple(warnings)


def _is_certain(check: HealthCheck, answers: list[FreeAnswer]) -> bool:
    """Whether nothing at all could be measured."""
    assert check.cause is not None
    if check.cause.name in _TOLD_BY_THE_KEY:
        return is_certain(answers)
    if check.name == "HTTP" and check.cause.certain:
        # One of several endpoints is out: the others can be asked.
        return all(trouble(each) is not None for each in answers if each.method == "POST")
    return check.cause.certain
