"""The protocol of one API version as values: endpoints, stages, and what holds across chunks.

Read from `protocol.json` by `contract.py`. Nothing here knows which version it describes.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Final

from soundstage.contract.field_schemas import Schema

#: The media type of an answer in each framing ("json": a single body). Server-Sent Events: HTML,
#: 9.2.4; JSON: RFC 8259, section 11. That of JSON lines is registered nowhere, and used everywhere.
MEDIA_TYPES: Final = {
    "sse": "text/event-stream",
    "lines": "application/x-ndjson",
    "json": "application/json",
}


@dataclass(frozen=True, slots=True)
class Grounds:
    """What a rule rests on: `basis` (documented, exemplified, inferred), the place on the page,
    and a severity where it does not follow from the basis.
    """

    basis: str
    source: str
    severity: str | None = None

    @classmethod
    def of(cls, data: Mapping[str, Any]) -> Grounds:
        return cls(data["basis"], data["source"], data.get("severity"))


@dataclass(frozen=True, slots=True)
class Endpoint:
    """One documented endpoint. `kind` is "stream", "sync" or "status"; schemas are resolved.
    `content_type` is what the rule about the media type of its answer rests on.
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


@dataclass(frozen=True, slots=True)
class Milestone:
    """A named moment: the first chunk of its stage, or (`at` "all") that of the last track.
    `headline`: a run is known by it; `title`: how reports call it ("": by its name).
    """

    name: str
    at: str
    headline: bool = False
    title: str = ""


@dataclass(frozen=True, slots=True)
class Stage:
    """A named kind of chunk, with its place in the stream.

    `after`: all of the groups, each met by any stage in it. `times`: least and most, None for
    no limit. With `per_track` both count for each track by itself. `most`: what the upper limit
    rests on where that is not what the stage itself does.
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

    @property
    def most_rule(self) -> str:
        """The rule, below its endpoint, that limits how often the stage comes."""
        return f"times/{self.name}" + ("/most" if self.most is not None else "")


@dataclass(frozen=True, slots=True)
class Tracks:
    """The parallel results of one request: the field that numbers them, and its values."""

    field: str
    values: tuple[int | str, ...]
    grounds: Grounds


@dataclass(frozen=True, slots=True)
class Index:
    """The field that numbers the chunks."""

    field: str
    start: int
    step: int
    grounds: Grounds


@dataclass(frozen=True, slots=True)
class ConstantField:
    """A field that keeps its value once it is known."""

    field: str
    grounds: Grounds


@dataclass(frozen=True, slots=True)
class NeverDecrease:
    """A field that does not fall from one chunk of these stages to the next."""

    field: str
    stages: tuple[str, ...]
    grounds: Grounds


@dataclass(frozen=True, slots=True)
class Completion:
    """The flag that is false before the last chunk and true on it."""

    field: str
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
    """One error of the API. `printed`: its body stands on the page, so it is exact."""

    name: str
    title: str
    status: int
    body: dict[str, Any]
    printed: bool
    grounds: Grounds


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


@dataclass(frozen=True, slots=True)
class Protocol:
    """All of `protocol.json`, with schemas resolved. Stages are in the order they are tried."""

    stages: tuple[Stage, ...]
    fields: Schema
    tracks: Tracks | None
    index: Index | None
    constant: tuple[ConstantField, ...]
    never_decrease: tuple[NeverDecrease, ...]
    completion: Completion | None
    song_length: SongLength | None = None
    by_name: Mapping[str, Stage] = field(default_factory=dict)

    @property
    def ending(self) -> tuple[Stage, ...]:
        """The stages that end a track or the stream with a song."""
        return tuple(stage for stage in self.stages if stage.ends and not stage.failure)
