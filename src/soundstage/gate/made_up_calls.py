"""The requests of a contract check that are made up, before they are sent: what each is, and what
should come of it, says the contract's data.

Nothing is sent from here, so that what will be sent can be counted before it is.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from typing import Any, Protocol

from soundstage.conformance.fields import FieldCheck
from soundstage.contract import Contract
from soundstage.contract.protocol import Endpoint
from soundstage.contract.rules import Rule
from soundstage.exchange.exchange import EXPLORED, Call
from soundstage.exchange.filled_paths import filled, names_in
from soundstage.exchange.requests import endpoint_of, own_values, sent_body, valid_body
from soundstage.untrusted import json_text
from soundstage.wire.media_type import media_type

#: Asks our emulator for an error; any other target ignores it.
ERROR_HEADER = "Soundstage-Error"
#: What the calls of errors that are provoked say of themselves.
ERRORS = "errors"
_REFUSALS = "refusals"
_NO_KEY = 401


class Made(Protocol):
    """A request that somebody made up; `body` is JSON to encode, or bytes to send as they are."""

    @property
    def endpoint(self) -> Endpoint: ...
    @property
    def body(self) -> Any: ...
    @property
    def method(self) -> str: ...
    @property
    def content_type(self) -> str: ...


def provoking(contract: Contract, seed: int, *, freely: bool) -> Iterator[Call]:
    """Requests that should give the documented errors, as far as they can be provoked: an emulator
    of ours is asked for each of them by a header (`freely`); elsewhere only a missing key costs
    nothing, so nothing else is tried.
    """
    for error in contract.errors.known:
        for endpoint in contract.endpoints.values():
            if endpoint.request is None:
                continue
            call = Call(
                contract,
                endpoint,
                sent_body(endpoint, valid_body(contract, endpoint, seed)),
                scenario=ERRORS,
                path=_any_path(contract, endpoint, seed),
                expect_error=True,
            )
            if freely:
                yield replace(call, headers=((ERROR_HEADER, error.name),))
            elif error.status == _NO_KEY:
                yield replace(call, key=None)


def refusal(contract: Contract, made: Made, rule: Rule) -> Call:
    """A request that breaks a rule of the request, and should be refused."""
    return Call(
        contract,
        made.endpoint,
        made.body,
        scenario=_REFUSALS,
        content_type=made.content_type,
        expect_error=True,
        broken_rule=rule.id.removeprefix(f"{rule.api}/"),
    )


def probe(contract: Contract, endpoint: Endpoint, seed: int, **changes: Any) -> Call:
    """A valid request but for `changes` (fields of `Call`), which should be refused."""
    call = Call(
        contract,
        endpoint,
        valid_body(contract, endpoint, seed),
        scenario=_REFUSALS,
        path=_any_path(contract, endpoint, seed),
        expect_error=True,
    )
    return replace(call, **changes)


def explored(contract: Contract, made: Made) -> Call:
    """A request that was made up to explore. Whether it is valid the contract's data says, not
    whoever made it; an invalid one should be refused.
    """
    endpoint = endpoint_of(contract, made.endpoint, made.body)
    broken = _broken_rule(contract, endpoint, made.body)
    if media_type(made.content_type) != "application/json":
        broken = broken or "request/media_type"
    other_method = made.method.upper() != endpoint.method
    return Call(
        contract,
        endpoint,
        made.body,
        scenario=EXPLORED,
        method=made.method,
        content_type=made.content_type,
        follow=False,
        expect_error=broken is not None or other_method,
        broken_rule=None if other_method else broken,
    )


def _broken_rule(contract: Contract, endpoint: Endpoint, body: Any) -> str | None:
    parsed = json_text.parse(body) if isinstance(body, bytes) else None
    value = parsed.value if parsed is not None else body
    if not isinstance(value, dict) or (parsed is not None and parsed.problems):
        return "request/body"
    prefix = contract.rules.requests.get(endpoint.name, "")
    check = FieldCheck(contract.rules, "request", prefix, endpoint.request or {}, None)
    found = sorted(check.violations(value, None), key=lambda each: each.severity)
    return found[0].rule.removeprefix(f"{contract.api}/") if found else None


def _any_path(contract: Contract, endpoint: Endpoint, seed: int) -> str | None:
    """The path of an endpoint for a request that is to be refused, whatever is filled in."""
    names = names_in(endpoint)
    if not names:
        return None
    own = own_values(contract, endpoint, seed)
    return filled(endpoint, {**dict.fromkeys(names, "none"), **own})
