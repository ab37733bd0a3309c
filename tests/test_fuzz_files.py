"""A little of what `python -m benchmarks fuzz` does in earnest, and what it is there to notice."""

from __future__ import annotations

import importlib
import os
import random
import signal
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from soundstage.errors import UsageError

ROOT = Path(__file__).parents[1]
#: So many inputs of each part; 300 in all.
SHORT = {"saved": 150, "files": 40, "bundles": 25, "contracts": 25, "assets": 60}


def module(name: str) -> Any:
    return importlib.import_module(f"benchmarks.{name}")


@pytest.fixture(scope="module", autouse=True)
def _root_on_path() -> Iterator[None]:
    sys.path.insert(0, str(ROOT))
    yield
    sys.path.remove(str(ROOT))


@pytest.fixture
def place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Any:
    monkeypatch.setenv("SOUNDSTAGE_TRACEBACK", "1")  # as the fuzz sets it, and taken back
    fuzzing = module("fuzzing")
    (tmp_path / "work").mkdir()
    fuzzing.place = fuzzing.Place(tmp_path / "work", tmp_path / "kept")
    yield fuzzing.place
    fuzzing.place = None


@pytest.mark.parametrize("part", SHORT)
@pytest.mark.proof
def test_mutants_of_files_get_an_answer_of_ours(place: Any, part: str) -> None:
    found = module(f"fuzz_{part}").run(SHORT[part], 1)
    assert module("fuzz_part").problems_of(found) == []


@pytest.mark.proof
def test_mutants_through_the_real_commands_leave_nothing_and_say_no_key(tmp_path: Path) -> None:
    outcome = module("fuzz_commands").attacked(5, 3, tmp_path / "work", tmp_path / "kept")
    assert sum(outcome.codes.values()) == 5
    assert outcome.problems == []


def test_every_part_has_a_share() -> None:
    fuzz = module("fuzz")
    assert sum(fuzz.PARTS.values()) == pytest.approx(1)
    assert fuzz.PARTS.keys() == SHORT.keys()


# --- it notices ----------------------------------------------------------------------------------


def test_what_a_reader_raises_is_told_with_its_place_and_its_input(place: Any) -> None:
    def read(folder: Path, rng: random.Random) -> None:
        raw = (folder / "file").read_bytes()
        if raw == b"odd":
            raise UsageError("file: is odd")
        raise KeyError("rule")

    fuzzing = module("fuzzing")
    cases = iter([b"odd", b"even", b"odd", b"even"])
    found = fuzzing.tried("made-up", lambda rng: {"file": next(cases)}, read, 4, 7)
    assert len(found) == 1, "one kind of problem is told once"
    assert found[0].startswith("made-up 1 of seed 7: KeyError: 'rule' at tests/test_fuzz_files.py:")
    kept = Path(found[0].rpartition("its input: ")[2])
    assert (kept / "file").read_bytes() == b"even"


def test_an_error_over_several_lines_is_a_problem(place: Any) -> None:
    def read(folder: Path, rng: random.Random) -> None:
        raise UsageError("file: is\nodd")

    found = module("fuzzing").tried("made-up", lambda rng: {"file": b""}, read, 1, 0)
    assert "over several lines" in found[0]


