"""Recorded answers, read from transcripts, HTTP archives and saved responses: what
`emulate --replay` serves.

Values, and the files that they come from. How they are sent is `replay`'s.
"""

from __future__ import annotations

import math
import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final
from urllib.parse import urlsplit

from soundstage.contract import Contract
from soundstage.contract.paths import endpoint_at
from soundstage.contract.placeholders import PLACEHOLDER
from soundstage.contract.protocol import MEDIA_TYPES
from soundstage.contract.recognise import Guess, recognise
from soundstage.errors import NoDataError, UsageError
from soundstage.saved import look_alikes, saved_file
from soundstage.saved.transcript import Transcript
from soundstage.untrusted import json_text
from soundstage.untrusted.strange_files import leads_out
from soundstage.wire.end import EndKind
from soundstage.wire.lines import sniff_framing

#: Headers that belong to the connection they were sent on, or to a coding that is gone.
_OF_THE_CONNECTION: Final = frozenset(
    {
        "connection",
        "content-encoding",
        "content-length",
        "keep-alive",
        "proxy-authenticate",
        "proxy-connection",
        "te",
        "trailer",
        "transfer-encoding",
        "upgrade",
    }
)
_NAME: Final = re.compile(r"[!#$%&'*+.^_`|~0-9A-Za-z-]+")
_LENGTH: Final = re.compile("[0-9]{1,18}")
#: A file may be so large, and all that is replayed together.
_LARGEST: Final = 256 * 2**20
_ALL: Final = 1024 * 2**20


@dataclass(frozen=True, slots=True)
class Recording:
    """One answer. `paths` are those that it is served at; `pieces` are (seconds after the request,
    bytes), those of one moment together; `length` is the Content-Length as announced, None if there
    was none. `end` is how the answer ended, None where that is not known.
    """

    name: str
    method: str
    paths: tuple[str, ...]
    status: int
    reason: str
    headers: tuple[tuple[str, str], ...]
    head_at: float
    pieces: tuple[tuple[float, bytes], ...]
    length: int | None
    end: EndKind | None
    end_at: float

    @property
    def size(self) -> int:
        """Bytes of its body."""
        return sum(len(data) for _, data in self.pieces)


@dataclass(slots=True)
class FoundRecordings:
    """The recordings at a place, and what there was skipped, a line for each."""

    recordings: list[Recording] = field(default_factory=list)
    skipped: list[str] = field(default_factory=list)


def find(place: Path, contracts: list[Contract]) -> FoundRecordings:
    """The recordings in a folder (all its files but hidden ones, by name), in a run bundle, or in
    one file. Of an archive, those at an endpoint of the contracts; a response without anything that
    says what it answered is one of the endpoint whose fields it has.

    In a folder, what is nothing of that is skipped. Raises UsageError for what cannot be read where
    nothing else is there, NoDataError if there is nothing to replay.
    """
    found = FoundRecordings()
    wrong: UsageError | None = None
    if (place / "run.json").is_file():
        if leads_out(place / "transcripts", place):
            raise UsageError(f"{place / 'transcripts'}: a link that leads out of {place}")
        place = place / "transcripts"
        if not place.is_dir():
            raise NoDataError(f"{place}: nothing to replay: the bundle kept no transcript")
    if not place.is_dir():
        found.recordings += _of_file(place, contracts, found.skipped)
    else:
        for file in sorted(place.iterdir()):
            if file.name.startswith(".") or file.is_dir():
                continue
            try:
                found.recordings += _of_file(file, contracts, found.skipped, within=place)
            except UsageError as error:
                wrong = wrong or error
                found.skipped.append(f"skipped {error}")
            if sum(each.size for each in found.recordings) > _ALL:
                raise UsageError(f"{place}: recordings of more than {_ALL // 2**20} MiB")
    if not found.recordings and wrong is not None:
        raise wrong
    if not found.recordings:
        why = f" ({found.skipped[0]})" if found.skipped else ""
        raise NoDataError(f"{place}: nothing to replay: no response, transcript or HAR entry{why}")
    return found


def _of_file(
    file: Path, contracts: list[Contract], skipped: list[str], within: Path | None = None
) -> list[Recording]:
    def wanted(method: str, path: str) -> bool:
        return endpoint_at(contracts, method, path) is not None

    held = saved_file.read_file(str(file), limit=_LARGEST, wanted=wanted, within=within)
    if held.exchange is None:
        return list(_of_archive(file, held, contracts, skipped))
    if held.form == "response":
        _name_endpoint(file, held.exchange, contracts)
    recording = _recording(str(file), held.exchange, contracts)
    return [] if recording is None else [recording]


