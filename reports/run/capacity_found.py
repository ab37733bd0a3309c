"""What a search for a capacity found (`capacity` of run.json), in words: the objective, the highest
rate that held, the lowest that failed, and each trial in the order in which it was tried.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from soundstage.reports.run.objectives import ObjectiveText, told
from soundstage.reports.words import plain, plural

#: What became of a trial: the class that colours it, its glyph, the word.
TRIALS = {
    "pass": ("passed", "✓", "held"),
    "fail": ("failed", "✗", "failed"),
    "inconclusive": ("warned", "?", "cannot tell"),
    "invalid": ("known", "⊘", "invalid"),
}
#: More trials and objectives than a report shows; a search ends long before.
_TRIAL_LIMIT, _OBJECTIVE_LIMIT = 200, 5


@dataclass(frozen=True, slots=True)
class TriedRate:
    """One trial: its place in the order of trials, arrivals a second asked for and delivered (nan:
    unknown), and what was measured of each objective.
    """

    number: int
    rate: float
    delivered: float
    exchanges: int
    verdict: str
    stopped: bool
    reason: str
    measured: tuple[ObjectiveText, ...]

    @property
    def answer(self) -> tuple[str, str, str]:
        """Class, glyph and word of the verdict."""
        return TRIALS[self.verdict]

    @property
    def words(self) -> str:
        """`641 ms (603 ms to 765 ms)`, of each objective."""
        said = []
        for one in self.measured[:_OBJECTIVE_LIMIT]:
            name = f"{one.slo}: " if len(self.measured) > 1 else ""
            said.append(name + one.value + (f" ({one.interval})" if one.interval else ""))
        return "; ".join(said) or "–"

    @property
    def why(self) -> str:
        """Why it was invalid, or what ended it early; empty where the measured value says all."""
        if self.verdict == "invalid":
            return self.reason
        return "stopped early: out of reach" if self.stopped else ""


@dataclass(frozen=True, slots=True)
class FoundCapacity:
    """The answer of a search, in arrivals a second: `rate` is the highest that counts as held, and
    at `low` that was shown; `fails` is the lowest that counts as failed, `high` the lowest at which
    that was shown. None where there is none.
    """

    slos: tuple[str, ...]
    verdict: str
    rate: float | None
    low: float | None
    high: float | None
    fails: float | None
    precision: float
    reason: str
    trials: tuple[TriedRate, ...]

    @property
    def objective(self) -> str:
        """`complete.p95<600ms`, or several."""
        shown = " and ".join(self.slos[:_OBJECTIVE_LIMIT])
        more = len(self.slos) - _OBJECTIVE_LIMIT
        return shown + (f" and {more} more" if more > 0 else "")

    @property
    def answer(self) -> str:
        """`holds 34.9 arrivals a second, fails at 38.1`"""
        if self.rate is None:
            tried = min((trial.rate for trial in self.trials), default=None)
            if self.verdict == "none" and tried is not None:
                return f"no rate holds: the lowest that was tried, {tried:.3g} a second, fails"
            return "not known: no rate was shown to hold"
        least = "at least " if self.verdict in ("at_least", "unfinished") else ""
        fails = f", fails at {self.fails:.3g}" if self.fails is not None else ""
        if not fails:
            fails = ", and no rate that was tried fails"
        return f"holds {least}{self.rate:.3g} arrivals a second{fails}"

    @property
    def sentence(self) -> str:
        """The answer with its objective and the number of trials, in a line."""
        trials = plural(len(self.trials), "trial")
        why = f"; {self.reason}" if self.reason and self.verdict != "none" else ""
        return f"{self.answer} ({self.objective}; {trials}){why}"

    @property
    def bracket(self) -> str:
        """Between which rates the capacity lies, and what was shown of both; empty where no rate
        bounds it.
        """
        if self.rate is None and self.fails is None:
            return ""
        if self.rate is None:
            return f"below {self.fails:.3g} a second"
        if self.fails is None:
            return f"{self.rate:.3g} a second or more"
        parts = [f"between {self.rate:.3g} and {self.fails:.3g} a second"]
        parts += self._shown()
        return "; ".join(parts)

    def _shown(self) -> Iterator[str]:
        if self.low is None:
            yield "at no rate shown to hold beyond doubt"
        elif self.low != self.rate:
            yield f"shown to hold at {self.low:.3g}"
        if self.high is None:
            yield "at no rate shown to fail beyond doubt"
        elif self.high != self.fails:
            yield f"shown to fail at {self.high:.3g}"

    @property
    def tally(self) -> str:
        """`12 trials: 5 held, 4 failed, 1 cannot tell, 2 invalid`"""
        counts = Counter(trial.verdict for trial in self.trials)
        said = ", ".join(
            f"{counts[key]} {word}" for key, (*_, word) in TRIALS.items() if counts[key]
        )
        return f"{plural(len(self.trials), 'trial')}: {said}"

    @property
    def next_step(self) -> str:
        """What to look at: a trial that failed where the capacity ends, in words; empty if none
        did.
        """
        end = self.fails or 0.0
        failed = [one for one in self.trials if one.verdict == "fail" and one.rate >= end]
        if not failed:
            return ""
        first = min(failed, key=lambda trial: (trial.rate, trial.number))
        return f"trial {first.number}, which failed at {first.rate:.3g} a second: {first.words}"


def capacity_found(found: Mapping[str, Any] | None) -> FoundCapacity | None:
    """What a run's search found; None of a run that searched for nothing, or tried nothing."""
    if not found or not found["trials"]:
        return None
    trials = tuple(
        TriedRate(
            number=number,
            rate=float(each["rate"]),
            delivered=math.nan if each["delivered"] is None else float(each["delivered"]),
            exchanges=each["exchanges"],
            verdict=each["verdict"],
            stopped=each["stopped"],
            reason=plain(each["reason"] or "", 300),
            measured=tuple(told({"slos": each["slos"], "voids": ()})),
        )
        for number, each in enumerate(found["trials"][:_TRIAL_LIMIT], 1)
    )
    rate = found["rate"]
    return FoundCapacity(
        slos=tuple(plain(slo, 120) for slo in found["slos"]),
        verdict=found["verdict"],
        rate=rate,
        low=found["low"],
        high=found["high"],
        fails=_fails(rate, found["high"], trials),
        precision=found["precision"],
        reason=plain(found["reason"] or "", 300),
        trials=trials,
    )


def _fails(rate: float | None, shown: float | None, trials: tuple[TriedRate, ...]) -> float | None:
    """The lowest rate above the one that holds at which a trial was judged and the search did not
    count it as held, or the one at which that was shown.
    """
    judged = (trial.rate for trial in trials if trial.verdict in ("fail", "inconclusive"))
    over = [each for each in judged if rate is None or each > rate]
    return min(over, default=shown)