def test_a_bug_that_a_command_admits_is_told_with_its_place(
    place: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    from soundstage.commands import explain

    def run(*_: object) -> int:
        return int("x")

    monkeypatch.setattr(explain, "run", run)
    fuzzing = module("fuzzing")
    with pytest.raises(fuzzing.Bug, match=r"exit 70: ValueError: .* at tests/test_fuzz_files.py:"):
        fuzzing.command(["explain", "index.gap"])


def test_a_part_that_is_killed_is_told_with_the_input_that_did_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    fuzz = module("fuzz")
    sick = tmp_path / "benchmarks_sick.py"
    sick.write_text(
        "import os, sys, pathlib\n"
        "work = pathlib.Path(sys.argv[sys.argv.index('--work') + 1])\n"
        "(work / 'case').mkdir()\n"
        "(work / 'case' / 'song').write_bytes(b'OggS')\n"
        "(work / 'number').write_text('assets 4')\n"
        "os.kill(os.getpid(), 11)\n"
    )
    program = tmp_path / "python"
    program.write_text(f'#!/bin/sh\nshift 3\nexec {sys.executable} {sick} "$@"\n')
    program.chmod(0o755)
    monkeypatch.setattr(fuzz.sys, "executable", str(program))
    outcome = fuzz.part("assets", 9, 0, tmp_path / "work", tmp_path / "kept")
    (told,) = outcome.problems
    assert told.startswith("assets 4 of seed 0: ended by SIGSEGV; its input: ")
    assert Path(told.rpartition(" ")[2], "song").read_bytes() == b"OggS"


@pytest.fixture
def laid_out(tmp_path: Path) -> Path:
    (tmp_path / "in").mkdir()
    (tmp_path / "in" / "a").write_text("a")
    return tmp_path


def wrong(laid_out: Path, before: dict[str, str], **how: Any) -> list[str]:
    commands = module("fuzz_commands")
    end = {"code": 0, "out": b"", "err": b"", "memory_mb": 50.0, **how}
    kind = commands.Kind(["lint"], {}, may_write=("out",))
    return list(commands._wrong(commands.Ended(**end), before, laid_out, kind, how.get("mb", 0.0)))


@pytest.mark.parametrize(
    ("how", "told"),
    [
        ({"code": 70, "err": b"soundstage lint: this is our bug"}, "exit 70: soundstage lint"),
        ({"code": -signal.SIGSEGV}, "ended by SIGSEGV"),
        ({"code": -signal.SIGKILL}, "hangs"),
        ({"code": 120}, "exit 120"),
        ({"err": b"Traceback (most recent call last):\n  x\nKeyError: 1"}, "a traceback: KeyError"),
    ],
    ids=["bug", "segmentation-fault", "hangs", "odd-code", "traceback"],
)
def test_how_a_command_ends_is_noticed(laid_out: Path, how: dict[str, Any], told: str) -> None:
    before = module("fuzz_commands")._listing(laid_out)
    (found,) = wrong(laid_out, before, **how)
    assert found.startswith(told)


def test_a_file_that_a_command_leaves_or_changes_is_noticed(laid_out: Path) -> None:
    before = module("fuzz_commands")._listing(laid_out)
    assert wrong(laid_out, before) == []
    (laid_out / "out").mkdir()
    (laid_out / "out" / "mine").write_text("fine")
    (laid_out / "home").mkdir()
    (laid_out / "in" / "a").unlink()
    os.symlink("/etc/passwd", laid_out / "in" / "b")
    assert wrong(laid_out, before) == [f"left or changed {n}" for n in ("home", "in/a", "in/b")]


def test_a_key_is_found_in_every_coding_wherever_it_stands(laid_out: Path) -> None:
    commands, mutators = module("fuzz_commands"), module("mutators")
    before = commands._listing(laid_out)
    codings = mutators.codings(commands.KEY)
    assert len(set(codings.values())) == len(codings) - 2, "base64url differs where a digit does"
    for name, coded in codings.items():
        (laid_out / "out").mkdir(exist_ok=True)
        (laid_out / "out" / "x").write_bytes(b"before " + coded + b" after")
        assert f"the key ({name}) stands in out/x" in wrong(laid_out, before)
        assert f"the key ({name}) stands in standard error" in wrong(
            laid_out, before, err=b"<" + coded + b">"
        )


@pytest.mark.parametrize("ahead", range(4))
@pytest.mark.parametrize("behind", range(3))
def test_a_key_in_base64_is_found_whatever_stands_beside_it(ahead: int, behind: int) -> None:
    import base64

    mutators = module("mutators")
    key = module("fuzz_commands").KEY
    text = base64.b64encode(b"x" * ahead + key.encode() + b"y" * behind)
    assert [name for name in mutators.found_codings(text, key) if name.startswith("base64,")]


def test_mutants_come_again_from_their_seed_and_differ() -> None:
    mutators, seeds = module("mutators"), module("fuzz_seeds")

    def some(seed: int) -> list[Any]:
        found: list[Any] = []
        for number in range(150):
            rng = random.Random(f"{seed}/{number}")
            name, raw = rng.choice(seeds.saved())
            found.append((name, mutators.plant(mutators.mutant(raw, rng), "a-key-1234", rng)))
            found.append(tuple(sorted(mutators.folder(seeds.bundle(), rng).items())))
            found.append(mutators.damaged(rng.choice(seeds.assets()), rng))
        return found

    assert some(1) == some(1)
    assert len(set(some(1))) > 400
