"""Every rule of jobs: what accepts them, and what is seen of them until they are over."""

from collections.abc import Callable

import pytest

from soundstage.contract.rules import Rule


@pytest.mark.rules("job")
def test_rule(rule: Rule, holds: Callable[[Rule], None]) -> None:
    holds(rule)
