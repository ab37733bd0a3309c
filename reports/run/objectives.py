"""The objectives of a run (`slos` of run.json) as reports tell them: measured, bound, answer."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from soundstage.reports.words import between, plain, seconds

#: What became of an objective: the class that colours it, its glyph, the word.
ANSWERS = {
    "pass": ("passed", "✓", "met"),
    "fail": ("failed", "✗", "missed"),
    "inconclusive": ("inconclusive", "?", "undecided"),
}
#: More objectives than a report shows.
LIMIT = 100


@dataclass(frozen=True, slots=True)
class ObjectiveText:
    """One objective in words: as it was written, where it was held, the measured value with its
    95% interval (empty where there is none), of how many exchanges, and why or what is lacking.
    """

    verdict: str
    slo: str
    where: str
    value: str
    interval: str
    n: int
    why: str

    @property
    def answer(self) -> tuple[str, str, str]:
        """Class, glyph and word of the verdict."""
        return ANSWERS[self.verdict]


def told(run: Mapping[str, Any]) -> list[ObjectiveText]:
    """The objectives of run.json, in its order: missed ones first, then the undecided."""
    order = ("fail", "inconclusive", "pass")
    entries = sorted(run.get("slos", ()), key=lambda each: order.index(each["verdict"]))
    return [_told(said_once(each, run)) for each in entries[:LIMIT]]


def said_once(entry: Mapping[str, Any], run: Mapping[str, Any]) -> Mapping[str, Any]:
    """An entry of `slos` without its reason, where that voids the whole run and is said there."""
    voids = {void["message"] for void in run.get("voids", ())}
    return {**entry, "reason": None} if entry["reason"] in voids else entry


def _told(entry: Mapping[str, Any]) -> ObjectiveText:
    unit = entry["unit"]
    value = "never" if entry["value"] is None else _shown(entry["value"], unit)
    if entry.get("value_low") is not None:
        # A time counts against its bound, a share for it: the lesser of the two comes first.
        ends = sorted((entry["value_low"], entry["value"]))
        value = between(*(_shown(each, unit) for each in ends))
    bounds = (entry["low"], entry["high"])
    known = unit != "violations" and entry["n"] and any(each is not None for each in bounds)
    low, high = (("?" if each is None else _shown(each, unit)) for each in bounds)
    return ObjectiveText(
        verdict=entry["verdict"],
        slo=plain(entry["slo"], 120),
        where=plain(" ".join(filter(None, (entry["api"], entry["endpoint"]))) or "all", 60),
        value=value if entry["n"] else "–",
        interval=f"{low} to {high}" if known else "",
        n=entry["n"],
        why="; ".join(_why(entry)),
    )


def _why(entry: Mapping[str, Any]) -> Iterator[str]:
    if entry["reason"]:
        yield plain(entry["reason"], 300)
    if entry["unknown"]:
        yield f"{entry['unknown']:,} were cut short by the harness"
    if entry["more"] and "more" not in (entry["reason"] or ""):
        yield f"about {entry['more']:,} more exchanges would decide"


def _shown(value: float, unit: str) -> str:
    if unit == "s":
        return seconds(value)
    return f"{100 * value:.3g}%" if unit == "share" else f"{value:,.0f}"
