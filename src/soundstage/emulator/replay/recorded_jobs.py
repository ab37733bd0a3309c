"""Recorded looks at what a recorded answer made, and whose turn it is: each is served once, in
order, and the last one stays.

A client that asks as often as was recorded gets the looks one by one. One that asks less often gets
every one of them later, so that it sees all that was seen; one that asks more often gets the same
again until the next one is due: nothing is over earlier than it was.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from urllib.parse import urlsplit

from soundstage.contract import Contract
from soundstage.contract.given_values import given_by_answer
from soundstage.contract.paths import endpoint_at, query_of
from soundstage.contract.placeholders import PLACEHOLDER
from soundstage.contract.protocol import Endpoint
from soundstage.emulator.replay.recording import Recording, recording_of
from soundstage.errors import UsageError
from soundstage.output.redact import MARK
from soundstage.saved.transcript import Transcript


@dataclass(frozen=True, slots=True)
class RecordedLook:
    """One look: `sent_at` is in seconds since the answer that it followed had ended."""

    sent_at: float
    recording: Recording


@dataclass(slots=True, eq=False)
class RecordedJob:
    """The looks at one generation. They are asked for at any of `paths`, with `query`: names and
    their values, None for any. `place` is how the contract names that place, `made_by` the
    answer that they follow. `begun_at`: since when its looks count, in seconds of the clock that
    it is told; None: not yet.
    """

    place: str
    paths: tuple[str, ...]
    query: Mapping[str, str | None]
    looks: tuple[RecordedLook, ...]
    made_by: Recording
    begun_at: float | None = None
    _shown: int = field(default=-1)

    def is_at(self, path: str, query: str) -> bool:
        """Whether its looks are what is asked for."""
        if path not in self.paths:
            return False
        sent = query_of(query)
        return all(
            name in sent and value in (None, sent[name]) for name, value in self.query.items()
        )

    def begin(self, now: float) -> None:
        """The answer that made it has ended, or will have, at `now`: its looks begin anew."""
        self.begun_at, self._shown = now, -1

    def next(self, now: float, speed: float) -> Recording:
        """The look whose turn it is at `now`, in seconds; `speed` divides every time."""
        following = self._shown + 1
        if following < len(self.looks) and self._is_due(following, now, speed):
            self._shown = following
        look = self.looks[self._shown]
        if self.begun_at is None:
            self.begun_at = now - look.sent_at / speed
        return look.recording

    def _is_due(self, number: int, now: float, speed: float) -> bool:
        """Whether a look may be shown: from the middle between it and the one before it on, since
        nobody asks at the very same moment again.
        """
        at = self.looks[number].sent_at
        before = self.looks[number - 1].sent_at if number else None
        if before is None or self.begun_at is None:
            return True
        return now >= self.begun_at + (before + at) / 2 / speed


def job_of(
    name: str, record: Transcript, made_by: Recording, contracts: list[Contract]
) -> RecordedJob | None:
    """The looks at what a saved answer made; None if there are none that could be served again.

    Raises UsageError, in which `name` stands, for looks that went to several places.
    """
    looks = []
    for number, look in enumerate(record.looks, start=1):
        sent = float(look.header.get("t") or 0.0)
        recording = recording_of(f"{name}, look {number}", _since(look, sent), contracts)
        if recording is not None:
            looks.append(RecordedLook(max(0.0, sent - made_by.end_at), recording))
    if not looks:
        return None
    urls = {str(look.header["request"].get("url", "")) for look in record.looks}
    if len(urls) > 1:
        raise UsageError(f"{name}: its looks went to {len(urls)} places; those at a job go to one")
    contract, endpoint = _origin(record, made_by, contracts)
    given: Mapping[str, str] = {}
    status = None
    if contract is not None and endpoint is not None and endpoint.looked_up_by is not None:
        given = given_by_answer(endpoint, record.body, record.answer_header)
        status = contract.endpoints[endpoint.looked_up_by.endpoint]
    parts = urlsplit(urls.pop())
    path = parts.path or "/"
    asked = made_by.paths[0]
    base = asked.removesuffix(endpoint.path) if endpoint is not None else ""
    return RecordedJob(
        status.path if status is not None else path,
        tuple(dict.fromkeys([path, path.removeprefix(base) if base != asked else path])),
        _query(parts.query, status, given),
        tuple(looks),
        made_by,
    )


def _origin(
    record: Transcript, made_by: Recording, contracts: list[Contract]
) -> tuple[Contract | None, Endpoint | None]:
    """The endpoint that a saved answer is of, as its header or its path says."""
    header = record.header
    contract = next((each for each in contracts if each.api == header.get("api")), None)
    if contract is not None and str(header.get("endpoint")) in contract.endpoints:
        return contract, contract.endpoints[str(header.get("endpoint"))]
    found = endpoint_at(contracts, made_by.method, made_by.paths[0])
    return (None, None) if found is None else found


def _since(look: Transcript, sent: float) -> Transcript:
    """A look with times since it was sent."""
    response = dict(look.header.get("response") or {})
    if response.get("t") is not None:
        response["t"] = max(0.0, response["t"] - sent)
    end = None if look.end is None else dict(look.end)
    if end is not None and end.get("t") is not None:
        end["t"] = max(0.0, end["t"] - sent)
    pieces = [(max(0.0, at - sent), raw, coarse) for at, raw, coarse in look.pieces]
    return Transcript({**look.header, "response": response}, pieces, end)


def _query(text: str, status: Endpoint | None, given: Mapping[str, str]) -> dict[str, str | None]:
    """The query of a look. What was taken out of it when it was recorded is filled in again from
    what was given.
    """
    templates = dict(status.query) if status is not None else {}
    return {
        name: value if MARK not in value else _filled(templates.get(name), given)
        for name, value in query_of(text).items()
    }


def _filled(template: str | None, given: Mapping[str, str]) -> str | None:
    """A value of a query with what was given in it; None where that is not known."""
    if template is None or not all(name in given for name in PLACEHOLDER.findall(template)):
        return None
    return PLACEHOLDER.sub(lambda match: given[match[1]], template)
