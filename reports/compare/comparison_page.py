"""A comparison as one HTML page, in the shell of the report: no script, no request."""

from __future__ import annotations

from soundstage.reports.compare import arm_charts, gate_chart
from soundstage.reports.compare.cells import (
    LINE_LIMIT,
    arm_words,
    bounds,
    interval,
    method,
    target,
    value,
    verdict,
)
from soundstage.reports.compare.comparison import Comparison, breaks
from soundstage.reports.compare.headline import change_of, detail, label_of, title
from soundstage.reports.compare.text_output import NOISE_HEAD, RULE_WORDS, noise_rows
from soundstage.reports.formats import html
from soundstage.reports.words import signed

_ICONS = {"pass": "✓", "fail": "✗", "inconclusive": "?", "invalid": "⊘"}
#: Class (colour) of what a gate says, and its glyph.
_SIGNS = {"pass": ("passed", "✓"), "fail": ("failed", "✗"), "inconclusive": ("warned", "?")}


def render(made: Comparison) -> str:
    """The page, as text to be stored in UTF-8."""
    against, caveat, facts = target(made)
    return html.page(
        "comparison.html",
        made=made,
        title=title(made),
        detail=detail(made),
        icon=_ICONS[made.tone],
        against=against,
        caveat=caveat,
        facts=facts,
        arms=[
            ("Base", made.base, arm_words(made.base)),
            ("Candidate", made.candidate, arm_words(made.candidate)),
        ],
        method=method(made) if made.gates else "",
        gates=[
            {
                "name": each.gate.name,
                "label": each.gate.label,
                "sign": _SIGNS[each.verdict],
                "base": (value(each, each.base), bounds(each, each.base)),
                "candidate": (value(each, each.candidate), bounds(each, each.candidate)),
                "n": (each.n_base, each.n_candidate),
                "change": change_of(each),
                "interval": interval(each),
                "verdict": verdict(each),
                "need": each.need.text if each.need else "",
            }
            for each in made.gates
        ],
        moved=made.moved(),
        rules=made.rules[:LINE_LIMIT],
        rule_words=RULE_WORDS,
        drift=[(each, breaks(each)) for each in made.drift[:LINE_LIMIT]],
        more_drift=max(0, len(made.drift) - LINE_LIMIT),
        shifts=[(label_of(each), signed(each.ratio), each.p) for each in made.shifts],
        noise_head=NOISE_HEAD,
        noise=noise_rows(made.calibration, made) if made.calibration else [],
        charts={
            "gates": gate_chart.intervals(made),
            "half": arm_charts.distributions(made) if made.gates else [],
            "wide": arm_charts.waterfalls(made),
        },
    )
