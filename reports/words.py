"""The words that all reports share: the headline, numbers with units, and hostile text made plain.

Text of the API is escaped for its medium (HTML, XML, Markdown) by whoever writes that medium;
what is done here comes before: no control or bidirectional character survives, and no length.
"""

from __future__ import annotations

import math
import re
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from soundstage.output import visible
from soundstage.output.cutting import head
from soundstage.results.milestone_names import MilestoneNames, readable
from soundstage.results.polling import Resolution

#: Each rule outcome: glyph, and the word for it. The order is that of urgency.
OUTCOMES = {
    "failed": ("✗", "failed"),
    "outside": ("✗", "broken outside the selection"),
    "warned": ("!", "warned"),
    "inconclusive": ("?", "inconclusive"),
    "known": ("○", "known"),
    "passed": ("✓", "passed"),
    "not_exercised": ("–", "not exercised"),
}

_TARGETS = {
    "emulator": ("the emulator", "proves nothing about the live API"),
    "live": ("the live API", None),
    "local": ("a local server", "not the live API"),
}

_REHEARSAL = "a rehearsal of a live run, which proves nothing about the live API"

_VERDICTS = {
    ("check", "pass"): ("pass", "Contract kept"),
    ("check", "fail"): ("fail", "Contract broken"),
    ("load", "pass"): ("pass", "Load run passed"),
    ("load", "fail"): ("fail", "Load run failed"),
}


def plain(text: object, limit: int = 300) -> str:
    """`text` as one line that is safe to show (`output/visible.py`), cut past `limit`."""
    whole = text if isinstance(text, str) else str(text)
    part = head(whole, limit, end="")
    if not (part.isascii() and part.isprintable()):
        part = visible.line(part.translate(_IN_A_LINE))
    left = len(whole) - limit
    return part if left <= 0 else f"{part}… ({left:,} more characters)"


#: Space and line ends of texts that are shown in one line.
_IN_A_LINE = str.maketrans({"\n": "⏎", "\r": "␍", "\t": " ", "\u00a0": " "})


def seconds(value: float) -> str:
    """A time for people: `12.3 ms`, `1.24 s`, `184 s`; ∞ for a moment that never came."""
    if math.isnan(value):
        return "–"
    if math.isinf(value):
        return "∞"
    if abs(value) < 0.9995:
        thousandths = value * 1000
        return f"{thousandths:.{0 if abs(thousandths) >= 99.95 else 1}f} ms"
    size = abs(value)
    return f"{value:.{2 if size < 9.995 else 1 if size < 99.95 else 0}f} s"


def between(low: str, high: str) -> str:
    """`4.10 to 5.10 s`, of the words for both ends of what is known of a time by polling; the words
    themselves where both are the same.
    """
    if low == high:
        return high
    first, _, unit = low.rpartition(" ")
    return f"{first if first and high.endswith(f' {unit}') else low} to {high}"


def resolution_words(known: Resolution) -> str:
    """`times by polling: known to within 1.00 s (median), 1.20 s at most; 412 polls of 100
    exchanges, at most 1.30 s apart`
    """
    if not known.exchanges and not math.isnan(known.most):
        median, most = seconds(known.median), seconds(known.most)
        why = "times of chunks that were held back on their way"
        return f"{why}: known to within {median} (median), {most} at most"
    said = "times by polling: exact"
    if not math.isnan(known.most):
        median, most = seconds(known.median), seconds(known.most)
        said = f"times by polling: known to within {median} (median), {most} at most"
    if not known.exchanges:
        return said
    apart = f", at most {seconds(known.longest_gap)} apart" if known.longest_gap else ""
    polls, exchanges = plural(known.polls, "poll"), plural(known.exchanges, "exchange")
    return f"{said}; {polls} of {exchanges}{apart}"


#: What the first word of a reason means, whose second says it more exactly.
_REASONS = {
    "http": "the target answered with",
    "api": "the API refused:",
    "environment": "the surroundings failed:",
    "harness": "Soundstage stopped it:",
    "cap": "a bound of Soundstage was reached:",
    "budget": "the budget:",
    "job": "the job:",
}
_REASON = re.compile(r"([a-z]+)\.([a-z0-9_]+)(?:: (.*))?", re.DOTALL)


