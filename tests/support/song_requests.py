"""Requests for songs to an emulator, as the documentation prints them."""

from __future__ import annotations

from typing import Any

import httpx

from soundstage.contract import Contract


def request_of(contract: Contract) -> dict[str, Any]:
    return dict(next(each.payload for each in contract.examples if each.of == "request"))


def post(contract: Contract, url: str, kind: str, **headers: str) -> httpx.Response:
    endpoint = contract.endpoint_of_kind(kind)
    assert endpoint is not None
    headers["Authorization"] = "Bearer any-key"
    return httpx.post(url + endpoint.path, json=request_of(contract), headers=headers)
