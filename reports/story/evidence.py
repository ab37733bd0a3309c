"""What the transcript of an exchange that broke a rule shows of it: the exchange as it came, how it
is asked for again, and the smallest stream that shows it.

Values in, values out: the bytes of a transcript go in, what a report may show comes out, safe to
print and cut to a bound.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass

from soundstage.conformance.shrink import EventStream, Passage, Shrunk, cut_trace, shrink, stream_of
from soundstage.contract import Contract
from soundstage.errors import UsageError
from soundstage.reports.story.ask_again import AskAgain
from soundstage.reports.story.exchange_story import ExchangeStory
from soundstage.reports.words import plain
from soundstage.saved import transcript as transcripts

#: Findings for which the smallest stream is sought: the worst ones.
FINDING_LIMIT = 20
#: A transcript larger than this is linked, not looked into.
TRANSCRIPT_LIMIT = 8 * 2**20
#: Chunks shown, lines of each, characters of a line, and passages of the trace.
CHUNK_LIMIT, LINE_LIMIT, WIDTH, TRACE_LIMIT = 12, 30, 200, 40
_RUNS, _WORK = 1000, 150_000
#: What the streams of all findings of a report may take together, some ten seconds. When that is
#: spent, only short streams are looked at, and with as little work as a song of some chunks takes.
_WORK_OF_ALL, _LEAST_WORK, _SHORT = 250_000, 5_000, 300
#: What looking at a chunk once may cost, if much is wrong with it.
_LOOK = 10
_DUE_LIMIT = 12


@dataclass(frozen=True, slots=True)
class EvidenceChunk:
    """One kept chunk: its number in the whole stream, its lines, and whether it is the culprit."""

    number: int
    lines: tuple[str, ...]
    here: bool


@dataclass(frozen=True, slots=True)
class Smallest:
    """What to show of a finding. `kept` of `events` chunks are enough (`chunks` holds those that
    are shown); `trace` are the stages of the whole stream.
    """

    exchange: str
    kept: int
    events: int
    chunks: tuple[EvidenceChunk, ...]
    trace: tuple[Passage, ...]
    expected: str
    due: tuple[str, ...]
    minimal: bool

    @property
    def hidden(self) -> int:
        """How many of the kept chunks are not shown."""
        return self.kept - len(self.chunks)

    @property
    def sentence(self) -> str:
        """`2 of 214 chunks are enough to show it`."""
        if not self.kept:
            return f"no chunk of {self.events:,} shows it: what is not there does"
        chunks = "chunk" if self.events == 1 else "chunks"
        verb = "is" if self.kept == 1 else "are"
        return f"{self.kept:,} of {self.events:,} {chunks} {verb} enough to show it"


@dataclass(frozen=True, slots=True)
class ShownExchange:
    """An exchange of a finding: its id, its story, by how many seconds it was sent later than it
    was due, the number of the chunk at which it broke the rule (None: as a whole), and the command
    that shows all of it.
    """

    id: str
    story: ExchangeStory
    late: float
    here: int | None
    command: str


@dataclass(frozen=True, slots=True)
class FoundEvidence:
    """What a transcript shows of a finding; None of what it does not."""

    smallest: Smallest | None = None
    shown: ShownExchange | None = None
    again: AskAgain | None = None


@dataclass(slots=True)
class ShrinkAllowance:
    """The work that is left for the smallest streams of one report, in chunks."""

    left: int = _WORK_OF_ALL

    def share(self) -> int:
        """What the next finding may take."""
        return max(_LEAST_WORK, min(_WORK, self.left))


def smallest(
    contract: Contract,
    endpoint: str,
    rule: str,
    chunk: int | None,
    exchange: str,
    raw: bytes,
    purse: ShrinkAllowance | None = None,
) -> Smallest | None:
    """The smallest stream that breaks `rule`, out of the transcript `raw`; None where there is
    none: another kind of answer, a damaged transcript, a rule that is not about events, or no work
    left in the `purse`, from which all that it takes is taken.
    """
    found = contract.endpoints.get(endpoint)
    if found is None or found.kind != "stream" or rule not in contract.rules.rules:
        return None
    if len(raw) > TRANSCRIPT_LIMIT or not transcripts.looks_like_transcript(raw):
        return None
    try:
        pieces = transcripts.read(raw, exchange).pieces
    except UsageError:
        return None
    stream = stream_of(b"".join(piece for _, piece, _ in pieces))
    if not stream.events:
        return None
    purse = purse or ShrinkAllowance()
    if purse.left <= 0 and len(stream.events) > _SHORT:
        return None
    shrunk = shrink(contract, endpoint, stream, rule, chunk=chunk, runs=_RUNS, work=purse.share())
    if shrunk is None:  # all of it was looked at, and is not in what it says
        purse.left -= _LOOK * len(stream.events)
        return None
    purse.left -= shrunk.work + _LOOK * len(stream.events)  # its story is one look more
    return _shown(shrunk, stream, exchange)


def _shown(shrunk: Shrunk, stream: EventStream, exchange: str) -> Smallest:
    kept = shrunk.kept
    if len(kept) > CHUNK_LIMIT:
        # The beginning says how it came about; the end is where it shows.
        kept = (*kept[: CHUNK_LIMIT // 2], *kept[-CHUNK_LIMIT // 2 :])
    due = shrunk.due[:_DUE_LIMIT]
    if len(shrunk.due) > _DUE_LIMIT:
        due = (*due, f"{len(shrunk.due) - _DUE_LIMIT} more")
    return Smallest(
        exchange=exchange,
        kept=len(shrunk.kept),
        events=len(stream.events),
        chunks=tuple(
            EvidenceChunk(number, pretty(stream.events[number]), number == shrunk.at)
            for number in kept
        ),
        trace=tuple(
            Passage(plain(each.label, 60), each.first, each.count, each.here)
            for each in cut_trace(shrunk.trace, TRACE_LIMIT)
        ),
        expected=plain(shrunk.expected),
        due=tuple(plain(each, 60) for each in due),
        minimal=shrunk.minimal,
    )


def pretty(data: bytes, most: int = LINE_LIMIT) -> tuple[str, ...]:
    """The lines of a chunk as indented JSON, or as it is where it is no JSON; all of it safe to
    show, and no more than `most` lines.
    """
    text = data.decode("utf-8", "backslashreplace")
    with suppress(ValueError, RecursionError):
        text = json.dumps(json.loads(text), indent=2, ensure_ascii=False)
    return bounded([plain(line, WIDTH) for line in text.split("\n")], most)


def bounded(lines: Sequence[str], most: int) -> tuple[str, ...]:
    """`lines`, or the first of them and a line that says how many are left out."""
    if len(lines) <= most:
        return tuple(lines)
    return (*lines[: most - 1], f"… {len(lines) - most + 1:,} more lines")
