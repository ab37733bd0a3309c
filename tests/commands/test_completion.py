"""`soundstage completion`: real shells complete the command line by its script."""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path

import pytest
from command_run import run_here

from soundstage.cli import COMMANDS
from soundstage.commands import completed_words

#: Asks bash for the completions of a line, its words split by spaces: the last one is completed.
_ASK = r"""
source "$1"; shift
ask=$(complete -p soundstage); ask=${ask#*-F }; ask=${ask%% *}
for line; do
  IFS=' ' read -r -a COMP_WORDS <<< "$line"
  [[ $line == *' ' ]] && COMP_WORDS+=("")
  COMP_CWORD=$((${#COMP_WORDS[@]} - 1)); COMP_LINE=$line; COMP_POINT=${#line}; COMPREPLY=()
  $ask soundstage "${COMP_WORDS[COMP_CWORD]}" "${COMP_WORDS[COMP_CWORD - 1]}"
  (IFS=' '; echo "${COMPREPLY[*]}")
done
"""
#: A line, some of the words that complete it, and some that must not.
ASKED: list[tuple[str, set[str], set[str]]] = [
    ("soundstage ", set(COMMANDS), {"--help"}),
    ("soundstage ch", {"check"}, {"explain"}),
    ("soundstage check --ta", {"--target"}, {"--out"}),
    ("soundstage check --target ", {"emulator"}, {"notes.txt"}),
    ("soundstage check --api ", {"v5", "v6"}, set()),
    ("soundstage check --format ", {"text", "json"}, {"html"}),
    ("soundstage check --key-file ", {"notes.txt", "runs"}, set()),
    ("soundstage check --schemas ", {"runs"}, {"notes.txt"}),
    ("soundstage check --fault order/streaming/", {"order/streaming/skipped"}, set()),
    ("soundstage runs ", {"list", "trend", "prune"}, set()),
    ("soundstage runs trend --format ", {"html", "json"}, {"text"}),
    ("soundstage runs pin ", {"latest", "one"}, {"notes.txt"}),
    ("soundstage report one la", {"latest"}, {"one"}),
    ("soundstage compare o", {"one"}, {"latest"}),
    ("soundstage load --scenario ", {"smoke", "mine.toml"}, {"notes.txt"}),
    ("soundstage emulate --profile ", {"realistic"}, {"notes.txt"}),
    ("soundstage explain stage.", {"stage.order"}, {"index.gap"}),
    ("soundstage lint ", {"notes.txt"}, set()),
]


@pytest.fixture(scope="module")
def scripts() -> dict[str, str]:
    made = {shell: run_here("completion", shell) for shell in ("bash", "zsh", "fish", "tcsh")}
    assert all(run.returncode == 0 and not run.stderr for run in made.values())
    return {shell: run.stdout for shell, run in made.items()}


@pytest.fixture
def folder(tmp_path: Path, scripts: dict[str, str]) -> Path:
    """A folder of somebody who works with it, and the scripts beside it."""
    here = tmp_path / "work"
    (here / "runs" / "one").mkdir(parents=True)
    (here / "notes.txt").touch()
    (here / "mine.toml").touch()
    for shell, script in scripts.items():
        (tmp_path / f"_soundstage.{shell}").write_text(script)
    return here


def test_bash_completes_commands_options_files_and_names(folder: Path) -> None:
    lines = [line for line, _, _ in ASKED]
    script = folder.parent / "_soundstage.bash"
    done = subprocess.run(
        ["bash", "--norc", "-c", _ASK, "ask", script, *lines],
        cwd=folder, capture_output=True, text=True, timeout=60, check=True,
    )  # fmt: skip
    assert done.stderr == ""
    for (line, there, absent), answer in zip(ASKED, done.stdout.splitlines(), strict=True):
        found = set(answer.split(" "))
        assert there <= found, (line, answer)
        assert not absent & found, (line, answer)


@pytest.mark.skipif(shutil.which("fish") is None, reason="no fish here")
def test_fish_completes_too(folder: Path) -> None:
    script = folder.parent / "_soundstage.fish"
    ask = "source $argv[1]; complete -C 'soundstage check --fault order/streaming/s'"
    done = subprocess.run(
        ["fish", "--no-config", "-c", ask, script],
        cwd=folder, capture_output=True, text=True, timeout=60, check=True,
    )  # fmt: skip
    assert done.stdout.startswith("order/streaming/skipped\t")


@pytest.mark.parametrize("shell", ["zsh", "bash", "fish"])
def test_a_shell_takes_the_script(shell: str, folder: Path) -> None:
    if shutil.which(shell) is None:
        pytest.skip(f"no {shell} here")
    script = folder.parent / f"_soundstage.{shell}"
    done = subprocess.run([shell, "-n", script], capture_output=True, text=True, check=False)
    assert (done.returncode, done.stderr) == (0, "")


def test_a_word_that_a_shell_would_run_is_left_out(tmp_path: Path) -> None:
    names = ["good/name", "$(touch bad)", "`touch bad`", "';touch bad;'", "a b", "x\ny"]
    made = completed_words.words("names", names)
    script = made["preamble"]["bash"] + f"\n{made['bash']} ''"
    done = subprocess.run(
        ["bash", "-c", script], cwd=tmp_path, capture_output=True, text=True, check=True
    )
    assert done.stdout.split() == ["good/name"]
    assert not list(tmp_path.iterdir())


def test_a_shell_that_is_not_known_is_refused_by_name() -> None:
    run = run_here("completion", "elvish")
    assert run.returncode == 2
    assert run.stderr.count("\n") == 1
    assert "zsh" in run.stderr
