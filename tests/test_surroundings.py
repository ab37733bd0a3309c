"""The tables of docs/reference/exit-codes.md, cell by cell, from the real commands as processes.

Nothing here waits for a time: a signal is sent when the command has been seen at work.
"""

from __future__ import annotations

import fcntl
import json
import os
import random
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

import httpx
import pytest
from bundle_rows import RUN
from emulated import served

from soundstage.contract import load_all
from soundstage.emulator.options import Options
from soundstage.exit_codes import ExitCode
from soundstage.generation import walk
from soundstage.results.bundle import BundleWriter

PAGE = Path(__file__).parents[1] / "docs/reference/exit-codes.md"
PROGRAM = [sys.executable, "-P", "-m", "soundstage"]
CONTRACT = list(load_all().values())[-1]
API = CONTRACT.api
_NOT_RUN = "·"
_PATIENCE_S = 60
#: Sends itself the signal SIGNAL while the module AT is being imported.
_AT_AN_IMPORT = """
import os, sys
class Finder:
    def find_spec(self, name, path=None, target=None):
        if name == os.environ["AT"]:
            os.kill(os.getpid(), int(os.environ["SIGNAL"]))
sys.meta_path.insert(0, Finder())
"""


def cells() -> Iterator[tuple[str, str, int]]:
    """(surroundings, command, exit code) of every cell of the page that is run."""
    header: list[str] = []
    for line in PAGE.read_text("utf-8").splitlines():
        found = [cell.strip() for cell in line.strip().strip("|").split("|")]
        if not line.startswith("|"):
            header = []
        elif not header:
            header = found
        elif header[0] == "surroundings" and not found[0].startswith("---"):
            for command, code in zip(header[1:], found[1:], strict=True):
                if code != _NOT_RUN:
                    yield found[0], command, int(code)


CELLS = list(cells())


class Place:
    """Inputs and a folder for one cell; `words` are what its command is called with."""

    def __init__(self, inputs: Path, folder: Path, column: str) -> None:
        self.inputs, self.folder, self.column = inputs, folder, column
        self.out = folder / "out"
        base, slow = str(inputs / "base"), str(inputs / "slow")
        runs = str(inputs)
        emulator = ["--target", "emulator", "--api", API, "--out", str(self.out)]
        fault = ["--fault", "index/gap"]
        self.words = {
            "`lint` of a broken stream": ["lint", str(inputs / "bad.sse")],
            "`lint` of a good one": ["lint", str(inputs / "good.sse")],
            "`explain`": ["explain"],
            "`schema`": ["schema", "--api", API, "--format", "openapi"],
            "`runs`": ["runs", "--runs", runs],
            "`report`": ["report", base],
            "`compare`, slower": ["compare", base, slow],
            "`check`, broken": ["check", *emulator, *fault, "--explore", "0", "-k", "stream"],
            "`check`, good": ["check", *emulator, "--explore", "0", "-k", "stream"],
            "`record`": ["record", *emulator],
            "`load`": ["load", *emulator, "--rate", "20", "--duration", "2s"],
            "`emulate`": ["emulate", "--port", "0"],
        }[column]

    def aimed_at(self, url: str, *more: str) -> list[str]:
        """The words, with another target than an emulator of its own."""
        return [url if word == "emulator" else word for word in self.words] + list(more)

    def output(self, file: str) -> list[str]:
        """The words, with an output that goes to this file."""
        option = {"compare": ["--out"], "report": ["--format", "junit", "--output"]}
        return [*self.words, *option.get(self.words[0], ["--output"]), file]


def finished(words: list[str], shell: str = "", **more: Any) -> int:
    """The exit code of a command. `shell`: what a shell does before it, or how it redirects.

    Whatever it says, it says without a traceback.
    """
    before, _, redirections = shell.rpartition(";")
    script = f'{before}{";" if before else ""}exec "$@" {redirections}'
    given = {"stdout": subprocess.DEVNULL, "stderr": subprocess.PIPE, **more}
    done = subprocess.run(["sh", "-c", script, "sh", *PROGRAM, *words], **given, check=False)
    _decent(done.stderr)
    return done.returncode


