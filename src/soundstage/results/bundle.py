"""A run bundle: the folder that holds a run, written as the run goes, read as a stream of rows.

    run.json              what ran, against what, and the verdict (run.schema.json)
    exchanges.ndjson.gz   a row an exchange, one gzip member a flush
    violations.ndjson     a row a violation
    rules.ndjson          a row for each rule at an endpoint, written at the end
    observed.json         which shapes of chunks and results were seen, written at the end
    health.ndjson         how the load generator itself did, a row a second (load runs only)
    transcripts/          raw exchanges, those that a reader will want to see

A killed run leaves a readable bundle: run.json then still says "running". Nothing here judges or
draws; rows are checked against the schema on their way in.
"""

from __future__ import annotations

import contextlib
import gzip
import os
import queue
import re
import secrets
import threading
import zlib
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import suppress
from datetime import UTC, datetime
from functools import cache
from importlib import resources
from pathlib import Path
from typing import Any, Self, cast

import jsonschema_rs
import orjson

from soundstage.errors import NoDataError, TargetError, UsageError

FORMAT = 1

RUN = "run.json"
EXCHANGES = "exchanges.ndjson.gz"
VIOLATIONS = "violations.ndjson"
RULES = "rules.ndjson"
OBSERVED = "observed.json"
HEALTH = "health.ndjson"
TRANSCRIPTS = "transcripts"

#: A flush is due at this many rows, or this many seconds after the oldest unwritten one.
FLUSH_ROWS = 256
FLUSH_SECONDS = 1.0

#: A line longer than this is no row of ours: refuse it before it fills the memory.
LINE_LIMIT = 16 * 1024 * 1024

_PIECE = 256 * 1024
#: A file of exchanges of so many bytes is inflated by a thread of its own, so many pieces ahead.
_LARGE, _AHEAD = 8 * 2**20, 8
_TRANSCRIPT_NAME = re.compile(r"[A-Za-z0-9_-][A-Za-z0-9._-]{0,120}")

Row = dict[str, Any]


@cache
def _validator(definition: str | None) -> jsonschema_rs.Validator:
    """The check for run.json (None) or for one of the row kinds of `$defs`."""
    text = resources.files(__package__).joinpath("run.schema.json").read_text("utf-8")
    schema = orjson.loads(text)
    if definition is not None:
        schema = {
            "$schema": schema["$schema"],
            "$ref": f"#/$defs/{definition}",
            "$defs": schema["$defs"],
        }
    return jsonschema_rs.validator_for(schema)


def _why_invalid(definition: str | None, value: object) -> str | None:
    """None if `value` meets the schema, else "/pointer: reason" of the first fault."""
    validator = _validator(definition)
    try:
        if validator.is_valid(value):
            return None
    except UnicodeEncodeError:
        return _why_invalid(definition, _portable(value))
    for error in validator.iter_errors(value):
        pointer = "".join(f"/{step}" for step in error.instance_path)
        reason = str(error.message)
        return f"{pointer or '(whole)'}: {reason if len(reason) < 300 else reason[:300] + '…'}"
    return "(whole): not valid"


def new_folder(kind: str, parent: Path = Path("runs"), now: datetime | None = None) -> Path:
    """A folder name for a new run, not yet made: `runs/2026-11-21T08-36-15-check-3f2a` (UTC)."""
    moment = (now or datetime.now(UTC)).astimezone(UTC)
    return parent / f"{moment:%Y-%m-%dT%H-%M-%S}-{kind}-{secrets.token_hex(2)}"


