"""How a run was asked for and what it came to, as words with units: `parameters` and `totals` of
run.json. What is not known here (a bundle of another time) is shown as it can be read.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from typing import Any, Final

from soundstage.reports.words import percent, plain, plural, seconds
from soundstage.results.milestone_names import readable
from soundstage.results.quantiles import tells

#: More than these of one kind are cut: a bundle may be anybody's.
_MOST = 60
_LONGEST = 300
#: A value that is not shown: nothing was said, or there was none of it.
_NOTHING: Final = ""


def about(run: Mapping[str, Any]) -> list[tuple[str, str]]:
    """(term, words) of all that `run` says of how it was asked for and how it went, in an order
    that reads well. Safe to show.
    """
    asked = _told(run["parameters"], _ASKED)
    arrivals, said = _arrivals(run["totals"])
    rest = {name: value for name, value in run["totals"].items() if name not in said}
    came = [*arrivals, *_told(rest, _CAME)]
    return [(term, plain(said, _LONGEST)) for term, said in (*asked[:_MOST], *came[:_MOST])]


def _told(values: Mapping[str, Any], known: Mapping[str, _Term]) -> list[tuple[str, str]]:
    """The known ones in their order, then the others by name; none that has no value."""
    found = []
    for name in (*known, *sorted(values.keys() - known.keys())):
        if values.get(name) is None:
            continue
        term, words = known.get(name) or _unknown(name)
        try:
            said = words(values[name])
        except (TypeError, ValueError, LookupError, AttributeError, OverflowError):
            said = value_words(values[name])  # of another type than ours are
        if said != _NOTHING:
            found.append((term, said))
    return found


def value_words(value: object, depth: int = 2) -> str:
    """Any value of JSON for people: `yes`, `none`, `1,200`, `a, b`, `v6 50, v5 50`."""
    if value is None:
        return "none"
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, int | float):
        whole = isinstance(value, int) or (math.isfinite(value) and value == int(value))
        return f"{int(value):,}" if whole and abs(value) < 1e15 else f"{value:.4g}"
    if isinstance(value, Mapping) and depth:
        pairs = list(value.items())[:_MOST]
        return ", ".join(f"{plain(k, 60)} {value_words(v, depth - 1)}" for k, v in pairs) or "none"
    if isinstance(value, list | tuple) and depth:
        return ", ".join(value_words(each, depth - 1) for each in value[:_MOST]) or "none"
    return "…" if isinstance(value, Mapping | list | tuple) else plain(value, _LONGEST)


_Words = Callable[[Any], str]
_Term = tuple[str, _Words]


def _unknown(name: str) -> _Term:
    """A name that is not known here: made readable, its unit with the value."""
    for end, words in (("_ms", _ms), ("_s", _span), ("_share", _share)):
        if name.endswith(end):
            return plain(readable(name.removesuffix(end)), 60).capitalize(), words
    return plain(readable(name), 60).capitalize(), value_words


def _span(value: float) -> str:
    """`15 s`, `2 min`, `1 h 30 min`; `none` for no time at all."""
    if value == 0:
        return "none"
    if value < 120 or value != int(value):
        return f"{value:g} s" if value >= 1 else seconds(value)
    hours, rest = divmod(int(value), 3600)
    minutes, left = divmod(rest, 60)
    parts = ((hours, "h"), (minutes, "min"), (left, "s"))
    return " ".join(f"{number} {unit}" for number, unit in parts if number)


def _ms(value: float) -> str:
    return seconds(value / 1000)


def _share(value: float) -> str:
    return percent(value, 1)


def _if_any(noun: str) -> _Words:
    return lambda value: plural(value, noun) if value else _NOTHING


def _one_of(words: Mapping[str, str]) -> _Words:
    return lambda value: words.get(value) or value_words(value)


def _mixture(parts: Mapping[str, float]) -> str:
    found = [(plain(place, 80), share) for place, share in parts.items()]
    if len(found) == 1:
        return f"all to {found[0][0]}"
    return ", ".join(f"{percent(share, 1)} to {place}" for place, share in found)


def _corpus(facts: Mapping[str, Any]) -> str:
    many = "1 entry" if facts["entries"] == 1 else f"{facts['entries']:,} entries"
    return f"{plain(facts['file'], 120)}, {many} (sha256 {plain(facts['sha256'][:16], 20)}…)"


def _outcomes(counts: Mapping[str, int]) -> str:
    return ", ".join(f"{number:,} {plain(name, 40)}" for name, number in counts.items())


#: `parameters`: load runs, searches for a capacity, Locust's own command.
_ASKED: Final[dict[str, _Term]] = {
    "scenario": ("Scenario", value_words),
    "loop": (
        "Kind of load",
        _one_of(
            {
                "open": "open: a request starts when it is due, whatever is still under way",
                "closed": "closed: each user asks again once its answer is there",
            }
        ),
    ),
    "rate": ("Rate", lambda value: f"{value:g} request{'' if value == 1 else 's'} a second"),
    "phases": ("Phases", lambda value: ", then ".join(value)),
    "arrivals": (
        "Arrivals",
        _one_of({"poisson": "at random moments (Poisson)", "constant": "evenly spaced"}),
    ),
    "users": ("Users", value_words),
    "duration_s": ("Duration", _span),
    "warmup_s": ("Warm-up", _span),
    "drain_s": ("Waited for what was under way", lambda value: f"at most {_span(value)}"),
    "timeout_s": ("Longest answer", _span),
    "idle_timeout_s": ("Longest silence", _span),
    "max_in_flight": ("Under way at once", lambda value: f"at most {plural(value, 'exchange')}"),
    "apis": ("API versions", value_words),
    "endpoints": ("Kinds of endpoints", value_words),
    "mixture": ("Requests", _mixture),
    "corpus": ("Prompts from", _corpus),
    "slos": ("Objectives asked for", lambda value: "; ".join(value)),
    "probe_playback": ("Songs played while made", _share),
    "start_buffer_s": ("Music before playing", _span),
}
#: `totals`, but for the arrivals.
_CAME: Final[dict[str, _Term]] = {
    "exchanges": ("Exchanges", value_words),
    "outcomes": ("Outcomes", _outcomes),
    "judged": ("Judged", lambda value: plural(value, "exchange")),
    "violating": ("Broke the contract", lambda value: plural(value, "exchange")),
    "seconds": ("Took", seconds),
    "most_in_flight": ("Most under way at once", lambda value: plural(value, "exchange")),
    "found_no_room": ("Cut for lack of memory", _if_any("exchange")),
    "unaccounted": ("Lost with their workers", _if_any("exchange")),
    "cpu_share": ("CPU of the generator", lambda value: f"{percent(value, 1)} of one core"),
    "master_cpu_share": ("CPU of the master", lambda value: f"{percent(value, 1)} of one core"),
    "steal_share": ("CPU taken by the host", _share),
}


def _arrivals(totals: Mapping[str, Any]) -> tuple[list[tuple[str, str]], set[str]]:
    """What came due, what became of it, and how late the generator was; and the names of the totals
    that this says.
    """
    said: list[tuple[str, str]] = []
    names: set[str] = set()
    tellers: tuple[tuple[str, tuple[str, ...], Callable[..., str]], ...] = (
        ("Arrivals", ("arrivals_asked", "arrivals_started", "dropped"), _came_due),
        ("Late starts", ("late_starts", "late_p99_ms", "arrivals_started"), _late),
        ("Lag of the generator", ("loop_lag_p50_ms", "loop_lag_p99_ms"), _lag),
    )
    for term, needed, words in tellers:
        values = [totals.get(name) for name in needed]
        if all(isinstance(each, int | float) and not isinstance(each, bool) for each in values):
            said.append((term, words(*values)))
            names.update(needed)
    return said, names


def _came_due(asked: int, started: int, dropped: int) -> str:
    without = f"{dropped:,} dropped" if dropped else "none dropped"
    return f"{asked:,} came due, {started:,} started, {without}"


def _late(late: int, p99_ms: float, started: int) -> str:
    said = f"{late:,} of {plural(started, 'request')}"
    return f"{said}; p99 {_ms(p99_ms)} behind its moment" if tells(0.99, started) else said


def _lag(p50_ms: float, p99_ms: float) -> str:
    return f"p50 {_ms(p50_ms)}, p99 {_ms(p99_ms)}"