def reason_words(reason: str) -> str:
    """Why something could not be told, for people: `the target answered with 429 Too Many Requests
    [http.429]`; what begins with no code of ours stays as it is.
    """
    match = _REASON.fullmatch(reason)
    if match is None or match[1] not in _REASONS:
        return reason
    area, name, more = match.groups()
    code = f"{area}.{name}"
    said = f"{name} {more or ''}".strip() if area == "http" else more or readable(name)
    return f"{_REASONS[area]} {said} [{code}]"


def percent(part: float, whole: float) -> str:
    """`99.5%`; never rounded to 0% or 100% when it is not."""
    if whole <= 0:
        return "–"
    share = 100 * part / whole
    if share in (0, 100):
        return f"{share:.0f}%"
    if share < 0.1:
        return "<0.1%"
    if share > 99.9:
        return ">99.9%"
    return f"{share:.1f}%"


def signed(factor: float) -> str:
    """A ratio as people say it: `+12%`, `-3.1%`, `×12`, `±0%`."""
    if math.isnan(factor):
        return "–"
    if math.isinf(factor):
        return "+∞"
    if factor >= 3:
        return f"×{factor:.3g}"
    change = (factor - 1) * 100
    text = f"{change:+.0f}" if abs(change) >= 9.95 else f"{change:+.1f}"
    return f"{text}%" if float(text) else "±0%"


def plural(number: int, noun: str) -> str:
    """`1 rule`, `2 rules`, `1,000 rules`; `2 series`."""
    return f"{number:,} {noun}" + ("" if number == 1 or noun.endswith("s") else "s")


def milestone_label(names: MilestoneNames, name: str) -> str:
    """How reports call a milestone of an endpoint with these names."""
    return plain(names.label(name), 60)


def setting_words(value: object, most: int) -> str:
    """What something was set to, in at most `most` characters: `none`, `a and b`."""
    if value is None:
        return "none"
    return plain(" and ".join(map(str, value)) if isinstance(value, list) else value, most)


def place_words(api: str, endpoint: str) -> str:
    """`v6 stream`: a version and an endpoint, whatever they are called."""
    return f"{plain(api, 40)} {plain(endpoint, 20)}"


def outcome_words(outcomes: Mapping[str, int], probes: int, warmup: int) -> str:
    """`98.5% of 400 ok · 6 timeout · 20 warm-up`."""
    total, well = sum(outcomes.values()), outcomes.get("ok", 0)
    words = [f"{percent(well, total)} of {total:,} ok"] if total else []
    if 0 < total == well:
        words = [f"all {total:,} ok" if total > 1 else "1 ok"]
    words.extend(f"{count:,} {plain(name, 20)}" for name, count in outcomes.items() if name != "ok")
    if probes:
        words.append(plural(probes, "probe"))
    if warmup:
        words.append(f"{warmup:,} warm-up")
    return " · ".join(words)


@dataclass(frozen=True, slots=True)
class Headline:
    """The first thing that any report says.

    `tone` is pass, fail, inconclusive, invalid or incomplete; `title` the answer; `target` what
    it was asked of; `caveat` what the answer does not mean (None for the live API).
    """

    tone: str
    title: str
    target: str
    caveat: str | None
    detail: str | None

    @property
    def sentence(self) -> str:
        """`Contract kept, against the emulator — proves nothing about the live API`."""
        tail = f" — {self.caveat}" if self.caveat else ""
        return f"{self.title}, against {self.target}{tail}"


def headline(run: Mapping[str, Any], *, empty: bool = False, broken: str = "") -> Headline:
    """The headline of a run, from its run.json; `empty` if there was nothing to judge, `broken`
    says what is broken ("" for nothing).
    """
    target, caveat = _TARGETS[run["target"]["kind"]]
    if run["target"].get("rehearsal"):
        caveat = _REHEARSAL
    tone, title = _answer(run)
    title = _of_selection(title, run.get("selection"))
    if empty and tone == "pass":
        tone, title = "inconclusive", "No data: nothing was recorded"
    said = _why(run, broken) if tone == "fail" else run["reason"]
    if said in {void["message"] for void in run.get("voids", ())}:
        said = None  # it stands there, and once is enough
    return Headline(tone, title, target, caveat, plain(reason_words(said), 400) if said else None)


