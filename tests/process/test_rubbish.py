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


def test_what_a_program_puts_off_goes_on_once_it_has_begun() -> None:
    assert gc.isenabled()
    rubbish.put_off()
    try:
        assert not gc.isenabled()
    finally:
        rubbish.resume()
        gc.unfreeze()
    assert gc.isenabled()


def test_who_looks_for_no_rubbish_has_it_left_that_way() -> None:
    gc.disable()
    try:
        rubbish.resume()
        rubbish.put_off()
        rubbish.resume()
        assert not gc.isenabled()
    finally:
        gc.enable()
