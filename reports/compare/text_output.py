"""A comparison as text and as Markdown: the verdict first, then what voids it, gates, the rest."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from soundstage.output import visible
from soundstage.reports.compare.calibration import Calibration, advice
from soundstage.reports.compare.cells import (
    LINE_LIMIT,
    arm_words,
    bounds,
    interval,
    method,
    stage_interval,
    target,
    value,
    verdict,
)
from soundstage.reports.compare.comparison import Comparison, breaks
from soundstage.reports.compare.gates import Pairing
from soundstage.reports.compare.headline import change_of, detail, label_of, title
from soundstage.reports.compare.rule_change import RuleChange
from soundstage.reports.formats.markdown import SIZE_LIMIT, code, escaped
from soundstage.reports.words import percent, plain, plural, seconds, signed

_SIGNS = {"pass": "✅", "fail": "❌", "inconclusive": "❔", "invalid": "🚫"}
RULE_WORDS = {
    "broken": "newly broken",
    "more": "broken more often",
    "still": "broken as before",
    "kept": "kept again",
}
Row = tuple[str, ...]


def text(made: Comparison) -> str:
    """For a terminal, ending in a line end."""
    against, caveat, facts = target(made)
    tail = f" — {caveat}" if caveat else ""
    lines = [f"{made.tone.upper()}  {title(made)}, against {against}{tail}"]
    if said := detail(made):
        lines.append(f"  {said}")
    lines += [f"  {one.reason}: {one.message}" for one in made.refused]
    lines += [f"  allowed, {one.reason}: {one.message}" for one in made.allowed]
    lines.extend(f"  note: {note}" for note in made.notes)
    lines.append(f"  base       {arm_words(made.base)}")
    lines.append(f"  candidate  {arm_words(made.candidate)}")
    if facts:
        lines.append(f"  {' · '.join(facts)}")
    if made.gates:
        lines.append(f"gates: {method(made)}")
        lines += _table([_GATE_HEAD, *_gate_rows(made)])
        for each in made.undecided():
            if each.need is not None:
                lines.append(f"  {each.gate.label}: {each.need.text}")
    if rows := _stage_rows(made):
        lines.append("stages that moved (shown, no gate):")
        lines += _table([_STAGE_HEAD, *rows])
    lines += _contract_lines(made)
    if rows := _shift_rows(made):
        lines.append("all times together (shown, no gate):")
        lines += _table([_SHIFT_HEAD, *rows])
    if made.calibration is not None:
        lines.append("noise of this environment, from A/A runs:")
        lines += _table([NOISE_HEAD, *noise_rows(made.calibration, made)])
    return visible.lines(lines) + "\n"


_GATE_HEAD = ("gate", "base", "candidate", "change", "interval", "verdict")
_STAGE_HEAD = ("stage", "base p50", "candidate p50", "change", "interval", "of the shift")
_SHIFT_HEAD = ("times of", "median ratio", "p")
NOISE_HEAD = ("gate", "run to run", "from the sample", "1 pair finds", "5 pairs find", "A/A")


def _gate_rows(made: Comparison) -> list[Row]:
    return [
        (
            each.gate.label,
            value(each, each.base),
            value(each, each.candidate),
            change_of(each),
            interval(each),
            verdict(each),
        )
        for each in made.gates
    ]


def _stage_rows(made: Comparison) -> list[Row]:
    return [
        (
            f"{_place(each.pairing)} {plain(each.name, 40)}",
            seconds(each.base.value),
            seconds(each.candidate.value),
            signed(each.change.value),
            stage_interval(each),
            percent(each.share, 1) if each.share > 0 else "–",
        )
        for each in made.moved()[:LINE_LIMIT]
    ]


def _place(pairing: Pairing) -> str:
    return f"{plain(pairing.api, 40)} {plain(pairing.endpoint, 20)}"


def _shift_rows(made: Comparison) -> list[Row]:
    return [
        (label_of(each), signed(each.ratio), f"{each.p:.2g}" if each.p >= 1e-4 else "<0.0001")
        for each in made.shifts
    ]


def noise_rows(calibration: Calibration, made: Comparison | None = None) -> list[Row]:
    """A row a gate, of those that a comparison has if one is given."""
    wanted = None if made is None else {each.gate.name for each in made.gates}
    return [
        (
            plain(each.name, 120),
            f"±{each.noise:.1%}",
            f"±{each.sampling:.1%}",
            *(f"+{each.detectable[n]:.0%}" if n in each.detectable else "–" for n in (1, 5)),
            ", ".join(f"{count} {word}" for word, count in each.verdicts.items() if count),
        )
        for each in calibration.gates
        if wanted is None or each.name in wanted
    ]


def calibration_text(made: Calibration) -> str:
    """A calibration for a terminal."""
    asked = f"margin {made.margin * 100:g}%, alpha {made.alpha * 100:g}%"
    lines = [f"A/A runs: {plural(len(made.runs), 'run')} against {plain(made.target)}; {asked}"]
    lines += _table([NOISE_HEAD, *noise_rows(made)])
    lines += [f"  {plain(each, 400)}" for each in advice(made)]
    return visible.lines(lines) + "\n"


def _contract_lines(made: Comparison) -> list[str]:
    lines = []
    changed = [each for each in made.rules if each.kind != "kept"]
    if changed:
        lines.append("rules:")
        lines += [f"  {_rule_line(each)}" for each in made.rules[:LINE_LIMIT]]
    elif made.verdict != "not comparable":
        lines.append("rules: none broken")
    if made.drift:
        lines.append("drift of what is sent:")
        for each in made.drift[:LINE_LIMIT]:
            mark = "✗" if breaks(each) else "·"
            lines.append(
                f"  {mark} {each.effect}, {each.verdict}: {plain(each.text, 240)}"
                f" ({plain(each.evidence.text, 160)}) [{plain(each.fingerprint, 20)}]"
            )
        if len(made.drift) > LINE_LIMIT:
            lines.append(f"  and {len(made.drift) - LINE_LIMIT} more")
    return lines


def _rule_line(each: RuleChange) -> str:
    mark = "✗" if each.breaking else "·"
    counts = f"{_share(each.base)} → {_share(each.candidate)} exchanges"
    said = plain(each.example or each.text, 160)
    return f"{mark} {plain(each.id, 160)} {RULE_WORDS[each.kind]} ({counts}): {said}"


def _share(counts: tuple[int, int]) -> str:
    return f"{counts[0]:,} of {counts[1]:,}"


def _table(rows: Sequence[Row]) -> list[str]:
    """Columns as wide as they need to be; the first is left-aligned, the rest right."""
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    aligned: list[Callable[..., str]] = [str.ljust] + [str.rjust] * (len(widths) - 1)
    return [
        "  "
        + "  ".join(
            align(cell, width) for align, cell, width in zip(aligned, row, widths, strict=True)
        ).rstrip()
        for row in rows
    ]


def markdown(made: Comparison) -> str:
    """For a job summary, ending in a line end; at most 900 KB."""
    against, caveat, _ = target(made)
    tail = f" — **{caveat}**" if caveat else ""
    parts = [f"## {_SIGNS[made.tone]} {escaped(title(made), 400)}", f"Against **{against}**{tail}"]
    if said := detail(made):
        parts.append(escaped(said, 500))
    parts.append(
        f"Base {escaped(arm_words(made.base), 400)}, "
        f"candidate {escaped(arm_words(made.candidate), 400)}"
    )
    refused = [f"> 🚫 **{each.reason}**: {escaped(each.message, 400)}" for each in made.refused]
    weak = [
        f"> ⚠️ **allowed, {each.reason}**: {escaped(each.message, 400)}" for each in made.allowed
    ]
    weak += [f"> {escaped(note, 400)}" for note in made.notes]
    parts += ["\n>\n".join([*refused, *weak])] if refused or weak else []
    if made.gates:
        rows: list[Row] = [
            (
                escaped(each.gate.label),
                _with_small(value(each, each.base), bounds(each, each.base)),
                _with_small(value(each, each.candidate), bounds(each, each.candidate)),
                escaped(change_of(each)),
                escaped(interval(each)),
                f"**{verdict(each)}**" + (f": {escaped(each.need.text)}" if each.need else ""),
            )
            for each in made.gates
        ]
        parts += [f"Gates: {escaped(method(made), 400)}", _markdown_table(_GATE_HEAD, rows)]
    if rows := [tuple(map(escaped, row)) for row in _stage_rows(made)]:
        parts += ["Stages that moved (shown, no gate):", _markdown_table(_STAGE_HEAD, rows)]
    broken = [each for each in made.rules if each.kind != "kept"][:LINE_LIMIT]
    if broken:
        table = [
            (
                code(each.id),
                RULE_WORDS[each.kind],
                f"{_share(each.base)} → {_share(each.candidate)}",
                escaped(each.example or each.text, 240),
            )
            for each in broken
        ]
        parts.append(_markdown_table(("rule", "", "exchanges", "what was seen"), table))
    if made.drift:
        table = [
            (
                f"{each.effect}, {each.verdict}",
                escaped(each.text, 240),
                escaped(each.evidence.text, 160),
                code(each.fingerprint, 20),
            )
            for each in made.drift[:LINE_LIMIT]
        ]
        head = ("drift", "what changed", "evidence", "fingerprint")
        parts.append(_markdown_table(head, table))
    if made.calibration is not None:
        rows = [tuple(map(escaped, row)) for row in noise_rows(made.calibration, made)]
        parts += ["Noise of this environment, from A/A runs:", _markdown_table(NOISE_HEAD, rows)]
    text = visible.in_markup("\n\n".join(parts) + "\n")
    if len(text.encode("utf-8")) > SIZE_LIMIT:
        return "\n\n".join([*parts[:2], "The rest is too long for a summary.", ""])
    return text


def _with_small(words: str, small: str) -> str:
    return escaped(words) + (f"<br><sub>{escaped(small)}</sub>" if small else "")


def _markdown_table(head: Row, rows: Sequence[Row]) -> str:
    rule = "|".join("---" if n == 0 else "---:" if n < 4 else "---" for n in range(len(head)))
    lines = [f"| {' | '.join(head)} |", f"|{rule}|"]
    return "\n".join([*lines, *(f"| {' | '.join(row)} |" for row in rows)])
