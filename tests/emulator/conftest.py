"""One instant emulator for the tests that change nothing but what is their own."""

from __future__ import annotations

from collections.abc import Iterator

import httpx
import pytest
from emulated import served

from soundstage.emulator.options import Options


@pytest.fixture(scope="session")
def instant() -> Iterator[str]:
    """The URL of an emulator without delays."""
    with served(Options(profile="instant", seed=1)) as url:
        yield url


@pytest.fixture
def client(instant: str) -> Iterator[httpx.Client]:
    """A client with a key that is accepted."""
    with httpx.Client(base_url=instant, headers={"Authorization": "Bearer any-key"}) as client:
        yield client
