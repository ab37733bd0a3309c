"""The looks of a comparison (`looks` of run.json, or of `compare`) in words: what each gate said at
each look, and at which look it was decided.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from soundstage.reports.words import percent, plain, plural, seconds, signed

#: What became of a gate: the class that colours it, its glyph, the word.
ANSWERS = {
    "pass": ("passed", "✓", "pass"),
    "fail": ("failed", "✗", "fail"),
    "inconclusive": ("inconclusive", "?", "undecided"),
}
#: More gates than a report shows.
_GATE_LIMIT = 40

LOOKS_HEAD = ("songs", "sent", "base", "candidate", "change", "interval", "said")


@dataclass(frozen=True, slots=True)
class GateAtLook:
    """A gate at one look: of `n` songs an arm, when `sent` had been sent. `low`, `value` and `high`
    are the change: a ratio, of a rate a difference; infinite where it is open or never.
    """

    n: int
    sent: int
    base: str
    candidate: str
    low: float
    value: float
    high: float
    change: str
    interval: str
    verdict: str

    @property
    def cells(self) -> tuple[str, ...]:
        """Beneath `LOOKS_HEAD`."""
        word = ANSWERS[self.verdict][2]
        sides = self.base, self.candidate
        return f"{self.n:,}", f"{self.sent:,}", *sides, self.change, self.interval, word


@dataclass(frozen=True, slots=True)
class LookedGate:
    """One gate over all looks; `songs` an arm decided it, None while nothing did."""

    label: str
    verdict: str
    guard: bool
    is_rate: bool
    songs: int | None
    looks: tuple[GateAtLook, ...]

    @property
    def answer(self) -> tuple[str, str, str]:
        """Class, glyph and word of the verdict."""
        shown = ANSWERS[self.verdict]
        return (*shown[:2], "no alarm") if self.guard and self.verdict == "pass" else shown

    @property
    def words(self) -> str:
        """`fail with 57 songs: +48% (+21% to +82%)`"""
        word = self.answer[2]
        with_ = f" with {self.songs:,} songs" if self.songs is not None else ""
        at = next((each for each in self.looks if each.n == self.songs), None)
        at = at or (self.looks[-1] if self.looks else None)
        return f"{word}{with_}" + (f": {at.change} ({at.interval})" if at else "")


@dataclass(frozen=True, slots=True)
class LooksTold:
    """All looks in words. `sentence` is how it ended; `songs` and `sent` at the look that decided,
    None where none did; `margin` as a ratio, `rate_margin` a difference.
    """

    verdict: str
    sentence: str
    against: str
    sizes: tuple[int, ...]
    level: float
    alpha: float
    margin: float
    rate_margin: float
    songs: int | None
    sent: int | None
    gates: tuple[LookedGate, ...]

    @property
    def how(self) -> str:
        """What was named in advance."""
        sizes = ", ".join(f"{size:,}" for size in self.sizes[:20])
        more = f" and {len(self.sizes) - 20} more" if len(self.sizes) > 20 else ""
        return (
            f"{plural(len(self.sizes), 'look')}, at {sizes}{more} songs; each interval "
            f"{self.level * 100:.6g}%, which makes alpha {self.alpha * 100:g}% over all looks and "
            f"gates; margin {(self.margin - 1) * 100:g}%"
        )

    @property
    def answer(self) -> str:
        """`decided with 57 songs an arm, 62 sent`; what it came to where nothing did."""
        if self.songs is None:
            return self.sentence
        sent = f", {self.sent:,} sent" if self.sent else ""
        return f"decided with {plural(self.songs, 'song')} an arm{sent}"


def looks_told(found: Mapping[str, Any] | None) -> LooksTold | None:
    """`looks` of run.json in words; None of a run that was not looked at."""
    if not found:
        return None
    sent = {each["n"]: each["sent"] for each in found["taken"]}
    return LooksTold(
        verdict=found["verdict"],
        sentence=plain(found["reason"], 400),
        against=plain(found["against"].get("run") or found["against"].get("target") or "", 120),
        sizes=tuple(found["sizes"]),
        level=found["level"],
        alpha=found["alpha"],
        margin=1 + found["margin"],
        rate_margin=found["rate_margin"],
        songs=found["songs"],
        sent=found["sent"],
        gates=tuple(_gate(each, sent) for each in found["gates"][:_GATE_LIMIT]),
    )


def _gate(gate: Mapping[str, Any], sent: Mapping[int, int]) -> LookedGate:
    is_rate = gate["kind"] == "rate"
    return LookedGate(
        label=plain(gate["label"], 120),
        verdict=gate["verdict"],
        guard=gate["guard"],
        is_rate=is_rate,
        songs=gate["songs"],
        looks=tuple(_at(each, sent.get(each["n"], each["n"]), is_rate) for each in gate["looks"]),
    )


def _at(look: Mapping[str, Any], sent: int, is_rate: bool) -> GateAtLook:
    change = look["change"]
    low = -math.inf if change["low"] is None else float(change["low"])
    high = math.inf if change["high"] is None else float(change["high"])
    value = math.nan if change["value"] is None else float(change["value"])
    return GateAtLook(
        n=look["n"],
        sent=sent,
        base=_side(look["base"], is_rate),
        candidate=_side(look["candidate"], is_rate),
        low=low,
        value=value,
        high=high,
        change=change_words(value, is_rate),
        interval=f"{bound_words(low, is_rate)} to {bound_words(high, is_rate)}",
        verdict=look["verdict"],
    )


def _side(side: Mapping[str, Any], is_rate: bool) -> str:
    value = side["value"]
    if is_rate:
        return percent(value, 1) if value else "0%"
    return seconds(math.inf if value is None else value)


def change_words(value: float, is_rate: bool) -> str:
    """`+31%`, or `+2.1 points` of a rate."""
    if not is_rate:
        return signed(value)
    return f"{value * 100:+.2g} points" if value else "±0 points"


def bound_words(value: float, is_rate: bool) -> str:
    """An end of the interval of a change; `?` where it is open."""
    if math.isinf(value) or (not is_rate and value <= 0):
        return "?"
    return change_words(value, is_rate)
