"""Every rule of the synchronous endpoints."""

from collections.abc import Callable

import pytest

from soundstage.contract.rules import Rule


@pytest.mark.rules("sync")
def test_rule(rule: Rule, holds: Callable[[Rule], None]) -> None:
    holds(rule)
