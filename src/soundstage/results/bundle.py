"""A run bundle: the folder that holds a run, written as the run goes, read as a stream of rows.

    run.json              what ran, against what, and the verdict (run.schema.json)
    exchanges.ndjson.gz   a row an exchange, one gzip member a flush
    violations.ndjson     a row a violation
    rules.ndjson          a row for each rule at an endpoint, written at the end
    observed.json         which shapes of chunks and results were seen, written at the end
    health.ndjson         how the load generator itself did, a row a second (load runs only)
    transcripts/          raw exchanges, those that a reader will want to see

A killed run leaves a readable bundle: run.json then still says "running". Nothing here judges or
draws. `layout` says what the files are, `writer` writes them; here they are read.
"""

from __future__ import annotations

import contextlib
import os
import queue
import threading
import zlib
from collections.abc import Callable, Iterator
from datetime import datetime
from pathlib import Path
from typing import Any, cast

import orjson

from soundstage.errors import NoDataError, UsageError
from soundstage.output.cutting import head
from soundstage.results.layout import (
    EXCHANGES,
    FORMAT,
    HEALTH,
    OBSERVED,
    RULES,
    RUN,
    TRANSCRIPT_NAME,
    TRANSCRIPTS,
    VIOLATIONS,
    Row,
    new_folder,
    portable,
    row_decoder,
    valid,
    why_invalid,
    why_not_observed,
    why_unreadable,
)
from soundstage.results.writer import FLUSH_ROWS, FLUSH_SECONDS, BundleWriter
from soundstage.untrusted.strange_files import is_plain, leads_out, open_plain, read_plain

__all__ = [
    "EXCHANGES",
    "FLUSH_ROWS",
    "FLUSH_SECONDS",
    "FORMAT",
    "HEALTH",
    "OBSERVED",
    "RULES",
    "RUN",
    "TRANSCRIPTS",
    "VIOLATIONS",
    "Bundle",
    "BundleWriter",
    "Row",
    "new_folder",
    "portable",
    "read_observed",
    "why_not_observed",
]

#: A line longer than this is no row of ours, and a longer run.json or observed.json none either:
#: refuse it before it fills the memory.
LINE_LIMIT, DOCUMENT_LIMIT = 16 * 2**20, 64 * 2**20
#: So many rows a file may have: those of a run of a day at a hundred a second; and of its rules.
ROW_LIMIT, RULE_LIMIT = 10_000_000, 20_000
#: Rows shrink to a tenth or so. What unpacks to so many times its size, beyond the first bytes, was
#: made to fill a memory (deflate gives a thousand times at most).
UNPACKED_TIMES, UNPACKED_FREELY = 100, 64 * 2**20

_PIECE = 256 * 1024
#: So many lines more than every second may be none for the decoder of plain rows: then it is no
#: longer asked.
_PATIENCE = 100
#: A file of exchanges of so many bytes is inflated by a thread of its own, so many pieces ahead.
_LARGE, _AHEAD = 8 * 2**20, 8
#: About so many bytes are a part that is read by itself: the rows of half a second or so.
_PART = 8 * 2**20
#: What a gzip member begins with (RFC 1952, 2.3): its mark, deflate, and no further fields.
_MEMBER = b"\x1f\x8b\x08\x00"


def read_observed(path: Path, *, within: Path | None = None) -> Row:
    """An `observed.json`, wherever it lies, or if it lies `within` a folder of others. Raises
    UsageError with file, place and reason, NoDataError for one of a version before.
    """
    document = _document(path, DOCUMENT_LIMIT, within)
    if isinstance(document, dict) and document.get("format") == 1:
        raise NoDataError(f"{path}: of an older version (format 1), which cannot be compared")
    why = why_not_observed(document)
    if why is not None:
        raise UsageError(f"{path}: {why}")
    return cast(Row, document)


