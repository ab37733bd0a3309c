"""Whole responses, and those that refuse: their bodies come from the contract where it has a word
for the error.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Final

import orjson

from soundstage.contract import Contract

#: The largest body that is read, in bytes.
BODY_LIMIT: Final = 1 << 20

#: Refusals of the emulator itself, for which the pages have no word.
_OWN: Final[Mapping[str, tuple[int, str]]] = {
    "too_large": (413, f"The request body is larger than {BODY_LIMIT} bytes"),
    "slow": (408, "The body of the request did not come in time"),
    "crowded": (503, "Too many bodies of requests are on their way: try again later"),
    "not_modelled": (501, "The emulator does not model this"),
    "internal": (500, "The emulator failed: this is a bug of Soundstage"),
}
#: What is answered where a contract has no word for an error that the emulator gives.
_UNSAID: Final[Mapping[str, tuple[int, str]]] = {
    "unauthorized": (401, "Missing or invalid API key"),
    "wrong_media_type": (415, "The request body must be application/json"),
    "broken_json": (400, "The request body is not valid JSON"),
    "wrong_types": (422, "The request body does not meet its schema"),
    "invalid_prompt": (400, "The prompt is not valid"),
    "nsfw": (400, "The content is not allowed"),
    "rate_limit": (429, "Too many requests"),
    "insufficient_balance": (402, "The balance does not suffice"),
    "service_unavailable": (503, "The service is not available"),
    "not_found": (404, "Not found"),
    "method_not_allowed": (405, "Method not allowed"),
}

Headers = list[tuple[bytes, bytes]]


@dataclass(frozen=True, slots=True)
class Reply:
    """A whole response; `media_type` None sends no Content-Type."""

    status: int
    body: bytes
    media_type: str | None = "application/json"
    headers: Headers = field(default_factory=list)


def refusal(contract: Contract, name: str) -> Reply:
    """The answer to a request that is refused: the contract's where it knows the error. KeyError
    if neither it nor the emulator does.
    """
    known = {error.name: error for error in contract.errors.known}
    if name not in known:
        status, detail = _OWN[name] if name in _OWN else _UNSAID[name]
        return plain(status, detail)
    error = known[name]
    headers = [(b"www-authenticate", b"Bearer")] if error.status == 401 else []
    return Reply(error.status, orjson.dumps(error.body), headers=headers)


def refusal_of_size() -> Reply:
    """The answer to a body that is too large, where no contract is concerned."""
    return plain(*_OWN["too_large"])


def refusal_of_body(name: str) -> Reply:
    """The answer to a body that is not read to its end, after which the connection is closed."""
    answer = plain(*_OWN[name])
    answer.headers.append((b"connection", b"close"))
    return answer


#: What is said to who has no answer yet when the emulator is stopped.
STOPPING: Final = "the emulator is being stopped"


def going_away() -> Reply:
    """The answer to a request that the end of the emulator came before."""
    return Reply(503, orjson.dumps({"detail": "Stopped"}), headers=[(b"connection", b"close")])


def plain(status: int, detail: str) -> Reply:
    """An answer that says one thing, in the form of the contracts' other errors."""
    return Reply(status, orjson.dumps({"detail": detail}))
