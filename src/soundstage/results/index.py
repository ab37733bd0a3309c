"""The history of runs: an SQLite index over the bundles of a folder, with their tags and pins.

The bundles are the truth and the index is a cache of their run.json: it is brought up to date
whenever it is opened, and made anew when it is lost or damaged. Tags and pins are wishes of people
and no cache: they live in `marks.json` beside the bundles, so that a CI cache that carries the
folder carries them.
"""

from __future__ import annotations

import json
import os
import re
import shutil
import sqlite3
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Final, Self

from soundstage.errors import NoDataError, SoundstageError, TargetError, UsageError, not_written
from soundstage.output import outgoing
from soundstage.output.written_files import replace
from soundstage.results.bundle import RUN, Bundle
from soundstage.untrusted.strange_files import leads_out, read_plain

#: Where `check` and `load` put their bundles unless told otherwise.
ROOT: Final = Path("runs")
INDEX: Final = "index.sqlite"
MARKS: Final = "marks.json"

#: Another layout of the table than this is thrown away and made again.
_LAYOUT: Final = 1
_BUSY_SECONDS: Final = 30.0
_LARGEST_MARKS: Final = 16 * 2**20
_COLUMNS: Final = (
    "id, stamp, kind, created, finished, status, verdict, exit_code, target_kind, target_url,"
    " apis, exchanges, fault"
)
_TABLE: Final = """
CREATE TABLE IF NOT EXISTS runs (
    id TEXT PRIMARY KEY,
    stamp TEXT NOT NULL,
    kind TEXT, created TEXT, finished TEXT, status TEXT, verdict TEXT, exit_code INTEGER,
    target_kind TEXT, target_url TEXT, apis TEXT, exchanges INTEGER,
    fault TEXT
)
"""
#: The files of the index, by what their names end in.
_DATABASE: Final = ("", "-wal", "-shm", "-journal")
#: By these SQLite says that the system, or another process, is in its way: the file may be good.
_REFUSED: Final = frozenset(
    {
        sqlite3.SQLITE_PERM,
        sqlite3.SQLITE_BUSY,
        sqlite3.SQLITE_LOCKED,
        sqlite3.SQLITE_NOMEM,
        sqlite3.SQLITE_READONLY,
        sqlite3.SQLITE_IOERR,
        sqlite3.SQLITE_FULL,
        sqlite3.SQLITE_CANTOPEN,
    }
)
_NAME: Final = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,63}")
_LATEST: Final = re.compile(r"latest(?:~([0-9]{1,6}))?")


@dataclass(frozen=True, slots=True)
class RunEntry:
    """What the index knows of a bundle. `created` and `finished` are ISO 8601 in UTC; `exchanges`
    is None where run.json counts none; `fault` says why a bundle cannot be read, all else is None
    or empty then.
    """

    id: str
    path: Path
    kind: str | None
    created: str | None
    finished: str | None
    status: str | None
    verdict: str | None
    exit_code: int | None
    target_kind: str | None
    target_url: str | None
    apis: tuple[str, ...]
    exchanges: int | None
    fault: str | None
    tags: tuple[str, ...] = ()
    pins: tuple[str, ...] = ()


@dataclass(slots=True)
class Marks:
    """What people said about runs: tags by run, and the run that each pin names."""

    tags: dict[str, list[str]] = field(default_factory=dict)
    pins: dict[str, str] = field(default_factory=dict)


