"""One recorded answer as it is served again: values, made of a transcript."""

from __future__ import annotations

import math
import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final
from urllib.parse import urlsplit

from soundstage.contract import Contract
from soundstage.contract.paths import endpoint_at
from soundstage.errors import UsageError
from soundstage.saved.transcript import Transcript
from soundstage.wire.end import EndKind

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


def path_of(record: Transcript, name: str) -> str:
    """The path that was asked. Raises UsageError for a URL that is none."""
    request = record.header.get("request") or {}
    try:
        return urlsplit(str(request.get("url", ""))).path or "/"
    except ValueError as error:
        raise UsageError(f"{name}: its URL is none: {error}") from error


def recording_of(name: str, record: Transcript, contracts: list[Contract]) -> Recording | None:
    """A saved answer as it is served again; None where none came that could be. `name` stands in
    errors.

    Raises UsageError for what says neither what was asked nor what answered, or says it wrongly.
    """
    request, response = record.header.get("request"), record.header.get("response")
    if not isinstance(request, dict) or not isinstance(response, dict):
        raise UsageError(f"{name}: the transcript says neither what was asked nor what answered")
    status = response.get("status")
    if status is None:
        return None
    if not 200 <= status <= 599:
        raise UsageError(f"{name}: {status} is no status of an answer")
    method, path = str(request.get("method", "")).upper(), path_of(record, name)
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
