"""Asks a target without spending anything: a POST never carries a key, and a GET carries one only
where the contract has an endpoint that tells of generations and is not billed.

Each question is bounded in time and bytes, and follows no redirect: what answers is a stranger.
"""

from __future__ import annotations

import time
from collections.abc import Iterable
from dataclasses import dataclass, field, replace
from typing import Any, Final
from urllib.parse import quote

import orjson

from soundstage.conformance.judge import Judge
from soundstage.contract import Contract
from soundstage.contract.json_schema import patterns
from soundstage.contract.placeholders import PLACEHOLDER
from soundstage.contract.protocol import Endpoint
from soundstage.exchange.target import Target
from soundstage.untrusted import json_text
from soundstage.wire.end import End, EndKind
from soundstage.wire.media_type import content_type_of
from soundstage.wire.settings import SECRET_HEADERS, Limits, TransportSettings
from soundstage.wire.trace import Timestamps
from soundstage.wire.transport import Request, Transport

#: What one question may take: seconds and bytes.
LIMITS: Final = Limits(connect_s=5.0, idle_s=8.0, total_s=10.0, body_bytes=64 * 2**10, redirects=0)
#: A path that nobody has, and an identifier that nobody gave.
NOBODYS: Final = "soundstage-doctor"
_GIVEN_UP: Final = (EndKind.IDLE_TIMEOUT, EndKind.TOTAL_TIMEOUT, EndKind.CONNECT_TIMEOUT)
_JSON: Final = ("Accept", "application/json")


@dataclass(slots=True)
class FreeAnswer:
    """A question and what came of it. `contract` and `endpoint`: whose it was, None of a path that
    nobody has. `keyed`: it carried the key. `asked_at`, `answered_at`: by this machine's clock,
    seconds since 1970.
    """

    method: str
    path: str
    keyed: bool
    contract: Contract | None
    endpoint: Endpoint | None
    asked_at: float
    answered_at: float
    status: int | None
    headers: list[tuple[str, str]]
    body: bytes
    end: End | None
    times: Timestamps
    _value: list[Any] = field(default_factory=list)

    def header(self, name: str) -> str | None:
        """The first value of a header, by its name in lower case."""
        return next((value for key, value in self.headers if key == name), None)

    @property
    def content_type(self) -> str | None:
        """Its media type with parameters, as it was sent."""
        return content_type_of(self.headers)

    @property
    def value(self) -> Any:
        """The body as JSON; None where it is none."""
        if not self._value:
            self._value.append(json_text.parse(self.body).value)
        return self._value[0]

    @property
    def given_up(self) -> bool:
        """Whether it was waited for in vain: for its head, or for the end of its body."""
        return self.end is not None and self.end.kind in _GIVEN_UP

    @property
    def place(self) -> str:
        """What was asked, in words."""
        return f"{self.method} {self.path}"

    def judged(self) -> Judge:
        """The answer held against what the contract says of errors: a question without a key, or
        for an identifier that nobody gave, is answered with one.
        """
        assert self.contract is not None
        assert self.endpoint is not None
        judge = Judge(self.contract, self.endpoint, expect_error=True)
        if self.status is not None:
            judge.head(self.status, self.content_type)
            judge.feed(self.body)
        judge.close(self.end)
        return judge

    def to_json(self) -> dict[str, Any]:
        """As one of `requests` (doctor.schema.json)."""
        return {
            "method": self.method,
            "path": self.path,
            "key": self.keyed,
            "status": self.status,
        }


