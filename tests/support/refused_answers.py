"""Holds a refusal of the emulator against the error of its contract."""

from __future__ import annotations

import httpx

from soundstage.contract import Contract


def assert_error(response: httpx.Response, contract: Contract, name: str) -> None:
    """Its body is the contract's to the letter where that is printed, else its text may go on with
    the reason; which is in a header in any case.
    """
    error = contract.errors.named(name)
    body, place = response.json(), error.explained_at
    if place is not None and body != error.body:
        said, head = place.of(body), place.of(error.body)
        assert said.startswith(head.rstrip(".")), said
        body = place.put(body, head)
    assert (response.status_code, body) == (error.status, error.body)
    assert response.headers["content-type"] == "application/json"
    assert response.headers["soundstage-refused"]
