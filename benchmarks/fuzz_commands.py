"""Mutants through the real commands, each a process: how it ends, what it says, how large it grows,
what it leaves where, and whether a key that stands in its environment and, in every coding, in its
inputs comes out again.

Each command gets a folder of its own, with a home, a folder for temporary files, and one file that
must stay as it is and that links in its inputs lead to.
"""

from __future__ import annotations

import hashlib
import os
import random
import resource
import shutil
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

from benchmarks import fuzz_seeds, mutators
from benchmarks.fuzzing import MOST_MB, keep

#: Planted, and then looked for. It has what each coding changes.
KEY: Final = "sk-Fuzz/9f+7Qx&<Zt>=ab12"
_PROGRAM: Final = (sys.executable, "-P", "-m", "soundstage")
#: A command that takes longer hangs (seconds).
_PATIENCE_S: Final = 60.0
#: No command gets more address space: one that would read a device to its end is not to take the
#: machine along (bytes).
_MOST_SPACE: Final = 6 * 2**30
_TAKEN: Final = frozenset({"SOUNDVERSE_API_KEY", "SOUNDSTAGE_SCHEMAS", "SOUNDSTAGE_TRACEBACK"})


@dataclass(frozen=True, slots=True)
class Kind:
    """What a command is called with in its folder; `inputs` are written to `in/`, `stdin` is one
    of them. `may_write` are the names below the folder that it may leave something in, `codes` what
    it may end with.
    """

    words: list[str]
    inputs: dict[str, bytes]
    stdin: str | None = None
    may_write: tuple[str, ...] = ()
    codes: tuple[int, ...] = (0, 1, 2, 3, 4, 5, 6)


@dataclass
class Ended:
    """How one command ended. `memory_mb` is its largest resident memory."""

    code: int
    out: bytes
    err: bytes
    memory_mb: float


@dataclass
class Outcome:
    """What came of many commands."""

    codes: dict[int, int] = field(default_factory=dict)
    problems: list[str] = field(default_factory=list)
    largest_mb: float = 0.0


# --- the commands ---------------------------------------------------------------------------------


def _lint(rng: random.Random) -> Kind:
    name, raw = rng.choice(fuzz_seeds.saved())
    more = rng.choice(([], ["--format", "json"], ["--strict"], ["--shrink"]))
    return Kind(["lint", *more, f"in/{name}"], {name: raw})


def _lint_stdin(rng: random.Random) -> Kind:
    name, raw = rng.choice(fuzz_seeds.saved())
    return Kind(["lint", "-"], {name: raw}, stdin=name)


def _runs(rng: random.Random, name: str = "run") -> dict[str, bytes]:
    del rng
    return {f"{name}/{file}": raw for file, raw in fuzz_seeds.bundle().items()}


_REPORTS: Final = ("in/run/report.html", "in/run/junit.xml", "in/run/summary.md")
#: What `runs` leaves beside the runs: its page.
_PAGE: Final = ("in/trend.html",)


def _report(rng: random.Random) -> Kind:
    form = rng.choice(("html", "junit", "markdown", "json", "sarif", "annotations", None))
    if form is None:
        return Kind(["report", "in/run"], _runs(rng), may_write=_REPORTS)
    if rng.random() < 0.3:
        words = ["report", "in/run", "--format", form, "--output", "out/file"]
        return Kind(words, _runs(rng), may_write=("out/file",))
    return Kind(["report", "in/run", "--format", form], _runs(rng))


def _compare(rng: random.Random) -> Kind:
    other = {f"other/{file}": raw for file, raw in fuzz_seeds.bundle(2.0).items()}
    arms = rng.choice((["in/run", "in/other"], ["in/other", "in/run"]))
    form = rng.choice(([], ["--format", "json"], ["--format", "html"], ["--out", "out/page.html"]))
    return Kind(["compare", *arms, *form], _runs(rng) | other, may_write=("out",))