def _decent(said: bytes | None) -> None:
    text = (said or b"").decode(errors="replace")
    for word in ("Traceback", "Exception ignored", "our bug"):
        assert word not in text, text


def gone() -> int:
    """The end for writing of a pipe whose reader is gone."""
    reading, writing = os.pipe()
    os.close(reading)
    return writing


def environment(**names: str) -> dict[str, str]:
    return {**os.environ, **names}


# --- surroundings --------------------------------------------------------------------------------


def plainly(shell: str = "", **more: Any) -> Callable[[Place], int]:
    return lambda place: finished(place.words, shell, **more)


def reader_gone(name: str) -> Callable[[Place], int]:
    def run(place: Place) -> int:
        end = gone()
        try:
            return finished(place.words, **{name: end})
        finally:
            os.close(end)

    return run


def with_output(file: str) -> Callable[[Place], int]:
    return lambda place: finished(place.output(file))


def into_a_pipe_nobody_reads(place: Place) -> int:
    end = gone()
    try:
        return finished(place.output(f"/dev/fd/{end}"), pass_fds=[end])
    finally:
        os.close(end)


def through_a_pipe_that_does_not_block(place: Place) -> int:
    reading, writing = os.pipe()
    fcntl.fcntl(writing, fcntl.F_SETFL, os.O_NONBLOCK)
    fcntl.fcntl(writing, fcntl.F_SETPIPE_SZ, 4096)
    command = [*PROGRAM, *place.words]
    with subprocess.Popen(command, stdout=writing, stderr=subprocess.PIPE) as child:
        os.close(writing)
        with open(reading, "rb") as file:
            whole = file.read()
        assert child.stderr is not None
        _decent(child.stderr.read())
    assert whole == subprocess.run(command, stdout=subprocess.PIPE, check=False).stdout
    return child.returncode


def no_file_may_grow(place: Place) -> int:
    words = place.words if place.words[0] == "report" else place.output(str(place.folder / "x"))
    return finished(words, "ulimit -f 1;")


def no_memory(place: Place) -> int:
    large = place.folder / "large.sse"
    shutil.copy(place.words[-1], large)
    os.truncate(large, 60 * 2**20)
    return finished([place.words[0], str(large)], "ulimit -v 100000;")


def cannot_be_a_folder(place: Place) -> int:
    place.out.write_bytes(b"mine")
    return finished(place.words)


# --- signals --------------------------------------------------------------------------------------


def at_an_import(signum: signal.Signals) -> Callable[[Place], int]:
    def run(place: Place) -> int:
        (place.folder / "sitecustomize.py").write_text(_AT_AN_IMPORT)
        places = environment(
            PYTHONPATH=str(place.folder), AT="jsonschema_rs", SIGNAL=str(int(signum))
        )
        return finished(place.words, env=places)

    return run


class Emulators:
    """An emulator that takes a minute for a song, and one that is quick."""

    def __init__(self, slow: str, quick: str) -> None:
        self.slow, self.quick = slow, quick

    def billed(self) -> int:
        return int(httpx.get(f"{self.slow}/_emulator/health").json()["charges"])


def seen_at_work(words: list[str], at_work: Callable[[subprocess.Popen[bytes]], None], do: Any):
    """The exit code and what was said of a command to which `do` is done once it is at work."""
    pipes = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE}
    with subprocess.Popen([*PROGRAM, *words], **pipes) as child:
        try:
            at_work(child)
            do(child)
            said, complaints = child.communicate(timeout=_PATIENCE_S)
        finally:
            child.kill()
    _decent(complaints)
    return child.returncode, said.decode(), complaints.decode()


def until(child: subprocess.Popen[bytes], seen: Callable[[], bool]) -> None:
    deadline = time.monotonic() + _PATIENCE_S
    while not seen():
        assert child.poll() is None, child.communicate()
        assert time.monotonic() < deadline
        time.sleep(0.02)


