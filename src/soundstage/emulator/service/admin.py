"""The admin API over HTTP, under `/_emulator/`.

What there is stands in `admin.openapi.json`, which is served, and which is also what requests are
held against: a path, method, parameter or body that is not in it does not get in.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from functools import cache
from importlib.resources import files
from typing import Any, Final
from urllib.parse import parse_qsl

import jsonschema_rs
import orjson
from starlette.types import Receive, Scope, Send

from soundstage.contract import Contract
from soundstage.emulator.accounts.accounts import account_of
from soundstage.emulator.http.asgi import body_of, respond
from soundstage.emulator.http.explained import explained
from soundstage.emulator.http.guard import Guard
from soundstage.emulator.http.replies import Reply, plain, refusal, refusal_of_size
from soundstage.emulator.service.control import Control
from soundstage.emulator.service.nearest_place import nearest_place
from soundstage.errors import UsageError
from soundstage.output.cutting import head
from soundstage.untrusted import json_text

PREFIX: Final = "/_emulator/"
#: What answers whoever asks, wherever the emulator listens.
_PUBLIC: Final = "health"
_MOST_PARAMETERS: Final = 20
_OFF: Final = "the admin API is off beyond loopback; --admin with a token lets it answer"

Asked = Mapping[str, Any]
Handler = Callable[[Asked, Any], Awaitable[Any]]


class _Wrong(Exception):
    """A request that the document does not describe; its text is for whoever asks."""


@cache
def document() -> dict[str, Any]:
    """The OpenAPI document of the admin API."""
    data = files(__package__).joinpath("admin.openapi.json").read_bytes()
    loaded = orjson.loads(data)
    assert isinstance(loaded, dict)
    return loaded


class _Operation:
    """One operation of the document: reads its parameters and its body."""

    def __init__(self, data: Mapping[str, Any]) -> None:
        self.name: str = data["operationId"]
        named = (each["$ref"].rpartition("/")[2] for each in data.get("parameters", ()))
        known = document()["components"]["parameters"]
        self._parameters = {name: known[name]["schema"] for name in named}
        self._checks = {name: _validator(schema) for name, schema in self._parameters.items()}
        body = data.get("requestBody")
        schema = body and body["content"]["application/json"]["schema"]
        self._body = None if schema is None else _validator(schema)

    def query(self, raw: bytes) -> dict[str, Any]:
        """The parameters, with their defaults."""
        try:
            pairs = parse_qsl(
                raw.decode("ascii"), keep_blank_values=True, max_num_fields=_MOST_PARAMETERS
            )
        except (ValueError, UnicodeDecodeError):
            raise _Wrong(
                f"the query has more than {_MOST_PARAMETERS} parameters, or is none"
            ) from None
        asked: dict[str, Any] = {}
        for name, text in pairs:
            if name not in self._parameters or name in asked:
                known = ", ".join(self._parameters) or "none"
                problem = "is there twice" if name in asked else "is not known"
                raise _Wrong(f"the parameter {head(name, 50)!r} {problem}; there are: {known}")
            value: Any = text
            if self._parameters[name].get("type") == "boolean":
                value = {"true": True, "false": False}.get(text, text)
            if self._parameters[name].get("type") == "integer":
                value = int(text) if text.isascii() and text.isdigit() and len(text) < 20 else text
            for error in self._checks[name].iter_errors(value):
                raise _Wrong(f"the parameter {name}: {head(error.message, 300)}")
            asked[name] = value
        for name, schema in self._parameters.items():
            if "default" in schema:
                asked.setdefault(name, schema["default"])
        return asked

    @property
    def has_body(self) -> bool:
        return self._body is not None

    def body(self, raw: bytes) -> Any:
        """The body, read strictly."""
        parsed = json_text.parse(raw)
        if parsed.problems or not parsed.ok:
            raise _Wrong("the request body is not valid JSON")
        assert self._body is not None
        for error in self._body.iter_errors(parsed.value):
            place = "".join(f"/{each}" for each in error.instance_path)
            raise _Wrong(f"the request body: {place or '(whole)'}: {head(error.message, 300)}")
        return parsed.value


def _validator(schema: Mapping[str, Any]) -> jsonschema_rs.Validator:
    whole = {**schema, "components": document()["components"]}
    # A message would repeat the value, which may be a key.
    return jsonschema_rs.validator_for(whole, mask="the value")


class Admin:
    """The handler of everything below `PREFIX`; what is not there gets the words of `contract`."""

    def __init__(self, control: Control, guard: Guard, contract: Contract) -> None:
        self._control = control
        self._guard = guard
        self._contract = contract
        self._handlers: dict[str, Handler] = {
            "health": self._health,
            "openapi": self._openapi,
            "state": self._state,
            "generations": self._generations,
            "accounts": self._accounts,
            "set_balance": self._set_balance,
            "limits": self._limits,
            "set_limit": self._set_limit,
            "clear_limits": self._clear_limits,
            "profile": self._profile,
            "set_profile": self._set_profile,
            "clear_profile": self._clear_profile,
            "faults": self._faults,
            "set_faults": self._set_faults,
            "add_faults": self._add_faults,
            "clear_faults": self._clear_faults,
            "error": self._error,
            "set_error": self._set_error,
            "journal": self._journal,
            "clear_journal": self._clear_journal,
            "reset": self._reset,
        }
        self._operations: dict[str, dict[str, _Operation]] | None = None

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        await respond(scope, send, await self._answer(scope, receive))

    async def _answer(self, scope: Scope, receive: Receive) -> Reply:
        method = "GET" if scope["method"] == "HEAD" else scope["method"]
        if scope["path"] == PREFIX + _PUBLIC and method == "GET":
            return Reply(200, orjson.dumps(self._control.health()))
        if not self._guard.on:
            return self._no_such(_OFF)
        if (refused := self._guard.refuses(scope)) is not None:
            return refused
        place = self._known().get(scope["path"])
        if place is None:
            places = {path: methods.keys() for path, methods in self._known().items()}
            return self._no_such(f"no such path; {nearest_place(scope['path'], places)}")
        operation = place.get(method)
        if operation is None:
            answer = plain(405, f"There are {', '.join(place)} here")
            answer.headers.append((b"allow", ", ".join(place).encode()))
            return answer
        try:
            asked = operation.query(scope.get("query_string", b""))
            body = None
            if operation.has_body:
                if (raw := await body_of(receive)) is None:
                    return refusal_of_size()
                body = operation.body(raw)
            value = await self._handlers[operation.name](asked, body)
        except (_Wrong, UsageError) as error:
            return plain(400, str(error))
        answer = Reply(200, orjson.dumps(value))
        answer.headers.append((b"cache-control", b"no-store"))
        return answer

    def _no_such(self, why: str) -> Reply:
        return explained([self._contract], refusal(self._contract, "not_found"), why)

    def _known(self) -> dict[str, dict[str, _Operation]]:
        """The operations by path and method, made when they are first asked for."""
        if self._operations is None:
            self._operations = {
                path: {method.upper(): _Operation(data) for method, data in methods.items()}
                for path, methods in document()["paths"].items()
            }
        return self._operations

    # --- one for each operation -------------------------------------------------------------------

    async def _health(self, asked: Asked, body: Any) -> Any:
        return self._control.health()

    async def _openapi(self, asked: Asked, body: Any) -> Any:
        return document()

    async def _state(self, asked: Asked, body: Any) -> Any:
        return self._control.state()

    async def _generations(self, asked: Asked, body: Any) -> Any:
        only = {name: value for name, value in asked.items() if name != "limit"}
        return {"generations": self._control.generations(asked["limit"], **only)}

    async def _accounts(self, asked: Asked, body: Any) -> Any:
        return {"accounts": self._control.accounts(asked["limit"])}

    async def _set_balance(self, asked: Asked, body: Any) -> Any:
        name = _account(body)
        self._control.set_balance(name, body["balance"])
        return self._control.account(name)

    async def _limits(self, asked: Asked, body: Any) -> Any:
        return self._control.limits()

    async def _set_limit(self, asked: Asked, body: Any) -> Any:
        self._control.set_limit(_account(body), body["rate_limit"])
        return self._control.limits()

    async def _clear_limits(self, asked: Asked, body: Any) -> Any:
        self._control.change(limits={})
        return self._control.limits()

    async def _profile(self, asked: Asked, body: Any) -> Any:
        return self._control.profile()

    async def _set_profile(self, asked: Asked, body: Any) -> Any:
        self._control.set_profile(body.get("profile"), body.get("data"))
        return self._control.profile()

    async def _clear_profile(self, asked: Asked, body: Any) -> Any:
        self._control.set_profile(None, None)
        return self._control.profile()

    async def _faults(self, asked: Asked, body: Any) -> Any:
        return self._control.faults()

    async def _set_faults(self, asked: Asked, body: Any) -> Any:
        self._control.change(faults=tuple(body["faults"]))
        return self._control.faults()

    async def _add_faults(self, asked: Asked, body: Any) -> Any:
        self._control.change(faults=(*self._control.faults()["faults"], *body["faults"]))
        return self._control.faults()

    async def _clear_faults(self, asked: Asked, body: Any) -> Any:
        self._control.change(faults=())
        return self._control.faults()

    async def _error(self, asked: Asked, body: Any) -> Any:
        return {"error": self._control.settings.error}

    async def _set_error(self, asked: Asked, body: Any) -> Any:
        self._control.change(error=body["error"])
        return {"error": self._control.settings.error}

    async def _journal(self, asked: Asked, body: Any) -> Any:
        filters = dict(asked)
        since, limit = int(filters.pop("since", 0)), filters.pop("limit")
        return {"entries": self._control.journal(filters, since, limit)}

    async def _clear_journal(self, asked: Asked, body: Any) -> Any:
        self._control.clear_journal()
        return {"done": True}

    async def _reset(self, asked: Asked, body: Any) -> Any:
        self._control.reset()
        return {"done": True}


def _account(body: Mapping[str, Any]) -> str:
    """The account that a body names, "" for none."""
    if "key" in body:
        return account_of(body["key"])
    return str(body.get("account", ""))