def _of_runs(rng: random.Random) -> Kind:
    action = rng.choice((["list"], ["list", "--format", "json"], ["show", "run"], ["trend"]))
    return Kind(
        ["runs", *action, "--runs", "in"], _runs(rng) | _runs(rng, "again"), may_write=_PAGE
    )


def _replay(rng: random.Random) -> Kind:
    inputs = dict(rng.sample(fuzz_seeds.saved(), 3))
    # It serves until its standard input ends, which it has: docs/reference/exit-codes.md.
    words = ["emulate", "--replay", "in", "--port", "0", "--until-eof"]
    return Kind(words, inputs, codes=(2, 5, 143))


def _schema(rng: random.Random) -> Kind:
    api = rng.choice(fuzz_seeds.contracts()).api
    form = rng.choice(("text", "jsonschema", "openapi", "openapi-3.1", "mermaid"))
    words = ["schema", "--schemas", "in", "--api", api, "--format", form]
    return Kind(words, fuzz_seeds.folder_of_contract(api))


def _lint_with_schemas(rng: random.Random) -> Kind:
    api = rng.choice(fuzz_seeds.contracts()).api
    inputs = fuzz_seeds.folder_of_contract(api)
    return Kind(["lint", "--schemas", "in", "--api", api, f"in/{api}/examples/sync.json"], inputs)


def _explain(rng: random.Random) -> Kind:
    api = rng.choice(fuzz_seeds.contracts()).api
    words = ["explain", "--schemas", "in", f"{api}/stream/index/consecutive"]
    return Kind(words, fuzz_seeds.folder_of_contract(api))


def _check_plan(rng: random.Random) -> Kind:
    words = ["check", "--config", "in/soundstage.toml", "--target", "http://127.0.0.1:1"]
    return Kind([*words, "--dry-run"], {"soundstage.toml": fuzz_seeds.CONFIG})


def _check(rng: random.Random) -> Kind:
    api = rng.choice(fuzz_seeds.contracts()).api
    words = ["check", "--schemas", "in", "--api", api, "--target", "emulator", "--explore", "0"]
    more = ["--emulator-args", "--profile instant", "--out", "out/run"]
    return Kind([*words, *more], fuzz_seeds.folder_of_contract(api), may_write=("out",))


def _load_plan(rng: random.Random) -> Kind:
    words = ["load", "--target", "http://127.0.0.1:1", "--scenario", "in/scenario.toml"]
    return Kind([*words, "--dry-run"], {"scenario.toml": fuzz_seeds.scenario()})


def _corpus(rng: random.Random) -> Kind:
    corpus = b'[{"prompt": "A slow waltz"}, {"prompt": "A fast one", "lyrics": "la"}]'
    words = ["load", "--target", "http://127.0.0.1:1", "--api", "v6", "--duration", "1s"]
    inputs = {"corpus.json": corpus}
    return Kind([*words, "--corpus", "in/corpus.json", "--dry-run"], inputs)


#: How often each comes, of 200.
KINDS: Final[Mapping[Callable[[random.Random], Kind], int]] = {
    _lint: 50, _lint_stdin: 10, _report: 40, _compare: 20, _of_runs: 20, _replay: 15, _schema: 15,
    _lint_with_schemas: 8, _explain: 4, _check_plan: 6, _load_plan: 5, _corpus: 4, _check: 3,
}  # fmt: skip


# --- one command ----------------------------------------------------------------------------------


def _damage(kind: Kind, rng: random.Random) -> dict[str, bytes]:
    """The inputs with the key in them, mostly damaged."""
    if rng.random() < 0.35:
        found = dict(kind.inputs)
    elif len(kind.inputs) > 1:
        found = mutators.folder(kind.inputs, rng)
    else:
        found = {name: mutators.mutant(raw, rng) for name, raw in kind.inputs.items()}
    for name in rng.sample(sorted(found), min(3, len(found))):
        found[name] = mutators.plant(found[name], KEY, rng)
    return found