class Runs:
    """The runs below a folder. Use as a context manager; several processes may have it open.

    Raises UsageError where the folder or a file in it cannot be used.
    """

    def __init__(self, root: Path = ROOT) -> None:
        self.root = root
        if not root.is_dir():
            raise NoDataError(f"{root}: no such folder; `soundstage check` and `load` make it")
        self._database = self._opened()
        self.refresh()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._database.close()

    # --- what there is ----------------------------------------------------------------------------

    def entries(self) -> list[RunEntry]:
        """All runs, the newest first; those that cannot be read last."""
        marks = self.marks()
        pins: dict[str, list[str]] = {}
        for name, id_ in sorted(marks.pins.items()):
            pins.setdefault(id_, []).append(name)
        rows = self._rows()
        if not all(map(_is_row, rows)):
            self._forget()
            self.refresh()
            rows = self._rows()
        return [
            RunEntry(
                id=id_,
                path=self.root / id_,
                kind=kind,
                created=created,
                finished=finished,
                status=status,
                verdict=verdict,
                exit_code=exit_code,
                target_kind=target_kind,
                target_url=target_url,
                apis=tuple(json.loads(apis)) if apis else (),
                exchanges=exchanges,
                fault=fault,
                tags=tuple(marks.tags.get(id_, ())),
                pins=tuple(pins.get(id_, ())),
            )
            for (
                id_,
                _,
                kind,
                created,
                finished,
                status,
                verdict,
                exit_code,
                target_kind,
                target_url,
                apis,
                exchanges,
                fault,
            ) in rows
        ]

    def _rows(self) -> list[tuple[Any, ...]]:
        order = "created IS NULL, created DESC, id DESC"
        try:
            found = self._database.execute(f"SELECT {_COLUMNS} FROM runs ORDER BY {order}")
            return found.fetchall()
        except sqlite3.Error as error:
            raise TargetError(f"{self.root / INDEX}: {error}") from error

    def _forget(self) -> None:
        with self._writing() as database:
            database.execute("DELETE FROM runs")

    def find(self, text: str) -> RunEntry:
        """The run that a name stands for: a pin, an id, an unambiguous beginning of one, or
        `latest` and `latest~N` (the N-th before it). Raises UsageError if there is none.
        """
        entries = self.entries()
        pinned = self.marks().pins.get(text)
        wanted = pinned or text
        exact = [entry for entry in entries if entry.id == wanted]
        if exact:
            return exact[0]
        if pinned is not None:
            raise UsageError(f"{text}: pinned to {pinned}, which is not in {self.root} any more")
        if latest := _LATEST.fullmatch(text):
            readable = [entry for entry in entries if entry.fault is None]
            back = int(latest[1] or 0)
            if back < len(readable):
                return readable[back]
            raise UsageError(f"{text}: there are only {len(readable)} runs in {self.root}")
        begins = [entry for entry in entries if text and entry.id.startswith(text)]
        if len(begins) == 1:
            return begins[0]
        if begins:
            some = ", ".join(entry.id for entry in begins[:3])
            raise UsageError(f"{text}: {len(begins)} runs begin like this: {some}; say more of it")
        raise UsageError(
            f"{text}: no folder, and no run or pin in {self.root} is called so; "
            "`soundstage runs` lists them"
        )

    def refresh(self) -> None:
        """Bring the index up to date with the folder."""
        stamps = {folder.name: _stamp(folder) for folder in _folders(self.root)}
        if dict(self._database.execute("SELECT id, stamp FROM runs")) == stamps:
            return
        with self._writing() as database:
            known = dict(database.execute("SELECT id, stamp FROM runs"))
            for id_, stamp in stamps.items():
                if known.get(id_) != stamp:
                    facts = (_shown(each) for each in _facts(self.root / id_))
                    row = (id_, stamp, *facts)
                    database.execute(
                        f"INSERT OR REPLACE INTO runs VALUES ({', '.join('?' * len(row))})", row
                    )
            gone = [(id_,) for id_ in known if id_ not in stamps]
            database.executemany("DELETE FROM runs WHERE id = ?", gone)

    def rebuild(self) -> int:
        """Forget the index and read every bundle again; returns how many there are."""
        self._forget()
        self.refresh()
        return len(self.entries())

    # --- what people say about them ---------------------------------------------------------------

    def marks(self) -> Marks:
        """Tags and pins. Raises UsageError for a file that is not as we write it."""
        place = self.root / MARKS
        try:
            data = json.loads(read_plain(place, most=_LARGEST_MARKS, within=self.root))
        except FileNotFoundError:
            return Marks()
        except (OSError, ValueError, RecursionError) as error:
            raise UsageError(f"{place}: cannot be read: {error}") from error
        found = data if isinstance(data, dict) else {}
        tags: Any = found.get("tags")
        pins: Any = found.get("pins")
        if not _is_tags(tags) or not _is_pins(pins):
            form = '{"tags": {RUN: [TAG, …]}, "pins": {NAME: RUN}}'
            raise UsageError(f"{place}: expected {form}")
        return Marks(tags, pins)

    def tag(self, text: str, tag: str) -> RunEntry:
        """Give a run a tag. Raises UsageError for a tag that is none."""
        entry = self.find(text)
        with self._marking() as marks:
            found = marks.tags.setdefault(entry.id, [])
            if _named(tag) not in found:
                found.append(tag)
        return entry

    def untag(self, text: str, tag: str) -> RunEntry:
        """Take a tag from a run. Raises UsageError if it has not got it."""
        entry = self.find(text)
        with self._marking() as marks:
            found = marks.tags.get(entry.id, [])
            if tag not in found:
                raise UsageError(f"{entry.id} is not tagged {tag!r}")
            found.remove(tag)
            if not found:
                del marks.tags[entry.id]
        return entry

    def pin(self, text: str, name: str) -> RunEntry:
        """Let a name stand for a run, from now on this one. Raises UsageError for no name."""
        if _LATEST.fullmatch(name):
            raise UsageError(f"{name!r} always is the newest run: choose another name")
        entry = self.find(text)
        with self._marking() as marks:
            marks.pins[_named(name)] = entry.id
        return entry

    def unpin(self, name: str) -> str:
        """Forget a pin; returns the id of its run. Raises UsageError if there is none."""
        with self._marking() as marks:
            if name not in marks.pins:
                known = ", ".join(sorted(marks.pins)) or "none"
                raise UsageError(f"no pin is called {name!r}; there are: {known}")
            return marks.pins.pop(name)

    def remove(self, entry: RunEntry) -> None:
        """Delete a bundle with its tags. Raises UsageError if it cannot be, or is pinned."""
        with self._marking() as marks:
            # Asked again under the lock: it may have been pinned since it was listed.
            if entry.id in marks.pins.values():
                raise UsageError(f"{entry.id} is pinned; `soundstage runs unpin` it first")
            marks.tags.pop(entry.id, None)
            try:
                # A link to a folder is not removed, nor what it leads to; links inside are.
                shutil.rmtree(entry.path)
            except OSError as error:
                raise UsageError(f"{entry.path}: cannot be deleted: {error.strerror}") from error
            self._database.execute("DELETE FROM runs WHERE id = ?", (entry.id,))

    # --- the database -----------------------------------------------------------------------------

    def _opened(self) -> sqlite3.Connection:
        place = self.root / INDEX
        for suffix in _DATABASE:
            _refuse_strange(Path(f"{place}{suffix}"), self.root)
        for attempt in range(2):
            database = None
            try:
                database = sqlite3.connect(place, timeout=_BUSY_SECONDS, isolation_level=None)
                database.text_factory = _text
                database.execute("PRAGMA journal_mode = WAL")
                database.execute("PRAGMA synchronous = NORMAL")
                _refuse_foreign(database)
                if _layout_of(database) != _LAYOUT:
                    database.execute("BEGIN IMMEDIATE")
                    # Another process may have made it meanwhile, and may be using it.
                    if _layout_of(database) != _LAYOUT:
                        database.execute("DROP TABLE IF EXISTS runs")
                        database.execute(_TABLE)
                        database.execute(f"PRAGMA user_version = {_LAYOUT}")
                    database.execute("COMMIT")
                (found,) = database.execute("PRAGMA quick_check(1)").fetchone()
                if found != "ok":
                    raise sqlite3.DatabaseError(f"damaged: {found}")
                database.execute("SELECT COUNT(*) FROM runs").fetchone()
                return database
            except (sqlite3.DatabaseError, UnicodeDecodeError) as error:
                if database is not None:
                    database.close()
                # A primary result code: https://www.sqlite.org/rescode.html
                if attempt or getattr(error, "sqlite_errorcode", 0) & 0xFF in _REFUSED:
                    raise TargetError(f"{place}: cannot be used as an index: {error}") from error
                # Damaged: it holds nothing that the bundles do not say again.
                for suffix in _DATABASE:
                    Path(f"{place}{suffix}").unlink(missing_ok=True)
        raise AssertionError

    @contextmanager
    def _writing(self) -> Iterator[sqlite3.Connection]:
        """One writer at a time, of all processes."""
        try:
            self._database.execute("BEGIN IMMEDIATE")
        except sqlite3.OperationalError as error:
            raise TargetError(f"{self.root / INDEX}: {error}") from error
        try:
            yield self._database
            self._database.execute("COMMIT")
        except BaseException as error:
            with suppress(sqlite3.Error):
                self._database.execute("ROLLBACK")
            if isinstance(error, sqlite3.Error):
                raise TargetError(f"{self.root / INDEX}: {error}") from error
            raise

    @contextmanager
    def _marking(self) -> Iterator[Marks]:
        """Change `marks.json`; the index's lock keeps two processes from undoing each other."""
        with self._writing():
            marks = self.marks()
            yield marks
            place = self.root / MARKS
            document = {"tags": marks.tags, "pins": marks.pins}
            text = json.dumps(document, indent=2, sort_keys=True) + "\n"
            try:
                replace(place, text.encode())
            except OSError as error:
                raise not_written(place, error) from error


