"""What is asked of the emulator, and on what grounds it refuses.

The errors and their bodies come from the contract. No I/O: headers and bytes in, values out.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any, Final

import orjson

from soundstage.contract import Contract, patterns
from soundstage.contract.protocol import Endpoint
from soundstage.untrusted import json_text

#: Errors in the order in which a request is held against them, after path and method.
PRECEDENCE: Final = (
    "unauthorized",
    "wrong_media_type",
    "too_large",
    "broken_json",
    "wrong_types",
    "invalid_prompt",
    "nsfw",
    "rate_limit",
    "insufficient_balance",
    "service_unavailable",
)

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


def plain(status: int, detail: str) -> Reply:
    """An answer that says one thing, in the form of the contracts' other errors."""
    return Reply(status, orjson.dumps({"detail": detail}))


# --- headers --------------------------------------------------------------------------------------

_BEARER: Final = re.compile(rb"[Bb][Ee][Aa][Rr][Ee][Rr] +([A-Za-z0-9._~+/=-]{1,4096}) *")
_JSON: Final = re.compile(
    rb"application/json[ \t]*(;[ \t]*charset[ \t]*=[ \t]*\"?utf-?8\"?[ \t]*)?;?", re.IGNORECASE
)


def header(headers: Iterable[tuple[bytes, bytes]], name: bytes) -> bytes | None:
    """The value of a header (lower-case name); None if it is absent or comes more than once."""
    values = [value for key, value in headers if key == name]
    return values[0] if len(values) == 1 else None


def header_list(headers: Iterable[tuple[bytes, bytes]], name: bytes) -> str | None:
    """The value of a header whose values are a list, however many lines it comes in (RFC 9110,
    section 5.3); None if it is absent.
    """
    values = [value.decode("latin-1") for key, value in headers if key == name]
    return ", ".join(values) if values else None


def bearer_key(headers: Iterable[tuple[bytes, bytes]]) -> str | None:
    """The bearer key of a request (RFC 6750, section 2.1); None if absent or malformed."""
    match = _BEARER.fullmatch(header(headers, b"authorization") or b"")
    return match[1].decode("ascii") if match else None


def is_json(headers: Iterable[tuple[bytes, bytes]]) -> bool:
    """Whether the headers announce plain JSON in UTF-8, without a content coding."""
    headers = list(headers)
    codings = [value.lower() for name, value in headers if name == b"content-encoding"]
    media = header(headers, b"content-type") or b""
    plain = all(coding in (b"", b"identity") for coding in codings)
    return plain and _JSON.fullmatch(media.strip()) is not None


# --- bodies ---------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class GenerationRequest:
    """What a request asks for, once it is found to be in order. `seconds` is the length of the
    song, None where the contract has no parameter for it.
    """

    prompt: str
    lyrics: str | None
    body: Mapping[str, Any]
    seconds: int | float | None = None


class Reader:
    """Reads the bodies of one endpoint's requests by its schema. The prompt, the lyrics and the
    duration are the fields that have these roles.
    """

    def __init__(self, endpoint: Endpoint) -> None:
        schema = endpoint.request or {"type": "object"}
        self._validator = patterns.validator(schema)
        self._required = frozenset(schema.get("required", ()))
        roles = {sub.get("x-role"): name for name, sub in schema.get("properties", {}).items()}
        self._prompt: str | None = roles.get("prompt")
        self._lyrics: str | None = roles.get("lyrics")
        self._duration: str | None = roles.get("duration")
        length = schema.get("properties", {}).get(self._duration, {})
        self._seconds: int | float | None = length.get("default")

    def read(self, raw: bytes) -> GenerationRequest | str:
        """What a body asks for, or the name of the error that it deserves."""
        parsed = json_text.parse(raw)
        if parsed.problems or not parsed.ok:
            return "broken_json"
        body = parsed.value
        if not isinstance(body, dict):
            return "wrong_types"
        if not self._validator.is_valid(body) and (fault := self._fault_of(body)) is not None:
            return fault
        prompt, lyrics = str(body.get(self._prompt, "")), body.get(self._lyrics)
        return GenerationRequest(prompt, lyrics, body, body.get(self._duration, self._seconds))

    def _fault_of(self, body: Mapping[str, Any]) -> str | None:
        """A missing, empty or blank prompt has an error of its own; it yields to any other. None
        where nothing is wrong but that a pattern came to its limit.
        """
        if self._required - body.keys() - {self._prompt}:
            return "wrong_types"
        fault = None
        for error in self._validator.iter_errors(body):
            if patterns.gave_up(error):
                continue
            fault = "invalid_prompt"
            at, keyword = list(error.instance_path), list(error.schema_path)[-1]
            about_prompt = at == [self._prompt] and keyword != "type"
            if not about_prompt and keyword != "required":
                return "wrong_types"
        return fault
