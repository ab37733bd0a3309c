"""A comparison as text, Markdown and one HTML page: the verdict first, then what voids it, the
gates, and the rest. `comparison_json` has the JSON.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from pathlib import Path

from soundstage.output import visible
from soundstage.reports.compare import comparison_verdict as verdict
from soundstage.reports.compare import comparison_words as words
from soundstage.reports.compare.arm_changes import RULE_KINDS
from soundstage.reports.compare.calibration import Calibration, advice
from soundstage.reports.compare.comparison import Comparison, breaks
from soundstage.reports.compare.comparison_json import FORMAT, json_text, looks_json, to_json
from soundstage.reports.compare.comparison_words import LINE_LIMIT, Row
from soundstage.reports.compare.page_place import report_links
from soundstage.reports.decision.gate_outcomes import GateOutcome
from soundstage.reports.formats.looks_formats import looks_markdown, looks_text
from soundstage.reports.formats.markdown import SIZE_LIMIT, code, escaped
from soundstage.reports.run.looks_told import LooksTold, looks_told
from soundstage.reports.words import plain, plural

_MARKDOWN_SIGNS = {"pass": "✅", "fail": "❌", "inconclusive": "❔", "invalid": "🚫"}
_ICONS = {"pass": "✓", "fail": "✗", "inconclusive": "?", "invalid": "⊘"}


def rendered(made: Comparison, form: str, place: Path | None = None) -> str:
    """A comparison in the format of that name; `place`: where it will lie, if anybody knows."""
    if form == "json":
        return json_text(to_json(made))
    return page(made, place) if form == "html" else {"text": text, "markdown": markdown}[form](made)


def without_base(why: str, form: str) -> str:
    """What stands in a comparison's place where there is no base yet, and that passes."""
    title = "No baseline yet, nothing compared"
    if form == "json":
        told = {"verdict": "no_baseline", "exit_code": 0, "title": title, "detail": why}
        return json_text({"format": FORMAT, **told})
    if form == "markdown":
        return f"## ⚠️ {title}\n\n{escaped(why)}\n"
    return f"NO BASELINE  {title}: passed, as --no-baseline pass asks\n  {why}\n"


# --- text -----------------------------------------------------------------------------------------


def text(made: Comparison) -> str:
    """For a terminal, ending in a line end."""
    against, caveat, facts = words.target(made)
    tail = f" — {caveat}" if caveat else ""
    lines = [f"{made.tone.upper()}  {verdict.title(made)}, against {against}{tail}"]
    told = [(each.question.lower(), each.said) for each in verdict.answers(made)]
    if following := verdict.next_step(made):
        told.append(("look at", following))
    wide = max(len(question) for question, _ in told)
    lines += [f"  {question.ljust(wide)}  {said}" for question, said in told]
    lines += [f"  allowed, {one.words}" for one in made.allowed]
    lines += [f"  note: {note}" for note in made.notes]
    lines.append(f"  base       {words.arm_words(made.base)}")
    lines.append(f"  candidate  {words.arm_words(made.candidate)}")
    if facts:
        lines.append(f"  {' · '.join(facts)}")
    gates = map(words.gate_row, made.gates)
    lines += _table(f"gates: {words.method(made)}", words.GATE_HEAD, gates)
    if (told_looks := _looks(made)) is not None:
        lines += looks_text(told_looks)
    lines += [f"  {one.gate.label}: {one.need.text}" for one in made.undecided() if one.need]
    if made.gates:
        lines += [f"  {said}" for said in words.resolution_lines(made)]
    grown_in = [change for change in verdict.shown_changes(made) if change.stages]
    for change in grown_in:
        grown = verdict.growth_rows(change)
        lines += _table(verdict.growth_caption(change), words.GROWTH_HEAD, grown)
    if not grown_in:
        for caption, moved in words.moved(made):
            rows = map(words.stage_row, moved)
            lines += _table(f"{caption} (shown, no gate):", words.STAGE_HEAD, rows)
    lines += _contract_lines(made)
    shifts = map(words.shift_row, made.shifts)
    lines += _table("all times together (shown, no gate):", words.SHIFT_HEAD, shifts)
    if made.calibration is not None:
        noise = words.noise_rows(made.calibration, made)
        lines += _table("noise of this environment, from A/A runs:", words.NOISE_HEAD, noise)
    return visible.lines(lines) + "\n"


