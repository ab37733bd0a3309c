"""Looks for what keeps a target from being measured, without spending anything."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from functools import partial

from soundstage.contract import Contract
from soundstage.doctor import way_there, what_answers
from soundstage.doctor.clock_check import clock
from soundstage.doctor.contract_fit import contract_fit
from soundstage.doctor.free_requests import (
    NOBODYS,
    FreeAnswer,
    FreeRequests,
    free_look,
    makers,
)
from soundstage.doctor.health import CHECKS, Diagnosis, HealthCheck
from soundstage.doctor.key_check import key, key_without_question
from soundstage.doctor.machine import machine
from soundstage.doctor.way_there import not_reached
from soundstage.exchange.budget import is_loopback
from soundstage.exchange.destination import EMULATOR_KEY
from soundstage.exchange.session import Access
from soundstage.exchange.target import HEALTH, about_emulator, at
from soundstage.output.cutting import head
from soundstage.output.redact import Redactor
from soundstage.wire.url import parse_target

#: So many endpoints are asked at most; a contract may have 64.
_MOST_ASKED = 8
_OK = 200
#: So much is said of one check, in characters.
_LONGEST_SAID = 500


def diagnose(url: str, access: Access, contracts: Sequence[Contract]) -> Diagnosis:
    """Look at a target, `url`, as far as questions tell that cost nothing. Each is bounded by
    `free_requests.LIMITS`, and after one that is not answered no other is asked.

    Raises UsageError for a URL that is none.
    """
    target = replace(at(url), key=access.key, headers=access.headers)
    asking = FreeRequests(target, access.transport.settings, contracts)
    found: dict[str, HealthCheck] = {"machine": machine()}
    diagnosis = Diagnosis(target.url, target.kind, tuple(each.api for each in contracts))
    for check in _way(asking, access):
        found[check.name] = check
    if found.get("TLS", not_reached("TLS")).outcome == "ok":
        _answers(asking, contracts, found)
    else:
        missing = key_without_question(asking.target.kind, access.key, contracts)
        if missing is not None:
            found["key"] = missing
    diagnosis.kind = asking.target.kind
    checks = [found.get(name) or not_reached(name) for name in CHECKS]
    diagnosis.checks = [_shown(each, access.redactor) for each in checks]
    diagnosis.requests = [each.to_json() for each in asking.asked]
    return diagnosis


def _shown(check: HealthCheck, redactor: Redactor) -> HealthCheck:
    """A check as it may be said: what the target sent stands in it."""
    return replace(check, said=head(redactor.message(check.said), _LONGEST_SAID))


def _way(asking: FreeRequests, access: Access) -> list[HealthCheck]:
    """The checks up to TLS; the first question is asked on the way."""
    url = parse_target(asking.target.url)
    through = asking.transport.proxy_of(url)
    proxy = None if through is None else (through.host, through.port)
    checks = way_there.name_and_address(url, proxy)
    if any(each.cause is not None for each in checks):
        return checks
    live = url.host in access.live_hosts
    # An emulator says there that it is one; to any other it is a path that nobody has.
    first = asking.get(f"/{NOBODYS}" if live else HEALTH)
    about = about_emulator(first.body) if first.status == _OK and not live else None
    if about is not None:
        key = access.key or EMULATOR_KEY
        asking.target = replace(asking.target, kind="emulator", about=about, key=key)
    return [*checks, *way_there.reached(url, first, asking)]


def _answers(
    asking: FreeRequests, contracts: Sequence[Contract], found: dict[str, HealthCheck]
) -> None:
    """The checks of what answers, as far as they go."""
    first = asking.asked[0]
    answers = [first]
    if first.status is not None and not first.given_up:
        answers += ask(asking, contracts, most=_MOST_ASKED)
    for check in judged(asking, contracts, answers):
        found[check.name] = check


def ask(asking: FreeRequests, contracts: Sequence[Contract], *, most: int) -> list[FreeAnswer]:
    """Ask the free questions of contracts: what makes something without a key, at `most` so many
    endpoints of each; what tells of it without a key and, where it may be sent there, with one.
    Ends with the first that is not answered: the next would take as long.
    """
    answers: list[FreeAnswer] = []
    for question in _questions(asking, contracts, most):
        answers.append(question())
        if answers[-1].status is None or answers[-1].given_up:
            break
    return answers


def _questions(
    asking: FreeRequests, contracts: Sequence[Contract], most: int
) -> Iterator[Callable[[], FreeAnswer]]:
    for contract in contracts:
        for endpoint in makers(contract)[:most]:
            yield partial(asking.post, contract, endpoint)
        look = free_look(contract)
        if look is not None:
            yield partial(asking.look, contract, look, keyed=False)
            if _may_get_the_key(asking):
                yield partial(asking.look, contract, look, keyed=True)


def _may_get_the_key(asking: FreeRequests) -> bool:
    """Whether a key goes there just to try it: not where anybody on the way could read it."""
    url = asking.target.url
    return asking.target.key is not None and (url.startswith("https:") or is_loopback(url))


def judged(
    asking: FreeRequests, contracts: Sequence[Contract], answers: Sequence[FreeAnswer]
) -> list[HealthCheck]:
    """What answers say of HTTP, host, key, clock and contract; each only where those before it
    have found nothing that makes it meaningless.
    """
    target = asking.target
    own = [each for each in answers if each.contract is not None]
    http = what_answers.http(answers)
    checks = [http, clock(answers)]
    unasked = key_without_question(target.kind, target.key, contracts)
    if unasked is not None:
        checks.append(unasked)
    if http.cause is not None:
        return checks
    checks.append(what_answers.host(target, own))
    if checks[-1].cause is not None:
        return checks
    if unasked is None:
        checks.append(key(own, contracts))
    checks.append(contract_fit(own))
    return checks
