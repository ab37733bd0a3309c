"""A comparison that goes on until it is decided, in words: what is named in advance, about how many
songs it takes, and what it sees on the way.
"""

from __future__ import annotations

import math
from collections.abc import Iterator

from soundstage.exchange.spawn import EMULATOR, is_free
from soundstage.loadtests.against.asked_comparison import AskedComparison
from soundstage.loadtests.against.expected_songs import (
    ASSUMED_S,
    ASSUMED_SIGMA,
    ExpectedSongs,
    expected,
)
from soundstage.loadtests.schedule.arrivals import Piece
from soundstage.loadtests.schedule.scenario import Scenario
from soundstage.output import visible
from soundstage.reports.decision.looks import Looking, TakenLook
from soundstage.reports.decision.looks_taken import gate_at_look
from soundstage.target_options import named

_GATES, _SIZES = 12, 20


def rate_of(scenario: Scenario) -> float:
    """Songs a second of a scenario that has one rate."""
    (phase,) = scenario.phases
    assert isinstance(phase, Piece)
    return phase.start


def how_much(asked: AskedComparison, scenario: Scenario) -> str:
    """What would be sent, in words."""
    pairs = " to each of two targets" if asked.base is None else ""
    return f"{rate_of(scenario):g}/s until decided, at most {asked.plan.most:,} songs{pairs}"


def planned(
    asked: AskedComparison, scenario: Scenario, against_budget: int | None, *, same_key: bool
) -> str:
    """Looks, level, and about how many songs they take, in lines; and whether a base that is a live
    target gets the key of the other.
    """
    lines = [*_lines(asked, scenario), *_of_the_base(asked, against_budget, same_key=same_key)]
    return visible.lines([f"  {line}" for line in lines])


def _lines(asked: AskedComparison, scenario: Scenario) -> Iterator[str]:
    plan, rate = asked.plan, rate_of(scenario)
    yield f"until decided against {_base_words(asked)}"
    names = [gate.name for gate in asked.gates if not gate.guard]
    guards = len(asked.gates) - len(names)
    more = f" and {len(names) - _GATES} more" if len(names) > _GATES else ""
    guard = f", and {guards} guard{'s' if guards > 1 else ''} of the error rate" if guards else ""
    yield f"gates: {', '.join(names[:_GATES])}{more}{guard}; margin {plan.rules.margin * 100:g}%"
    sizes = ", ".join(f"{size:,}" for size in plan.sizes[:_SIZES])
    more = f" and {len(plan.sizes) - _SIZES} more" if len(plan.sizes) > _SIZES else ""
    yield (
        f"looks at {sizes}{more} songs an arm, each interval {asked.level * 100:.6g}% "
        f"(alpha {plan.rules.alpha * 100:g}% over {len(plan.sizes)} looks and {len(asked.gates)} "
        "gates)"
    )
    yield "about so many songs, those in flight at the decision counted:"
    for each in expected(asked, rate):
        yield f"  {_expected_words(each)}"
    arms = " an arm" if asked.base is None else ""
    warm = math.ceil(scenario.warmup_s * rate)
    beside = f" and about {warm:,} of warm-up" if warm else ""
    yield f"at the most: {plan.most:,} songs{arms}{beside}"
    if asked.base is None:
        yield (
            f"nobody knows the songs yet: assumed are {ASSUMED_S:g} s each, sigma {ASSUMED_SIGMA:g}"
        )


def _of_the_base(
    asked: AskedComparison, against_budget: int | None, *, same_key: bool
) -> Iterator[str]:
    if asked.base is not None:
        return
    if against_budget is not None:
        yield f"of the base: a budget of {against_budget:,}"
    if same_key and not is_free(asked.baseline):
        said = "gets the key of the target (--against-key-file names another)"
        yield f"{named(asked.baseline)} {said}"


def _base_words(asked: AskedComparison) -> str:
    if asked.base is None:
        who = named(asked.baseline) if asked.baseline != EMULATOR else "an emulator"
        return f"{who}, asked in turn with the target, a pair at a time"
    run = asked.base.runs[0]
    songs = sum(series.n for series in run.series.values())
    return f"{run.id}, whose {songs:,} songs are taken whole at each look"


def _expected_words(each: ExpectedSongs) -> str:
    answers = [(each.fails, "fail"), (each.passes, "pass")]
    undecided = 1 - each.fails - each.passes
    said = [f"{share:.0%} {word}" for share, word in answers if share > 0.004]
    said += [f"{undecided:.0%} undecided"] if undecided > 0.004 else []
    return (
        f"if it is {each.shift:+.0%} slower: {each.sent:,.0f} ({each.sent_95:,.0f} in 95% of runs),"
        f" decided with {each.songs:,.0f}; {', '.join(said)}"
    )


def look_words(looking: Looking, look: TakenLook) -> str:
    """`look at 57 songs (62 sent): v6 stream TTC p50 +48% (+21% to +82%) fail`"""
    said = [
        f"{outcome.gate.label} {gate_at_look(outcome)}"
        for outcome in look.outcomes.values()
        if not outcome.gate.guard or outcome.verdict == "fail"
    ]
    more = f"; {len(said) - 4} more" if len(said) > 4 else ""
    end = f": {looking.verdict}" if looking.is_decided else ""
    return f"look at {look.n:,} songs ({look.sent:,} sent): {'; '.join(said[:4])}{more}{end}"
