"""The protocol of one API version as values: endpoints, stages, and what holds across chunks.

Read from `protocol.json` by `contract.py`. Nothing here knows which version it describes.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from functools import lru_cache
from typing import Any, Final

from soundstage.contract.grounds import Grounds
from soundstage.contract.jobs import GivenValue, LookedUp, Polling
from soundstage.contract.json_schema.field_path import FieldPath
from soundstage.contract.json_schema.field_schemas import Schema

#: The media type of an answer in each framing ("json": a single body). Server-Sent Events: HTML,
#: 9.2.4; JSON: RFC 8259, section 11. That of JSON lines is registered nowhere, and used everywhere.
MEDIA_TYPES: Final = {
    "sse": "text/event-stream",
    "lines": "application/x-ndjson",
    "json": "application/json",
}


#: What an endpoint answers with where nothing else is said: a stream of events with 200
#: (WHATWG HTML, 9.2.3: any other status fails the connection), one body with any success
#: (RFC 9110, section 15.3).
_SUCCESS: Final = range(200, 300)
_OK: Final = 200


@dataclass(frozen=True, slots=True)
class Price:
    """What a song costs: so many of a unit (`credits`)."""

    amount: float
    unit: str


@dataclass(frozen=True, slots=True, eq=False)
class Endpoint:
    """One documented endpoint; schemas are resolved. Compared and hashed by identity.

    `kind`: "stream" (chunks of `protocol`), "sync" (one result), "job" (accepted, then `poll`ed) or
    "status" (looks a generation up; with `protocol` its states are those stages, else it is one
    result). `content_type` is what the rule about the media type of its answer rests on. `when`:
    which requests are for it, where others share its method and path. `success`: the statuses of a
    good answer, empty where nobody says. `price`: what one request costs that is charged for, None
    where nobody says; `idempotency_key`: the header by whose value a request that is sent again is
    known, and is charged for no second time; None where there is none.
    """

    name: str
    kind: str
    method: str
    path: str
    billed: bool
    framings: tuple[str, ...]
    request: Schema | None
    response: Schema | None
    grounds: Grounds
    content_type: Grounds
    query: tuple[tuple[str, str], ...] = ()
    parameters: Mapping[str, Schema] = field(default_factory=dict)
    when: Schema | None = None
    success: tuple[int, ...] = ()
    gives: tuple[GivenValue, ...] = ()
    poll: Polling | None = None
    looked_up_by: LookedUp | None = None
    protocol: Protocol | None = None
    price: Price | None = None
    idempotency_key: str | None = None

    @property
    def sampled(self) -> bool:
        """Whether its answers are looks at a state, as `protocol` describes them."""
        return self.kind == "status" and self.protocol is not None

    @property
    def makes_songs(self) -> bool:
        """Whether a request to it makes something: a generation, or whatever the API makes."""
        return self.kind != "status"

    def is_success(self, status: int | None) -> bool:
        """Whether a status promises what the endpoint gives."""
        if self.success:
            return status in self.success
        return status == _OK if self.kind == "stream" else status in _SUCCESS

    @property
    def usual_status(self) -> int:
        """The status of a good answer, where several are: the first that is named."""
        return self.success[0] if self.success else _OK


@dataclass(frozen=True, slots=True)
class Milestone:
    """A named moment: the first chunk of its stage, or (`at` "all") that of the last track; with
    `field`, the first such chunk in which the field is there and not null. "end": the end of the
    body, of a stream that nothing else ends.

    `headline`: it is shown first, and gated by default; `title`: what reports call it.
    """

    name: str
    at: str
    field: FieldPath | None = None
    headline: bool = False
    title: str = ""


@dataclass(frozen=True, slots=True)
class EventName:
    """The `event:` of a stage's chunks (HTML, 9.2.6); None for none. Where it is not `required`,
    it may be left out.
    """

    name: str | None
    required: bool = True

    def takes(self, event: str) -> bool:
        """Whether a chunk of the stage may come with that event name; "" for none."""
        return event == (self.name or "") or (not self.required and not event)


@dataclass(frozen=True, slots=True, eq=False)
class Stage:
    """A named kind of chunk (or state), with its place in the stream.

    `after`: all of the groups, each met by any stage in it; `after_all`: likewise, for every track.
    `times`: least and most, None for no limit. With `per_track` both count for each track by
    itself. `ends`: "track", "stream", or "close": the server may close after it. `anywhere`: it may
    come at any time, any number of times, and is no step. `state`: the state that is reached with
    it, where the endpoint is looked up by another. `most`: what the upper limit rests on where that
    is not what the stage itself does. `takes_time`: work lies before each of its chunks, so that
    none is made in the same moment as what it comes after.
    """

    name: str
    when: Schema
    schema: Schema
    after: tuple[tuple[str, ...], ...]
    times: tuple[int, int | None]
    per_track: bool
    ends: str | None
    failure: bool
    charges: bool
    milestones: tuple[Milestone, ...]
    grounds: Grounds
    most: Grounds | None = None
    event: EventName | None = None
    anywhere: bool = False
    after_all: tuple[tuple[str, ...], ...] = ()
    state: str | None = None
    takes_time: bool = False

    @property
    def most_rule(self) -> str:
        """The rule, below its endpoint, that limits how often the stage comes."""
        return f"times/{self.name}" + ("/most" if self.most is not None else "")


@dataclass(frozen=True, slots=True)
class Tracks:
    """The parallel results of one request: the field that numbers them, and its values.

    Where their number is not fixed they count from `start`: `values` are then the fewest that there
    may be, `most` how many at most (None: any number), and `asked` the place in the request that
    says how many, `default` where it does not.
    """

    field: FieldPath
    values: tuple[int | str, ...]
    grounds: Grounds
    start: int | None = None
    most: int | None = None
    asked: FieldPath | None = None
    default: int = 1

    @property
    def fixed(self) -> bool:
        """Whether it is known how many there are."""
        return self.start is None or (self.asked is None and self.most == len(self.values))

    def numbered(self, many: int) -> tuple[int, ...]:
        """The values of so many tracks, where they are counted."""
        assert self.start is not None
        return tuple(range(self.start, self.start + many))


@dataclass(frozen=True, slots=True)
class Index:
    """The field that numbers the chunks; those of the stages in `without` are not counted."""

    field: FieldPath
    start: int
    step: int
    grounds: Grounds
    without: frozenset[str] = frozenset()


@dataclass(frozen=True, slots=True)
class ConstantField:
    """A field that keeps its value once it is known; with `per_track` on each track by itself."""

    field: FieldPath
    grounds: Grounds
    per_track: bool = False


@dataclass(frozen=True, slots=True)
class NeverDecrease:
    """A field that does not fall from one chunk of these stages to the next; with `per_track` of
    the same track.
    """

    field: FieldPath
    stages: tuple[str, ...]
    grounds: Grounds
    per_track: bool = False


@dataclass(frozen=True, slots=True)
class Sentinel:
    """The literal text (`[DONE]`) that ends a stream, in place of a chunk. `times`: least and most
    that it comes, 0 or 1; one that must come is the end.
    """

    data: bytes
    times: tuple[int, int]
    grounds: Grounds

    @property
    def required(self) -> bool:
        return self.times[0] > 0


@dataclass(frozen=True, slots=True)
class Completion:
    """The flag that is false before the last chunk and true on it."""

    field: FieldPath
    before_last: Grounds
    last: Grounds


@dataclass(frozen=True, slots=True)
class SongLength:
    """How far a song may be from the length that its request asks for: `within_share` of it, and
    in any case `within_seconds`.
    """

    within_seconds: float
    within_share: float
    grounds: Grounds

    def allows(self, asked: float, seconds: float) -> bool:
        """Whether a song of `seconds` is as long as was `asked`, in seconds."""
        return abs(seconds - asked) <= max(self.within_seconds, self.within_share * asked)

    def describe(self) -> str:
        """`within 10% (at least 5 s)`, in words."""
        if not self.within_share:
            return f"within {self.within_seconds:g} s"
        least = f" (at least {self.within_seconds:g} s)" if self.within_seconds else ""
        return f"within {self.within_share:.0%}{least}"


@dataclass(frozen=True, slots=True)
class Hosts:
    """Hosts that URLs in payloads may name when the target is the live API."""

    values: tuple[str, ...]
    grounds: Grounds


@dataclass(frozen=True, slots=True)
class DocumentedError:
    """One error of the API. `printed`: its body stands on the page, so it is exact. `explained_at`:
    the text in an unprinted body that may go on with the reason of a refusal; None if there is
    none.
    """

    name: str
    title: str
    status: int
    body: dict[str, Any]
    printed: bool
    grounds: Grounds
    explained_at: FieldPath | None = None


@dataclass(frozen=True, slots=True)
class Errors:
    """Every error that the contract knows, the range of statuses that one may have (`grounds`),
    and what forbids a 500 to a bad request (`server_error`). `wrong_type` and `wrong_media_type`:
    why such a request must be refused, None where what documents it says so.
    """

    known: tuple[DocumentedError, ...]
    statuses: range
    grounds: Grounds
    server_error: Grounds
    wrong_type: Grounds | None = None
    wrong_media_type: Grounds | None = None

    def named(self, name: str) -> DocumentedError:
        """The error called `name`; KeyError if there is none."""
        for error in self.known:
            if error.name == name:
                return error
        raise KeyError(name)

    def is_known(self, body: Any, status: int) -> bool:
        """Whether it is an error of the contract's data, to the letter, also one that no page
        prints: what an emulator sends that is asked for it.
        """
        return any(error.body == body and error.status == status for error in self.known)

    def matching(self, body: Any) -> DocumentedError | None:
        """The printed error whose body this is, to the letter; None if it is none of them."""
        for error in self.known:
            if error.printed and error.body == body:
                return error
        return None


@dataclass(frozen=True, slots=True)
class Example:
    """A payload printed in the documentation. `of`: "request", "response", "stage:NAME" or
    "error:NAME"; `mended` says what was changed where the page prints no valid JSON.
    """

    file: str
    of: str
    source: str
    mended: str | None
    payload: Any


@dataclass(frozen=True, slots=True, eq=False)
class Protocol:
    """The stages of a stream, or the states that a status endpoint shows (`sampled`), and what
    holds across them; schemas are resolved. Stages are in the order they are tried. Compared and
    hashed by identity. What follows from the stages is worked out once: `ending` are those that
    end a track or the stream with a song, or after which it may be over; `closing` says whether a
    stage ends the whole stream (else all tracks together do, the close of the connection, or a
    sentinel); `by_tracks` whether the ends of all tracks end it, since nothing else does.
    """

    stages: tuple[Stage, ...]
    fields: Schema
    tracks: Tracks | None
    index: Index | None
    constant: tuple[ConstantField, ...]
    never_decrease: tuple[NeverDecrease, ...]
    completion: Completion | None
    song_length: SongLength | None = None
    sentinel: Sentinel | None = None
    sampled: bool = False
    by_name: Mapping[str, Stage] = field(default_factory=dict)

    ending: tuple[Stage, ...] = field(init=False)
    closing: bool = field(init=False)
    by_tracks: bool = field(init=False)

    def __post_init__(self) -> None:
        ending = tuple(stage for stage in self.stages if stage.ends and not stage.failure)
        ends = {stage.ends for stage in ending}
        sentinel = self.sentinel is not None and self.sentinel.required
        object.__setattr__(self, "ending", ending)
        object.__setattr__(self, "closing", "stream" in ends)
        object.__setattr__(self, "by_tracks", ends == {"track"} and not sentinel)

    def may_follow_the_end(self, stage: Stage) -> bool:
        """Whether a stage may come after the one that ended the stream, once: it ends the stream as
        well, need not come, and comes after one that ends it.
        """
        if stage.ends != "stream" or stage.times[0] or stage.failure:
            return False
        ends = {each.name for each in self.ending if each.ends == "stream"}
        return any(name in ends for group in stage.after for name in group)

    def before(self, stage: str) -> frozenset[str]:
        """The stages that come before one, by the order that stages have; not the stage itself."""
        return _before(self, stage)

    def for_tracks(self, many: int | None) -> Protocol:
        """The same with so many tracks, where their number is not fixed (None: as it is)."""
        tracks = self.tracks
        if tracks is None or tracks.start is None or many is None:
            return self
        return _for_tracks(self, many)

    def for_request(self, body: Any) -> Protocol:
        """The same with as many tracks as a request asks for, where that is what decides."""
        tracks = self.tracks
        if tracks is None or tracks.asked is None:
            return self
        asked = tracks.asked.of(body)
        known = type(asked) is int and 0 < asked <= MOST_TRACKS
        return self.for_tracks(asked if known else tracks.default)


#: Tracks that one stream may have.
MOST_TRACKS: Final = 1_000


@lru_cache(10_000)
def _for_tracks(protocol: Protocol, many: int) -> Protocol:
    assert protocol.tracks is not None
    values = protocol.tracks.numbered(many)
    tracks = replace(protocol.tracks, values=values, most=many, asked=None)
    return replace(protocol, tracks=tracks)


@lru_cache(10_000)
def _before(protocol: Protocol, stage: str) -> frozenset[str]:
    found: set[str] = set()
    left = [stage]
    while left:
        known = protocol.by_name.get(left.pop())
        groups = (*known.after, *known.after_all) if known is not None else ()
        for name in (name for group in groups for name in group):
            if name not in found:
                found.add(name)
                left.append(name)
    return frozenset(found - {stage})
