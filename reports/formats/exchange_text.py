"""One exchange as lines for a terminal or a pipe: its request, a line a chunk with its time, what
broke at it, and how it ended. Whoever prints the lines makes what others wrote harmless.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

from soundstage.output.redact import Redactor
from soundstage.reports.story.curl import json_text
from soundstage.reports.story.exchange_story import ExchangeStory
from soundstage.reports.story.story_steps import Break, StoryStep
from soundstage.reports.story.story_window import LeftOut, window
from soundstage.reports.words import plain, seconds
from soundstage.results.row_facts import lateness

#: Chunks that are shown of a long exchange, characters of a body, lines of a chunk in full.
STEPS: Final = 60
_BODY: Final = 500
_LINES: Final = 2_000
_RED, _YELLOW, _CYAN, _GREEN, _DIM, _BOLD = "31", "33", "36", "32", "2", "1"
COLOURS: Final = {"error": _RED, "warning": _YELLOW, "info": _CYAN}
VERDICTS: Final = {"violates": _RED, "inconclusive": _YELLOW, "conforms": _GREEN}
_MARKS: Final = {"error": "✗", "warning": "!", "info": "·"}

Paint = Callable[[str, str], str]


@dataclass(frozen=True, slots=True)
class LineStyle:
    """How lines are made: `width` characters of a chunk's text, or all of everything (`full`), and
    how words are coloured.
    """

    width: int = 160
    full: bool = False
    paint: Paint = lambda words, colour: words


def story_lines(
    story: ExchangeStory, row: Mapping[str, Any] | None, how: LineStyle
) -> Iterator[str]:
    """The lines of a story. `row` is that of its run, by which times count from the intended start;
    without one they count from the moment at which it was sent.
    """
    late = 0.0 if row is None else lateness(row)
    yield from _head(story, late, known=row is not None, how=how)
    yield ""
    steps = story.steps if how.full else list(window(story.steps, most=STEPS))
    columns = _columns(story.steps)
    if columns is not None:
        yield how.paint(_line(" ", "TIME", "SINCE", _chunk("#", "STAGE", "TRACK", columns)), _DIM)
    before: float | None = None
    for step in steps:
        if isinstance(step, LeftOut):
            yield how.paint(f"    … {step.words} (--full shows all) …", _DIM)
            before = None
            continue
        yield from _step(step, late, before, columns, how)
        before = step.t
    yield from _end(story, late, how)


def row_lines(row: Mapping[str, Any], how: LineStyle) -> Iterator[str]:
    """What a run noted of an exchange whose bytes it did not keep."""
    late = lateness(row)
    facts = [f"HTTP {row['http_status']}"] if row.get("http_status") is not None else []
    facts += [f"{row['events']:,} chunks"] if row.get("events") else []
    facts += [f"{row['bytes']:,} bytes"] if row.get("bytes") else []
    if polls := row.get("polls"):
        facts.append(f"{polls['count']:,} looks at the job")
    if facts:
        yield f"  {' · '.join(facts)}"
    yield f"  {_since(late, known=True)}"
    yield ""
    reached = {name: at for name, at in row["milestones"].items() if at is not None}
    for name, at in reached.items():
        yield f"    {seconds(at + late):>9}  {plain(name, 60)}"
    if row.get("ended") is not None:
        yield f"    {seconds(row['ended'] + late):>9}  end"
    if row["stages"]:
        yield ""
        yield f"    {'FIRST':>9}  {'LAST':>9}  {'CHUNKS':>6}  STAGE"
        for name, (first, last, count) in row["stages"].items():
            times = f"{seconds(first + late):>9}  {seconds(last + late):>9}"
            yield f"    {times}  {count:>6,.0f}  {plain(name, 80)}"


def break_lines(each: Break, how: LineStyle, indent: str = "      ") -> Iterator[str]:
    """What broke: code and message, what was asked and what came, the rule."""
    mark = _MARKS.get(each.severity, "✗")
    place = f" at {plain(each.path, 200)}" if each.path else ""
    often = f" (and {each.times - 1:,} more of this kind)" if each.times > 1 else ""
    said = f"{mark} {each.severity or 'violation'} {each.code}: {plain(each.message, 600)}"
    yield indent + how.paint(said + place + often, COLOURS.get(each.severity, _RED))
    if each.asked:
        yield f"{indent}  expected: {plain(each.asked, 400)}"
    if each.received is not None:
        yield f"{indent}  received: {plain(each.received, 400)}"
    yield how.paint(f"{indent}  rule {plain(each.rule, 300)}", _DIM)


def _head(story: ExchangeStory, late: float, *, known: bool, how: LineStyle) -> Iterator[str]:
    asked = story.request
    if asked.get("url"):
        url = Redactor().url(str(asked["url"]))
        yield f"  asked   {plain(asked.get('method') or '?', 20)} {plain(url, 1000)}"
    if asked.get("body") is not None:
        yield f"          {plain(json_text(asked['body']), 10**6 if how.full else _BODY)}"
    answer = story.response
    if answer.get("status") is None:
        yield "  answer  none came"
    else:
        words = f"{answer['status']} {plain(answer.get('reason') or '', 100)}".rstrip()
        after = f" after {seconds(answer['t'] + late)}" if answer.get("t") is not None else ""
        hops = f" · {len(answer['hops'])} redirects" if answer.get("hops") else ""
        yield f"  answer  {words}{after}{hops}"
        for name, value in story.headers:
            yield how.paint(f"          {plain(name, 60)}: {plain(value, 200)}", _DIM)
    coarse = any(step.coarse for step in story.steps)
    note = "; ≤: it was read together with what came after it" if coarse else ""
    yield f"  {_since(late, known=known)}{note}"


def _since(late: float, *, known: bool) -> str:
    if not known:
        return "times count from when the request was sent"
    sent = f"it was sent {seconds(late)} later" if late >= 0.0005 else "it was sent at once"
    return f"times count from when the request was due; {sent}"


def _columns(steps: Sequence[StoryStep]) -> tuple[int, int] | None:
    """The widths of the columns of stages and tracks (0: there are none); None of no stream."""
    chunks = [step for step in steps if step.kind == "chunk"]
    if not chunks:
        return None
    stages = max(len(plain(step.stage, 24)) for step in chunks)
    tracked = any(step.track is not None for step in chunks)
    return max(5, stages), 5 if tracked else 0


def _chunk(number: object, stage: str, track: str, columns: tuple[int, int]) -> str:
    wide, tracked = columns
    return f"{number:>4}  {stage:<{wide}}" + (f"  {track:<{tracked}}" if tracked else "")


def _line(mark: str, at: str, gap: str, what: str) -> str:
    return f"  {mark} {at:>9}  {gap:>9}  {what}"


def _step(
    step: StoryStep,
    late: float,
    before: float | None,
    columns: tuple[int, int] | None,
    how: LineStyle,
) -> Iterator[str]:
    worst = next((s for s in COLOURS if any(b.severity == s for b in step.breaks)), None)
    mark = _MARKS.get(worst or "", "✗") if step.breaks else " "
    at = "" if step.t is None else f"{'≤' if step.coarse else ''}{seconds(step.t + late)}"
    gap = "" if before is None or step.t is None else f"+{seconds(step.t - before)}"
    if step.kind == "look":
        state = "" if step.stage is None else f" · {plain(step.stage, 40)}"
        what = f"look {step.number} · {step.status or 'no answer'}{state}"
    elif step.kind == "body":
        what = "body" if step.number == 0 else "left over"
    else:
        track = "" if step.track is None else plain(step.track, 20)
        stage = "?" if step.stage is None else plain(step.stage, 24)
        what = _chunk(step.number, stage, track, columns or (0, 0))
    head = _line(mark, at, gap, what)
    if worst is not None:
        head = how.paint(head, COLOURS[worst])
    if how.full:
        yield head
        lines = step.lines
        for line in lines[:_LINES]:
            yield how.paint(f"        {plain(line, 10**6)}", _DIM)
        if len(lines) > _LINES:
            yield f"        … {len(lines) - _LINES:,} more lines"
    else:
        width = how.width * 3 if step.breaks else how.width
        yield f"{head}  {how.paint(plain(step.text.strip(), width), _DIM)}"
    for each in step.breaks:
        yield from break_lines(each, how)


def _end(story: ExchangeStory, late: float, how: LineStyle) -> Iterator[str]:
    at = "" if story.ended is None else seconds(story.ended + late)
    words = _line(" ", at, "", f"end: {plain(story.ending, 500)}")
    yield how.paint(words, _YELLOW) if story.cut else words
    for each in story.breaks:
        yield from break_lines(each, how, "    ")
    if story.due:
        some = ", ".join(plain(each, 60) for each in story.due[:12])
        more = f" and {len(story.due) - 12} more" if len(story.due) > 12 else ""
        yield f"    {story.lacking}: {some}{more}"
