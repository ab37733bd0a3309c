"""Every rule of the files that payloads point to: songs that decode and are as long as they should
be, covers that open, each at a place that may be asked.
"""

from collections.abc import Callable

import pytest

from soundstage.contract.rules import Rule


@pytest.mark.rules("asset")
def test_rule(rule: Rule, holds: Callable[[Rule], None]) -> None:
    holds(rule)
