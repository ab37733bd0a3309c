"""What the words of a report mean, for whoever meets them for the first time."""

from __future__ import annotations

from typing import Final

from soundstage.reports.run.findings import Report
from soundstage.reports.words import milestone_label, plain
from soundstage.results.milestone_names import readable

#: Outcomes of rules that do not say themselves what they mean.
OUTCOME_MEANINGS: Final = {
    "not_exercised": "nothing that this run sent or saw could have broken the rule",
    "inconclusive": "this run cannot tell: what would have decided it was not seen",
    "known": "broken, and waived in soundstage.toml until a date",
    "warned": "broken, where the documentation only suggests what is asked",
    "outside": "broken, though this run was not asked about it",
}
EXCHANGE: Final = "one request, with all that came back"
PROBE: Final = (
    "a request made to be refused, as with a wrong key: its rules count, its times do not"
)
WARM_UP: Final = "sent before the measuring began: it counts for nothing"
FLAKY: Final = "some exchanges broke it, others did not"
QUANTILES: Final = "half of them took no longer, and 95% of them"


def milestone_meaning(name: str) -> str:
    """What the time to a milestone is: `time from the moment a request was due until …`."""
    return f"time from the moment a request was due until {plain(readable(name), 60)}"


def until(report: Report) -> str:
    """`TTSR until streaming ready, TTC until complete`: the headlines that do not say it by their
    names; "" for none.
    """
    found = {}
    for group in report.summary.groups:
        for name in group.names.headline:
            label, words = milestone_label(group.names, name), plain(readable(name), 60)
            if group.milestone(name) is not None and label != words:
                found[label] = words
    return ", ".join(f"{label} until {words}" for label, words in found.items())


def legend(report: Report) -> list[tuple[str, str]]:
    """(word, meaning) of the words that this report uses, in the order in which they come."""
    words = {}
    for outcome in report.outcomes():
        if outcome in OUTCOME_MEANINGS:
            words[readable(outcome)] = OUTCOME_MEANINGS[outcome]
    groups = report.summary.groups
    if groups:
        words["exchange"] = EXCHANGE
    if any(group.probes for group in groups):
        words["probe"] = PROBE
    if any(group.warmup for group in groups):
        words["warm-up"] = WARM_UP
    for group in groups:
        for name in group.names.headline:
            words.setdefault(milestone_label(group.names, name), milestone_meaning(name))
    if any(group.milestones for group in groups):
        words["p50, p95"] = QUANTILES
    if any(rule.flaky and rule.outcome != "passed" for rule in report.findings()):
        words["flaky"] = FLAKY
    return list(words.items())
