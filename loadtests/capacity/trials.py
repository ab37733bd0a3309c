"""Runs the trials of a search for a capacity, one after another, in a load run that is open."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import replace
from typing import Any, TextIO

import gevent
import gevent.event

from soundstage.loadtests.capacity import search_words
from soundstage.loadtests.capacity.search import CapacitySearch, SearchLimits
from soundstage.loadtests.capacity.trial_counts import TrialOutcome
from soundstage.loadtests.capacity.trial_scorecard import TrialScorecard
from soundstage.loadtests.generator.lag import Load, why_invalid
from soundstage.loadtests.run import hopeless
from soundstage.loadtests.run.load_run import LEAD_S, LoadRun
from soundstage.loadtests.schedule import arrivals
from soundstage.loadtests.schedule.traffic import catalogue
from soundstage.output.streams import say
from soundstage.output.visible import own
from soundstage.results import verdicts
from soundstage.results.objective_tally import ObjectiveTally
from soundstage.results.slo import Objective
from soundstage.results.verdicts import Scorecard

_LOOK_S = 0.2
#: A trial goes on at least for this share of its exchanges, so that no hiccup decides it.
_LEAST_SHARE = 0.5
_SECOND_NS = 1_000_000_000
_INVALID = "invalid"
#: To the beginning of the line, which is cleared.
_ANEW = own("\r\x1b[K")


def find_capacity(load: LoadRun, limits: SearchLimits, stdout: TextIO, stderr: TextIO) -> None:
    """Search until the capacity is found or the run is stopped; `load.capacity` holds what is
    known, and `stdout` shows it.
    """
    found = CapacitySearch(limits)
    rows: list[dict[str, Any]] = []
    objectives = [tally.objective for tally in load.recording.scorecard.tallies]
    limits = _decisive(limits, load, objectives)
    load.begin()
    while not load.stopping.is_set() and (rate := found.next_trial()) is not None:
        if stderr.isatty():
            stderr.write(f"{_ANEW}trial {len(rows) + 1}: {rate:.4g}/s …")
            stderr.flush()
        brief = found.is_brief(rate)
        times = limits.warmup(rate, brief), limits.length(rate, brief)
        outcome, row = _trial(load, times, objectives, rate, len(rows))
        if row is None:
            break
        rows.append(row)
        found.add(outcome)
        _tell(stderr, f"trial {len(rows)}: {search_words.so_far(row, found)}")
    load.stop()
    load.drain(load.options.scenario.drain_s)
    # What a whole run would say of the objectives is of no rate in particular.
    load.recording.scorecard = Scorecard(())
    finding = found.finding()
    load.capacity = {
        "slos": list(load.options.scenario.slos),
        "rate": finding.rate,
        "low": finding.low,
        "high": finding.high,
        "verdict": finding.verdict,
        "reason": finding.reason,
        "precision": limits.precision,
        "trials": rows,
    }
    named = {within.milestone for each in objectives for within in each.slo.within}
    for line in search_words.table(rows, named):
        say(line, stdout)


def _decisive(limits: SearchLimits, load: LoadRun, objectives: Iterable[Objective]) -> SearchLimits:
    """The limits without brief trials, if those could not show that an objective is met."""
    planned = load.traffic.planned(0, limits.exchanges)
    for each in objectives:
        least = verdicts.least_for_pass(verdicts.required(each.slo))
        many = sum(planned.get(place, 0) for place in each.places)
        if each.slo.kind != "count" and many * limits.brief < least:
            return replace(limits, brief=1.0)
    return limits


def _tell(stderr: TextIO, text: str) -> None:
    """A line, on a terminal in the place of the one that said what is tried."""
    said = _ANEW + text if stderr.isatty() else f"soundstage load: {text}"
    say(said, stderr, flush=True)


def _trial(
    load: LoadRun, times: tuple[float, float], objectives: list[Objective], rate: float, number: int
) -> tuple[TrialOutcome, dict[str, Any] | None]:
    """One trial at `rate`, with `times` of warm-up and measuring in seconds; no row if the run was
    stopped in its midst.
    """
    scenario, recording = load.options.scenario, load.recording
    names = catalogue(load.traffic)
    card = recording.scorecard = TrialScorecard(objectives, names)
    seed = scenario.seed + number
    warm, length = times
    start = load.elapsed_s + LEAD_S
    moments = list(arrivals.schedule(arrivals.steady(rate, warm + length), scenario.process, seed))
    recording.measured_from_ns = int((start + warm) * _SECOND_NS)
    first = load.traffic.number
    planned = load.traffic.planned(
        first + sum(moment < warm for moment in moments), first + len(moments)
    )
    before = load.loaded()
    late, lags = before.late.copy(), before.lags.copy()
    halt = gevent.event.Event()
    found: list[hopeless.Hopeless] = []
    watcher = gevent.spawn(_watch, card.tallies, planned, halt, found)
    began = load.elapsed_s
    load.drive((start + moment for moment in moments), halt)
    seconds = max(load.elapsed_s - began, 1e-9)
    watcher.kill()
    cut = load.settle(scenario.drain_s)
    after = load.loaded()
    if load.stopping.is_set():
        return TrialOutcome(rate), None
    invalid = why_invalid(
        Load(
            asked=after.asked - before.asked,
            started=after.started - before.started,
            dropped=after.dropped - before.dropped,
            late=after.late - late,
            lags=after.lags - lags,
        )
    )
    missed = [each for each in found if each.missed]
    outcome = TrialOutcome(rate, card.counts(), bool(missed), invalid)
    entries = card.results()
    verdict = verdicts.FAIL if missed else verdicts.overall(entries)
    reason = missed[0].slo + ": " + missed[0].reason if missed else _why(entries)
    if cut:
        backlog = f"{cut} were cut after {scenario.drain_s:g} s: their backlog may be there still"
        reason = f"{reason}; {backlog}" if reason else backlog
    return outcome, {
        "rate": rate,
        "delivered": (after.started - before.started) / seconds,
        "seed": seed,
        "seconds": round(seconds, 3),
        "exchanges": card.n,
        "verdict": _INVALID if invalid else verdict,
        "reason": invalid or reason,
        "stopped": bool(missed),
        "slos": entries,
        **card.quantiles_to_json(),
    }


def _watch(
    tallies: list[ObjectiveTally],
    planned: Mapping[tuple[str, str], int],
    halt: gevent.event.Event,
    found: list[hopeless.Hopeless],
) -> None:
    """Set `halt` once an objective is shown to be missed; one that merely cannot be shown to be
    met may still be of use together with other trials.
    """
    while not halt.wait(_LOOK_S):
        for tally in tallies:
            whole = sum(planned.get(place, 0) for place in tally.objective.places)
            if tally.objective.slo.kind != "count" and tally.n < _LEAST_SHARE * whole:
                continue
            why = hopeless.hopeless(tally, whole)
            if why is not None and why.missed:
                found.append(why)
                halt.set()
                return


def _why(entries: list[dict[str, Any]]) -> str | None:
    for said in (verdicts.FAIL, verdicts.INCONCLUSIVE):
        for entry in entries:
            if entry["verdict"] == said:
                return verdicts.describe(entry)
    return None
