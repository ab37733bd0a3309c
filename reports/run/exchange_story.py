"""One exchange as people read it: what was asked, each chunk with its time, stage and track, what
broke just there, and how it ended.

The bytes come from a transcript, which is judged once more for the stages of its chunks; where the
run's own findings are at hand they count, since they also know of files and other exchanges.
"""

from __future__ import annotations

import json
from bisect import bisect_left
from collections.abc import Iterable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from itertools import accumulate
from typing import Any, Final

from soundstage.conformance.engine import SeenEvent
from soundstage.conformance.judge import Caps
from soundstage.contract import Contract
from soundstage.errors import UsageError
from soundstage.linting.answer_origin import told
from soundstage.linting.saved_answers import Judged, judge_told
from soundstage.output import outgoing
from soundstage.output.redact import Redactor
from soundstage.reports.run.ending_words import ending_words
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
#: What is found in the answer to a look that shows no state of the contract.
_NO_STATE: Final = ("stage.unknown", "json.not_object", "json.syntax", "json.empty")
#: What was received at a place is shown so far, in characters.
_RECEIVED: Final = 300
_REDACTOR: Final = Redactor()


@dataclass(frozen=True, slots=True)
class Break:
    """A place where an exchange breaks a rule. `chunk` counts chunks, or looks of a job (`look`);
    None: the exchange as a whole. `asked` is what was expected: as the finding says, or the rule
    (None if neither is known); `received` what came, or stood at the `path`, as JSON (None where
    there is no place).
    """

    code: str
    severity: str
    message: str
    path: str
    rule: str
    chunk: int | None
    times: int = 1
    asked: str | None = None
    received: str | None = None
    look: bool = False


@dataclass(frozen=True, slots=True)
class StoryStep:
    """One thing that came. `kind`: "chunk", "body" (of an answer that is no stream, or what was
    left of a stream) or "look" (at the state of a job; `t` is when it was answered, `sent` when it
    was asked for). Times in seconds since the exchange began; `coarse`: `t` is an upper bound.
    """

    kind: str
    number: int
    t: float | None
    coarse: bool
    data: bytes
    stage: str | None = None
    track: int | str | None = None
    milestones: tuple[str, ...] = ()
    breaks: tuple[Break, ...] = ()
    sent: float | None = None
    status: int | None = None

    @property
    def text(self) -> str:
        """What it says, on one line where it is JSON; without secrets, not yet safe to print."""
        return _shown(self.data)

    @property
    def lines(self) -> list[str]:
        """The same, as indented JSON where it is JSON."""
        with suppress(ValueError, RecursionError):
            return json.dumps(json.loads(self.text), indent=2, ensure_ascii=False).split("\n")
        return self.text.split("\n")


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

    @property
    def all_breaks(self) -> list[Break]:
        """Everything that broke, in the order of the steps."""
        return [each for step in self.steps for each in step.breaks] + list(self.breaks)


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
        found = [] if judged is None else [each.to_json() for each in judged.judge.violations]
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
    steps = [*_chunks(transcript, events, own), *_looks(transcript, at_looks, states)]
    placed = {id(each) for step in steps for each in step.breaks}
    steps = [replace(step, breaks=tuple(_received(b, step) for b in step.breaks)) for step in steps]
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


def _chunks(
    transcript: Transcript,
    events: Sequence[tuple[Event, SeenEvent | None]],
    breaks: Sequence[Break],
) -> list[StoryStep]:
    """The chunks of a stream, each with its time, and what of the body is no chunk."""
    pieces = transcript.pieces
    ends = list(accumulate(len(raw) for _, raw, _ in pieces))
    by_chunk: dict[int | None, list[Break]] = {}
    for each in breaks:
        by_chunk.setdefault(each.chunk, []).append(each)
    steps, at = [], 0
    for number, (event, seen) in enumerate(events):
        at += len(event.raw)
        place = min(bisect_left(ends, at), len(ends) - 1) if ends else None
        t, _, coarse = pieces[place] if place is not None else (None, b"", False)
        steps.append(
            StoryStep(
                kind="chunk",
                number=number,
                t=t,
                coarse=coarse,
                data=event.data,
                stage=None if seen is None else seen.stage,
                track=None if seen is None else seen.track,
                milestones=() if seen is None else seen.milestones,
                breaks=tuple(by_chunk.get(number, ())),
            )
        )
    rest = transcript.body[at:]
    if rest.strip():
        whole = not events
        found = [each for each in breaks if each.chunk == len(events)]
        if whole:
            found = [each for each in breaks if each.path or each.chunk is not None]
        t, _, coarse = pieces[-1]
        steps.append(StoryStep("body", len(events), t, coarse, rest, breaks=tuple(found)))
    return steps


def _looks(
    transcript: Transcript, breaks: Sequence[Break], seen: Sequence[str | None]
) -> list[StoryStep]:
    """The looks at a job, whose known states were `seen` in this order. Of what is found in states,
    `chunk` counts the answers that show one.
    """
    known = iter(seen)
    by_state: dict[int | None, list[Break]] = {}
    for each in breaks:
        by_state.setdefault(each.chunk, []).append(each)
    steps, states = [], 0
    for number, look in enumerate(transcript.looks):
        status = (look.header.get("response") or {}).get("status")
        end = look.end or {}
        found: list[Break] = []
        stage = None
        if status is not None and 200 <= status < 300:
            found = by_state.get(states, [])
            states += 1
            if all(each.code not in _NO_STATE for each in found):
                stage = next(known, None)
        steps.append(
            StoryStep(
                kind="look",
                number=number,
                t=end.get("t"),
                coarse=False,
                data=look.body,
                stage=stage,
                breaks=tuple(found),
                sent=look.header.get("t"),
                status=status,
            )
        )
    return steps


def _received(each: Break, step: StoryStep) -> Break:
    """The same, with what stands at its place in a chunk."""
    if not each.path or each.received is not None:
        return each
    try:
        value = json.loads(step.text)
        for part in each.path.split("/")[1:]:
            name = part.replace("~1", "/").replace("~0", "~")
            value = value[int(name)] if isinstance(value, list) else value[name]
    except (ValueError, RecursionError, KeyError, IndexError, TypeError):
        return each
    return replace(each, received=json.dumps(value, ensure_ascii=False)[:_RECEIVED])


def _shown(data: bytes) -> str:
    """Bytes as they may be shown: a file is its owner's, but a signed URL in it opens a door."""
    return outgoing.text(_REDACTOR.links(data.decode("utf-8", "backslashreplace")))
