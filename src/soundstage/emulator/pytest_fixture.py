"""A fixture for the test suites of others. In their top conftest.py

    pytest_plugins = ["soundstage.emulator.pytest_fixture"]

gives their tests the fixture `emulator`.

It has nothing to do with the plugin of the contract gate, and may be loaded beside it.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator
from typing import Any

import pytest

from soundstage.emulator.options import Options
from soundstage.emulator.service.server import USUAL, Running, running

_MARK = "emulator"


def pytest_configure(config: pytest.Config) -> None:
    text = f"{_MARK}(process=False, **options): how the fixture `emulator` is started for a test"
    config.addinivalue_line("markers", text)


@pytest.fixture(scope="session")
def emulator_options() -> Options:
    """What every emulator is started with; override it in a conftest.py."""
    return USUAL


@pytest.fixture
def emulator(request: pytest.FixtureRequest, emulator_options: Options) -> Iterator[Running]:
    """An emulator of the test's own, on a free port. `@pytest.mark.emulator(speed=10,
    faults=["wire/reset"])` changes its options for one test or class, `process=True` gives it a
    process of its own.
    """
    changes: dict[str, Any] = {}
    for mark in reversed(list(request.node.iter_markers(_MARK))):
        changes |= mark.kwargs
    process = changes.pop("process", False)
    for name, value in changes.items():
        if isinstance(value, list):
            changes[name] = tuple(value)
    try:
        options = dataclasses.replace(emulator_options, **changes)
    except TypeError:
        known = {field.name for field in dataclasses.fields(Options)}
        wrong = ", ".join(sorted(changes.keys() - known))
        raise pytest.UsageError(
            f"@pytest.mark.emulator has no option {wrong}: there are {', '.join(sorted(known))}"
        ) from None
    with running(options, process=process) as started:
        yield started
