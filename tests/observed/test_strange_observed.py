"""Values in an observed.json that others wrote need not be JSON."""

from __future__ import annotations

import pytest

from soundstage.contract import load
from soundstage.observed.documented import SILENT, documented
from soundstage.observed.inferred import is_text


@pytest.mark.parametrize("key", ["", '"', '"\\u12"', "x", "::error::", "{", "'a'"])
def test_a_candidate_that_is_no_json_is_no_text_and_nothing_is_documented_about_it(key):
    assert not is_text(key)

    place = documented(load("v6"), "stream", "validated")["/status"]
    assert place.constants()
    assert place.said("value", key) is SILENT
