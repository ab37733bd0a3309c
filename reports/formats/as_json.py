"""The report as JSON: run.json, and what the run comes to."""

from __future__ import annotations

from typing import Any

from soundstage.reports.formats import listeners
from soundstage.reports.run.findings import Report
from soundstage.reports.run.milestone_times import MilestoneSummary, Quantile
from soundstage.reports.run.rule_results import RuleResult
from soundstage.reports.run.summary import Group
from soundstage.reports.run.wall_clock import wall_clock
from soundstage.results.polling import Resolution
from soundstage.results.quantiles import finite

#: Findings that are listed, the worst first.
FINDING_LIMIT = 1_000


def to_json(report: Report) -> dict[str, Any]:
    """run.json with `voids` as the report sees them and, under `summary`, what the run comes to.

    Times are seconds; null is a moment that never came (+inf), or an interval without a bound.
    """
    summary = report.summary
    return {
        **report.run,
        "headline": report.headline.sentence,
        "why": report.headline.detail,
        "voids": [{"kind": void.kind, "message": void.message} for void in report.voids],
        "summary": {
            "exchanges": summary.exchanges,
            "rules": report.outcomes(),
            "findings": [_finding_json(rule) for rule in report.findings()[:FINDING_LIMIT]],
            "endpoints": [_group_json(group) for group in summary.groups],
            "codes": {
                code: {"violations": count.violations, "exchanges": count.exchanges}
                for code, count in summary.codes.items()
            },
            **({"failures": _failures_json(report)} if summary.failures else {}),
            "coarse": summary.coarse,
            "lateness": _quantiles_json(summary.lateness),
        },
    }


def _failures_json(report: Report) -> dict[str, Any]:
    """Failures by kind; moments are seconds since the run began, and times of day in UTC."""
    failed, clock = report.summary.failures, wall_clock(report.run)
    assert failed is not None
    return {
        "exchanges": failed.total,
        "of": failed.of,
        "unknown": failed.unknown,
        "warmup": failed.warmup,
        "kinds": [
            {
                "api": one.api,
                "endpoint": one.endpoint,
                "outcome": one.outcome,
                "status": one.http_status,
                "reason": one.reason or None,
                "words": f"{one.title}: {one.why}" if one.why else one.title,
                "exchanges": one.count,
                "of": one.of,
                "first": {"seconds": one.first, "at": clock.instant(one.first)},
                "last": {"seconds": one.last, "at": clock.instant(one.last)},
                "example": one.example,
                "transcript": one.transcript,
            }
            for one in failed.kinds
        ],
        "more_kinds": failed.more,
    }


def _finding_json(rule: RuleResult) -> dict[str, Any]:
    return {
        "rule": rule.id,
        "outcome": rule.outcome,
        "defect": rule.title,
        "seen": rule.times,
        "violations": rule.violations,
        "broken_in": rule.broken_in,
        "exchanges": rule.exchanges,
        "codes": list(rule.codes),
    }


def _group_json(group: Group) -> dict[str, Any]:
    return {
        "api": group.api,
        "endpoint": group.endpoint,
        "exchanges": group.exchanges,
        "measured": group.measured,
        "warmup": group.warmup,
        "probes": group.probes,
        "outcomes": group.outcomes,
        "verdicts": group.verdicts,
        "reasons": group.reasons,
        "milestones": {one.name: _milestone_json(one) for one in group.milestones},
        **({"polling": _polling_json(group.resolution)} if group.resolution else {}),
        **({"playback": listeners.to_json(group.playback)} if group.playback else {}),
        "stages": {
            stage.name: {
                "n": stage.n,
                "reached": stage.reached,
                "p50": finite(stage.p50),
                "p95": finite(stage.p95),
            }
            for stage in group.stages
        },
    }


def _milestone_json(one: MilestoneSummary) -> dict[str, Any]:
    return {
        "n": one.n,
        "reached": one.reached,
        "from_intended": _quantiles_json(one.intended),
        "from_actual": _quantiles_json(one.actual),
        # Of times that are known by polling, the above are the high ends.
        **({} if one.low is None else {"low_ends": _ends_json(one.low)}),
    }


def _ends_json(one: MilestoneSummary) -> dict[str, Any]:
    return {
        "from_intended": _quantiles_json(one.intended),
        "from_actual": _quantiles_json(one.actual),
    }


def _polling_json(known: Resolution) -> dict[str, Any]:
    """How well times are known, in seconds; null where all are exact."""
    return {
        "polls": known.polls,
        "exchanges": known.exchanges,
        "longest_gap": known.longest_gap,
        "resolution_median": finite(known.median),
        "resolution_most": finite(known.most),
    }


def _quantiles_json(quantiles: tuple[Quantile, ...]) -> dict[str, Any]:
    return {
        f"p{round(one.order * 100)}": {
            "seconds": finite(one.value),
            "low": finite(one.low),
            "high": finite(one.high),
            **({"estimated": True} if one.estimated else {}),
        }
        for one in quantiles
    }