def _estrange(folder: Path, precious: Path, kind: Kind, rng: random.Random) -> None:
    """Now and then something in the inputs is no file, or leads out of them; but what the command
    line itself names is its user's own choice, and may well be a pipe.
    """
    named = {folder.parent / word for word in kind.words}
    found = [each for each in folder.rglob("*") if each.is_file() and each not in named]
    if rng.random() > 0.15 or not found or kind.stdin is not None:
        return
    goal = rng.choice(sorted(found))
    how = rng.randrange(5)
    if how == 0:
        # Names that a careless writer would use on its way to a file.
        for name in {f".{goal.name}.tmp", f"{goal.name}.tmp", ".report.html.tmp", ".run.json.tmp"}:
            if not (goal.parent / name).exists():
                (goal.parent / name).symlink_to(precious)
        return
    goal.unlink()
    if how == 1:
        goal.symlink_to(precious)
    elif how == 2:
        goal.symlink_to("/dev/zero")
    elif how == 3:
        os.mkfifo(goal)
    else:
        goal.mkdir()


def _listing(folder: Path) -> dict[str, str]:
    """Every entry below a folder: what it is, and of a file what is in it."""
    found = {}
    for place, folders, names in os.walk(folder):
        for name in [*folders, *names]:
            path = Path(place) / name
            key = str(path.relative_to(folder))
            if path.is_symlink():
                found[key] = f"link {os.readlink(path)}"
            elif path.is_file():
                found[key] = hashlib.sha256(path.read_bytes()).hexdigest()
            else:
                found[key] = "folder" if path.is_dir() else "pipe"
    return found


def _bounded() -> None:
    resource.setrlimit(resource.RLIMIT_AS, (_MOST_SPACE, _MOST_SPACE))


def ended(words: list[str], folder: Path, stdin: Path | None) -> Ended:
    """Run a command in `folder`/work; its standard input is a file, or has ended."""
    kept = {name: text for name, text in os.environ.items() if name not in _TAKEN}
    surroundings = {
        **kept,
        "HOME": str(folder / "home"),
        "TMPDIR": str(folder / "temporary"),
        "SOUNDVERSE_API_KEY": KEY,
    }
    with (folder / "said").open("w+b") as out, (folder / "complained").open("w+b") as err:
        with (stdin or Path(os.devnull)).open("rb") as given:
            child = subprocess.Popen(
                [*_PROGRAM, *words], cwd=folder, env=surroundings, stdin=given, stdout=out,
                stderr=err, start_new_session=True, preexec_fn=_bounded,
            )  # fmt: skip
        previous = signal.signal(signal.SIGALRM, lambda *_: os.killpg(child.pid, signal.SIGKILL))
        signal.setitimer(signal.ITIMER_REAL, _PATIENCE_S)
        try:
            _, status, used = os.wait4(child.pid, 0)
        finally:
            signal.setitimer(signal.ITIMER_REAL, 0)
            signal.signal(signal.SIGALRM, previous)
        child.returncode = os.waitstatus_to_exitcode(status)
        out.seek(0)
        err.seek(0)
        said, complained = out.read(), err.read()
    for name in ("said", "complained"):
        (folder / name).unlink()
    return Ended(child.returncode, said, complained, used.ru_maxrss / 1024)


