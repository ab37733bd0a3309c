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
from pathlib import Path
from typing import Any, cast

import orjson

from soundstage.errors import NoDataError, UsageError
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
    why_invalid,
    why_not_observed,
)
from soundstage.results.writer import FLUSH_ROWS, FLUSH_SECONDS, BundleWriter

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

#: A line longer than this is no row of ours: refuse it before it fills the memory.
LINE_LIMIT = 16 * 1024 * 1024

_PIECE = 256 * 1024
#: A file of exchanges of so many bytes is inflated by a thread of its own, so many pieces ahead.
_LARGE, _AHEAD = 8 * 2**20, 8
#: What a gzip member begins with (RFC 1952, 2.3): its mark, deflate, and no further fields.
_MEMBER = b"\x1f\x8b\x08\x00"


def read_observed(path: Path) -> Row:
    """An `observed.json`, wherever it lies. Raises UsageError with file, place and reason."""
    try:
        document = orjson.loads(path.read_bytes())
    except OSError as error:
        raise UsageError(f"{path}: cannot read: {error.strerror}") from error
    except orjson.JSONDecodeError as error:
        raise UsageError(f"{path}:{error.lineno}:{error.colno}: {error.msg}") from error
    why = why_not_observed(document)
    if why is not None:
        raise UsageError(f"{path}: {why}")
    return cast(Row, document)


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
            data = place.read_bytes()
        except FileNotFoundError:
            if not path.exists():
                raise UsageError(f"{path}: no such folder") from None
            if not any(path.iterdir()):
                raise NoDataError(f"{path}: an empty folder, no run to report") from None
            raise UsageError(f"{path}: not a run bundle: it has no {RUN}") from None
        except NotADirectoryError:
            raise UsageError(f"{path}: not a run bundle: it is no folder") from None
        except OSError as error:
            raise UsageError(f"{place}: cannot read: {error.strerror}") from error
        if not data.strip(b"\0 \n"):
            raise NoDataError(f"{place}: empty; the run was killed before it began")
        try:
            run = orjson.loads(data)
        except orjson.JSONDecodeError as error:
            raise UsageError(f"{place}:{error.lineno}:{error.colno}: {error.msg}") from error
        if isinstance(run, dict) and run.get("format") != FORMAT:
            raise UsageError(f"{place}: /format: {run.get('format')!r}, not {FORMAT}")
        why = why_invalid(None, run)
        if why is not None:
            raise UsageError(f"{place}: {why}")
        return cls(path, run)

    @property
    def complete(self) -> bool:
        """Whether the run came to its end. "running" means that it was killed, or still runs."""
        return bool(self.run["status"] == "complete")

    @property
    def torn(self) -> int:
        """How many files ended in the middle of a row, of those read so far."""
        return len(self._torn)

    def exchanges(self, begin: int = 0, end: int | None = None) -> Iterator[Row]:
        """The rows of exchanges.ndjson.gz, or of its bytes from `begin` to `end`, both where a gzip
        member begins (`middle`). Raises UsageError at a damaged one.
        """
        return self._rows(EXCHANGES, lambda path: _ahead(path, self._inflated(path, begin, end)))

    def middle(self) -> int | None:
        """The place in exchanges.ndjson.gz at which about half of its rows have come, for two who
        share the reading; None of a file that is not worth it.
        """
        try:
            with (self.path / EXCHANGES).open("rb") as file:
                half = os.fstat(file.fileno()).st_size // 2
                if half < _LARGE:
                    return None
                file.seek(half)
                piece = file.read(_PIECE * 16)
        except OSError:
            return None
        at = piece.find(_MEMBER)
        while at >= 0:
            # These bytes may also come of chance: what follows is a member if rows come of it.
            with contextlib.suppress(zlib.error):
                text = zlib.decompressobj(wbits=31).decompress(piece[at:], _PIECE)
                if text.startswith(b"{") and text.count(b"\n{") > 1:
                    return half + at
            at = piece.find(_MEMBER, at + 1)
        return None

    def tear(self) -> None:
        """The exchanges were read elsewhere, and ended in the middle of a row."""
        self._torn.add(EXCHANGES)

    def violations(self) -> Iterator[Row]:
        """The rows of violations.ndjson. Raises UsageError at a damaged one."""
        return self._rows(VIOLATIONS, _pieces)

    def health(self) -> Iterator[Row]:
        """The rows of health.ndjson; none where the generator was not watched. Raises UsageError at
        a damaged one.
        """
        return self._rows(HEALTH, _pieces)

    def rules(self) -> Iterator[Row]:
        """The rows of rules.ndjson, checked against the schema; none before the run's end."""
        for number, row in enumerate(self._rows(RULES, _pieces), start=1):
            why = why_invalid("rule", row)
            if why is not None:
                raise UsageError(f"{self.path / RULES}:{number}: {why}")
            yield row

    def observed(self) -> Row | None:
        """The document of observed.json; None where the run wrote none. Raises UsageError at one
        that is not valid.
        """
        path = self.path / OBSERVED
        return read_observed(path) if path.is_file() else None

    def transcripts(self) -> list[str]:
        """The paths inside the bundle of its transcripts, sorted."""
        folder = self.path / TRANSCRIPTS
        if not folder.is_dir():
            return []
        names = (entry.name for entry in folder.iterdir() if entry.is_file())
        return sorted(f"{TRANSCRIPTS}/{name}" for name in names if TRANSCRIPT_NAME.fullmatch(name))

    def _rows(self, name: str, read: Callable[[Path], Iterator[bytes]]) -> Iterator[Row]:
        path = self.path / name
        number = 0
        carry = b""
        if not path.is_file():
            return
        for piece in read(path):
            *lines, carry = (carry + piece).split(b"\n")
            if len(carry) > LINE_LIMIT:
                raise UsageError(f"{path}:{number + len(lines) + 1}: longer than {LINE_LIMIT} B")
            for line in lines:
                number += 1
                # As `_parsed` does, which is called where that fails: there may be millions.
                try:
                    row = orjson.loads(line)
                except orjson.JSONDecodeError:
                    row = None
                yield row if type(row) is dict else _parsed(path, number, line)
        if carry.strip(b"\0"):
            # No line end: the writer was killed here. What is whole is kept all the same.
            try:
                row = _parsed(path, number + 1, carry)
            except UsageError:
                self._torn.add(name)
            else:
                yield row

    def _inflated(self, path: Path, begin: int, end: int | None) -> Iterator[bytes]:
        """The content of a gzip file of many members, of which the last may be torn."""
        member: Any = None
        begun = 0
        for piece in _pieces(path, begin, end):
            rest = piece
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


def _pieces(path: Path, begin: int = 0, end: int | None = None) -> Iterator[bytes]:
    try:
        with path.open("rb") as file:
            file.seek(begin)
            at = begin
            while piece := file.read(_PIECE if end is None else min(_PIECE, end - at)):
                at += len(piece)
                yield piece
    except OSError as error:
        raise UsageError(f"{path}: cannot read: {error.strerror}") from error


def _parsed(path: Path, number: int, line: bytes) -> Row:
    try:
        row = orjson.loads(line)
    except orjson.JSONDecodeError as error:
        raise UsageError(f"{path}:{number}:{error.colno}: {error.msg}") from error
    if not isinstance(row, dict):
        raise UsageError(f"{path}:{number}: not a JSON object")
    return row
