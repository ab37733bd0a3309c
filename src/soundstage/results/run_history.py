"""The history of runs: the bundles of a folder, with their tags and pins.

The folders are the truth: every question reads their run.json, and no index is kept, since reading
a thousand of them takes a fifth of a second. Tags and pins, which no bundle says, live in
`marks.json` beside the bundles, so that a CI cache that carries the folder carries them. Nothing
here reads a bundle's rows.
"""

from __future__ import annotations

import fcntl
import json
import os
import re
import shutil
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Final

from soundstage.errors import NoDataError, SoundstageError, TargetError, UsageError, not_written
from soundstage.near_names import did_you_mean
from soundstage.output import outgoing
from soundstage.output.written_files import replace
from soundstage.results.bundle import RUN, Bundle
from soundstage.results.layout import why_not_a_bundle
from soundstage.untrusted.strange_files import read_plain

#: Where `check` and `load` put their bundles unless told otherwise.
ROOT: Final = Path("runs")
MARKS: Final = "marks.json"

#: Who deletes large bundles holds the lock meanwhile; longer than this, something is stuck.
_BUSY_SECONDS: Final = 30.0
_LARGEST_MARKS: Final = 16 * 2**20
_NAME: Final = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,63}")
_LATEST: Final = re.compile(r"latest(?:~([0-9]{1,6}))?")


@dataclass(frozen=True, slots=True)
class RunEntry:
    """What the history knows of a bundle. `created` and `finished` are ISO 8601 in UTC; `exchanges`
    is None where run.json counts none; `rehearsal`: it treated its target as
    the live API; `fault` says why a bundle cannot be read, all else is None or empty then.
    """

    path: Path
    id: str
    kind: str | None = None
    created: str | None = None
    finished: str | None = None
    status: str | None = None
    verdict: str | None = None
    exit_code: int | None = None
    target_kind: str | None = None
    target_url: str | None = None
    rehearsal: bool = False
    apis: tuple[str, ...] = ()
    exchanges: int | None = None
    fault: str | None = None
    tags: tuple[str, ...] = ()
    pins: tuple[str, ...] = ()


class NoRunYetError(UsageError):
    """No run has a name, and none has one that is much like it."""


@dataclass(slots=True)
class Marks:
    """What people said about runs: tags by run, and the run that each pin names."""

    tags: dict[str, list[str]] = field(default_factory=dict)
    pins: dict[str, str] = field(default_factory=dict)


class Runs:
    """The runs below a folder, as they are whenever they are asked for. Several processes may mark
    and remove them at once. Where a run is asked for, `text` is what `find` knows.

    Raises UsageError where the folder or a file in it cannot be used.
    """

    def __init__(self, root: Path = ROOT) -> None:
        self.root = root
        if not root.is_dir():
            raise NoDataError(f"{root}: no such folder; `soundstage check` and `load` make it")

    def entries(self) -> list[RunEntry]:
        """All runs, the newest first; those that cannot be read last."""
        marks = self._marks()
        found = [_entry(folder, marks) for folder in _folders(self.root)]
        found.sort(key=lambda entry: (entry.fault is None, entry.created or "", entry.id))
        return found[::-1]

    def find(self, text: str) -> RunEntry:
        """The run that a name stands for: a pin, an id, an unambiguous beginning of one, or
        `latest` and `latest~N` (the N-th before it). Raises UsageError if there is none.
        """
        entries = self.entries()
        for entry in entries:
            if text in entry.pins:
                return entry
        if pinned := self._marks().pins.get(text):
            raise UsageError(f"{text}: pinned to {pinned}, which is not in {self.root} any more")
        for entry in entries:
            if entry.id == text:
                return entry
        if latest := _LATEST.fullmatch(text):
            readable = [entry for entry in entries if entry.fault is None]
            back = int(latest[1] or 0)
            if back < len(readable):
                return readable[back]
            many = "is only 1 run" if len(readable) == 1 else f"are only {len(readable)} runs"
            raise NoRunYetError(f"{text}: there {many} in {self.root}")
        begins = [entry for entry in entries if text and entry.id.startswith(text)]
        if len(begins) == 1:
            return begins[0]
        if begins:
            some = ", ".join(entry.id for entry in begins[:3])
            raise UsageError(f"{text}: {len(begins)} runs begin like this: {some}; say more of it")
        names = ["latest", *(name for entry in entries for name in (*entry.pins, entry.id))]
        near = did_you_mean(text, names)
        # Of a slip of the pen nobody says that it is not there yet.
        raise (UsageError if near else NoRunYetError)(
            f"{text}: no folder, and no run or pin in {self.root} is called so"
            f"{near or '; `soundstage runs` lists them'}"
        )

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
                near = did_you_mean(name, marks.pins)
                raise UsageError(f"no pin is called {name!r}; there are: {known}{near}")
            return marks.pins.pop(name)

    def remove(self, entry: RunEntry) -> None:
        """Delete a bundle with its tags. Raises UsageError if it cannot be, is pinned, or may be
        none of ours.
        """
        if (why := self.why_left(entry)) is not None:
            raise UsageError(f"{entry.path}: may be no run of Soundstage: {why}")
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

    @staticmethod
    def why_left(entry: RunEntry) -> str | None:
        """Why a folder is not to be deleted: it cannot be read, and may be somebody else's. None
        for a run of ours.
        """
        if entry.fault is None:
            return None
        try:
            return why_not_a_bundle(entry.path)
        except OSError as error:
            return f"it cannot be looked into: {error.strerror}"

    def _marks(self) -> Marks:
        place = self.root / MARKS
        try:
            data: Any = json.loads(read_plain(place, most=_LARGEST_MARKS, within=self.root))
        except FileNotFoundError:
            return Marks()
        except (OSError, ValueError, RecursionError) as error:
            raise UsageError(f"{place}: cannot be read: {error}") from error
        match data:
            case {"tags": dict(tags), "pins": dict(pins)} if _are_ours(tags, pins):
                return Marks(tags, pins)
        form = '{"tags": {RUN: [TAG, …]}, "pins": {NAME: RUN}}'
        raise UsageError(f"{place}: expected {form}")

    @contextmanager
    def _marking(self) -> Iterator[Marks]:
        """Change the marks: under a lock, so that two processes do not undo each other, and
        replaced at once, so that who reads them without it never reads half of them.
        """
        place = self.root / MARKS
        try:
            # The folder, not the file, which is replaced: a lock on the old one would keep nobody
            # from the new one.
            folder = os.open(self.root, os.O_RDONLY | os.O_CLOEXEC)
            try:
                self._lock(folder)
                marks = self._marks()
                yield marks
                text = json.dumps(asdict(marks), indent=2, sort_keys=True) + "\n"
                replace(place, text.encode())
            finally:
                os.close(folder)
        except OSError as error:
            raise not_written(place, error) from error

    def _lock(self, folder: int) -> None:
        """Wait for the kernel's lock (flock) on an open folder. It goes with the process that held
        it, even one that was killed; where the file system has none the change is refused.
        """
        until = time.monotonic() + _BUSY_SECONDS
        while True:
            try:
                fcntl.flock(folder, fcntl.LOCK_EX | fcntl.LOCK_NB)
                return
            except BlockingIOError:
                if time.monotonic() > until:
                    raise TargetError(f"{self.root}: held by another process") from None
            time.sleep(0.02)


