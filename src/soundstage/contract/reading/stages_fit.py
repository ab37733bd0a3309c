"""Whether one stage of a contract fits together, and with the endpoints that it comes at.

Values in, (pointer, reason) out, as in `coherence`.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any, Final

from soundstage.contract.protocol import Stage
from soundstage.near_names import did_you_mean

Finding = tuple[str, str]
#: Moments of every exchange, whatever its contract says, the last if somebody listens to the song.
_OF_ALL: Final = ("accepted", "first_chunk", "first_sound")
#: What only a step may say.
_OF_STEPS: Final = (
    "after",
    "after_all",
    "ends",
    "per_track",
    "failure",
    "charges",
    "times",
    "takes_time",
)
#: So many names are said where another is meant.
_MOST_NAMED: Final = 12


def no_such(what: str, name: str, known: Iterable[str]) -> str:
    """That nothing of a kind has a name, and which names there are."""
    names = list(known)
    more = f" and {len(names) - _MOST_NAMED} more" if len(names) > _MOST_NAMED else ""
    listed = ", ".join(names[:_MOST_NAMED]) or "none"
    return f"no {what} is called {name!r}: there are {listed}{more}{did_you_mean(name, names)}"


def of_stage(
    stage: Mapping[str, Any], pointer: str, names: Sequence[str], states: Sequence[str]
) -> Iterator[Finding]:
    """What does not fit in an entry of `stages`; `names` are those of all stages, `states` of what
    status endpoints show.
    """
    for word in ("after", "after_all"):
        for group in stage.get(word, ()):
            for name in (name for name in group if name not in names):
                yield f"{pointer}/{word}", no_such("stage", name, names)
    if (state := stage.get("state")) is not None and state not in states:
        yield f"{pointer}/state", no_such("state of a status endpoint", state, states)
    if stage.get("anywhere"):
        for word in _OF_STEPS:
            if stage.get(word):
                yield f"{pointer}/{word}", "what may come anywhere is no step, and has no such word"
    yield from _of_times(stage, pointer)
    yield from _of_milestones(stage, f"{pointer}/milestones")


def _of_times(stage: Mapping[str, Any], pointer: str) -> Iterator[Finding]:
    least, most = stage.get("times", (1, 1))
    ends = stage.get("ends")
    if most is not None and least > most:
        yield f"{pointer}/times", f"{least} times at least, {most} at most"
    elif ends in ("track", "stream") and most != 1:
        yield f"{pointer}/times", f"it ends its {ends}, and so it comes once at most"
    if most is None and "most" in stage:
        yield f"{pointer}/most", "there is no most: `times` sets no limit"
    if ends == "track" and not stage.get("per_track"):
        yield f"{pointer}/ends", "a stage that ends its track is one per track"


def _of_milestones(stage: Mapping[str, Any], pointer: str) -> Iterator[Finding]:
    seen: set[str] = set()
    for number, milestone in enumerate(stage.get("milestones", ())):
        name, at = milestone["name"], milestone["at"]
        if name in _OF_ALL:
            why = f"{name!r} is a moment of every exchange already: call it otherwise"
            yield f"{pointer}/{number}/name", why
        if name in seen:
            yield f"{pointer}/{number}/name", f"{name!r} is there twice"
        seen.add(name)
        if at == "end" and stage.get("ends") != "close":
            why = "the end of the body is a moment of stages that end with `close`"
            yield f"{pointer}/{number}/at", why


def of_alike(stages: Sequence[Stage], numbers: Mapping[str, int]) -> Iterator[Finding]:
    """Stages that are recognised by the same as one before them, and never come therefore."""
    first: dict[str, str] = {}
    for stage in stages:
        event = None if stage.event is None else [stage.event.name, stage.event.required]
        mark = json.dumps([stage.when, event], sort_keys=True)
        other = first.setdefault(mark, stage.name)
        if other != stage.name:
            why = f"{stage.name} is never recognised: `when` is that of {other}, which comes first"
            yield f"/stages/{numbers[stage.name]}/when", why
