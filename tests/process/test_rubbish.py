"""How often rubbish is looked for."""

from __future__ import annotations

import gc

import pytest

from soundstage.process import rubbish


def test_rubbish_is_looked_for_less_often_for_a_while_and_then_as_before() -> None:
    before = gc.get_threshold()
    with rubbish.seldom():
        assert gc.get_threshold() > before
    assert gc.get_threshold() == before


def test_a_failure_leaves_it_as_it_was() -> None:
    before = gc.get_threshold()
    with pytest.raises(KeyError), rubbish.seldom():
        raise KeyError
    assert gc.get_threshold() == before
