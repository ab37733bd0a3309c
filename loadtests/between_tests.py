"""Whether the next test of a Locust process may begin, and what it may spend."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import Any, TypeVar
from weakref import WeakKeyDictionary

from locust.env import Environment
from locust.runners import STATE_RUNNING, STATE_SPAWNING

from soundstage.errors import SoundstageError
from soundstage.loadtests.locust_options import in_our_words, options_of
from soundstage.loadtests.run.asked_load import LoadOptions
from soundstage.loadtests.run.load_run import LoadRun
from soundstage.loadtests.run.run_setup import try_to_open
from soundstage.loadtests.web.form_guard import label
from soundstage.loadtests.web.start_terms import ProcessBudget, terms_of

Run = TypeVar("Run", bound=LoadRun)

#: Runs that are about to end: put in, and taken out, by whoever ends them.
closing: WeakKeyDictionary[Environment, LoadRun] = WeakKeyDictionary()
#: What a test holds of the budget of all tests.
_purses: WeakKeyDictionary[LoadRun, ProcessBudget] = WeakKeyDictionary()


def paid(
    environment: Environment, options: LoadOptions, opening: Callable[[LoadOptions], Run]
) -> Run:
    """A run with what is left of the budget. Raises what `opening` does, and BudgetError."""
    purse = terms_of(environment).purse
    lent = purse.lend()
    try:
        run = opening(replace(options, budget=lent))
    except BaseException:
        purse.returned(lent or 0)
        raise
    _purses[run] = purse
    return run


def paid_back(run: LoadRun) -> None:
    """The run is over: what it has not spent is for the next one."""
    if (purse := _purses.pop(run, None)) is not None:
        purse.returned(run.unspent())


def unfinished(environment: Environment) -> str | None:
    """Why the next test has to wait for the one before, whose requests would count as its own."""
    if (before := closing.get(environment)) is None:
        return None
    return (
        f"the test before is not over yet: {before.in_flight:,} songs are in flight, which get"
        f" {before.options.scenario.drain_s:g} s; try again in a moment"
    )


def why_not(environment: Environment, asked: Mapping[str, Any]) -> str | None:
    """Why no test can begin with these values of the web UI's form, a sentence; None if one can, or
    goes on already and only its users change.
    """
    runner = environment.runner
    if runner is not None and runner.state in (STATE_SPAWNING, STATE_RUNNING):
        now = {**vars(environment.parsed_options), "host": environment.host}
        other = next((name for name, value in asked.items() if value != now[name]), None)
        return other and f"{label(other)} cannot change while a test runs: stop it first"
    if (before := unfinished(environment)) is not None:
        return before
    purse = terms_of(environment).purse
    try:
        lent = purse.lend()
        try:
            try_to_open(replace(options_of(environment, asked), budget=lent))
        finally:
            purse.returned(lent or 0)
    except SoundstageError as error:
        return in_our_words(error)
    return None
