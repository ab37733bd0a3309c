"""What is installed: every room is a package, and every file of data goes along."""

from __future__ import annotations

import fnmatch
import tomllib
from importlib.metadata import entry_points
from importlib.resources import files
from pathlib import Path

import soundstage
from soundstage.cli import COMMANDS

ROOT = Path(__file__).parents[1]
SETTINGS = tomllib.loads((ROOT / "pyproject.toml").read_text())
SETUPTOOLS = SETTINGS["tool"]["setuptools"]


def folder_of(package: str) -> Path:
    """Where a package lies in the repository, by the longest entry of package-dir."""
    mapped = SETUPTOOLS["package-dir"]
    nearest = max((name for name in mapped if f"{package}.".startswith(f"{name}.")), key=len)
    return ROOT / mapped[nearest] / package.removeprefix(nearest).strip(".").replace(".", "/")


def test_every_package_is_listed_and_no_other():
    listed = {folder_of(package) for package in SETUPTOOLS["packages"]}
    roots = [ROOT / folder for folder in SETUPTOOLS["package-dir"].values()]
    there = {path.parent for root in roots for path in root.rglob("__init__.py")}
    assert listed == there


def test_every_file_of_data_is_installed():
    patterns = SETUPTOOLS["package-data"]
    for package in SETUPTOOLS["packages"]:
        folder = folder_of(package)
        inner = [
            other for other in map(folder_of, SETUPTOOLS["packages"]) if folder in other.parents
        ]
        for path in folder.rglob("*"):
            if path.is_dir() or path.suffix in (".py", ".pyc") or "__pycache__" in path.parts:
                continue
            if any(other in path.parents for other in inner):
                continue
            name = path.relative_to(folder).as_posix()
            matched = any(
                fnmatch.fnmatch(name, pattern) and name.count("/") == pattern.count("/")
                for pattern in patterns.get(package, [])
            )
            assert matched, f"{path} is in no package-data"


def test_the_command_leads_to_the_command_line():
    (command,) = entry_points(group="console_scripts", name="soundstage")
    assert command.value == "soundstage.cli:main"
    assert not entry_points(group="pytest11", name="soundstage")


def test_the_version_is_said_once():
    assert soundstage.__version__ == SETTINGS["project"]["version"]


def test_the_contracts_are_found_as_data_of_the_package():
    assert files("soundstage.schemas").joinpath("v6/protocol.json").is_file()


def test_every_command_is_a_module_with_help():
    for module, help_text in COMMANDS.values():
        assert module.startswith("soundstage.")
        assert help_text
