"""The wheel holds all that runs: it is built, unpacked and used, with nothing of the repository.

The whole of it, in new environments and on other Pythons, is `make wheel`.
"""

from __future__ import annotations

import os
import subprocess
import sys
import tomllib
import zipfile
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))["project"]


def run(*words: str, folder: Path, path: Path | None = None) -> str:
    """Another process of this Python, which finds our code in `path`; what it printed."""
    done = subprocess.run(
        [sys.executable, *words],
        cwd=folder,
        env={**os.environ, "NO_COLOR": "1"} | ({"PYTHONPATH": str(path)} if path else {}),
        capture_output=True,
        text=True,
        timeout=100,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


@pytest.mark.timing
def test_what_the_wheel_holds_checks_loads_and_reports(tmp_path: Path) -> None:
    # From a copy: a build leaves files in the folder that it builds.
    clone, dist, there, folder = (tmp_path / name for name in ("clone", "dist", "there", "folder"))
    folder.mkdir()
    listed = ["git", "-C", str(ROOT), "ls-files", "-z"]
    names = subprocess.run(listed, capture_output=True, check=True).stdout.decode().split("\0")
    for name in filter(None, names):
        # What was deleted and not yet committed is listed, too.
        if (ROOT / name).is_file() and not name.startswith(("docs/", "tests/", "benchmarks/")):
            (clone / name).parent.mkdir(parents=True, exist_ok=True)
            (clone / name).write_bytes((ROOT / name).read_bytes())
    run("-m", "build", "--no-isolation", "--outdir", str(dist), ".", folder=clone)
    (wheel,) = dist.glob("*.whl")
    zipfile.ZipFile(wheel).extractall(there)
    where = "import soundstage, soundstage.reports as r; print(soundstage.__file__, *r.__path__)"
    said = run("-c", where, folder=folder, path=there)
    assert all(Path(place).is_relative_to(there) for place in said.split())
    soundstage = ("-P", "-m", "soundstage")
    common = ("--target", "emulator", "--api", "v6", "--out")
    run(*soundstage, "check", *common, "check", "--explore", "0", folder=folder, path=there)
    load = ("--rate", "4", "--duration", "1s", "--emulator-args", "--profile instant")
    run(*soundstage, "load", *common, "load", *load, folder=folder, path=there)
    run(*soundstage, "schema", "--format", "openapi", "--api", "v5", folder=folder, path=there)
    assert sorted(path.name for path in folder.iterdir()) == ["check", "load"]
    assert (folder / "load/report.html").is_file()


def test_the_classifiers_name_the_pythons_that_the_page_names() -> None:
    """`make wheel` ran with those; who adds one has run it."""
    named = [each.rpartition(" :: ")[2] for each in PROJECT["classifiers"] if ":: 3." in each]
    page = (ROOT / "docs/how-to/install.md").read_text("utf-8")
    *some, last = named
    assert f"CPython {', '.join(some)} and {last};" in page
    assert PROJECT["requires-python"] == f">={named[0]}"
