"""One exchange as people read it: what was asked, each chunk with its time, stage and track, what
broke just there, and how it ended.

The bytes come from a transcript, which is judged once more for the stages of its chunks; where the
run's own findings are at hand they count, since they also know of files and other exchanges.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, Final

from soundstage.conformance.engine import SeenEvent
from soundstage.conformance.judge import Caps
from soundstage.contract import Contract
from soundstage.errors import UsageError
from soundstage.linting.answer_origin import told
from soundstage.linting.saved_answers import Judged, judge_told
from soundstage.reports.story.ending_words import ending_words
from soundstage.reports.story.story_steps import (
    Break,
    StoryStep,
    chunk_steps,
    look_steps,
    with_received,
)
from soundstage.saved.transcript import Transcript
from soundstage.wire.lines import decoded, sniff_framing
from soundstage.wire.sse import Event

#: Headers of an answer that say something about what came.
_TELLING: Final = frozenset(
    {
        "content-encoding",
        "content-length",
        "content-type",
        "location",
        "retry-after",
        "soundstage-course",
        "soundstage-fault-missed",
        "transfer-encoding",
    }
)


@dataclass(frozen=True, slots=True)
class ExchangeStory:
    """`api` and `endpoint` are None where nothing tells. `breaks` are those of the exchange as a
    whole; `due` is what had not come when it ended, `ending` how it ended, in words. `cut`: the
    transcript breaks off. `verdict` and `reason` are those of judging the transcript, None where no
    contract is known.
    """

    api: str | None
    endpoint: str | None
    request: Mapping[str, Any]
    response: Mapping[str, Any]
    steps: tuple[StoryStep, ...]
    breaks: tuple[Break, ...]
    due: tuple[str, ...]
    ending: str
    ended: float | None
    cut: bool
    verdict: str | None
    reason: str | None
    timing: str | None

    @property
    def headers(self) -> list[tuple[str, str]]:
        """The headers of the answer that tell something of it."""
        pairs = self.response.get("headers") or ()
        return [(str(n), str(v)) for n, v in pairs if str(n).lower() in _TELLING]

    @property
    def lacking(self) -> str:
        """What to say of that which is `due`: of an exchange that was cut, nobody knows more."""
        return "had not come by then" if self.verdict == "inconclusive" else "never came"


def story_of(
    transcript: Transcript,
    contracts: Sequence[Contract],
    violations: Iterable[Mapping[str, Any]] | None = None,
    also: Iterable[Mapping[str, Any]] = (),
) -> ExchangeStory:
    """The story of an exchange. `violations` are the rows that its run found; None: what judging
    the transcript finds, and of `also` what that does not find, such as what is wrong with files.
    """
    events: list[tuple[Event, SeenEvent | None]] = []
    judged = _judged(transcript, contracts, events)
    if judged is None:
        framing = sniff_framing(transcript.body)
        if framing in ("sse", "lines"):
            events = [(event, None) for event in decoded(transcript.body, framing)[0]]
    known = None if judged is None else judged.told.contract
    if violations is None:
        found: list[Mapping[str, Any]] = []
        if judged is not None:
            found += [each.to_json() for each in judged.judge.violations]
        known_places = {(row["rule"], row["chunk"]) for row in found}
        found += [row for row in also if (row["rule"], row["chunk"]) not in known_places]
    else:
        found = list(violations)
    breaks = [_break(row, known) for row in found]
    header = transcript.header
    endpoint = header.get("endpoint") if judged is None else judged.told.endpoint.name
    tie = None
    if judged is not None and judged.told.endpoint.looked_up_by is not None:
        tie = judged.told.endpoint.looked_up_by.endpoint
    if tie is not None:
        breaks = [replace(each, look=_endpoint_of(each.rule) == tie) for each in breaks]
    elif judged is None and transcript.looks:
        # What is not of the endpoint that was asked is of the one that was looked at.
        breaks = [replace(each, look=_endpoint_of(each.rule) != endpoint) for each in breaks]
    own, at_looks = ([b for b in breaks if b.look is look] for look in (False, True))
    states = [] if judged is None else [stage for stage, _ in judged.states]
    steps = [*chunk_steps(transcript, events, own), *look_steps(transcript, at_looks, states)]
    placed = {id(each) for step in steps for each in step.breaks}
    steps = [with_received(step) for step in steps]
    last = transcript.looks[-1] if transcript.looks else transcript
    end = transcript.over if transcript.over is not None else last.end
    return ExchangeStory(
        api=header.get("api") if known is None else known.api,
        endpoint=None if endpoint is None else str(endpoint),
        request=header.get("request") or {},
        response=header.get("response") or {},
        steps=tuple(steps),
        breaks=tuple(each for each in breaks if id(each) not in placed),
        due=tuple(judged.judge.due) if judged is not None else (),
        ending=ending_words(transcript),
        ended=None if end is None or end.get("t") is None else float(end["t"]),
        cut=transcript.end is None or (bool(transcript.looks) and transcript.over is None),
        verdict=None if judged is None else judged.judge.verdict().value,
        reason=None if judged is None else _reason(judged),
        timing=header.get("timing"),
    )


def _judged(
    transcript: Transcript,
    contracts: Sequence[Contract],
    events: list[tuple[Event, SeenEvent | None]],
) -> Judged | None:
    """The transcript held against its contract; None where nobody knows which."""
    api = transcript.header.get("api")
    if not contracts or (api is not None and all(each.api != api for each in contracts)):
        return None
    try:
        origin = told(transcript, list(contracts), None)
    except UsageError:
        return None
    if origin.guessed and not origin.fits:
        return None

    def hear(event: Event, seen: SeenEvent) -> None:
        events.append((event, seen))

    return judge_told(origin, transcript, Caps(), on_event=hear)


def _reason(judged: Judged) -> str | None:
    reason = judged.judge.reason
    return f"{reason}: {judged.why}" if reason is not None and judged.why else reason


def _endpoint_of(rule: str) -> str:
    return [*rule.split("/"), "", ""][1]


def _break(row: Mapping[str, Any], contract: Contract | None) -> Break:
    rule = str(row.get("rule", ""))
    asked = row.get("expected")
    if asked is None and contract is not None and rule in contract.rules.rules:
        asked = contract.rules[rule].text
    return Break(
        code=str(row.get("code", "")),
        severity=str(row.get("severity", "")),
        message=str(row.get("message", "")),
        path=str(row.get("path") or ""),
        rule=rule,
        chunk=row.get("chunk"),
        times=int(row.get("times", 1)),
        asked=asked,
        received=row.get("received"),
    )
