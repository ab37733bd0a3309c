"""The words by which people name endpoints: their names in contracts, and their kinds."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Final

from soundstage.contract.contract import Contract
from soundstage.contract.protocol import Endpoint

#: Any endpoint's answer may be an error.
ERROR: Final = "error"


def is_meant(endpoint: Endpoint, word: str) -> bool:
    """Whether an endpoint is meant by a word: its name or its kind."""
    return word in (endpoint.name, endpoint.kind)


def meant_by(contract: Contract, word: str) -> Endpoint | None:
    """The endpoint of this name, else the first of this kind; None if there is neither."""
    return contract.endpoints.get(word) or contract.endpoint_of_kind(word)


def endpoint_words(
    contracts: Iterable[Contract], wanted: Callable[[Endpoint], bool] = lambda endpoint: True
) -> list[str]:
    """The kinds and the names of all endpoints that are wanted, each once."""
    endpoints = [
        endpoint
        for contract in contracts
        for endpoint in contract.endpoints.values()
        if wanted(endpoint)
    ]
    kinds = [endpoint.kind for endpoint in endpoints]
    return list(dict.fromkeys([*kinds, *(endpoint.name for endpoint in endpoints)]))