def _why(run: Mapping[str, Any], broken: str) -> str | None:
    """Why a run failed: in its own words, or in those of what it found where it has none. Bundles
    of before findings had words tell of pytest's test cases there.
    """
    said: str | None = run["reason"]
    return broken or said if said is None or ".py::" in said else said


def _answer(run: Mapping[str, Any]) -> tuple[str, str]:
    kind, verdict = run["kind"], run["verdict"]
    if run["status"] != "complete" and verdict != "fail":
        return "incomplete", "Incomplete: the run did not come to its end"
    if verdict == "fail" and kind == "load" and run["exit_code"] == 1:
        return "fail", "Contract broken under load"
    found = run.get("capacity")
    if found and verdict == "fail" and run["exit_code"] == 3:
        return "fail", "Capacity: no rate that was tried holds"
    looks = run.get("looks")
    if looks and verdict == "fail" and looks["verdict"] == "fail" and run["exit_code"] == 3:
        return "fail", "Slower, or worse, than its base"
    if verdict == "fail" and run["exit_code"] == 3:
        return "fail", "Too slow"
    if looks and verdict == "pass":
        return "pass", "No worse than its base"
    if verdict == "inconclusive":
        return "inconclusive", "Inconclusive: this run cannot tell"
    if verdict == "invalid" and kind == "check":
        return "invalid", "Invalid: the check itself went wrong, and says nothing of the contract"
    if verdict == "invalid":
        return "invalid", "Invalid: this run measures nothing"
    if found and verdict == "pass" and found["rate"] is not None:
        least = "at least " if found["verdict"] == "at_least" else ""
        return "pass", f"Capacity: holds {least}{found['rate']:.3g} arrivals a second"
    return _VERDICTS[kind, verdict]


def _of_selection(title: str, selection: Mapping[str, Any] | None) -> str:
    """`Contract kept, selection: 3 of 271 rules (-k index)`."""
    if selection is None:
        return title
    many = f"{selection['rules']:,} of {selection['of']:,} rules"
    return f"{title}, selection: {many} (-k {plain(selection['expression'], 80)})"


def duration(run: Mapping[str, Any]) -> float:
    """How long a run took, in seconds by the clock on the wall; 0 where it did not end, or the
    clock was set meanwhile.
    """
    if run["finished"] is None:
        return 0.0
    try:
        begun, ended = (datetime.fromisoformat(run[name]) for name in ("created", "finished"))
        return max(0.0, (ended - begun).total_seconds())
    except (TypeError, ValueError):
        return 0.0


def budget_words(run: Mapping[str, Any]) -> str:
    """What a run cost: `4 billable requests spent of 10`; of an emulator that it is free."""
    spent, limit = run["budget"]["spent"], run["budget"]["limit"]
    cost = cost_words(run)
    if run["target"]["kind"] == "emulator":
        asked = f" for {plural(spent, 'generation')}" if spent else ""
        live = f"; live it would be {cost}" if cost else ""
        return f"nothing was charged{asked}: an emulator is free{live}"
    of = f" of {limit:,}" if limit is not None else ""
    return f"{plural(spent, 'billable request')} spent{of}" + (f": {cost}" if cost else "")


def cost_words(run: Mapping[str, Any]) -> str:
    """What its songs come to by the contracts' prices: `120 credits`, `110 to 120 credits`; ""
    where no contract says a price.
    """
    parts = []
    for each in run["budget"].get("cost", ()):
        least, most = f"{each['least']:,g}", f"{each['most']:,g}"
        many = least if least == most else f"{least} to {most}"
        parts.append(f"{many} {plain(each['unit'], 40)}")
    return ", ".join(parts)


def target_facts(run: Mapping[str, Any]) -> list[str]:
    """What else is to be known of the target: profile, speed, seed."""
    target = run["target"]
    facts = []
    if target.get("profile"):
        facts.append(f"profile {plain(target['profile'], 60)}")
    speed = target.get("speed")
    if speed and speed != 1:
        facts.append(f"{speed:g}× faster than life, so times are not the API's")
    if target.get("seed") is not None:
        facts.append(f"seed {plain(target['seed'], 40)}")
    return facts