def _wrong(
    end: Ended, before: dict[str, str], folder: Path, kind: Kind, grown_mb: float
) -> Iterator[str]:
    """What is wrong with how a command ended."""
    said = end.err.decode(errors="replace")
    if end.code == 70:
        yield f"exit 70: {said.strip().splitlines()[0][:300] if said.strip() else ''}"
    elif end.code == -signal.SIGKILL:
        yield f"hangs for {_PATIENCE_S:.0f} s, or was killed"
    elif end.code < 0:
        yield f"ended by {signal.Signals(-end.code).name}"
    elif end.code not in kind.codes:
        yield f"exit {end.code}"
    if "Traceback (most recent call last)" in said:
        yield f"a traceback: {said.strip().splitlines()[-1][:300]}"
    if grown_mb > MOST_MB:
        yield f"grew by {grown_mb:.0f} MB"
    after = _listing(folder)
    changed = {name for name in after.keys() | before.keys() if after.get(name) != before.get(name)}
    for name in sorted(changed):
        if not any(name == each or name.startswith(f"{each}/") for each in kind.may_write):
            yield f"left or changed {name}"
        if (folder / name).is_file() and not (folder / name).is_symlink():
            for coding in mutators.found_codings((folder / name).read_bytes(), KEY):
                yield f"the key ({coding}) stands in {name}"
    for name, text in (("standard output", end.out), ("standard error", end.err)):
        for coding in mutators.found_codings(text, KEY):
            yield f"the key ({coding}) stands in {name}"


class Commands:
    """Runs commands in folders below `work`, and keeps what failed in `kept`."""

    def __init__(self, work: Path, kept: Path) -> None:
        self._work, self._kept = work, kept
        self._usual_mb: dict[str, float] = {}
        self._seen: set[str] = set()

    def _laid_out(self, inputs: Mapping[str, bytes], name: str = "command") -> Path:
        folder = self._work / name
        shutil.rmtree(folder, ignore_errors=True)
        for inner in ("in", "out", "home", "temporary"):
            (folder / inner).mkdir(parents=True)
        (folder / "precious").write_text("nobody's business\n")
        for inner, raw in inputs.items():
            goal = folder / "in" / inner
            goal.parent.mkdir(parents=True, exist_ok=True)
            goal.write_bytes(raw)
        return folder

    def _usually(self, kind: Kind) -> float:
        """The memory of this command on what is valid (MB)."""
        name = " ".join(word for word in kind.words if "/" not in word)
        if name not in self._usual_mb:
            folder = self._laid_out(kind.inputs, "usual")
            stdin = folder / "in" / kind.stdin if kind.stdin else None
            self._usual_mb[name] = ended(kind.words, folder, stdin).memory_mb
        return self._usual_mb[name]

    def one(self, number: int, seed: int, outcome: Outcome) -> None:
        """Run one command on mutants of its inputs."""
        rng = random.Random(f"commands/{seed}/{number}")
        kind = rng.choices(list(KINDS), list(KINDS.values()))[0](rng)
        folder = self._laid_out(_damage(kind, rng))
        _estrange(folder / "in", folder / "precious", kind, rng)
        stdin = folder / "in" / kind.stdin if kind.stdin else None
        if stdin is not None and not stdin.is_file():
            stdin = None
        before = _listing(folder)
        end = ended(kind.words, folder, stdin)
        outcome.codes[end.code] = outcome.codes.get(end.code, 0) + 1
        # A process that is smaller in all than it may grow by needs nothing to be held against.
        large = end.memory_mb > MOST_MB
        grown_mb = end.memory_mb - self._usually(kind) if large else 0.0
        outcome.largest_mb = max(outcome.largest_mb, end.memory_mb)
        shown = f"soundstage {' '.join(kind.words)}"
        for why in _wrong(end, before, folder, kind, grown_mb):
            if (told := f"{kind.words[0]}: {why}") not in self._seen:
                self._seen.add(told)
                kept = keep(folder, self._kept, f"command-{seed}-{number}")
                outcome.problems.append(f"{shown}: {why}; its folder: {kept}")


def attacked(
    many: int, seed: int, work: Path, kept: Path, told: Callable[[str], None] = lambda _: None
) -> Outcome:
    """So many commands, one after another."""
    outcome = Outcome()
    commands = Commands(work, kept)
    for number in range(many):
        commands.one(number, seed, outcome)
        if (number + 1) % 50 == 0:
            told(f"{number + 1} commands, {len(outcome.problems)} problems")
    return outcome
