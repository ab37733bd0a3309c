"""What the reference says for tests in pytest: options, fixtures, and strategies to draw from."""

from __future__ import annotations

import argparse
import inspect
from collections.abc import Iterator
from types import ModuleType
from typing import Any

from _pytest.config.argparsing import Parser
from command_reference import option
from markdown_words import escaped, fenced, item

from soundstage import pytest_plugin
from soundstage.emulator import pytest_fixture
from soundstage.generation import samples

_MODULES = {"gate": pytest_plugin, "emulator": pytest_fixture}


def of_options() -> str:
    """The options that the plugin gives pytest."""
    parser = Parser(_ispytest=True)
    pytest_plugin.pytest_addoption(parser)
    plain = argparse.ArgumentParser("pytest", add_help=False)
    lines = ["```{program} pytest", "```", ""]
    for group in parser._groups:
        for each in group.options:
            lines += option(plain, each._action)
    return "\n".join(lines)


def of_fixtures(module: str) -> str:
    """The fixtures of one of our plugins."""
    lines: list[str] = []
    for name, function, scope in _fixtures(_MODULES[module]):
        returned = inspect.signature(function).return_annotation
        kind = f"{scope}, gives `{returned}`"
        lines += item("fixture", name, [kind, "", *_text(function)])
    return "\n".join(lines)


def of_strategies() -> str:
    """What soundstage.generation.samples gives."""
    lines: list[str] = []
    for name in samples.__all__:
        found = getattr(samples, name)
        if inspect.isclass(found):
            called = f"{name}({', '.join(found._fields)})"
        else:
            called = name + str(inspect.signature(found)).replace("'", "").replace("st.", "")
        lines += item("strategy", name, [*fenced(called, "python"), *_text(found)])
    return "\n".join(lines)


def _fixtures(module: ModuleType) -> Iterator[tuple[str, Any, str]]:
    for name, value in vars(module).items():
        marker = getattr(value, "_fixture_function_marker", None)
        if marker is not None:
            yield marker.name or name, value._fixture_function, str(marker.scope)


def _text(found: object) -> list[str]:
    return [escaped(line) for line in (inspect.getdoc(found) or "").splitlines()]
