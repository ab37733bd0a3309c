"""Every rule of the streaming endpoints, and of the status endpoint that looks generations up."""

from collections.abc import Callable

import pytest

from soundstage.contract.rules import Rule


@pytest.mark.rules("stream", "status")
def test_rule(rule: Rule, holds: Callable[[Rule], None]) -> None:
    holds(rule)
