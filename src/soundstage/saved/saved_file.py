"""What somebody saved, read as what it is: the one reader of files that every command uses.

A file may be one of our transcripts, an HTTP archive, or a response as a tool wrote it: in another
encoding, compressed, with its head, with the framing of the connection, with a log's prefix before
each line. All of that is undone, and said. Bytes in, transcripts out; nothing here knows an API or
judges anything.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, Literal

from soundstage.errors import UsageError
from soundstage.saved import compression, look_alikes
from soundstage.saved import transcript as transcripts
from soundstage.saved.encodings import UTF8_BOM, to_utf8
from soundstage.saved.transcript import Transcript
from soundstage.untrusted.strange_files import open_plain
from soundstage.wire.lines import sniff_framing

# What reads the rarer forms is loaded when one comes: `lint` starts for a single file, mostly a
# transcript or a plain stream.
if TYPE_CHECKING:
    from soundstage.saved import har, heads

#: More than this of a file, or of what it unpacks to, is not read (docs/reference/limits.md).
LARGEST: Final = 64 * 2**20
#: Reasons for which a saved answer cannot be judged to its end.
NO_BODY: Final = "file.no_body"
SHORTER: Final = "file.shorter_than_announced"
_CUT: Final = compression.CUT
#: Compressed within compressed, so often.
_NESTED: Final = 3
#: How a plain event stream begins: with nothing before it, and of no other form.
_EVENTS: Final = (b"data:", b"event:", b"id:", b"retry:", b":")
#: What stands in a file whose stream a tool mixed its own words into.
_MIXED_IN: Final = (b"curl: (", b"% Received")
#: First bytes of text that no other kind of file begins with.
_TEXT: Final = frozenset(b'{["<:deirH \t\r\n')

Form = Literal["transcript", "archive", "response"]


@dataclass(slots=True)
class Saved:
    """What one file holds. `exchange` is that of a transcript or a response, `entries` are those of
    an archive. `notes` say what was undone to read it.
    """

    form: Form
    exchange: Transcript | None = None
    entries: list[har.ArchiveEntry] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)

    @property
    def body(self) -> bytes:
        """The body of a transcript or a response."""
        return self.exchange.body if self.exchange is not None else b""

    @property
    def has_head(self) -> bool:
        """Whether status and headers of the answer are known."""
        response = self.exchange.header.get("response") if self.exchange is not None else None
        return response is not None and response.get("status") is not None


def read_file(
    file: str,
    *,
    limit: int = LARGEST,
    wanted: har.Wanted | None = None,
    within: Path | None = None,
) -> Saved:
    """`read` for a file by its name. `within`: the user named this folder and not the file, so it
    must be a plain file that lies there. Raises UsageError for what cannot be opened, too.
    """
    from soundstage.saved.attached import beside

    path = Path(file)
    if path.is_dir():
        raise UsageError(f"{file}: a folder; give the files in it: {file.rstrip('/')}/*")
    try:
        opened = path.open("rb") if within is None else open_plain(path, within=within)
        with opened:
            raw = opened.read(limit + 1)
    except (OSError, ValueError) as error:
        said = getattr(error, "strerror", None) or str(error)
        if any(each in file for each in "*?[") and isinstance(error, FileNotFoundError):
            said = "no file is called so; the pattern matched nothing"
        raise UsageError(f"{file}: {said}") from error
    return read(raw, file, beside(path, limit), limit=limit, wanted=wanted)


def read(
    raw: bytes,
    name: str,
    beside: har.Attached | None = None,
    *,
    limit: int = LARGEST,
    wanted: har.Wanted | None = None,
) -> Saved:
    """What a file with these bytes holds. Give one byte more than `limit` of a longer file: a
    response is then known to be cut, and a transcript or an archive is refused.

    `name` stands in errors; `beside` reads files in the folder of an archive, of which only the
    answers to requests that are `wanted` (method, path) are read. Raises UsageError, one
    line with what the file looks like and what to do, for what holds no response.
    """
    notes: list[str] = []
    raw, doubt, beside = _unpacked(raw, name, beside, limit, notes)
    raw, encoding = to_utf8(raw)
    if encoding is not None:
        notes.append(encoding)
    if transcripts.looks_like_transcript(raw):
        _check_size(raw, name, "transcript", limit)
        return Saved("transcript", transcripts.read(raw, name), notes=notes)
    if not raw.startswith(_EVENTS):
        from soundstage.saved import har

        if har.looks_like_har(raw):
            _check_size(raw, name, "HAR file", limit)
            entries = har.read(raw, name, beside, wanted=wanted, limit=limit)
            return Saved("archive", entries=entries, notes=notes)
    return Saved("response", _response(raw, name, doubt, limit, notes), notes=notes)


def _unpacked(
    raw: bytes, name: str, beside: har.Attached | None, limit: int, notes: list[str]
) -> tuple[bytes, str | None, har.Attached | None]:
    """The bytes of a file that was compressed, and why they may not be all."""
    doubt = None
    for _ in range(_NESTED):
        packed = compression.unpacked(raw, name, limit)
        if packed is None:
            break
        notes.append(packed.coding)
        raw = packed.data
        if packed.cut:
            doubt = _CUT
            break
    if not raw or (raw[0] in _TEXT and raw[4:8] != b"ftyp" and raw[257:262] != b"ustar"):
        return raw, doubt, beside
    from soundstage.saved import attached
    from soundstage.saved.kinds_of_file import kind_of_file

    if raw.startswith(attached.ZIP) and (inner := attached.in_zip(raw, name, limit)) is not None:
        notes.append("zip")
        return inner[0], doubt, inner[1]
    if (kind := kind_of_file(raw)) is not None:
        what, advice = kind
        raise UsageError(f"{name}: {what}: {advice or look_alikes.SAVE}")
    return raw, doubt, beside


def _check_size(raw: bytes, name: str, what: str, limit: int) -> None:
    if len(raw) > limit:
        raise UsageError(f"{name}: a {what} of more than {limit // 2**20} MiB")


# --- a response as a tool wrote it ----------------------------------------------------------------


def _response(raw: bytes, name: str, doubt: str | None, limit: int, notes: list[str]) -> Transcript:
    if raw.startswith(_EVENTS):
        if any(words in raw for words in _MIXED_IN):
            _refuse_strangers(raw, name)
        return _exchange({}, raw, doubt)
    from soundstage.saved import heads
    from soundstage.saved.prefixes import without_prefixes

    head = heads.split(raw)
    if head is None:
        _refuse_strangers(raw, name)
        if (plain := without_prefixes(raw)) is not None:
            raw, prefixes = plain
            notes.append(f"{' and '.join(prefixes)} before each line")
            head = heads.split(raw)
    if head is None:
        _refuse_strangers(raw, name)
        chunks = heads.dechunked(raw)
        if chunks is not None and chunks.body:
            notes.append("the framing of chunks")
            raw, doubt = chunks.body, doubt if chunks.whole else _CUT
            raw, doubt = _decoded(raw, "", name, doubt, limit, notes)
        return _exchange({}, _without_mark(raw, notes), doubt)
    return _with_head(head, name, doubt, limit, notes)


def _with_head(
    head: heads.SavedHead, name: str, doubt: str | None, limit: int, notes: list[str]
) -> Transcript:
    notes.append("a response head" if head.heads == 1 else f"{head.heads} response heads")
    if head.more:
        raise UsageError(f"{name}: more than one answer in one file: save each in its own")
    if head.status < 200:
        raise UsageError(
            f"{name}: nothing but the head of a {head.status}: the answer itself is missing"
        )
    header: dict[str, Any] = {
        "response": {
            "status": head.status,
            "reason": head.reason,
            "headers": [list(each) for each in head.headers],
        }
    }
    if head.asked is not None:
        header["request"] = {"method": head.asked[0], "url": head.asked[1]}
    body = head.body
    _refuse_strangers(body, name)
    announced = head.header("content-length")
    from soundstage.saved import heads

    if "chunked" in (head.header("transfer-encoding") or "").lower():
        chunks = heads.dechunked(body)
        if chunks is not None:
            body, doubt = chunks.body, doubt if chunks.whole else _CUT
    elif doubt is None and _is_shorter(body, announced):
        doubt = SHORTER
    body, doubt = _decoded(body, head.header("content-encoding") or "", name, doubt, limit, notes)
    if not body and announced != "0" and not 300 <= head.status < 400 and head.status != 204:
        doubt = NO_BODY
    return _exchange(header, body, doubt)


def _refuse_strangers(body: bytes, name: str) -> None:
    from soundstage.saved import look_alikes

    if (said := look_alikes.not_a_response(body)) is not None:
        raise UsageError(f"{name}: {said}")


def _is_shorter(body: bytes, announced: str | None) -> bool:
    """Whether a body has fewer bytes than its Content-Length. Editors and shells change line ends,
    so that it may have lost a byte a line.
    """
    length = re.fullmatch("[0-9]{1,18}", announced or "")
    return length is not None and int(length[0]) > len(body) + body.count(b"\n")


def _decoded(
    body: bytes, coding: str, name: str, doubt: str | None, limit: int, notes: list[str]
) -> tuple[bytes, str | None]:
    """The body without its content coding, where that is still on it."""
    packed = compression.unpacked(body, name, limit)
    if packed is None and coding:
        try:
            packed = compression.undone(body, coding, limit)
        except UsageError as error:
            raise UsageError(f"{name}: {error}") from error
    if packed is None:
        return body, doubt
    notes.append(packed.coding)
    return packed.data, _CUT if packed.cut else doubt


def _without_mark(body: bytes, notes: list[str]) -> bytes:
    """JSON without the byte order mark that editors put before it, and servers must not (RFC 8259,
    section 8.1). One before events may be the stream's own.
    """
    if not body.startswith(UTF8_BOM) or sniff_framing(body[:65_536], ended=False) == "sse":
        return body
    notes.append("a byte order mark")
    return body[len(UTF8_BOM) :]


def _exchange(header: dict[str, Any], body: bytes, doubt: str | None) -> Transcript:
    end = {"kind": "complete", "fault_of": None, "message": "", "cut": None, "t": 0.0}
    pieces = [(0.0, body, False)] if body else []
    return Transcript({**header, "timing": "file"}, pieces, end, doubt)
