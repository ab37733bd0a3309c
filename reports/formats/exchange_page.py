"""The exchange beneath each finding of a page, as the rows of a table: how it began, what is around
the place that broke, how it ended. A page has room for so many bytes of them.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Final

from soundstage.reports.run.rule_results import RuleResult
from soundstage.reports.story.evidence import ShownExchange
from soundstage.reports.story.story_steps import Break, StoryStep
from soundstage.reports.story.story_window import LeftOut, window
from soundstage.reports.words import plain, seconds

#: Rows of one exchange, characters of a chunk, and of one at which something broke.
ROWS: Final = 12
_WIDTH: Final = 240
_WIDE: Final = 900
#: Characters that all of them may have in one page.
ROOM: Final = 300_000
_MARKS: Final = {"error": "✗", "warning": "!", "info": "·"}
#: What the markup of a row takes, about.
_MARKUP: Final = 200


@dataclass(frozen=True, slots=True)
class ExchangeRow:
    """A row: `left_out` is all that one has which stands for several chunks. `here`: the finding
    is at this one. `broke` are lines, of which the first of each has the code.
    """

    left_out: str | None = None
    time: str = ""
    since: str = ""
    what: str = ""
    number: str = ""
    track: str = ""
    text: str = ""
    tone: str = ""
    broke: tuple[BrokenPlace, ...] = ()
    here: bool = False


@dataclass(frozen=True, slots=True)
class BrokenPlace:
    """What broke at a chunk: its mark with the code, the message, what was asked and received."""

    title: str
    message: str
    expected: str
    received: str
    tone: str


@dataclass(frozen=True, slots=True)
class ExchangeTimeline:
    """The table beneath a finding; `coarse`: some times are upper bounds."""

    asked: str
    answer: str
    rows: tuple[ExchangeRow, ...]
    due: str
    coarse: bool


def timelines(findings: Iterable[RuleResult]) -> dict[str, ExchangeTimeline]:
    """The tables by the ids of the rules, as long as the page has room for them."""
    left, found = ROOM, dict[str, ExchangeTimeline]()
    for rule in findings:
        if rule.shown is None:
            continue
        one = _timeline(rule.shown, rule.id)
        left -= sum(_size(row) for row in one.rows)
        if left < 0:
            break
        found[rule.id] = one
    return found


def _timeline(shown: ShownExchange, rule: str) -> ExchangeTimeline:
    story, late = shown.story, shown.late
    rows: list[ExchangeRow] = []
    before: float | None = None
    for step in window(story.steps, most=ROWS, here=shown.here):
        if isinstance(step, LeftOut):
            rows.append(ExchangeRow(left_out=step.words))
            before = None
        else:
            rows.append(_row(step, late, before, rule))
            before = step.t
    own = tuple(_place(each) for each in story.breaks)
    rows.append(
        ExchangeRow(
            time="" if story.ended is None else seconds(story.ended + late),
            what="end",
            text=plain(story.ending, 300),
            tone=_tone(story.breaks),
            broke=own[:8],
            here=any(each.rule == rule for each in story.breaks),
        )
    )
    asked, answer = story.request, story.response
    status = answer.get("status")
    due = ", ".join(plain(each, 60) for each in story.due[:12])
    return ExchangeTimeline(
        asked=f"{plain(asked.get('method') or '', 20)} {plain(asked.get('url') or '', 300)}",
        answer="no answer"
        if status is None
        else f"{status} {plain(answer.get('reason') or '', 60)}",
        rows=tuple(rows),
        due=f"{story.lacking}: {due}" if due else "",
        coarse=any(step.coarse for step in story.steps),
    )


def _row(step: StoryStep, late: float, before: float | None, rule: str) -> ExchangeRow:
    what = step.kind if step.stage is None else plain(step.stage, 60)
    if step.kind == "look":
        state = "" if step.stage is None else f", {plain(step.stage, 40)}"
        what = f"look {step.number}, {step.status or 'no answer'}{state}"
    at = "" if step.t is None else f"{'≤ ' if step.coarse else ''}{seconds(step.t + late)}"
    return ExchangeRow(
        time=at,
        since="" if before is None or step.t is None else f"+{seconds(step.t - before)}",
        what=what,
        number=f"chunk {step.number}" if step.kind == "chunk" else "",
        track="" if step.track is None else plain(step.track, 20),
        text=plain(step.text.strip(), _WIDE if step.breaks else _WIDTH),
        tone=_tone(step.breaks),
        broke=tuple(_place(each) for each in step.breaks[:8]),
        here=any(each.rule == rule for each in step.breaks),
    )


def _tone(breaks: Iterable[Break]) -> str:
    """The class of the worst: as outcomes of rules are coloured."""
    found = {each.severity for each in breaks}
    tones = {"error": "failed", "warning": "warned", "info": "known"}
    return next((tone for severity, tone in tones.items() if severity in found), "")


def _place(each: Break) -> BrokenPlace:
    at = f" at {plain(each.path, 160)}" if each.path else ""
    return BrokenPlace(
        title=f"{_MARKS.get(each.severity, '✗')} {plain(each.code, 60)}",
        message=plain(each.message, 300) + at,
        expected=plain(each.asked, 300) if each.asked else "",
        received=plain(each.received, 300) if each.received is not None else "",
        tone=_tone([each]),
    )


def _size(row: ExchangeRow) -> int:
    broke = sum(len(b.message) + len(b.expected) + len(b.received) + _MARKUP for b in row.broke)
    # Quotation marks, which JSON is full of, become entities of five characters.
    return len(row.text) + 4 * row.text.count('"') + broke + _MARKUP
