"""Whether the key is known to the target, as far as a question tells that costs nothing."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from soundstage.contract import Contract
from soundstage.doctor.free_requests import FreeAnswer, free_look
from soundstage.doctor.health import HealthCheck, ok, problem, unknown
from soundstage.exchange.destination import EMULATOR_KEY

#: Nobody's key, or none for this (RFC 9110, sections 15.5.2 and 15.5.4).
_REFUSED: Final = (401, 403)
_NO_BALANCE: Final = 402


def key_without_question(
    kind: str, key: str | None, contracts: Sequence[Contract]
) -> HealthCheck | None:
    """What is known of the key before it is sent anywhere; None if it takes a question."""
    if key is None and kind != "emulator":
        return problem("key", "key.missing", "there is no API key")
    if not any(free_look(each) for each in contracts):
        if key in (None, EMULATOR_KEY):
            return ok("key", "an emulator needs none of yours")
        apis = ", ".join(each.api for each in contracts)
        why = f"{apis} has no free question that takes one, so only a paid one would tell"
        return unknown("key", f"there is one; {why}")
    return None


def key(answers: Sequence[FreeAnswer], contracts: Sequence[Contract]) -> HealthCheck:
    """What the answers to the same question with a key and without one tell."""
    without = {each.contract.api: each for each in answers if each.contract and not each.keyed}
    taken: list[str] = []
    for answer in answers:
        if not answer.keyed or answer.contract is None:
            continue
        api, bare = answer.contract.api, without.get(answer.contract.api)
        assert answer.endpoint is not None
        if answer.status in _REFUSED:
            ground = "" if _is_documented(answer) else f"; that {api} has it is our reading"
            said = f"{answer.place} with the key is answered with {answer.status}{ground}"
            return problem("key", "key.dead", said)
        if answer.status == _NO_BALANCE:
            return problem("key", "key.no_balance", f"{answer.place} is answered with 402")
        if bare is not None and bare.status in _REFUSED:
            taken.append(api)
    if taken:
        said = f"{', '.join(taken)}: a question that is refused without it is answered with it"
        left = ", ".join(each.api for each in contracts if free_look(each) is None)
        return ok("key", f"{said}; {left}: not known, no free question takes one" if left else said)
    apis = ", ".join(each.api for each in contracts if free_look(each))
    return unknown("key", f"there is one; {apis} answers free questions without a key, too")


def is_certain(answers: Sequence[FreeAnswer]) -> bool:
    """Whether a key that was refused is dead beyond doubt: by a documented endpoint."""
    return any(each.keyed and each.status in _REFUSED and _is_documented(each) for each in answers)


def _is_documented(answer: FreeAnswer) -> bool:
    return answer.endpoint is not None and answer.endpoint.grounds.basis != "inferred"
