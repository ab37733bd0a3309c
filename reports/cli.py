"""`soundstage report`: run bundles in, reports out. Only this file of the room touches disks."""

from __future__ import annotations

import argparse
import contextlib
import gc
import math
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, TextIO

import orjson

from soundstage.contract import Contract, load
from soundstage.errors import SoundstageError, UsageError
from soundstage.reports import annotations, html, junit, markdown, sarif
from soundstage.reports.evidence import TRANSCRIPT_LIMIT, Smallest, smallest
from soundstage.reports.findings import Evidence, Report, Rule, build
from soundstage.reports.summary import Group, Milestone, Quantile
from soundstage.reports.wording import (
    HEADLINE_MILESTONES,
    OUTCOMES,
    milestone_label,
    percent,
    plain,
    plural,
    seconds,
    target_facts,
)
from soundstage.results.bundle import Bundle
from soundstage.results.index import resolve
from soundstage.results.verdicts import describe

HELP = "turn run bundles into HTML, JUnit, Markdown or JSON"

_EPILOG = """\
examples:
  soundstage report runs/2026-11-21T08-36-15-check-3f2a
      writes report.html, junit.xml and summary.md into the bundle, prints a summary
  soundstage report runs/* --format markdown >> "$GITHUB_STEP_SUMMARY"
  soundstage report runs/nightly --format json | jq .summary.endpoints
  soundstage report latest --format sarif --output soundstage.sarif

exit codes: 0 written, 2 wrong usage or not a bundle, 5 the bundle holds nothing.
A report never gates: the run did that. Interrupted bundles are reported as such.
"""

#: What a report without --format leaves in the bundle.
FILES: dict[str, Callable[[Report], str]] = {
    "junit.xml": junit.render,
    "summary.md": markdown.render,
    "report.html": html.render,
}


