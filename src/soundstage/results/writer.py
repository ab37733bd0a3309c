"""Writes a run bundle, as the run goes, so that a killed run leaves one that can be read.

Rows are held against the schema on their way in, and are on disk within a second.
"""

from __future__ import annotations

import gzip
import threading
from collections.abc import Iterable, Mapping
from contextlib import suppress
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, Self, cast

import orjson

from soundstage.errors import TargetError, UsageError, not_written
from soundstage.output import outgoing
from soundstage.output.written_files import create, replace
from soundstage.results.layout import (
    EXCHANGES,
    FORMAT,
    HEALTH,
    OBSERVED,
    RESERVE,
    RULES,
    RUN,
    TRANSCRIPT_NAME,
    TRANSCRIPTS,
    VIOLATIONS,
    Row,
    fixed_words,
    free_folder,
    portable,
    why_invalid,
    why_not_observed,
)

#: A flush is due at this many rows, or this many seconds after the oldest unwritten one.
FLUSH_ROWS = 256
FLUSH_SECONDS = 1.0


#: Room that is kept free for the last word, in a file of this name and size (bytes).
_RESERVED = 32 * 2**10


class BundleWriter:
    """Writes a bundle. Make one with `create`; safe to call from several threads or greenlets.
    Whatever is written goes through `outgoing` first: no secret that this process knows gets in.

    Where nothing more can be written (a full disk), each call raises TargetError; or, if it is
    `patient`, only `finish` does, so that a run can come to its verdict all the same.
    """

    def __init__(self, path: Path, run: Row, *, patient: bool = False) -> None:
        self.path = path
        self.run = run
        self._patient = patient
        self._lock = threading.RLock()
        self._rows: list[bytes] = []
        self._timer: threading.Timer | None = None
        self._broken: OSError | None = None
        self._open = True
        self._exchanges = _Appended(path / EXCHANGES)
        self._violations = _Appended(path / VIOLATIONS)
        self._health: _Appended | None = None

    @classmethod
    def create(cls, dir: Path, run: Mapping[str, Any], *, patient: bool = False) -> BundleWriter:
        """Start a bundle in `dir`, which must be new or empty.

        `run` is run.json without what only the end knows: `format`, `id` (the folder's name),
        `created`, `finished`, `status`, `verdict`, `reason`, `exit_code`, `voids` and `totals`
        are filled in; `seed`, `parameters`, `versions`, `contracts` may be left out too.

        Raises UsageError when the folder holds something, cannot be one, or `run` is not valid;
        TargetError when the system refuses it.
        """
        path = Path(dir)
        whole: Row = {
            "format": FORMAT,
            "id": path.resolve().name,
            "created": _instant(),
            "contracts": {},
            "versions": {},
            "seed": None,
            "parameters": {},
            "reason": None,
            "voids": [],
            "totals": {},
            **run,
            "finished": None,
            "status": "running",
            "verdict": None,
            "exit_code": None,
        }
        whole = _kept(whole)
        why = why_invalid(None, whole)
        if why is not None:
            raise UsageError(f"{path / RUN}: {why}")
        try:
            path.mkdir(parents=True, exist_ok=True)
            free_folder(path)
            create(path / RUN, _document(whole))
            (path / TRANSCRIPTS).mkdir()
            create(path / RESERVE, bytes(_RESERVED))
            return cls(path, whole, patient=patient)
        except OSError as error:
            raise not_written(path, error, "cannot hold a run bundle") from error

    def began(self, from_now_s: float = 0.0) -> None:
        """Say that the moment from which rows count their nanoseconds is so many seconds from now,
        where it is not that of `create`; in run.json from `finish` on.
        """
        self.run["began"] = _instant(datetime.now(UTC) + timedelta(seconds=from_now_s))

    def exchange(self, row: Mapping[str, Any]) -> None:
        """Add an exchange. It is on disk after at most `FLUSH_SECONDS`."""
        line = _line("exchange", row)
        with self._lock:
            self._must_be_open()
            self._rows.append(line)
            if len(self._rows) >= FLUSH_ROWS:
                self.flush()
            elif self._timer is None:
                self._timer = threading.Timer(FLUSH_SECONDS, self._flush_in_time)
                self._timer.daemon = True
                self._timer.start()

    def violations(self, rows: Iterable[Mapping[str, Any]]) -> None:
        """Add violations; they are on disk when this returns."""
        lines = b"".join(_line("violation", row) for row in rows)
        with self._lock:
            self._must_be_open()
            if lines:
                self._write(self._violations, lines)

    def transcript(self, name: str, data: bytes) -> str:
        """Keep a transcript; returns its path inside the bundle, for the exchange's row.

        `name` is a plain file name (`e000001`, `.ndjson` is added where it has no suffix).
        Raises UsageError for any other name, or one that is taken.
        """
        if not TRANSCRIPT_NAME.fullmatch(name):
            raise UsageError(f"{self.path / TRANSCRIPTS}: {name!r} is no name for a transcript")
        file_name = name if "." in name else f"{name}.ndjson"
        place = self.path / TRANSCRIPTS / file_name
        try:
            create(place, data)
        except FileExistsError:
            raise UsageError(f"{place}: there is a transcript of this name already") from None
        except OSError as error:
            if not self._patient:
                raise TargetError(f"{place}: cannot write: {error.strerror}") from error
            with self._lock:
                self._break(error)
        return f"{TRANSCRIPTS}/{file_name}"

    def health(self, row: Mapping[str, Any]) -> None:
        """Add a sample of how the load generator does; it is on disk when this returns."""
        line = _line("health", row)
        with self._lock:
            self._must_be_open()
            try:
                self._health = self._health or _Appended(self.path / HEALTH)
            except OSError as error:
                self._broke(error)
            else:
                self._write(self._health, line)

    def observed(self, document: Mapping[str, Any]) -> None:
        """Write `observed.json` (observed.schema.json), in place of one that is there already.
        Raises ValueError if the document is not valid.
        """
        document = _kept(document)
        why = why_not_observed(document)
        if why is not None:
            raise ValueError(f"{OBSERVED} {why}")
        with self._lock:
            self._must_be_open()
            try:
                replace(self.path / OBSERVED, orjson.dumps(document), sync=True)
            except OSError as error:
                self._broke(error)

    def flush(self) -> None:
        """Put the rows so far on disk, as one gzip member."""
        with self._lock:
            if self._timer is not None:
                self._timer.cancel()
                self._timer = None
            if self._rows:
                member = gzip.compress(b"".join(self._rows), compresslevel=3, mtime=0)
                self._rows.clear()
                self._write(self._exchanges, member)

    def finish(
        self,
        *,
        verdict: str | None,
        exit_code: int | None,
        reason: str | None,
        rules: Iterable[Mapping[str, Any]],
        voids: Iterable[Mapping[str, Any]] = (),
        totals: Mapping[str, Any] | None = None,
        status: str = "complete",
        budget: Mapping[str, Any] | None = None,
        clock: Mapping[str, Any] | None = None,
        slos: Iterable[Mapping[str, Any]] | None = None,
        capacity: Mapping[str, Any] | None = None,
        looks: Mapping[str, Any] | None = None,
        workers: Iterable[Mapping[str, Any]] | None = None,
        selection: Mapping[str, Any] | None = None,
        sending: Mapping[str, Any] | None = None,
    ) -> None:
        """End the run: write the rules and put the final run.json in place of the first one.

        `status` is "complete", or "interrupted" when the run was stopped; `budget` and `clock`
        replace what `create` was given; `slos`, `capacity`, `looks`, `workers`, `selection` and
        `sending` are there only if they are given.
        Raises ValueError if the result is not valid, TargetError if it cannot be written: `run` is
        what it would have been.
        """
        with self._lock:
            if not self._open:
                raise ValueError(f"{self.path}: this bundle is finished")
            changed = {"budget": budget, "clock": clock}
            whole: Row = {
                **self.run,
                **{key: dict(value) for key, value in changed.items() if value is not None},
                "finished": _instant(),
                "status": status,
                "verdict": verdict,
                "exit_code": None if exit_code is None else int(exit_code),
                "reason": reason,
                "voids": [dict(void) for void in voids],
                "totals": dict(totals or {}),
                **({} if slos is None else {"slos": [dict(each) for each in slos]}),
                **({} if capacity is None else {"capacity": dict(capacity)}),
                **({} if looks is None else {"looks": dict(looks)}),
                **({} if workers is None else {"workers": [dict(each) for each in workers]}),
                **({} if selection is None else {"selection": dict(selection)}),
                **({} if sending is None else {"sending": dict(sending)}),
            }
            whole = _kept(whole)
            why = why_invalid(None, whole)
            if why is not None:
                raise ValueError(f"{RUN} {why}")
            lines = b"".join(_line("rule", rule) for rule in rules)
            try:
                self._end()
                if self._broken is None:
                    replace(self.path / RULES, lines, sync=True)
                    replace(self.path / RUN, _document(whole), sync=True)
            except OSError as error:
                self._break(error)
            finally:
                self.run = whole
            if self._broken is not None:
                raise self._failed(self._broken)

    def close(self) -> None:
        """Put everything on disk and let go. Without `finish` the bundle counts as incomplete."""
        with self._lock:
            if self._open:
                self._end()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def _must_be_open(self) -> None:
        if not self._open:
            raise ValueError(f"{self.path}: this bundle is finished")
        if self._broken is not None and not self._patient:
            raise self._failed(self._broken)

    def _flush_in_time(self) -> None:
        # Nobody hears a timer: the next call of the writer says it.
        with suppress(TargetError):
            self.flush()

    def _end(self) -> None:
        try:
            self.flush()
        finally:
            self._open = False
            self._exchanges.close()
            self._violations.close()
            if self._health is not None:
                self._health.close()
            with suppress(OSError):
                (self.path / RESERVE).unlink(missing_ok=True)

    def _write(self, file: _Appended, data: bytes) -> None:
        if self._broken is None:
            try:
                file.append(data)
            except OSError as error:
                self._broke(error)

    def _broke(self, error: OSError) -> None:
        self._break(error)
        if not self._patient:
            raise self._failed(error) from error

    def _failed(self, error: OSError) -> TargetError:
        return TargetError(f"{self.path}: cannot write: {error.strerror}")

    def _break(self, error: OSError) -> None:
        """Nothing more can be written, but for the reason: there is room kept for it."""
        if self._broken is not None:
            return
        self._broken = error
        reason = f"nothing more could be written: {error.strerror}"
        void = {"kind": "incomplete", "message": reason}
        with suppress(OSError):
            (self.path / RESERVE).unlink(missing_ok=True)
            last = _document({**self.run, "reason": reason, "voids": [void]})
            replace(self.path / RUN, last, sync=True)


