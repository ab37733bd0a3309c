"""Values in an observed.json that others wrote need not be JSON."""

from __future__ import annotations

import pytest

from soundstage.observed.documented import SILENT
from soundstage.observed.inferred import is_text
from soundstage.reports.drift.features import said_of_value


@pytest.mark.parametrize("key", ["", '"', '"\\u12"', "x", "::error::", "{", "'a'"])
def test_a_candidate_that_is_no_json_is_no_text_and_nothing_is_documented_about_it(key):
    assert not is_text(key)

    class About:
        def value(self, value: object) -> object:
            raise AssertionError(value)

    assert said_of_value(About(), key) is SILENT
