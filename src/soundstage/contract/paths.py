"""Which endpoint a URL's path belongs to, wherever the API is mounted."""

from __future__ import annotations

import re
from collections.abc import Iterable
from functools import cache

from soundstage.contract.contract import Contract
from soundstage.contract.protocol import Endpoint


def endpoint_at(
    contracts: Iterable[Contract], method: str, path: str
) -> tuple[Contract, Endpoint] | None:
    """The endpoint that answers `method` at `path`, which may begin with a base path of its own;
    None if there is none. The longest documented path wins.
    """
    found = [
        (contract, endpoint)
        for contract in contracts
        for endpoint in contract.endpoints.values()
        if endpoint.method == method.upper() and _pattern(endpoint.path).search(path)
    ]
    return max(found, key=lambda pair: len(pair[1].path), default=None)


def is_at(path: str, asked: str) -> bool:
    """Whether a path that is asked for is that of a contract, its parameters filled in."""
    return _pattern(path).match(asked) is not None


@cache
def _pattern(path: str) -> re.Pattern[str]:
    # Each part takes what is nearest and never gives it back: what a parameter could take more, the
    # next one takes. So a path with many of them costs no more than one with none.
    first, *parts = re.split(r"\{[^{}]*\}", path)
    *inner, last = parts or [""]
    middle = "".join(f"(?>[^/]+?{re.escape(part)})" for part in inner)
    end = f"[^/]+{re.escape(last)}" if parts else ""
    return re.compile(f"{re.escape(first)}{middle}{end}/?$")