class _Appended:
    """A file that only grows, by whole pieces: one that does not fit leaves no part of it behind,
    so that the file stays readable when the disk is full.
    """

    def __init__(self, path: Path) -> None:
        self._file = path.open("xb", buffering=0)
        self._size = 0

    def append(self, data: bytes) -> None:
        """Raises OSError if there is no room for all of it."""
        rest = memoryview(data)
        try:
            while rest:
                rest = rest[self._file.write(rest) :]
        except OSError:
            with suppress(OSError):
                self._file.truncate(self._size)
                self._file.seek(self._size)
            raise
        self._size += len(data)

    def close(self) -> None:
        self._file.close()


def _document(run: Row) -> bytes:
    try:
        return orjson.dumps(run, option=orjson.OPT_INDENT_2 | orjson.OPT_APPEND_NEWLINE)
    except TypeError:
        return _document(cast(Row, portable(run)))


def _line(definition: str, row: Mapping[str, Any]) -> bytes:
    """One NDJSON line. ValueError if the row is not as the schema says: that is our bug."""
    why = why_invalid(definition, row)
    if why is not None:
        raise ValueError(f"{definition} row {why}")
    line = _dumped(row)
    return _dumped(_kept(row)) if outgoing.may_hold(line) else line


def _dumped(row: Mapping[str, Any]) -> bytes:
    try:
        return orjson.dumps(row, option=orjson.OPT_APPEND_NEWLINE)
    except TypeError:
        return orjson.dumps(portable(row), option=orjson.OPT_APPEND_NEWLINE)


def _kept(document: Mapping[str, Any]) -> Row:
    """What may be written of a row or a document; what the format fixes stays."""
    return cast(Row, outgoing.document(document, fixed_words()))


def _instant(at: datetime | None = None) -> str:
    moment = at or datetime.now(UTC)
    return moment.isoformat(timespec="milliseconds").replace("+00:00", "Z")