def _instant() -> str:
    return datetime.now(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")


def _portable(value: object) -> object:
    """`value` with what JSON in UTF-8 cannot carry (lone surrogates, huge integers) as text."""
    if isinstance(value, str):
        return value.encode("utf-8", "backslashreplace").decode("utf-8")
    if isinstance(value, int) and not -(2**63) <= value < 2**64:
        return str(value)
    if isinstance(value, Mapping):
        return {str(_portable(key)): _portable(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [_portable(item) for item in value]
    return value


def _line(definition: str, row: Mapping[str, Any]) -> bytes:
    """One NDJSON line. ValueError if the row is not as the schema says: that is our bug."""
    why = _why_invalid(definition, row)
    if why is not None:
        raise ValueError(f"{definition} row {why}")
    try:
        return orjson.dumps(row, option=orjson.OPT_APPEND_NEWLINE)
    except TypeError:
        return orjson.dumps(_portable(row), option=orjson.OPT_APPEND_NEWLINE)


@cache
def _observed_validator() -> jsonschema_rs.Validator:
    text = resources.files(__package__).joinpath("observed.schema.json").read_text("utf-8")
    return jsonschema_rs.validator_for(orjson.loads(text))


def why_not_observed(document: object) -> str | None:
    """None if `document` is what `observed.json` may hold, else "/pointer: reason"."""
    for error in _observed_validator().iter_errors(document):
        pointer = "".join(f"/{step}" for step in error.instance_path)
        return f"{pointer or '(whole)'}: {str(error.message)[:300]}"
    return None


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


class BundleWriter:
    """Writes a bundle. Make one with `create`; safe to call from several threads or greenlets."""

    def __init__(self, path: Path, run: Row) -> None:
        self.path = path
        self.run = run
        self._lock = threading.RLock()
        self._rows: list[bytes] = []
        self._timer: threading.Timer | None = None
        self._broken: OSError | None = None
        self._open = True
        self._exchanges = _Appended(path / EXCHANGES)
        self._violations = _Appended(path / VIOLATIONS)
        self._health: _Appended | None = None

    @classmethod
    def create(cls, dir: Path, run: Mapping[str, Any]) -> BundleWriter:
        """Start a bundle in `dir`, which must be new or empty.

        `run` is run.json without what only the end knows: `format`, `id` (the folder's name),
        `created`, `finished`, `status`, `verdict`, `reason`, `exit_code`, `voids` and `totals`
        are filled in; `seed`, `parameters`, `versions`, `contracts` may be left out too.

        Raises UsageError when the folder holds something, cannot be made, or `run` is not valid.
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
        why = _why_invalid(None, whole)
        if why is not None:
            raise UsageError(f"{path / RUN}: {why}")
        try:
            path.mkdir(parents=True, exist_ok=True)
            if any(path.iterdir()):
                raise UsageError(f"{path}: not empty; a run bundle needs a folder of its own")
            with (path / RUN).open("xb") as file:
                file.write(_document(whole))
            (path / TRANSCRIPTS).mkdir()
            return cls(path, whole)
        except OSError as error:
            raise UsageError(f"{path}: cannot hold a run bundle: {error.strerror}") from error

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
        if not _TRANSCRIPT_NAME.fullmatch(name):
            raise UsageError(f"{self.path / TRANSCRIPTS}: {name!r} is no name for a transcript")
        file_name = name if "." in name else f"{name}.ndjson"
        place = self.path / TRANSCRIPTS / file_name
        try:
            with place.open("xb") as file:
                file.write(data)
        except FileExistsError:
            raise UsageError(f"{place}: there is a transcript of this name already") from None
        except OSError as error:
            with suppress(OSError):
                place.unlink()  # half a transcript would only confuse
            raise TargetError(f"{place}: cannot write: {error.strerror}") from error
        return f"{TRANSCRIPTS}/{file_name}"

    def health(self, row: Mapping[str, Any]) -> None:
        """Add a sample of how the load generator does; it is on disk when this returns."""
        line = _line("health", row)
        with self._lock:
            self._must_be_open()
            if self._health is None:
                self._health = _Appended(self.path / HEALTH)
            self._write(self._health, line)

    def observed(self, document: Mapping[str, Any]) -> None:
        """Write `observed.json` (observed.schema.json), in place of one that is there already.
        Raises ValueError if the document is not valid.
        """
        why = why_not_observed(document)
        if why is not None:
            raise ValueError(f"{OBSERVED} {why}")
        with self._lock:
            self._must_be_open()
            try:
                _replace(self.path / OBSERVED, orjson.dumps(document))
            except OSError as error:
                raise TargetError(f"{self.path}: cannot write: {error.strerror}") from error

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
        workers: Iterable[Mapping[str, Any]] | None = None,
    ) -> None:
        """End the run: write the rules and put the final run.json in place of the first one.

        `status` is "complete", or "interrupted" when the run was stopped; `budget` and `clock`
        replace what `create` was given; `slos`, `capacity` and `workers` are there only if they are
        given.
        Raises ValueError if the result is not valid.
        """
        with self._lock:
            self._must_be_open()
            changed = {"budget": budget, "clock": clock}
            whole: Row = {
                **self.run,
                **{key: dict(value) for key, value in changed.items() if value is not None},
                "finished": _instant(),
                "status": status,
                "verdict": verdict,
                "exit_code": exit_code,
                "reason": reason,
                "voids": [dict(void) for void in voids],
                "totals": dict(totals or {}),
                **({} if slos is None else {"slos": [dict(each) for each in slos]}),
                **({} if capacity is None else {"capacity": dict(capacity)}),
                **({} if workers is None else {"workers": [dict(each) for each in workers]}),
            }
            why = _why_invalid(None, whole)
            if why is not None:
                raise ValueError(f"{RUN} {why}")
            lines = b"".join(_line("rule", rule) for rule in rules)
            self._end()
            try:
                _replace(self.path / RULES, lines)
                _replace(self.path / RUN, _document(whole))
            except OSError as error:
                raise TargetError(f"{self.path}: cannot write: {error.strerror}") from error
            self.run = whole

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
        if self._broken is not None:
            raise TargetError(f"{self.path}: cannot write: {self._broken.strerror}")

    def _flush_in_time(self) -> None:
        try:
            self.flush()
        except TargetError as error:
            # Nobody hears a timer: the next call of the writer says it.
            if isinstance(error.__cause__, OSError):
                self._broken = error.__cause__

    def _end(self) -> None:
        try:
            self.flush()
        finally:
            self._open = False
            self._exchanges.close()
            self._violations.close()
            if self._health is not None:
                self._health.close()

    def _write(self, file: _Appended, data: bytes) -> None:
        try:
            file.append(data)
        except OSError as error:
            self._broken = error
            raise TargetError(f"{self.path}: cannot write: {error.strerror}") from error


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
        return _document(cast(Row, _portable(run)))


def _replace(path: Path, data: bytes) -> None:
    """Write `path` so that a reader sees the old file or the new one, never a part."""
    temporary = path.with_name(f".{path.name}.tmp")
    try:
        with temporary.open("wb") as file:
            file.write(data)
            file.flush()
            os.fsync(file.fileno())
        temporary.replace(path)
    except OSError:
        with suppress(OSError):
            temporary.unlink()
        raise


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
        why = _why_invalid(None, run)
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

    def exchanges(self) -> Iterator[Row]:
        """The rows of exchanges.ndjson.gz. Raises UsageError at a damaged one."""
        return self._rows(EXCHANGES, lambda path: _ahead(path, self._inflated(path)))

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
            why = _why_invalid("rule", row)
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
        return sorted(f"{TRANSCRIPTS}/{name}" for name in names if _TRANSCRIPT_NAME.fullmatch(name))

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
                yield _parsed(path, number, line)
        if carry.strip(b"\0"):
            # No line end: the writer was killed here. What is whole is kept all the same.
            try:
                row = _parsed(path, number + 1, carry)
            except UsageError:
                self._torn.add(name)
            else:
                yield row

    def _inflated(self, path: Path) -> Iterator[bytes]:
        """The content of a gzip file of many members, of which the last may be torn."""
        member: Any = None
        begun = 0
        for piece in _pieces(path):
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


def _pieces(path: Path) -> Iterator[bytes]:
    try:
        with path.open("rb") as file:
            while piece := file.read(_PIECE):
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