def _document(path: Path, most: int, within: Path | None) -> object:
    """A JSON document of at most `most` bytes. Raises UsageError, NoDataError for an empty one."""
    try:
        data = read_plain(path, most=most, within=within)
    except OSError as error:
        raise UsageError(f"{path}: cannot read: {error.strerror}") from error
    if not data.strip(b"\0 \n"):
        raise NoDataError(f"{path}: empty; the run was killed before it began")
    try:
        document = orjson.loads(data)
        orjson.dumps(document)
    except orjson.JSONDecodeError as error:
        raise UsageError(f"{path}:{error.lineno}:{error.colno}: {error.msg}") from error
    except TypeError as error:  # what cannot be written again is nested too deep
        raise UsageError(f"{path}: {error}") from error
    return _whole(document)


def _whole(value: object) -> object:
    """`value` with whole numbers as integers: to JSON Schema 3.0 is one, to Python it is not."""
    if isinstance(value, float) and value.is_integer() and abs(value) < 2**53:
        return int(value)
    if isinstance(value, dict):
        return {name: _whole(each) for name, each in value.items()}
    if isinstance(value, list):
        return [_whole(each) for each in value]
    return value


class Bundle:
    """A bundle on disk, complete or not. Its rows are read as streams, never held."""

    def __init__(self, path: Path, run: Row) -> None:
        self.path = path
        self.run = run
        self._torn: set[str] = set()

    @classmethod
    def open(cls, dir: Path) -> Bundle:
        """Raises UsageError when `dir` is no bundle that we can read, NoDataError when empty."""
        path = Path(dir)
        place = path / RUN
        try:
            place.lstat()
        except FileNotFoundError:
            if not path.exists():
                raise UsageError(f"{path}: no such folder") from None
            if not any(path.iterdir()):
                raise NoDataError(f"{path}: an empty folder, no run to report") from None
            raise UsageError(f"{path}: not a run bundle: it has no {RUN}") from None
        except NotADirectoryError:
            raise UsageError(f"{path}: not a run bundle: it is no folder") from None
        except (OSError, ValueError) as error:
            raise UsageError(f"{place}: cannot read: {error}") from error
        run = _document(place, DOCUMENT_LIMIT, path)
        if isinstance(run, dict) and run.get("format") != FORMAT:
            raise UsageError(f"{place}: /format: {head(repr(run.get('format')), 40)}, not {FORMAT}")
        why = why_invalid(None, run) or _why_no_time(cast(Row, run))
        if why is not None:
            raise UsageError(f"{place}: {why}")
        return cls(path, cast(Row, run))

    @property
    def complete(self) -> bool:
        """Whether the run came to its end. "running" means that it was killed, or still runs."""
        return bool(self.run["status"] == "complete")

    @property
    def torn(self) -> int:
        """How many files ended in the middle of a row, of those read so far."""
        return len(self._torn)

    def exchanges(self) -> Iterator[Row]:
        """The rows of exchanges.ndjson.gz. Raises UsageError at a damaged one."""
        return self._exchanges(lambda path, within: _ahead(path, self._inflated(path, within)))

    def part(self, begin: int, end: int | None) -> Iterator[Row]:
        """The rows of the bytes of exchanges.ndjson.gz from `begin` to `end` (None: the last one),
        two of `places` that follow each other. Lines count from `begin`.
        """
        return self._exchanges(lambda path, within: self._inflated(path, within, begin, end))

    def _exchanges(self, read: Callable[[Path, Path], Iterator[bytes]]) -> Iterator[Row]:
        return self._rows(EXCHANGES, "exchange", ROW_LIMIT, read)

    def places(self) -> list[int]:
        """Places in exchanges.ndjson.gz at which rows begin, about evenly spread, for those who
        share the reading: the first is 0. The same for the same file, whoever asks.
        """
        found = [0]
        try:
            file = open_plain(self.path / EXCHANGES, within=self.path)
        except (OSError, UsageError):
            return found
        with file, contextlib.suppress(OSError):
            size = os.fstat(file.fileno()).st_size
            for about in range(_PART, size - _PART // 2, _PART):
                file.seek(about)
                at = _begin_of_member(file.read(_PART // 2))
                found += [] if at is None else [about + at]
        return found

    def tear(self) -> None:
        """The exchanges were read elsewhere, and ended in the middle of a row."""
        self._torn.add(EXCHANGES)

    def violations(self) -> Iterator[Row]:
        """The rows of violations.ndjson. Raises UsageError at a damaged one."""
        return self._rows(VIOLATIONS, "violation", ROW_LIMIT, _pieces)

    def health(self) -> Iterator[Row]:
        """The rows of health.ndjson; none where the generator was not watched. Raises UsageError at
        a damaged one.
        """
        return self._rows(HEALTH, "health", ROW_LIMIT, _pieces)

    def rules(self) -> Iterator[Row]:
        """The rows of rules.ndjson; none before the run's end. Raises UsageError at a damaged
        one.
        """
        return self._rows(RULES, "rule", RULE_LIMIT, _pieces)

    def observed(self) -> Row | None:
        """The document of observed.json; None where the run wrote none. Raises UsageError at one
        that is not valid.
        """
        path = self.path / OBSERVED
        return read_observed(path, within=self.path) if os.path.lexists(path) else None

    def transcripts(self) -> list[str]:
        """The paths inside the bundle of its transcripts, sorted."""
        folder = self.path / TRANSCRIPTS
        if not folder.is_dir() or leads_out(folder, self.path):
            return []
        names = (name for name in os.listdir(folder) if TRANSCRIPT_NAME.fullmatch(name))
        return sorted(
            f"{TRANSCRIPTS}/{name}" for name in names if is_plain(folder / name, within=self.path)
        )

    def transcript(self, place: str, most: int) -> bytes | None:
        """The first `most` bytes of a transcript by its path inside the bundle; None of what is
        none of `transcripts`.
        """
        folder, _, name = place.partition("/")
        if folder != TRANSCRIPTS or not TRANSCRIPT_NAME.fullmatch(name):
            return None
        try:
            with open_plain(self.path / place, within=self.path) as file:
                return file.read(most)
        except (OSError, UsageError):
            return None

    def _rows(
        self, name: str, definition: str, most: int, read: Callable[[Path, Path], Iterator[bytes]]
    ) -> Iterator[Row]:
        """The rows of a file, each held against the schema. Of more than `most` nothing is read."""
        path = self.path / name
        number = 0
        carry = b""
        if not os.path.lexists(path):
            return
        read_row = _row_reader(definition)
        for piece in read(path, self.path):
            *lines, carry = (carry + piece).split(b"\n")
            if len(carry) > LINE_LIMIT:
                raise UsageError(f"{path}:{number + len(lines) + 1}: longer than {LINE_LIMIT} B")
            if number + len(lines) > most:
                raise UsageError(f"{path}: more than {most:,} rows")
            for line in lines:
                number += 1
                row = read_row(line)
                yield _parsed(path, number, definition, line) if row is None else row
        if carry.strip(b"\0"):
            # No line end: the writer was killed here. What is whole is kept all the same.
            try:
                row = orjson.loads(carry)
            except orjson.JSONDecodeError:
                self._torn.add(name)
            else:
                yield _parsed(path, number + 1, definition, carry)

    def _inflated(
        self, path: Path, within: Path, begin: int = 0, end: int | None = None
    ) -> Iterator[bytes]:
        """The content of a gzip file of many members, of which the last may be torn."""
        member: Any = None
        begun = packed = unpacked = 0
        for piece in _pieces(path, within, begin, end):
            rest = piece
            packed += len(piece)
            while rest:
                if member is None:
                    rest = rest.lstrip(b"\0")  # a file system may pad what it lost
                    if not rest:
                        break
                    member = zlib.decompressobj(wbits=31)
                try:
                    text = member.decompress(rest, _PIECE * 4)
                except zlib.error as error:
                    raise UsageError(f"{path}: gzip member {begun}: {error}") from error
                unpacked += len(text)
                if unpacked > max(UNPACKED_FREELY, packed * UNPACKED_TIMES):
                    raise UsageError(
                        f"{path}: unpacks to more than {UNPACKED_TIMES} times its size: no run's "
                        "rows are so much alike"
                    )
                yield text
                if member.eof:
                    begun += 1
                    rest, member = member.unused_data, None
                else:
                    rest = member.unconsumed_tail
        if member is not None:
            yield member.flush()
            if not member.eof:
                self._torn.add(path.name)


def _begin_of_member(piece: bytes) -> int | None:
    """Where in these bytes of a file of exchanges a gzip member begins, with a row."""
    at = piece.find(_MEMBER)
    while at >= 0:
        # These bytes may also come of chance: what follows is a member if rows come of it.
        with contextlib.suppress(zlib.error):
            text = zlib.decompressobj(wbits=31).decompress(piece[at : at + _PIECE], _PIECE)
            if text.startswith(b"{") and text.count(b"\n{") > 1:
                return at
        at = piece.find(_MEMBER, at + 1)
    return None


def _ahead(path: Path, pieces: Iterator[bytes]) -> Iterator[bytes]:
    """`pieces` of a large file, made by a thread some pieces ahead of whoever takes them: zlib lets
    the interpreter go meanwhile. What is raised there is raised here.
    """
    try:
        large = path.stat().st_size > _LARGE
    except OSError:
        large = False
    if not large:
        yield from pieces
        return
    made: queue.Queue[bytes | BaseException | None] = queue.Queue(_AHEAD)
    stop = threading.Event()

    def make() -> None:
        last: BaseException | None = None
        try:
            for piece in pieces:
                if stop.is_set():
                    return
                made.put(piece)
        except BaseException as error:  # noqa: BLE001 -- raised again by who takes the pieces
            last = error
        made.put(last)

    maker = threading.Thread(target=make, daemon=True, name="inflate")
    maker.start()
    try:
        while isinstance(piece := made.get(), bytes):
            yield piece
        if piece is not None:
            raise piece
    finally:
        stop.set()
        while maker.is_alive():  # it may wait for room
            with contextlib.suppress(queue.Empty):
                made.get_nowait()
            maker.join(0.01)


def _pieces(path: Path, within: Path, begin: int = 0, end: int | None = None) -> Iterator[bytes]:
    try:
        with open_plain(path, within=within) as file:
            file.seek(begin)
            at = begin
            while piece := file.read(_PIECE if end is None else min(_PIECE, end - at)):
                at += len(piece)
                yield piece
    except OSError as error:
        raise UsageError(f"{path}: cannot read: {error.strerror}") from error


def _row_reader(definition: str) -> Callable[[bytes], Row | None]:
    """What reads a line, and holds it against the schema, as `_parsed` does, but in a third of the
    time: there may be millions. None: `_parsed` has to say what is wrong.
    """
    is_valid = valid(definition)

    def any_row(line: bytes) -> Row | None:
        try:
            row: Row = orjson.loads(line)
            return row if is_valid(row) else None
        except ValueError:  # no JSON, or nested deeper than the validator goes
            return None

    decode = row_decoder(definition)
    if decode is None:
        return any_row
    plain, refused = decode
    tried = failed = 0

    def plain_row(line: bytes) -> Row | None:
        nonlocal tried, failed
        if failed <= tried // 2 + _PATIENCE and line.isascii():
            tried += 1
            try:
                return plain(line)
            except refused:
                failed += 1
        return any_row(line)

    return plain_row


def _parsed(path: Path, number: int, definition: str, line: bytes) -> Row:
    """A row with all that is to be said against it. Raises UsageError with file and line."""
    try:
        row = orjson.loads(line)
    except orjson.JSONDecodeError as error:
        raise UsageError(f"{path}:{number}:{error.colno}: {error.msg}") from error
    if not isinstance(row, dict):
        raise UsageError(f"{path}:{number}: not a JSON object")
    why = why_unreadable(definition, row)
    if why is not None:
        raise UsageError(f"{path}:{number}: {why}")
    return row


def _why_no_time(run: Row) -> str | None:
    """What is wrong with the instants of a run.json that has the form of one; None if nothing is.
    Patterns let the 31st of February pass.
    """
    for name in ("created", "finished"):
        try:
            if run[name] is not None:
                datetime.fromisoformat(run[name])
        except ValueError as error:
            return f"/{name}: {error}"
    return None