def at_work(signum: signal.Signals) -> Callable[[Place, Emulators], int]:
    """Sends a signal to a command that was seen at work."""

    def send(child: subprocess.Popen[bytes]) -> None:
        child.send_signal(signum)

    def run(place: Place, emulators: Emulators) -> int:
        name = place.words[0]
        if name == "emulate":
            return seen_at_work(place.words, lambda child: child.stdout.readline(), send)[0]
        if name in ("lint", "report", "compare"):
            return _while_it_reads(place, signum)
        if name == "load":
            words = place.aimed_at(emulators.quick, "--duration", "60s")
            rows = place.out / "exchanges.ndjson.gz"

            def begun() -> bool:
                return rows.is_file() and rows.stat().st_size > 0
        else:
            words = place.aimed_at(emulators.slow)
            before = emulators.billed()

            def begun() -> bool:
                return emulators.billed() > before

        code, _, said = seen_at_work(words, lambda child: until(child, begun), send)
        if name in ("check", "load"):
            assert {"report.html", "junit.xml", "summary.md"} <= set(os.listdir(place.out)), said
        return code

    return run


def _while_it_reads(place: Place, signum: signal.Signals) -> int:
    """Has a command read a pipe, or write to one that is full."""
    pipe = place.folder / "pipe"
    os.mkfifo(pipe)
    words = [*place.words[:-1], str(pipe)]
    if place.words[0] == "compare":
        words = [*place.words, "--calibration", str(pipe)]
    if place.words[0] == "report":
        words = [*place.words, "--format", "html", "--output", str(pipe)]
        filled = os.open(pipe, os.O_RDWR | os.O_NONBLOCK)
        with suppress(BlockingIOError):
            while os.write(filled, bytes(4096)):
                pass
    with subprocess.Popen([*PROGRAM, *words], stderr=subprocess.PIPE) as child:
        if place.words[0] == "report":
            until(child, lambda: _has_open(child.pid, pipe))
        else:
            filled = os.open(pipe, os.O_WRONLY)  # waits until the command opens it, too
        child.send_signal(signum)
        _, said = child.communicate(timeout=_PATIENCE_S)
        os.close(filled)
    _decent(said)
    return child.returncode


def _has_open(pid: int, path: Path) -> bool:
    with suppress(OSError):
        return any(each.readlink() == path for each in Path(f"/proc/{pid}/fd").iterdir())
    return False


def folder_vanishes(place: Place, emulators: Emulators) -> int:
    """Takes the folder away once what is written there cannot be all."""
    del emulators  # it has one of its own
    words = [*place.words, "--emulator-args", "--speed 40"]

    def begun() -> bool:
        return (place.out / "exchanges.ndjson.gz").is_file()

    code, said, complaints = seen_at_work(
        words, lambda child: until(child, begun), lambda _: shutil.rmtree(place.out)
    )
    assert "cannot write: No such file or directory" in complaints
    assert said.startswith("FAIL" if code == ExitCode.BROKEN else ("PASS", "INCOMPLETE"))
    return code