def resolve(text: str, root: Path = ROOT) -> Path:
    """The bundle that a word of the command line means: a folder, or what `Runs.find` knows.

    Raises UsageError, or NoDataError where there is no folder of runs.
    """
    path = Path(text)
    if path.exists() or os.sep in text:
        return path
    if not root.is_dir():
        raise UsageError(f"{text}: no such folder")
    with Runs(root) as runs:
        return runs.find(text).path


def _refuse_strange(place: Path, root: Path) -> None:
    """Raise UsageError for a file of the index that is there and is none: SQLite would follow a
    link and write where it leads, or wait for a FIFO.
    """
    if not os.path.lexists(place):
        return
    if leads_out(place, root):
        raise UsageError(f"{place}: a link that leads out of {root}")
    if place.exists() and not place.is_file():
        raise UsageError(f"{place}: not a file, so it cannot be used as an index")


def _named(name: str) -> str:
    if not _NAME.fullmatch(name):
        raise UsageError(
            f"{name!r} is no name: letters, digits, dots, hyphens and underscores, 64 at most"
        )
    return name


def _folders(root: Path) -> Iterator[Path]:
    try:
        with os.scandir(root) as found:
            names = sorted(each.name for each in found if each.is_dir(follow_symlinks=False))
    except OSError as error:
        raise UsageError(f"{root}: cannot be read: {error.strerror}") from error
    return (root / name for name in names if os.path.lexists(root / name / RUN))