def resolve(text: str, root: Path = ROOT) -> Path:
    """The bundle that a word of the command line means: a folder, or what `Runs.find` knows.

    Raises UsageError, or NoDataError where there is no folder of runs.
    """
    path = Path(text)
    if path.exists() or os.sep in text:
        return path
    if not root.is_dir():
        raise NoRunYetError(f"{text}: no such folder")
    return Runs(root).find(text).path


def utc(moment: datetime) -> str:
    """A moment as entries tell it: ISO 8601 in UTC, so that their order is that of the texts."""
    return moment.astimezone(UTC).isoformat(timespec="milliseconds")


def is_mark(name: str) -> bool:
    """Whether a run can be given this name as its pin or tag."""
    return bool(_NAME.fullmatch(name)) and not _LATEST.fullmatch(name)


def _named(name: str) -> str:
    if not _NAME.fullmatch(name):
        raise UsageError(
            f"{name!r} is no name: letters, digits, dots, hyphens and underscores, 64 at most"
        )
    return name


def _are_ours(tags: dict[str, Any], pins: dict[str, Any]) -> bool:
    """Whether marks are as we write them: lists of names by run, runs by name."""
    lists, runs = list(tags.values()), list(pins.values())
    if not all(isinstance(each, list) for each in lists):
        return False
    names = [*pins, *(tag for each in lists for tag in each)]
    return all(isinstance(each, str) for each in (*names, *runs)) and all(
        map(_NAME.fullmatch, names)
    )


def _folders(root: Path) -> list[Path]:
    try:
        with os.scandir(root) as found:
            names = [each.name for each in found if each.is_dir(follow_symlinks=False)]
    except OSError as error:
        raise UsageError(f"{root}: cannot be read: {error.strerror}") from error
    return [root / name for name in names if os.path.lexists(root / name / RUN)]


def _entry(folder: Path, marks: Marks) -> RunEntry:
    """A bundle as its run.json tells of it. Who prints a part of these texts cuts them first, and
    half a secret is one: so they pass the gate here.
    """
    tags = tuple(marks.tags.get(folder.name, ()))
    pins = tuple(name for name, id_ in sorted(marks.pins.items()) if id_ == folder.name)
    try:
        run = Bundle.open(folder).run
    except SoundstageError as error:
        fault = outgoing.text(str(error))
        return RunEntry(folder, folder.name, fault=fault, tags=tags, pins=pins)
    target, totals = run["target"], run["totals"]
    outcomes = totals.get("outcomes")
    return RunEntry(
        folder,
        folder.name,
        kind=run["kind"],
        created=utc(datetime.fromisoformat(run["created"])),
        finished=run["finished"] and utc(datetime.fromisoformat(run["finished"])),
        status=run["status"],
        verdict=run["verdict"],
        exit_code=run["exit_code"],
        target_kind=outgoing.text(target["kind"]),
        target_url=target["url"] and outgoing.text(target["url"]),
        rehearsal=bool(target.get("rehearsal")),
        apis=tuple(outgoing.text(api) for api in sorted(run["contracts"])),
        exchanges=totals.get("exchanges") if outcomes is None else sum(outcomes.values()),
        tags=tags,
        pins=pins,
    )
