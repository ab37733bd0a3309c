"""What users install is locked apart from what we develop with: the same versions, by hash, from
wherever the installer is told to look.
"""

from __future__ import annotations

import re
import tomllib
from collections.abc import Iterable
from functools import cache
from importlib import metadata
from pathlib import Path

import pytest
from packaging.markers import default_environment
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

ROOT = Path(__file__).parents[1]
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())
RUNTIME: list[str] = PROJECT["project"]["dependencies"]
DEVELOPMENT: list[str] = PROJECT["project"]["optional-dependencies"]["dev"]
BUILDING: list[str] = PROJECT["build-system"]["requires"]
USERS, DEVELOPERS = ROOT / "requirements.lock", ROOT / "requirements-dev.lock"
#: Where the locks are to hold: they are made for all platforms at once.
PLATFORMS = [
    {
        "sys_platform": system,
        "os_name": "nt" if system == "win32" else "posix",
        "platform_system": name,
        "python_version": python,
        "python_full_version": f"{python}.0",
    }
    for system, name in (("linux", "Linux"), ("darwin", "Darwin"), ("win32", "Windows"))
    for python in ("3.11", "3.12", "3.13", "3.14")
]
_PIN = re.compile(r"([a-z0-9][a-z0-9._-]*)==([^\s;]+)( ; .+)? \\", re.IGNORECASE)
_HASH = re.compile(r"    --hash=sha256:([0-9a-f]{64})( \\)?")


def pins(lock: Path) -> dict[tuple[str, str], set[str]]:
    """The hashes of each (name, version). Every line is a pin or a hash, and nothing else."""
    found: dict[tuple[str, str], set[str]] = {}
    last: set[str] = set()
    for line in lock.read_text().splitlines():
        if pin := _PIN.fullmatch(line):
            last = found.setdefault((canonicalize_name(pin[1]), pin[2]), set())
        else:
            named = _HASH.fullmatch(line)
            assert named, f"{lock.name}: {line}"
            last.add(named[1])
    return found


def names(lock: Path) -> set[str]:
    return {name for name, _ in pins(lock)}


@cache
def asked_by(name: str) -> tuple[Requirement, ...]:
    """What an installed package asks for; nothing of one that is for other platforms."""
    try:
        return tuple(map(Requirement, metadata.requires(name) or ()))
    except metadata.PackageNotFoundError:
        return ()


def closure(wanted: Iterable[str], platform: dict[str, str]) -> set[str]:
    """Every package that these requirements bring along on a platform."""
    here = {**default_environment(), **platform}
    found: set[tuple[str, str]] = set()
    due = [(Requirement(each), "") for each in wanted]
    while due:
        asked, of = due.pop()
        if asked.marker is not None and not asked.marker.evaluate({**here, "extra": of}):
            continue
        name = canonicalize_name(asked.name)
        for extra in ("", *asked.extras):
            if (name, extra) not in found:
                found.add((name, extra))
                due += [(each, extra) for each in asked_by(name)]
    return {name for name, _ in found}


def on_all_platforms(wanted: Iterable[str]) -> set[str]:
    wanted = list(wanted)
    return set().union(*(closure(wanted, each) for each in PLATFORMS))


def test_the_users_lock_holds_what_runs_and_what_builds_it_and_nothing_else() -> None:
    assert names(USERS) == on_all_platforms([*RUNTIME, *BUILDING])


def test_no_tool_of_ours_reaches_users() -> None:
    ours = {canonicalize_name(Requirement(each).name) for each in DEVELOPMENT}
    both = ours & names(USERS)
    assert both <= on_all_platforms([*RUNTIME, *BUILDING])
    assert not names(USERS) & {
        "aiohttp", "build", "cryptography", "httpx", "lxml", "mypy", "playwright", "pytest-timeout",
        "pytest-xdist", "ruff", "uv",
    }  # fmt: skip


def test_nothing_that_only_tests_use_is_asked_for_at_runtime() -> None:
    runtime = {canonicalize_name(Requirement(each).name) for each in RUNTIME}
    development = {canonicalize_name(Requirement(each).name) for each in DEVELOPMENT}
    assert not runtime & development
    code = "\n".join(
        file.read_text()
        for folder in ("src", "contracts", "loadtests", "reports")
        for file in (ROOT / folder).rglob("*.py")
    )
    spelled = {"pillow": "PIL"}
    for name in runtime - {"uvloop"}:  # uvicorn takes that by its name
        module = spelled.get(name, name.replace("-", "_"))
        assert re.search(rf"(import|from) {module}\b", code), f"{name} is asked for, and not used"


def test_both_locks_agree_on_versions_and_hashes() -> None:
    developers = pins(DEVELOPERS)
    for pin, hashes in pins(USERS).items():
        assert developers.get(pin) == hashes, pin


def test_the_developers_lock_holds_what_they_ask_for() -> None:
    assert names(DEVELOPERS) == on_all_platforms([*RUNTIME, *BUILDING, *DEVELOPMENT])


@pytest.mark.parametrize("lock", [USERS, DEVELOPERS], ids=lambda lock: lock.name)
def test_a_lock_pins_by_hash_and_names_no_host(lock: Path) -> None:
    for (name, version), hashes in pins(lock).items():
        assert hashes, f"{name} {version}"
    assert not re.search(r"://|--(?:extra-)?index-url|--find-links|@|\bgit\+", lock.read_text())


@pytest.mark.parametrize("lock", [USERS, DEVELOPERS], ids=lambda lock: lock.name)
def test_what_is_locked_is_what_is_tested_here(lock: Path) -> None:
    for name in {each for each, _ in pins(lock)}:
        try:
            here = metadata.version(name)
        except metadata.PackageNotFoundError:
            continue
        assert here in {version for each, version in pins(lock) if each == name}, name


def test_who_installs_takes_the_lock_that_is_meant_for_them() -> None:
    action, makefile = (ROOT / "action.yml").read_text(), (ROOT / "Makefile").read_text()
    assert "requirements.lock" in action
    assert "requirements-dev" not in action
    assert "-r requirements-dev.lock" in makefile
    for install in re.findall(r"pip.* install .*-r .*", action + makefile):
        assert "--require-hashes" in install
