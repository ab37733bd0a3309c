"""Files from strangers through the readers, in this process: mutants of run bundles, transcripts,
HTTP archives, folders of recordings and profiles.

    run(many, seed) -> Outcome    what fell, how much memory grew, which files outside changed

What a reader may do with such a file: take it, or raise a SoundstageError. Anything else is a
problem, as is a file that was written elsewhere than the command was told.
"""

from __future__ import annotations

import io
import json
import os
import random
import resource
import shutil
import sys
import tempfile
import traceback
import warnings
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from importlib import import_module
from pathlib import Path
from typing import Any, Final

from benchmarks.fuzz_seeds import archive, transcript, write_bundle
from benchmarks.mutators import mutant, no_file
from soundstage.cli import COMMANDS
from soundstage.contract import Contract, load_all
from soundstage.errors import SoundstageError
from soundstage.generation.walk import plan

_DEFAULT: Final = 20_000
_PROBLEMS: Final = 20


@dataclass
class Outcome:
    """`problems`: what fell, each with the seed that makes it again. `growth`: by how many bytes
    the peak of memory rose over what it was before.
    """

    problems: list[str] = field(default_factory=list)
    ends: Counter[str] = field(default_factory=Counter)
    growth: int = 0


def run(many: int = _DEFAULT, seed: int = 0) -> Outcome:
    """Send so many mutants through the readers."""
    outcome = Outcome()
    with tempfile.TemporaryDirectory() as name:
        place = Path(name)
        outside = place / "outside"
        outside.mkdir()
        (outside / "precious.json").write_text('{"precious": true}')
        before = _listed(outside)
        subjects = [make(place / label) for label, make in SUBJECTS.items()]
        for subject in subjects:  # whatever is loaded and kept is loaded before it is measured
            for reader in subject.readers:
                _tried(subject, reader, "unchanged", outcome)
        if outcome.problems or outcome.ends["taken"] != sum(len(s.readers) for s in subjects):
            outcome.problems.append(f"the unchanged ones are not all taken: {outcome.ends}")
            return outcome
        at_first = _peak()
        for number in range(many):
            rng = random.Random(f"{seed}/{number}")
            subject = rng.choice(subjects)
            subject.mutate(rng, outside / "precious.json")
            reader = rng.choice(subject.readers)
            _tried(subject, reader, f"seed {seed}/{number}", outcome)
            subject.restore()
            if _listed(outside) != before:
                outcome.problems.append(f"seed {seed}/{number}: wrote outside: {_listed(outside)}")
                break
            if len(outcome.problems) >= _PROBLEMS:
                break
        outcome.growth = _peak() - at_first
    return outcome


def _tried(subject: Subject, reader: Reader, label: str, outcome: Outcome) -> None:
    shown = f"{label}: {reader.name} of a {subject.label}"
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            reader.read(subject.path)
    except SoundstageError as error:
        said = str(error)
        outcome.ends["refused"] += 1
        if "\n" in said or len(said) > 5_000:
            outcome.problems.append(f"{shown}: not one clear line: {said[:300]!r}")
    except BaseException as error:
        if isinstance(error, KeyboardInterrupt):
            raise
        last = traceback.extract_tb(error.__traceback__)[-1]
        at = f"{Path(last.filename).name}:{last.lineno}"
        outcome.problems.append(f"{shown}: {type(error).__name__} at {at}: {str(error)[:200]}")
    else:
        outcome.ends["taken"] += 1


def _peak() -> int:
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * (
        1024 if sys.platform != "darwin" else 1
    )


def _listed(folder: Path) -> dict[str, bytes]:
    return {each.name: each.read_bytes() for each in sorted(folder.iterdir())}


# --- what is mutated, and who reads it ------------------------------------------------------------


@dataclass(frozen=True)
class Reader:
    """Something that reads a file or a folder as a user's command does."""

    name: str
    read: Callable[[Path], object]


class Subject:
    """A file, or a folder of files, that can be mutated and put back."""

    def __init__(self, label: str, path: Path, readers: list[Reader]) -> None:
        self.label, self.path, self.readers = label, path, readers
        self._files = {
            each.relative_to(path): each.read_bytes()
            for each in sorted(path.rglob("*") if path.is_dir() else [path])
            if each.is_file()
        }
        self._is_folder = path.is_dir()

    def mutate(self, rng: random.Random, outside: Path) -> None:
        """Change one file of it, or more."""
        for _ in range(rng.choice((1, 1, 1, 2))):
            inner = rng.choice(list(self._files))
            if self._is_folder and rng.random() < 0.08:
                inner = rng.choice((inner, Path("transcripts"), Path("report.html")))
                no_file(self.path / inner, outside, rng)
            elif not os.path.islink(place := self.path / inner) and place.is_file():
                place.write_bytes(mutant(self._files[inner], rng))

    def restore(self) -> None:
        """As it was."""
        if self._is_folder:
            shutil.rmtree(self.path)
        for inner, raw in self._files.items():
            place = self.path / inner
            place.parent.mkdir(parents=True, exist_ok=True)
            place.write_bytes(raw)


