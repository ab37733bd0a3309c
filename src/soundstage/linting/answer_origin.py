"""Finds out which endpoint a saved answer is of.

What tells it, the surest first: what the user says, what a transcript's header names, the request
that was saved with the answer, the names in the body.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final
from urllib.parse import urlsplit

from soundstage.contract import Contract
from soundstage.contract.endpoint_words import ERROR, is_meant, meant_by
from soundstage.contract.paths import endpoint_at, query_of
from soundstage.contract.protocol import Endpoint
from soundstage.contract.recognise import Guess, recognise
from soundstage.errors import UsageError
from soundstage.saved.transcript import Transcript

#: What to say where nothing tells.
SAY_ALL: Final = "--api and --endpoint"


@dataclass(frozen=True, slots=True)
class AnswerOrigin:
    """Which endpoint's answer something is; `kind` is the endpoint's, or "error". `guessed`: by the
    names in the body; `fits`: these have enough in common; `also`: the other contracts that fit as
    well.
    """

    contract: Contract
    endpoint: Endpoint
    kind: str
    guessed: bool = False
    fits: bool = True
    also: tuple[str, ...] = ()


def told(exchange: Transcript, contracts: list[Contract], kind: str | None) -> AnswerOrigin:
    """Which endpoint of these contracts an answer is of. `kind` is what the user says, None to find
    out.

    Raises UsageError where the contract has no endpoint of the kind.
    """
    header = exchange.header
    named = next((each for each in contracts if each.api == header.get("api")), None)
    endpoint = named.endpoints.get(str(header.get("endpoint"))) if named is not None else None
    if named is None and len(contracts) == 1 and header.get("endpoint") is not None:
        endpoint = contracts[0].endpoints.get(str(header.get("endpoint")))
        named = contracts[0] if endpoint is not None else None
    if named is None and (found := asked_at(exchange, contracts)) is not None:
        named, endpoint = found
    if kind is None and header.get("expect") == "error" and named is not None:
        kind = "error"
    if named is not None:
        if endpoint is not None and (kind is None or is_meant(endpoint, kind)):
            return AnswerOrigin(named, endpoint, endpoint.kind)
        if kind is not None:
            return _meant(named, kind)
        contracts = [named]
    elif kind is not None and len(contracts) == 1:
        return _meant(contracts[0], kind)
    return _guessed(exchange, contracts, kind)


def _guessed(exchange: Transcript, contracts: list[Contract], kind: str | None) -> AnswerOrigin:
    """What an answer is of by the names in its body, and its status where that is known."""
    guesses = recognise(exchange.body, contracts, kind)
    if not guesses:
        apis = " or ".join(each.api for each in contracts)
        raise UsageError(f"{apis} has no endpoint of the name or kind {kind}")
    best = guesses[0]
    likely = [each for each in guesses if each.score == best.score]
    whole = [each for each in likely if each.kind not in ("stream", ERROR)]
    if best.fits and best in whole and kind is None:
        status = (exchange.header.get("response") or {}).get("status")
        whole = _with_status(whole, status)
        best = whole[0]
        names = dict.fromkeys(
            each.endpoint.name for each in whole if each.contract is best.contract
        )
        if len(names) > 1:
            may_be = " or ".join(f"{each.contract.api} {each.endpoint.name}" for each in whole)
            say = "--endpoint" if len({each.contract.api for each in whole}) == 1 else SAY_ALL
            raise UsageError(f"may be the answer of {may_be}: say {say} {' or '.join(names)}")
    also = tuple(
        dict.fromkeys(
            other.contract.api
            for other in likely
            if other.kind == best.kind and other.contract is not best.contract
        )
    )
    return AnswerOrigin(best.contract, best.endpoint, best.kind, True, best.fits, also)


def _with_status(guesses: list[Guess], status: int | None) -> list[Guess]:
    """Those guesses whose endpoints promise what they give with a status: by name, if any do."""
    promised = [each for each in guesses if status is None or each.endpoint.is_success(status)]
    by_name = [each for each in promised if status in each.endpoint.success]
    return by_name or promised or guesses


def asked_at(exchange: Transcript, contracts: list[Contract]) -> tuple[Contract, Endpoint] | None:
    """The endpoint that the saved request was sent to; None if it is none's, or not known."""
    request = exchange.header.get("request")
    if not isinstance(request, dict):
        return None
    try:
        parts = urlsplit(str(request.get("url", "")))
    except ValueError:
        return None
    method, body = str(request.get("method", "")), request.get("body")
    return endpoint_at(contracts, method, parts.path, query=query_of(parts.query), body=body)


def _meant(contract: Contract, word: str) -> AnswerOrigin:
    """What people say that an answer is of: the name or the kind of an endpoint, or "error"."""
    if word == ERROR:
        return AnswerOrigin(contract, contract.endpoint_of_errors(), ERROR)
    endpoint = meant_by(contract, word)
    if endpoint is None:
        there = ", ".join(contract.endpoints)
        raise UsageError(f"{contract.api} has no endpoint of the name or kind {word}: only {there}")
    return AnswerOrigin(contract, endpoint, endpoint.kind)