def _looks(made: Comparison) -> LooksTold | None:
    return None if made.looking is None else looks_told(looks_json(made))


def calibration_text(made: Calibration) -> str:
    """A calibration for a terminal."""
    asked = f"margin {made.margin * 100:g}%, alpha {made.alpha * 100:g}%"
    said = f"A/A runs: {plural(len(made.runs), 'run')} against {plain(made.target)}; {asked}"
    lines = _table(said, words.NOISE_HEAD, words.noise_rows(made))
    lines += [f"  {plain(each, 400)}" for each in advice(made)]
    return visible.lines(lines) + "\n"


def _table(caption: str, head: Row, rows: Iterable[Row]) -> list[str]:
    """Columns as wide as they need to be, the first left-aligned and the rest right; no lines at
    all for no rows.
    """
    table = [head, *rows]
    if len(table) == 1:
        return []
    widths = [max(map(len, column)) for column in zip(*table, strict=True)]
    aligned: list[Callable[..., str]] = [str.ljust] + [str.rjust] * (len(widths) - 1)
    lines = []
    for row in table:
        cells = zip(aligned, row, widths, strict=True)
        lines.append("  " + "  ".join(align(*cell) for align, *cell in cells).rstrip())
    return [caption, *lines]


def _contract_lines(made: Comparison) -> list[str]:
    lines = []
    if any(each.kind != "kept" for each in made.rules):
        lines.append("rules:")
        for one in made.rules[:LINE_LIMIT]:
            said = f"{RULE_KINDS[one.kind]} ({words.times_broken(one)} exchanges)"
            shown = plain(one.example or one.text, 160)
            lines.append(f"  {_mark(one.breaking)} {plain(one.rule, 160)} {said}: {shown}")
    elif not made.refused:
        lines.append("rules: none broken")
    if made.drift:
        lines.append("drift of what is sent:")
        lines += [
            f"  {_mark(breaks(one))} {one.effect}, {one.verdict}: {plain(one.text, 240)}"
            f" ({plain(one.evidence.text, 160)}) [{plain(one.fingerprint, 20)}]"
            for one in made.drift[:LINE_LIMIT]
        ]
        if len(made.drift) > LINE_LIMIT:
            lines.append(f"  and {len(made.drift) - LINE_LIMIT} more")
    return lines


def _mark(breaking: bool) -> str:
    return "✗" if breaking else "·"


# --- Markdown -------------------------------------------------------------------------------------