def _command(name: str, *argv: str) -> Callable[[Path], None]:
    """Runs a command of ours; `{}` stands for the path, `{..}` for its folder."""

    def read(path: Path) -> None:
        module: Any = import_module(COMMANDS[name][0])
        words = [word.replace("{..}", str(path.parent)).replace("{}", str(path)) for word in argv]
        args = module.parse_args(words)
        module.run(args, io.StringIO(), io.StringIO())

    return read


def _bundle(place: Path) -> Subject:
    runs = place / "runs"
    good = place / "good"
    write_bundle(good, 40)
    write_bundle(runs / "mutated", 40)
    formats = ("html", "junit", "markdown", "json", "sarif", "annotations")
    readers = [
        Reader("report", _command("report", "{}")),
        *(Reader(f"report --format {f}", _command("report", "{}", "--format", f)) for f in formats),
        Reader("compare", _command("compare", str(good), "{}")),
        Reader("compare --format json", _command("compare", "{}", str(good), "--format", "json")),
        Reader("compare --fidelity", _command("compare", "--fidelity", str(good), "{}")),
        Reader("runs", _command("runs", "list", "--runs", "{..}")),
        Reader("runs trend", _command("runs", "trend", "--runs", "{..}", "--format", "json")),
        Reader("schema --observed", _command("schema", "--observed", "{}")),
        Reader("schema --docs-diff", _command("schema", "--observed", "{}", "--docs-diff")),
        Reader("emulate --profile-from", _fitted),
        Reader("emulate --replay", _replayed),
        Reader("load --arrivals replay", _moments),
    ]
    return Subject("run bundle", runs / "mutated", readers)


def _recordings(place: Path) -> Subject:
    folder = place / "recordings"
    folder.mkdir(parents=True)
    contract = list(load_all().values())[-1]
    (folder / "001.ndjson").write_bytes(transcript(contract))
    (folder / "002.har").write_bytes(archive(contract))
    (folder / "body.sse").write_text("data: {}\n\n")
    observed = Reader("schema --observed", _command("schema", "--observed", "{}"))
    return Subject(
        "folder of recordings", folder, [Reader("emulate --replay", _replayed), observed]
    )


def _file(name: str, make: Callable[[Contract], bytes]) -> Callable[[Path], Subject]:
    def subject(place: Path) -> Subject:
        place.mkdir()
        path = place / name
        path.write_bytes(make(list(load_all().values())[-1]))
        readers = [
            Reader("lint", _command("lint", "{}")),
            Reader("lint --shrink", _command("lint", "{}", "--shrink", "--format", "json")),
            Reader("schema --observed", _command("schema", "--observed", "{}")),
            Reader("emulate --replay", _replayed),
        ]
        return Subject(name, path, readers)

    return subject


def _profile(place: Path) -> Subject:
    place.mkdir()
    run = place / "run"
    write_bundle(run, 40)
    fit = import_module("soundstage.commands.fit_profile")
    path = place / "profile.json"
    path.write_text(json.dumps(fit.fitted_profile(run)))
    return Subject("profile", path, [Reader("emulate --profile", _profiled)])


def _marks(place: Path) -> Subject:
    folder = place / "history"
    run = folder / "2026-01-01T00-00-00-load-0000"
    write_bundle(run, 4)
    command = import_module("soundstage.commands.runs")
    for words in (["tag", run.name, "t"], ["pin", run.name, "--as", "base"], ["list"]):
        command.run(
            command.parse_args([*words, "--runs", str(folder)]), io.StringIO(), io.StringIO()
        )
    readers = [
        Reader("runs list", _command("runs", "list", "--runs", "{}", "--format", "json")),
        Reader("runs show", _command("runs", "show", run.name, "--runs", "{}")),
        Reader("runs pin", _command("runs", "pin", run.name, "--as", "other", "--runs", "{}")),
        Reader("runs prune", _command("runs", "prune", "--keep", "0", "--runs", "{}")),
    ]
    return Subject("folder of runs", folder, readers)


def _fitted(path: Path) -> object:
    data = import_module("soundstage.commands.fit_profile").fitted_profile(path)
    json.dumps(data, allow_nan=False)
    return import_module("soundstage.emulator.pace.profiles").from_data("fitted", data, str(path))


def _replayed(path: Path) -> object:
    from soundstage.emulator.replay import recordings, replay

    found = recordings.find(path, list(load_all().values()))
    for each in found.recordings:
        list(replay.moves_of(each, each.method, chunks=True))
    return found


def _profiled(path: Path) -> None:
    made = import_module("soundstage.emulator.pace.profiles").profile(str(path))
    rng = random.Random(1)
    for contract in load_all().values():
        made.percentages(made.schedule(contract.api, plan(contract, rng), rng, 1.0))


def _moments(path: Path) -> object:
    return import_module("soundstage.loadtests.schedule.recorded_arrivals").read_moments(path)


SUBJECTS: Final[dict[str, Callable[[Path], Subject]]] = {
    "bundle": _bundle,
    "transcript": _file("saved.ndjson", transcript),
    "archive": _file("saved.har", archive),
    "recordings": _recordings,
    "profile": _profile,
    "history": _marks,
}
