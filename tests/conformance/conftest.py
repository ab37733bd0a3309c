"""The payloads that the pages print, put together to whole streams, and a way to judge them."""

from __future__ import annotations

import copy
import json
from collections.abc import Callable, Iterable
from typing import Any

import pytest

from soundstage.conformance.engine import StreamCheck
from soundstage.contract import Contract

Chunks = list[dict[str, Any]]
#: What the whole v6 stream consists of: a printed stage, and the fields that the place demands.
V6_STREAM: tuple[tuple[str, dict[str, Any]], ...] = (
    ("initializing", {}),
    ("validated", {}),
    ("streaming", {}),
    ("processing", {}),
    ("running", {}),
    ("running", {"progress": 50}),
    ("streaming_ready", {"version": 1}),
    ("streaming_ready", {"version": 2}),
    ("completed", {}),
    ("uploading", {"version": 1}),
    ("final", {"version": 1}),
    ("uploading", {"version": 2}),
    ("final", {"version": 2}),
)
V5_STREAM: tuple[tuple[str, dict[str, Any]], ...] = (
    ("progress", {}),
    ("progress", {"status": "PROCESSING", "task_id": "123456789"}),
    ("progress", {"status": "PROCESSING", "task_id": "123456789"}),
    ("final", {}),
)


def assembled(contract: Contract, parts: Iterable[tuple[str, dict[str, Any]]]) -> Chunks:
    """The printed chunks of `parts`, numbered as the contract says."""
    printed = {each.of: each.payload for each in reversed(contract.examples)}
    index = contract.protocol.index
    assert index is not None
    return [
        copy.deepcopy(printed[f"stage:{stage}"])
        | fields
        | {index.field.name: index.start + number * index.step}
        for number, (stage, fields) in enumerate(parts)
    ]


@pytest.fixture
def song(v6: Contract) -> Chunks:
    """A whole v6 stream out of the printed chunks; the test may change it."""
    return assembled(v6, V6_STREAM)


@pytest.fixture
def song_v5(v5: Contract) -> Chunks:
    return assembled(v5, V5_STREAM)


@pytest.fixture(scope="session")
def build() -> Callable[..., Chunks]:
    return assembled


@pytest.fixture(scope="session")
def judged() -> Callable[..., StreamCheck]:
    """Feed chunks (objects to encode, or bytes as they are) to the engine, and close it."""

    def judge(contract: Contract, chunks: Iterable[Any], **closing: Any) -> StreamCheck:
        check = StreamCheck(contract)
        for chunk in chunks:
            check.event(chunk if isinstance(chunk, bytes) else json.dumps(chunk).encode())
        check.close(**closing)
        return check

    return judge


@pytest.fixture(scope="session")
def found() -> Callable[..., list[str]]:
    """The codes of violations, without those that only inform."""

    def codes(check: StreamCheck, *severities: str) -> list[str]:
        wanted = severities or ("error", "warning")
        return [each.code for each in check.violations if each.severity in wanted]

    return codes