class FreeRequests:
    """The questions to one target, one after the other. `target.headers` are sent along, but for
    those that may carry a key: headers of that name, and any whose value has the key in it.
    """

    def __init__(
        self, target: Target, settings: TransportSettings, contracts: Iterable[Contract]
    ) -> None:
        self.target = target
        self.asked: list[FreeAnswer] = []
        keys = {*SECRET_HEADERS, *(each.auth.header.lower() for each in contracts)}
        self._headers = tuple(
            (name, value)
            for name, value in target.headers
            if name.lower() not in keys and not (target.key and target.key in value)
        )
        self.settings = replace(
            settings, limits=LIMITS, keep_alive=False, watched=False, wakeups=None
        )
        self.transport = Transport(self.settings)

    @property
    def left_out(self) -> tuple[str, ...]:
        """The names of the user's headers that are not sent, as they may carry a key."""
        return tuple(
            name for name, value in self.target.headers if (name, value) not in self._headers
        )

    def post(self, contract: Contract, endpoint: Endpoint) -> FreeAnswer:
        """Ask what an endpoint makes, without a key, and with a body that makes nothing of it."""
        body = orjson.dumps(refused_body(endpoint))
        head = (_JSON, ("Content-Type", "application/json"), *self._headers)
        url = f"{self.target.url}{_filled(endpoint)}"
        return self._ask(Request("POST", url, head, body), contract, endpoint, keyed=False)

    def look(self, contract: Contract, endpoint: Endpoint, *, keyed: bool) -> FreeAnswer:
        """Ask for the state of what nobody made. Raises ValueError where that may be billed."""
        if not is_free_with_key(contract, endpoint):
            raise ValueError(f"{contract.api} {endpoint.name} may be billed")
        head: tuple[tuple[str, str], ...] = (_JSON, *self._headers)
        if keyed and self.target.key is not None:
            auth = contract.auth
            head = ((auth.header, auth.value(self.target.key)), _JSON, *self.target.headers)
        url = f"{self.target.url}{_filled(endpoint)}"
        return self._ask(Request("GET", url, head), contract, endpoint, keyed=keyed)

    def get(self, path: str, settings: TransportSettings | None = None) -> FreeAnswer:
        """Ask for a path below the target, without a key; `settings` as those of another way."""
        request = Request("GET", f"{self.target.url}{path}", (_JSON, *self._headers))
        return self._ask(request, None, None, keyed=False, settings=settings)

    def elsewhere(self, url: str, settings: TransportSettings) -> FreeAnswer:
        """Ask another server, or this one in another way, with nothing of the user's."""
        request = Request("GET", url, (_JSON,))
        return self._ask(request, None, None, keyed=False, settings=settings)

    def _ask(
        self,
        request: Request,
        contract: Contract | None,
        endpoint: Endpoint | None,
        *,
        keyed: bool,
        settings: TransportSettings | None = None,
    ) -> FreeAnswer:
        transport = self.transport if settings is None else Transport(settings)
        asked_at = time.time()
        with transport.open(request) as response:
            answered_at = time.time()
            body = b"".join(read.data for read in response.reads())
        path = request.url.removeprefix(self.target.url)
        answer = FreeAnswer(
            request.method,
            path,
            keyed,
            contract,
            endpoint,
            asked_at,
            answered_at,
            response.status,
            response.headers,
            body,
            response.end,
            response.times,
        )
        self.asked.append(answer)
        return answer


def makers(contract: Contract) -> list[Endpoint]:
    """The endpoints that can be asked without a key by a POST, one of each path."""
    found: dict[str, Endpoint] = {}
    for endpoint in contract.endpoints.values():
        if endpoint.method == "POST" and endpoint.makes_songs:
            found.setdefault(endpoint.path, endpoint)
    return list(found.values())


def free_look(contract: Contract) -> Endpoint | None:
    """The endpoint that can be asked with a key and costs nothing; None if there is none."""
    return next(
        (each for each in contract.endpoints.values() if is_free_with_key(contract, each)), None
    )


def is_free_with_key(contract: Contract, endpoint: Endpoint) -> bool:
    """Whether a question there costs nothing, by the contract: a GET that looks up, is not billed,
    and is not billed as a poll either.
    """
    polls = (each.poll for each in contract.endpoints.values() if each.poll is not None)
    billed = endpoint.billed or any(poll.billed for poll in polls if poll.endpoint == endpoint.name)
    return endpoint.kind == "status" and endpoint.method == "GET" and not billed


def refused_body(endpoint: Endpoint) -> Any:
    """A body that the contract does not allow: an empty object, or where that is allowed a list,
    which no request is. Where somebody serves everybody, nothing is made for it.
    """
    schema = endpoint.request
    return {} if schema is not None and not patterns.validator(schema).is_valid({}) else []


def _filled(endpoint: Endpoint) -> str:
    """The path and the query of an endpoint, with a value that nobody gave for each name."""
    path = PLACEHOLDER.sub(NOBODYS, endpoint.path)
    query = "&".join(
        f"{quote(name, safe='')}={quote(PLACEHOLDER.sub(NOBODYS, text), safe='')}"
        for name, text in endpoint.query
    )
    return f"{path}?{query}" if query else path