def parse_args(argv: list[str]) -> argparse.Namespace:
    """The arguments after `soundstage report`."""
    parser = argparse.ArgumentParser(
        prog="soundstage report",
        description=HELP[0].upper() + HELP[1:] + ".",
        epilog=_EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument(
        "bundles", nargs="+", metavar="BUNDLE", help="folder of a run, its id, a pin, or: latest"
    )
    parser.add_argument(
        "--format",
        choices=("html", "junit", "markdown", "json", "sarif", "annotations"),
        help="print this one instead of writing all into the bundle; sarif: for code scanning, "
        "annotations: workflow commands of GitHub Actions",
    )
    parser.add_argument(
        "--output", metavar="FILE", help="with --format: where to, - is standard output (default)"
    )
    args = parser.parse_args(argv)
    if args.output is not None and args.format is None:
        parser.error("--output needs --format")
    return args


def run(args: argparse.Namespace, stdout: TextIO, stderr: TextIO) -> int:
    """Write what `args` asks for; returns 0, or 5 when no bundle holds anything."""
    if args.format in ("html", "junit") and len(args.bundles) > 1:
        raise UsageError(f"--format {args.format} takes one bundle, not {len(args.bundles)}")
    paths = [resolve(each) for each in args.bundles]
    reports = [read(Bundle.open(path)) for path in paths]
    if args.format is None:
        for index, (path, report) in enumerate(zip(paths, reports, strict=True)):
            for name, render in FILES.items():
                _write(path / name, render(report))
            if index:
                stdout.write("\n")
            print_summary(report, stdout)
            stdout.write(f"report: {path / 'report.html'}\n")
    else:
        text = _formatted(args.format, reports)
        if args.output in (None, "-"):
            stdout.write(text)
        else:
            _write(Path(args.output), text)
    empty = [path for path, report in zip(paths, reports, strict=True) if report.empty]
    for path in empty:
        stderr.write(f"{path}: no data: it holds no exchange and no rule\n")
    return 5 if len(empty) == len(reports) else 0


def read(bundle: Bundle) -> Report:
    """All that a report needs of a bundle, in one pass over its rows."""
    with _uncollected():
        return build(
            bundle.run,
            rules=bundle.rules(),
            violations=bundle.violations(),
            exchanges=bundle.exchanges(),
            transcripts=bundle.transcripts(),
            torn=lambda: bundle.torn,
            smallest=lambda rule, evidence: _smallest(bundle, rule, evidence),
        )


@contextlib.contextmanager
def _uncollected() -> Iterator[None]:
    """No search for cycles meanwhile: rows have none, and a million of them are a fifth faster."""
    collecting = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if collecting:
            gc.enable()


def _smallest(bundle: Bundle, rule: Rule, evidence: Evidence) -> Smallest | None:
    """The smallest stream that shows a finding; None where it cannot be told."""
    contract = _contract(rule.api)
    if contract is None or evidence.transcript is None:
        return None
    try:
        with (bundle.path / evidence.transcript).open("rb") as file:
            raw = file.read(TRANSCRIPT_LIMIT + 1)
    except OSError:
        return None
    return smallest(contract, rule.endpoint, rule.id, evidence.chunk, evidence.exchange, raw)


def _contract(api: str) -> Contract | None:
    """The contract of a version, if it is known here; a bundle may come from elsewhere."""
    try:
        return load(api)
    except SoundstageError:
        return None


def print_summary(report: Report, stdout: TextIO) -> None:
    """The run in a few lines of text: verdict, voids, times, outcomes, violations."""
    headline = report.headline
    sentence = headline.sentence.removeprefix(f"{headline.tone.capitalize()}: ")
    stdout.write(f"{headline.tone.upper()}  {sentence[:1].upper()}{sentence[1:]}\n")
    if headline.detail:
        stdout.write(f"  {headline.detail}\n")
    if facts := target_facts(report.run):
        stdout.write(f"  {' · '.join(facts)}\n")
    for void in report.voids:
        stdout.write(f"  {void.kind}: {plain(void.message, 500)}\n")
    for entry in report.run.get("slos", ()):
        stdout.write(f"SLO {entry['verdict']}: {plain(describe(entry), 400)}\n")
    if report.rules:
        tally = report.outcomes().items()
        said = ", ".join(f"{count:,} {OUTCOMES[outcome][1]}" for outcome, count in tally)
        stdout.write(f"rules: {said}\n")
    for group in report.summary.groups:
        _print_group(group, stdout)
    broken = [rule for rule in report.findings() if rule.outcome == "failed"]
    for rule in broken[:9]:
        stdout.write(f"  ✗ {plain(rule.id, 160)} ({plural(rule.violations, 'time')})\n")
        if rule.evidence:
            stdout.write(f"      {plain(rule.evidence[0].message, 160)}\n")
    if len(broken) > 9:
        stdout.write(f"  and {plural(len(broken) - 9, 'more broken rule')}\n")
    if report.summary.codes:
        stdout.write("violations by code:\n")
        for code, count in list(report.summary.codes.items())[:12]:
            seen = f"in {plural(count.exchanges, 'exchange')}"
            stdout.write(f"  {plain(code, 40):<24} {count.violations:>7,} {seen}\n")


def _print_group(group: Group, stdout: TextIO) -> None:
    total = sum(group.outcomes.values())
    rates = ", ".join(
        f"{plain(outcome, 20)} {count:,} ({percent(count, total)})"
        for outcome, count in group.outcomes.items()
    )
    beside = [f"{plural(group.probes, 'probe')}"] if group.probes else []
    beside += [f"{group.warmup:,} warm-up"] if group.warmup else []
    said = "; ".join(one for one in (rates, ", ".join(beside)) if one)
    stdout.write(f"{plain(group.api, 20)} {plain(group.endpoint, 20)}: {said}\n")
    for name in HEADLINE_MILESTONES:
        one = group.milestone(name)
        label = f"  {milestone_label(name):<6}"
        if one is not None:
            quantiles = "  ".join(
                f"p{round(quantile.order * 100)} {seconds(quantile.value):>8}"
                for quantile in one.intended
                if quantile.order != 0.9
            )
            never = "" if one.reached == one.n else f", {one.n - one.reached:,} never got there"
            stdout.write(f"{label} {quantiles}  (n = {one.n:,}{never})\n")
        elif group.endpoint == "stream" and group.measured:
            stdout.write(f"{label} n/a\n")


def _formatted(name: str, reports: list[Report]) -> str:
    if name == "html":
        return html.render(reports[0])
    if name == "junit":
        return junit.render(reports[0])
    if name == "sarif":
        return sarif.render(reports)
    if name == "annotations":
        return "".join(annotations.render(report) for report in reports)
    if name == "markdown":
        return "\n".join(markdown.render(report) for report in reports)
    documents = [to_json(report) for report in reports]
    return orjson.dumps(
        documents[0] if len(documents) == 1 else documents,
        option=orjson.OPT_INDENT_2 | orjson.OPT_APPEND_NEWLINE | orjson.OPT_NON_STR_KEYS,
    ).decode("utf-8")


def to_json(report: Report) -> dict[str, Any]:
    """run.json with `voids` as the report sees them and, under `summary`, what the run comes to.

    Times are seconds; null is a moment that never came (+inf), or an interval without a bound.
    """
    summary = report.summary
    return {
        **report.run,
        "headline": report.headline.sentence,
        "voids": [{"kind": void.kind, "message": void.message} for void in report.voids],
        "summary": {
            "exchanges": summary.exchanges,
            "rules": report.outcomes(),
            "endpoints": [_group_json(group) for group in summary.groups],
            "codes": {
                code: {"violations": count.violations, "exchanges": count.exchanges}
                for code, count in summary.codes.items()
            },
            "coarse": summary.coarse,
            "lateness": _quantiles_json(summary.lateness),
        },
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
        "stages": {
            stage.name: {
                "n": stage.n,
                "reached": stage.reached,
                "p50": _finite(stage.p50),
                "p95": _finite(stage.p95),
            }
            for stage in group.stages
        },
    }


def _milestone_json(one: Milestone) -> dict[str, Any]:
    return {
        "n": one.n,
        "reached": one.reached,
        "from_intended": _quantiles_json(one.intended),
        "from_actual": _quantiles_json(one.actual),
    }


def _quantiles_json(quantiles: tuple[Quantile, ...]) -> dict[str, Any]:
    return {
        f"p{round(one.order * 100)}": {
            "seconds": _finite(one.value),
            "low": _finite(one.low),
            "high": _finite(one.high),
        }
        for one in quantiles
    }


def _finite(value: float) -> float | None:
    return value if math.isfinite(value) else None


def _write(path: Path, text: str) -> None:
    """Put `text` in place of `path` at once, so that nobody reads half a report."""
    temporary = path.with_name(f".{path.name}.tmp")
    try:
        temporary.write_text(text, encoding="utf-8")
        temporary.replace(path)
    except OSError as error:
        raise UsageError(f"{path}: cannot write: {error.strerror}") from error
