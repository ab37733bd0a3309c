"""Which endpoint a request belongs to, by its path, query and body, wherever the API is mounted,
and what was filled into its path and query.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Iterable, Mapping, Sequence
from functools import cache
from typing import Any
from urllib.parse import parse_qsl, unquote

import jsonschema_rs

from soundstage.contract.contract import Contract
from soundstage.contract.json_schema import patterns
from soundstage.contract.placeholders import PLACEHOLDER
from soundstage.contract.protocol import Endpoint


def endpoint_at(
    contracts: Iterable[Contract],
    method: str,
    path: str,
    *,
    query: Collection[str] | None = None,
    body: Any = None,
) -> tuple[Contract, Endpoint] | None:
    """The endpoint that answers `method` at `path`, which may begin with a base path of its own;
    None if there is none. The longest documented path wins. Of several that share it, `query` (the
    names in it) and `body` (parsed JSON) tell, where they are known; else the first without `when`.
    """
    found = [
        (contract, endpoint)
        for contract in contracts
        for endpoint in contract.endpoints.values()
        if endpoint.method == method.upper() and _pattern(endpoint.path).search(path)
    ]
    longest = max((len(endpoint.path) for _, endpoint in found), default=0)
    found = [pair for pair in found if len(pair[1].path) == longest]
    if len(found) > 1 and query is not None:
        named = [pair for pair in found if {name for name, _ in pair[1].query} <= set(query)]
        found = sorted(named or found, key=lambda pair: -len(pair[1].query))
    by_endpoint = {id(endpoint): contract for contract, endpoint in found}
    meant = meant_for([endpoint for _, endpoint in found], body)
    return None if meant is None else (by_endpoint[id(meant)], meant)


def meant_for(sharing: Sequence[Endpoint], body: Any) -> Endpoint | None:
    """The endpoint that a request is for, of those that share a method and a path: the first whose
    `when` its body (parsed JSON) meets, else the first without one, else the first; None of none.
    """
    told = (each for each in sharing if each.when is not None)
    plain = next((each for each in sharing if each.when is None), next(iter(sharing), None))
    if body is None or len(sharing) < 2:
        return plain
    return next((each for each in told if _when(each).is_valid(body)), plain)


def is_at(path: str, asked: str) -> bool:
    """Whether a path that is asked for is that of a contract, its parameters filled in."""
    return _pattern(path).match(asked) is not None


def filled_values(endpoint: Endpoint, path: str, query: str) -> dict[str, str] | None:
    """What stands in a path and a query where the endpoint's have names in braces, decoded; None
    where they are not those of the endpoint.
    """
    at = _pattern(endpoint.path).search(path)
    if at is None:
        return None
    names = PLACEHOLDER.findall(endpoint.path)
    found = {name: unquote(value) for name, value in zip(names, at.groups(), strict=True)}
    sent = query_of(query)
    for name, template in endpoint.query:
        if name not in sent:
            return None
        whole = re.fullmatch(_with_groups(template, "."), sent[name], re.DOTALL)
        if whole is None:
            return None
        found |= zip(PLACEHOLDER.findall(template), whole.groups(), strict=True)
    return found


def query_of(text: str) -> Mapping[str, str]:
    """The names and values of a query, decoded; of a name that comes twice the first. At most a
    hundred are looked at.
    """
    found: dict[str, str] = {}
    for name, value in parse_qsl("&".join(text.split("&", 100)[:100]), keep_blank_values=True):
        found.setdefault(name, value)
    return found


@cache
def _when(endpoint: Endpoint) -> jsonschema_rs.Draft202012Validator:
    return patterns.validator(endpoint.when or {})


@cache
def _with_groups(template: str, one: str) -> str:
    """A template as a pattern with a group for each name, whose characters `one` matches."""
    # Each part takes what is nearest and never gives it back: what a parameter could take more, the
    # next one takes. So a path with many of them costs no more than one with none.
    first, *parts = PLACEHOLDER.split(template)[::2]
    *inner, last = parts or [""]
    middle = "".join(f"(?>({one}+?){re.escape(part)})" for part in inner)
    return f"{re.escape(first)}{middle}" + (f"({one}+){re.escape(last)}" if parts else "")


@cache
def _pattern(path: str) -> re.Pattern[str]:
    return re.compile(f"{_with_groups(path, '[^/]')}/?$")