def markdown(made: Comparison) -> str:
    """For a job summary, ending in a line end; at most 900 KB."""
    against, caveat, _ = words.target(made)
    tail = f" — **{caveat}**" if caveat else ""
    arms = [escaped(words.arm_words(arm), 400) for arm in (made.base, made.candidate)]
    title = f"## {_MARKDOWN_SIGNS[made.tone]} {escaped(verdict.title(made), 400)}"
    told = [f"- **{each.question}** {escaped(each.said, 500)}" for each in verdict.answers(made)]
    if following := verdict.next_step(made):
        told.append(f"- **Look at** {escaped(following, 500)}")
    parts = [title, f"Against **{against}**{tail}", "\n".join(told)]
    parts.append(f"Base {arms[0]}, candidate {arms[1]}")
    void = [f"> ⚠️ **allowed**, {escaped(each.words, 400)}" for each in made.allowed]
    void += [f"> {escaped(note, 400)}" for note in made.notes]
    parts.append("\n>\n".join(void))
    gates = map(_gate_cells, made.gates)
    parts += _markdown_table(f"Gates: {escaped(words.method(made), 400)}", words.GATE_HEAD, gates)
    if (told_looks := _looks(made)) is not None:
        parts.append(looks_markdown(told_looks, escaped))
    if made.gates:
        parts += [escaped(said, 300) for said in words.resolution_lines(made)]
    changes = [each for each in verdict.shown_changes(made) if each.stages]
    for each in changes:
        grown = (tuple(map(escaped, row)) for row in verdict.growth_rows(each))
        caption = escaped(verdict.growth_caption(each).capitalize(), 300)
        parts += _markdown_table(caption, words.GROWTH_HEAD, grown)
    if not changes:
        for said, moved in words.moved(made):
            cells = (tuple(map(escaped, words.stage_row(each))) for each in moved)
            parts += _markdown_table(
                f"{said.capitalize()} (shown, no gate):", words.STAGE_HEAD, cells
            )
    rules = (
        (
            code(each.rule),
            RULE_KINDS[each.kind],
            words.times_broken(each),
            escaped(each.example or each.text, 240),
        )
        for each in [each for each in made.rules if each.kind != "kept"][:LINE_LIMIT]
    )
    parts += _markdown_table("", ("rule", "", "exchanges", "what was seen"), rules)
    drift = (
        (
            f"{each.effect}, {each.verdict}",
            escaped(each.text, 240),
            escaped(each.evidence.text, 160),
            code(each.fingerprint, 20),
        )
        for each in made.drift[:LINE_LIMIT]
    )
    parts += _markdown_table("", ("drift", "what changed", "evidence", "fingerprint"), drift)
    if made.calibration is not None:
        noise = (tuple(map(escaped, row)) for row in words.noise_rows(made.calibration, made))
        said = "Noise of this environment, from A/A runs:"
        parts += _markdown_table(said, words.NOISE_HEAD, noise)
    whole = visible.in_markup("\n\n".join(filter(None, parts)) + "\n")
    if len(whole.encode("utf-8")) > SIZE_LIMIT:
        return "\n\n".join([*parts[:2], "The rest is too long for a summary.", ""])
    return whole


def _gate_cells(each: GateOutcome) -> Row:
    """A row of the text, with the bounds of each side in small, and what would decide."""
    label, base, candidate, change, bounds, verdict = words.gate_row(each)
    sides = [
        escaped(said) + (f"<br><sub>{escaped(small)}</sub>" if small else "")
        for said, small in (
            (base, words.bounds(each, each.base)),
            (candidate, words.bounds(each, each.candidate)),
        )
    ]
    need = f": {escaped(each.need.text)}" if each.need else ""
    return (escaped(label), *sides, escaped(change), escaped(bounds), f"**{verdict}**{need}")


def _markdown_table(caption: str, head: Row, rows: Iterable[Row]) -> list[str]:
    """The caption and the table; nothing of no rows."""
    lines = [f"| {' | '.join(row)} |" for row in rows]
    if not lines:
        return []
    rule = "|".join("---:" if 0 < n < 4 else "---" for n in range(len(head)))
    return [caption, "\n".join([f"| {' | '.join(head)} |", f"|{rule}|", *lines])]


# --- HTML -----------------------------------------------------------------------------------------


def page(made: Comparison, place: Path | None = None) -> str:
    """One HTML page, in the shell of the report: no script, no request. How it looks stands in
    `formats/comparison.html`. `place`: where it will lie, so that it can link to the reports.
    """
    from soundstage.reports.charts.looks_chart import looks_charts
    from soundstage.reports.compare import comparison_charts as charts
    from soundstage.reports.compare import stage_charts
    from soundstage.reports.formats import html

    looks = _looks(made)
    against, caveat, facts = words.target(made)
    return html.page(
        "comparison.html",
        made=made,
        words=words,
        verdict=verdict,
        breaks=breaks,
        rule_words=RULE_KINDS,
        limit=LINE_LIMIT,
        icon=_ICONS[made.tone],
        against=against,
        caveat=caveat,
        facts=facts,
        looks=looks,
        links=report_links((*made.base.runs, *made.candidate.runs), place),
        noise=words.noise_rows(made.calibration, made) if made.calibration else [],
        charts={
            "gates": charts.gate_intervals(made),
            "times": charts.distributions(made) if made.gates else [],
            "looks": looks_charts(looks),
            "growths": stage_charts.growths(made),
            "stages": stage_charts.waterfalls(made),
        },
    )
