"""Recorded answers, read from transcripts and HTTP archives: what `emulate --replay` serves.

Values, and the files that they come from. How they are sent is `replay`'s.
"""

from __future__ import annotations

import math
import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Final
from urllib.parse import urlsplit

from soundstage.contract import Contract
from soundstage.contract.paths import endpoint_at
from soundstage.errors import NoDataError, UsageError
from soundstage.wire import har, transcript
from soundstage.wire.ending import EndKind
from soundstage.wire.transcript import Transcript

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
_SUFFIXES: Final = (".ndjson", ".har")
_LARGEST: Final = 256 * 2**20


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


def read(place: Path, contracts: list[Contract]) -> list[Recording]:
    """The recordings in a folder (`*.ndjson` and `*.har`, by name), in a run bundle, or in one
    file. Of an archive, those at an endpoint of the contracts.

    Raises UsageError for what cannot be read, NoDataError if there is nothing to replay.
    """
    if (place / "run.json").is_file():
        place = place / "transcripts"
    if place.is_dir():
        files = sorted(each for each in place.iterdir() if each.suffix in _SUFFIXES)
    else:
        files = [place]
    found = [recording for file in files for recording in _of_file(file, contracts)]
    if not found:
        raise NoDataError(f"{place}: nothing to replay: no transcript or HAR entry with an answer")
    return found


def _of_file(file: Path, contracts: list[Contract]) -> Iterator[Recording]:
    try:
        with file.open("rb") as opened:
            raw = opened.read(_LARGEST + 1)
    except OSError as error:
        raise UsageError(f"{file}: {error.strerror or error}") from error
    if len(raw) > _LARGEST:
        raise UsageError(f"{file}: larger than {_LARGEST // 2**20} MiB")
    if har.looks_like_har(raw):
        for number, each in har.read(raw, str(file)):
            recording = _recording(f"{file}#{number}", each, contracts)
            method, path = str(each.header["request"]["method"]), _path(each)
            if recording and each.end and endpoint_at(contracts, method, path):
                yield recording
    elif transcript.looks_like_transcript(raw):
        recording = _recording(str(file), transcript.read(raw, str(file)), contracts)
        if recording is not None:
            yield recording
    else:
        raise UsageError(f"{file}: neither a transcript nor a HAR file")


def _path(record: Transcript) -> str:
    request = record.header.get("request")
    return urlsplit(str((request or {}).get("url", ""))).path or "/"


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
    method, path = str(request.get("method", "")).upper(), _path(record)
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
        length=int(lengths[0]) if lengths and lengths[0].isdigit() and not coded else None,
        end=_end(end.get("kind")),
        end_at=max(last, _seconds(end.get("t", last), name)),
    )


def _joined(record: Transcript, name: str) -> Iterator[tuple[float, bytes]]:
    """The pieces, those that came with one read as one; their times never fall."""
    due, held = 0.0, b""
    for seconds, raw, _ in record.pieces:
        at = max(due, _seconds(seconds, name))
        if at > due and held:
            yield due, held
            held = b""
        due, held = at, held + raw
    if held:
        yield due, held


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
