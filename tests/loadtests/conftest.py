"""An emulator, and commands run as processes: Locust patches whatever process it is loaded in."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from soundstage.exchange.spawn import spawned_emulator
from soundstage.results.bundle import Bundle

#: Nothing that the tests start may find a key or a proxy in the environment.
_ENVIRONMENT = {
    name: value
    for name, value in os.environ.items()
    if name != "SOUNDVERSE_API_KEY" and not name.lower().endswith("_proxy")
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


def load(tmp_path: Path, *options: str) -> Ran:
    """Run `soundstage load OPTIONS… --out tmp_path/run`."""
    tmp_path.mkdir(exist_ok=True)
    folder = tmp_path / "run"
    words = ("-m", "soundstage", "load", *options, "--out", str(folder))
    process = start(*words, cwd=tmp_path)
    out, err = process.communicate(timeout=60)
    return Ran(process.returncode, out, err, folder)


@pytest.fixture(scope="session")
def emulator() -> Iterator[str]:
    """The URL of an emulator that is 200 times as fast as the real thing."""
    with spawned_emulator(["--speed", "200", "--seed", "5"]) as url:
        yield url