MOMENTS: dict[str, Callable[[Place], int]] = {
    "nothing special": plainly(),
    "the reader of the output is gone": reader_gone("stdout"),
    "the reader of the errors is gone": reader_gone("stderr"),
    "output closed (`>&-`)": plainly(">&-"),
    "errors closed (`2>&-`)": plainly("2>&-"),
    "input closed (`<&-`)": plainly("<&-"),
    "all three closed": plainly("<&- >&- 2>&-"),
    "output on a full disk": plainly(">/dev/full"),
    "errors on a full disk": plainly("2>/dev/full"),
    "output in ASCII": plainly(env=environment(PYTHONIOENCODING="ascii")),
    "output in Latin-1": plainly(env=environment(PYTHONIOENCODING="latin-1")),
    "locale C without UTF-8": plainly(
        env=environment(LC_ALL="C", PYTHONUTF8="0", PYTHONCOERCECLOCALE="0")
    ),
    "a pipe that does not block": through_a_pipe_that_does_not_block,
    "a terminal of one column": plainly(env=environment(COLUMNS="1")),
    "SIGINT while it starts": at_an_import(signal.SIGINT),
    "SIGTERM while it starts": at_an_import(signal.SIGTERM),
    "SIGHUP under `nohup`": lambda place: finished(
        place.words,
        "trap '' HUP;",
        env=environment(PYTHONPATH=_importing(place), AT="jsonschema_rs", SIGNAL="1"),
    ),
    "its file is on a full disk": with_output("/dev/full"),
    "its file is in no folder": with_output("/no/such/folder/file"),
    "its file is a pipe nobody reads": into_a_pipe_nobody_reads,
    "no file may grow": no_file_may_grow,
    "no memory": no_memory,
    "its folder cannot be one": cannot_be_a_folder,
}
LONGER: dict[str, Callable[[Place, Emulators], int]] = {
    "SIGINT while it works": at_work(signal.SIGINT),
    "SIGTERM while it works": at_work(signal.SIGTERM),
    "SIGHUP while it works": at_work(signal.SIGHUP),
    "its folder vanishes while it works": folder_vanishes,
}


def _importing(place: Place) -> str:
    (place.folder / "sitecustomize.py").write_text(_AT_AN_IMPORT)
    return str(place.folder)


@pytest.fixture(scope="module")
def inputs(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A good stream and a broken one, a run and one that is twice as slow."""
    folder = tmp_path_factory.mktemp("inputs")
    rng = random.Random(1)
    chunks = walk.payloads(CONTRACT, walk.plan(CONTRACT, rng), walk.random_story(rng), rng)
    for name, some in (("good", chunks), ("bad", chunks[2:])):
        frames = [b"data: " + json.dumps(chunk).encode() + b"\n\n" for chunk in some]
        (folder / f"{name}.sse").write_bytes(b"".join(frames))
    for name, times in (("base", 1.0), ("slow", 2.0)):
        facts = {**RUN, "kind": "load", "parameters": {"rate": 5}}
        with BundleWriter.create(folder / name, facts) as writer:
            for number in range(100):
                writer.exchange(_row(number, times * rng.lognormvariate(0, 0.2)))
            writer.finish(verdict="pass", exit_code=0, reason=None, rules=[])
    return folder


def _row(number: int, seconds: float) -> dict[str, Any]:
    return {
        "id": f"é{number:06d}",  # so that there is something to encode
        "scenario": "load",
        "api": API,
        "endpoint": "stream",
        "intended_ns": number * 200_000_000,
        "started_ns": number * 200_000_000,
        "outcome": "ok",
        "verdict": "conforms",
        "milestones": {"streaming_ready": seconds, "complete": 2 * seconds},
        "stages": {},
        "codes": {},
    }


@pytest.fixture(scope="module")
def emulators() -> Iterator[Emulators]:
    with served(Options(speed=1)) as slow, served(Options(speed=200)) as quick:
        yield Emulators(slow, quick)


def test_the_page_and_these_tests_know_the_same_surroundings() -> None:
    assert {row for row, _, _ in CELLS} == MOMENTS.keys() | LONGER.keys()


@pytest.mark.parametrize(
    ("row", "column", "code"), [each for each in CELLS if each[0] in MOMENTS], ids=str
)
@pytest.mark.proof
def test_a_command_gives_its_code_in(
    row: str, column: str, code: int, inputs: Path, tmp_path: Path
) -> None:
    assert MOMENTS[row](Place(inputs, tmp_path, column)) == code


@pytest.mark.parametrize(
    ("row", "column", "code"), [each for each in CELLS if each[0] in LONGER], ids=str
)
@pytest.mark.proof
def test_a_command_at_work_gives_its_code_at(
    row: str, column: str, code: int, inputs: Path, tmp_path: Path, emulators: Emulators
) -> None:
    assert LONGER[row](Place(inputs, tmp_path, column), emulators) == code