def _of_archive(
    file: Path, held: saved_file.Saved, contracts: list[Contract], skipped: list[str]
) -> Iterator[Recording]:
    for entry in held.entries:
        name = f"{file}#{entry.number}"
        if entry.problem is not None:
            skipped.append(f"skipped {name}: {entry.problem}")
        if entry.exchange is None or entry.exchange.end is None or entry.followed:
            continue
        try:
            recording = _recording(name, entry.exchange, contracts)
        except UsageError as error:
            skipped.append(f"skipped {error}")
            continue
        if recording is not None:
            yield recording


def _name_endpoint(file: Path, exchange: Transcript, contracts: list[Contract]) -> None:
    """Say in the header of a response what it answered, and what its head was, where the file does
    not. Raises UsageError for what fits no contract.
    """
    header, body = exchange.header, exchange.body
    guess = recognise(body, contracts)[0]
    if "request" not in header:
        if not guess.fits:
            apis = " or ".join(each.api for each in contracts)
            raise UsageError(
                f"{file}: neither a transcript nor a HAR file nor an answer of {apis}, but like "
                f"{look_alikes.looks_like(body)}"
            )
        endpoint = guess.endpoint
        if PLACEHOLDER.search(endpoint.path):
            what = f"{guess.contract.api} {endpoint.name}"
            raise UsageError(f"{file}: an answer of {what}, and nothing says which id it was for")
        header["request"] = {"method": endpoint.method, "url": endpoint.path}
    if "response" not in header:
        media = MEDIA_TYPES.get(sniff_framing(body), "text/plain")
        header["response"] = {"status": _status(guess, body), "headers": [["content-type", media]]}
    if exchange.doubt is not None:
        exchange.end = None  # how it went on, nobody knows


def _status(guess: Guess, body: bytes) -> int:
    """The status that a response without its head most likely had."""
    if guess.kind != "error":
        return guess.endpoint.usual_status
    error = guess.contract.errors.matching(json_text.parse(body).value)
    return error.status if error is not None else 400


def _path(record: Transcript, name: str) -> str:
    request = record.header.get("request") or {}
    try:
        return urlsplit(str(request.get("url", ""))).path or "/"
    except ValueError as error:
        raise UsageError(f"{name}: its URL is none: {error}") from error


def _recording(name: str, record: Transcript, contracts: list[Contract]) -> Recording | None:
    """None where no answer came that could be served again."""
    request, response = record.header.get("request"), record.header.get("response")
    if not isinstance(request, dict) or not isinstance(response, dict):
        raise UsageError(f"{name}: the transcript says neither what was asked nor what answered")
    status = response.get("status")
    if status is None:
        return None
    if not 200 <= status <= 599:
        raise UsageError(f"{name}: {status} is no status of an answer")
    method, path = str(request.get("method", "")).upper(), _path(record, name)
    paths = [path]
    if (known := endpoint_at(contracts, method, path)) and "{" not in known[1].path:
        paths.append(known[1].path)  # without the base path that it was recorded under
    headers = [(str(key), str(value)) for key, value in response.get("headers", ())]
    lengths = [value for key, value in headers if key.lower() == "content-length"]
    coded = any(key.lower() == "content-encoding" for key, _ in headers)
    end = record.end or {}
    pieces = list(_joined(record, name))
    last = pieces[-1][0] if pieces else 0.0
    return Recording(
        name=name,
        method=method,
        paths=tuple(dict.fromkeys(paths)),
        status=status,
        reason=_field(str(response.get("reason") or "")),
        headers=tuple(
            (key, _field(value))
            for key, value in headers
            if key.lower() not in _OF_THE_CONNECTION and _NAME.fullmatch(key)
        ),
        head_at=_seconds(response.get("t", pieces[0][0] if pieces else 0.0), name),
        pieces=tuple(pieces),
        length=int(lengths[0]) if lengths and _LENGTH.fullmatch(lengths[0]) and not coded else None,
        end=_end(end.get("kind")),
        end_at=max(last, _seconds(end.get("t", last), name)),
    )


def _joined(record: Transcript, name: str) -> Iterator[tuple[float, bytes]]:
    """The pieces, those that came with one read as one; their times never fall."""
    due, held = 0.0, list[bytes]()
    for seconds, raw, _ in record.pieces:
        at = max(due, _seconds(seconds, name))
        if at > due and held:
            yield due, b"".join(held)
            held.clear()
        due = at
        if raw:
            held.append(raw)
    if held:
        yield due, b"".join(held)


def _seconds(value: object, name: str) -> float:
    if value is None:
        return 0.0
    if not isinstance(value, int | float) or not 0 <= value < math.inf:
        raise UsageError(f"{name}: {value!r} is no time in seconds")
    return float(value)


def _end(kind: object) -> EndKind | None:
    try:
        return EndKind(str(kind))
    except ValueError:
        return None


def _field(text: str) -> str:
    """A header value or reason phrase without what would end its line (RFC 9110, section 5.5)."""
    return re.sub(r"[^\t\x20-\x7e\x80-\xff]", " ", text).strip()