def _is_tags(value: object) -> bool:
    if not isinstance(value, dict) or not all(isinstance(tags, list) for tags in value.values()):
        return False
    every = (tag for tags in value.values() for tag in tags)
    return all(isinstance(tag, str) and _NAME.fullmatch(tag) for tag in every)


def _is_pins(value: object) -> bool:
    return isinstance(value, dict) and all(
        _NAME.fullmatch(name) and isinstance(id_, str) for name, id_ in value.items()
    )


def _text(raw: bytes) -> str:
    """A text of the index, whatever its bytes are: the file may come from others."""
    return raw.decode("utf-8", "replace")


def _layout_of(database: sqlite3.Connection) -> int:
    return int(database.execute("PRAGMA user_version").fetchone()[0])


def _refuse_foreign(database: sqlite3.Connection) -> None:
    """Raise DatabaseError for an index that holds anything but our table: it may come from others,
    and views and triggers are programs.
    """
    database.execute("PRAGMA trusted_schema = OFF")
    ours = " ".join(_TABLE.replace("IF NOT EXISTS ", "").split())
    current = _layout_of(database) == _LAYOUT
    for kind, name, sql in database.execute("SELECT type, name, sql FROM sqlite_master LIMIT 9"):
        same = not current or " ".join(str(sql).split()) == ours
        if not (kind == "table" and name == "runs" and same) and (kind != "index" or sql):
            raise sqlite3.DatabaseError(f"it holds a {kind} called {str(name)[:60]!r}")


def _is_row(row: tuple[Any, ...]) -> bool:
    """Whether a row of the index is one that `_facts` gave: the file may come from others."""
    id_, stamp, kind, created, finished, status, verdict, code, target, url, apis, many, fault = row
    texts = (kind, created, finished, status, verdict, target, url, apis, fault)
    if not isinstance(id_, str) or not isinstance(stamp, str):
        return False
    if not all(text is None or isinstance(text, str) for text in texts):
        return False
    if not all(number is None or type(number) is int for number in (code, many)):
        return False
    if fault is not None:
        return all(each is None for each in (*texts[:-1], code, many))
    try:
        datetime.fromisoformat(created)
        return all(isinstance(api, str) for api in json.loads(apis))
    except (TypeError, ValueError, RecursionError):
        return False


def _shown(fact: Any) -> Any:
    """SQLite writes by itself: what goes to it passes the gate here."""
    return outgoing.text(fact) if isinstance(fact, str) else fact


def _stamp(folder: Path) -> str:
    """Changes when run.json does: a run replaces the file when it ends."""
    try:
        found = (folder / RUN).lstat()
    except OSError:
        return "gone"
    return f"{found.st_ino}:{found.st_mtime_ns}:{found.st_size}"


def _facts(folder: Path) -> tuple[Any, ...]:
    """The columns of a bundle after id and stamp. A bundle that cannot be read has a fault."""
    try:
        run = Bundle.open(folder).run
    except SoundstageError as error:
        return (*(None,) * 10, str(error))
    target: Mapping[str, Any] = run["target"]
    totals: Mapping[str, Any] = run["totals"]
    outcomes = totals.get("outcomes")
    exchanges = totals.get("exchanges") if outcomes is None else sum(outcomes.values())
    return (
        run["kind"],
        _utc(run["created"]),
        None if run["finished"] is None else _utc(run["finished"]),
        run["status"],
        run["verdict"],
        run["exit_code"],
        target["kind"],
        target["url"],
        json.dumps(sorted(run["contracts"])),
        None if exchanges is None else min(int(exchanges), 2**63 - 1),
        None,
    )


def _utc(instant: str) -> str:
    return datetime.fromisoformat(instant).astimezone(UTC).isoformat(timespec="milliseconds")
