"""An emulator, and commands run as processes: Locust patches whatever process it is loaded in."""

from __future__ import annotations

import json
import os
import select
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from shlex import split
from typing import Any

import pytest
from saturation import saturated

from soundstage.errors import SoundstageError
from soundstage.exchange.spawn import spawned_emulator
from soundstage.results.bundle import Bundle

_PREFORK = Path(__file__).parent.parent / "support" / "prefork.py"
LOCUSTFILE = Path(__file__).parents[2] / "loadtests" / "locustfile.py"
#: So long a run may take on a busy machine.
_PATIENCE_S = 120.0
_TRIES = 3
#: Nothing that the tests start may find a key, a proxy or a CI in the environment.
_ENVIRONMENT = {
    name: value
    for name, value in os.environ.items()
    if name not in ("SOUNDVERSE_API_KEY", "CI") and not name.lower().endswith("_proxy")
}


@dataclass(frozen=True)
class Ran:
    """A command that has run, and the bundle that it left in `folder`."""

    code: int
    out: str
    err: str
    folder: Path

    @property
    def bundle(self) -> Bundle:
        return Bundle.open(self.folder)

    @property
    def rows(self) -> list[dict[str, Any]]:
        return list(self.bundle.exchanges())


def start(*words: str, cwd: Path) -> subprocess.Popen[str]:
    """Start `python WORDS…` in `cwd`."""
    return subprocess.Popen(
        [sys.executable, *words],
        cwd=cwd,
        env=_ENVIRONMENT,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


def start_load(folder: Path, url: str, options: str, **constants: object) -> subprocess.Popen[str]:
    """Start `soundstage load --target URL OPTIONS… --out FOLDER`, with some constants of modules
    below `soundstage.loadtests` changed, so that nobody has to wait for them: `run__load_run__X_S`.
    """
    # Who imports a constant by name does so later.
    lines = ["import sys, locust"]
    for number, (name, value) in enumerate(constants.items()):
        module, constant = name.rsplit("__", 1)
        lines.append(f"import soundstage.loadtests.{module.replace('__', '.')} as m{number}")
        lines.append(f"m{number}.{constant} = {value!r}")
    lines += ["from soundstage.cli import main", "sys.exit(main(sys.argv[1:]))"]
    words = ["load", "--target", url, *split(options), "--out", str(folder)]
    return start("-c", "\n".join(lines), *words, cwd=folder.parent)


def until(process: subprocess.Popen[str], happened: Callable[[], Any]) -> Any:
    """Wait until something has happened while `process` runs; what it then is."""
    deadline = time.monotonic() + _PATIENCE_S
    while not (found := happened()):
        if process.poll() is not None or time.monotonic() > deadline:
            process.kill()
            raise AssertionError(process.communicate())
        time.sleep(0.05)
    return found


def seen(folder: Path) -> list[dict[str, Any]]:
    """The rows that are on disk by now."""
    try:
        return list(Bundle.open(folder).exchanges())
    except SoundstageError:
        return []  # it is just being made


def drains(folder: Path) -> bool:
    """Whether the run starts nothing any more, and waits for what is in flight."""
    try:
        health = list(Bundle.open(folder).health())
    except SoundstageError:
        return False
    return any(each["asked"] == 0 and each["in_flight"] > 0 for each in health)


class Forked:
    """Runs commands one after another in children of one process (`tests/support/prefork.py`), so
    that Locust is imported once and not for each of them.
    """

    def __init__(self) -> None:
        self._process: subprocess.Popen[str] | None = None

    def run(self, words: list[str], cwd: Path) -> tuple[int, str, str]:
        """(exit code, standard output, standard error) of `soundstage WORDS…` in `cwd`."""
        if self._process is None:
            self._process = subprocess.Popen(
                [sys.executable, str(_PREFORK)],
                env=_ENVIRONMENT,
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                text=True,
            )
        said, asked = self._process.stdout, self._process.stdin
        assert said is not None
        assert asked is not None
        out, err = cwd / "stdout.txt", cwd / "stderr.txt"
        order = {"words": words, "cwd": str(cwd), "out": str(out), "err": str(err)}
        print(json.dumps(order), file=asked, flush=True)
        ready, _, _ = select.select([said], [], [], _PATIENCE_S)
        if not ready or not (code := said.readline()):
            self.stop()
            raise AssertionError(f"soundstage {words}: no end to it, or none that it could tell")
        return int(code), out.read_text(), err.read_text()

    def stop(self) -> None:
        """End that process."""
        if self._process is not None:
            with self._process as process:
                process.kill()
        self._process = None


_FORKED = Forked()


@pytest.fixture(scope="session", autouse=True)
def _stop() -> Iterator[None]:
    yield
    _FORKED.stop()


def load(tmp_path: Path, *options: str) -> Ran:
    """Run `soundstage load OPTIONS… --out tmp_path/run`; once or twice more if it says that this
    machine had other things to do, so that the run says nothing.
    """
    tmp_path.mkdir(exist_ok=True)
    for number in range(_TRIES):
        folder = tmp_path / ("run" if number == 0 else f"run{number}")
        code, out, err = _FORKED.run(["load", *options, "--out", str(folder)], tmp_path)
        ran = Ran(code, out, err, folder)
        if not saturated(folder):
            break
    return ran


@pytest.fixture(scope="session")
def emulator() -> Iterator[str]:
    """The URL of an emulator that is 200 times as fast as the real thing."""
    with spawned_emulator(["--speed", "200", "--seed", "5"]) as url:
        yield url


@pytest.fixture(scope="session")
def broken(tmp_path_factory: pytest.TempPathFactory) -> Ran:
    """A run against a target that breaks its contract, is too slow, and keeps one objective."""
    fault = "--speed 200 --fault field/streaming_ready/stream_url/missing"
    options = ["--target", "emulator", "--emulator-args", fault, "--api", "v6"]
    options += split("--rate 60 --duration 1s --slo complete.p50<1ms --slo violations==0")
    options += ["--slo", "violations(field.missing)<=1000000"]
    return load(tmp_path_factory.mktemp("broken"), *options)
