"""The action for GitHub: its steps, run as they stand; and the workflows that the docs show."""

from __future__ import annotations

import json
import os
import re
import shlex
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml
from command_run import run_here

ROOT = Path(__file__).parents[1]
ACTION: dict[str, Any] = yaml.safe_load((ROOT / "action.yml").read_text())


def check_step() -> dict[str, Any]:
    return next(step for step in ACTION["runs"]["steps"] if step.get("id") == "check")


def run_check(folder: Path, **inputs: str) -> tuple[int, dict[str, str], str]:
    """The exit code, the files that GitHub reads afterwards, and the step's log."""
    return run_step(check_step(), folder, Path(sys.executable).parent, **inputs)


def run_step(
    step: dict[str, Any], folder: Path, programs: Path, **inputs: str
) -> tuple[int, dict[str, str], str]:
    """Run one step in `folder`, where the programs of another folder are found first."""
    given = {name: one.get("default", "") for name, one in ACTION["inputs"].items()}
    given |= {name.replace("_", "-"): text for name, text in inputs.items()}
    environment = {
        name: re.sub(r"\$\{\{ inputs\.([\w-]+) \}\}", lambda m: given[m[1]], text)
        for name, text in step["env"].items()
    }
    files = {
        name: folder / name for name in ("GITHUB_OUTPUT", "GITHUB_STEP_SUMMARY", "GITHUB_PATH")
    }
    surroundings = {name: text for name, text in os.environ.items() if name != "RUNNER_OS"}
    done = subprocess.run(
        ["bash", "--noprofile", "--norc", "-e", "-o", "pipefail", "-c", step["run"]],
        cwd=folder,
        env={
            **surroundings,
            "RUNNER_TEMP": str(folder / "runner temp"),
            **environment,
            "PATH": f"{programs}{os.pathsep}{os.environ['PATH']}",
            **{name: str(place) for name, place in files.items()},
        },
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    said = {name: file.read_text() if file.exists() else "" for name, file in files.items()}
    return done.returncode, said, done.stdout + done.stderr


#: Stands in for the command: writes down how it was called, and does what a test asks for.
STAND_IN = """#!/bin/sh
for word; do printf '%s\\0' "$word"; done >> {calls}
printf '%s\\0\\0' "key=$SOUNDVERSE_API_KEY" >> {calls}
[ "$1" = check ] || exit 0
for word; do case "$word" in --out=*) out="${{word#--out=}}" ;; esac; done
if [ {leaves_a_run} = True ]; then mkdir -p "$out"; : > "$out/run.json"; fi
printf '%s' {says}
exit {code}
"""


class Calls:
    """What a stand-in was called with."""

    def __init__(self, folder: Path, *, says: str = "", code: int = 0, leaves_a_run: bool = True):
        self.programs = folder / "programs"
        self.programs.mkdir()
        self.place = folder / "calls"
        self.place.touch()
        program = self.programs / "soundstage"
        facts = {"calls": shlex.quote(str(self.place)), "says": shlex.quote(says), "code": code}
        program.write_text(STAND_IN.format(**facts, leaves_a_run=leaves_a_run))
        program.chmod(0o755)

    def __iter__(self) -> Iterator[dict[str, Any]]:
        for call in self.place.read_bytes().decode().split("\0key=")[:-1]:
            yield {"argv": call.rpartition("\0\0")[2].split("\0")}

    @property
    def keys(self) -> list[str]:
        """The key that each call saw."""
        return re.findall(r"\0key=([^\0]*)\0\0", self.place.read_bytes().decode())

    @property
    def more(self) -> list[str]:
        """What `check` was given beyond target, reaction and folder."""
        first = next(iter(self))["argv"]
        assert first[0] == "check"
        return [str(word) for word in first[4:]]


@pytest.mark.parametrize(("fault", "code"), [("", 0), ("--fault index/gap", 1)])
@pytest.mark.proof
def test_the_check_step_gates_and_tells_github_why(tmp_path: Path, fault: str, code: int) -> None:
    more = f"--explore 0 --emulator-args=--profile=instant {fault}"
    done, files, log = run_check(tmp_path, api="v6", arguments=more)
    assert done == code, log
    assert files["GITHUB_OUTPUT"] == f"exit-code={code}\n"
    assert ("❌" in files["GITHUB_STEP_SUMMARY"]) == bool(code)
    assert ("::error " in log) == bool(code)
    sarif = json.loads((tmp_path / "soundstage-run" / "soundstage.sarif").read_bytes())
    assert bool(sarif["runs"][0]["results"]) == bool(code)


def test_an_input_cannot_end_the_script_and_go_on(tmp_path: Path) -> None:
    for step in ACTION["runs"]["steps"]:
        assert "${{" not in step["run"]
    done, _, log = run_check(tmp_path, target='"; touch owned; echo "', arguments="--explore 0")
    assert done == 2, log
    assert not (tmp_path / "owned").exists()


@pytest.fixture
def place(tmp_path: Path) -> Path:
    """A workspace with files in it that a careless pattern would find."""
    folder = tmp_path / "a workspace"
    folder.mkdir()
    for name in ("v6", "-rf", "shlex.py"):
        (folder / name).write_text("raise SystemExit('a file of the workspace was run')\n")
    return folder


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        ("", []),
        (" \n\t\n", []),
        ("--strict", ["--strict"]),
        ("--strict\n--explore 0\n", ["--strict", "--explore", "0"]),
        ("--strict\r\n--seed 7", ["--strict", "--seed", "7"]),
        ("-k 'order and not index'", ["-k", "order and not index"]),
        ('--emulator-args="--profile instant"', ["--emulator-args=--profile instant"]),
        ("--emulator-args \\\n  x", ["--emulator-args", "x"]),
        ("'two\nlines' ''", ["two\nlines", ""]),
        ("* ? [a-z]* ~ {a,b}", ["*", "?", "[a-z]*", "~", "{a,b}"]),
        ("$HOME ${IFS} $(touch owned) `touch owned`", None),
        ("; touch owned & | > owned < v6", None),
        ('--api "x$(touch owned)"', ["--api", "x$(touch owned)"]),
        ("-n -e --", ["-n", "-e", "--"]),
        ("--header 'X: ünï' \\u202e", ["--header", "X: ünï", "u202e"]),
        ("# --strict", ["#", "--strict"]),
    ],
    ids=[
        "none", "blank", "one", "lines", "windows-lines", "quoted", "quoted-value", "continued",
        "line-end-in-quotes", "patterns", "expansions", "operators", "expansion-in-quotes",
        "dashes", "unicode", "hash",
    ],
)  # fmt: skip
def test_arguments_are_cut_into_words_as_a_shell_does_and_never_run(
    place: Path, tmp_path: Path, arguments: str, words: list[str] | None
) -> None:
    calls = Calls(tmp_path)
    code, _, log = run_step(check_step(), place, calls.programs, arguments=arguments)
    assert code == 0, log
    assert calls.more == (shlex.split(arguments) if words is None else words)
    assert not list(tmp_path.rglob("owned"))


def test_arguments_that_end_in_a_quote_are_refused(place: Path, tmp_path: Path) -> None:
    calls = Calls(tmp_path)
    code, files, log = run_step(check_step(), place, calls.programs, arguments="-k 'order")
    assert (code, files["GITHUB_OUTPUT"]) == (2, "exit-code=2\n")
    assert "::error title=Soundstage::the input arguments: No closing quotation" in log
    assert list(calls) == []


@pytest.mark.parametrize(
    ("given", "words"),
    [
        ({"api": "v5 v6"}, ["--api=v5", "--api=v6"]),
        ({"api": "v5\nv6\n"}, ["--api=v5", "--api=v6"]),
        ({"api": "*"}, ["--api=*"]),
        ({"api": "$(id) --help"}, ["--api=$(id)", "--api=--help"]),
        ({"budget": "4"}, ["--budget=4", "--yes"]),
        ({"budget": "--yes"}, ["--budget=--yes", "--yes"]),
        ({"budget": "4\nexit-code=0"}, ["--budget=4\nexit-code=0", "--yes"]),
    ],
    ids=str,
)
def test_an_input_is_one_value_whatever_is_in_it(
    place: Path, tmp_path: Path, given: dict[str, str], words: list[str]
) -> None:
    calls = Calls(tmp_path)
    code, files, log = run_step(check_step(), place, calls.programs, **given)
    assert (code, files["GITHUB_OUTPUT"]) == (0, "exit-code=0\n"), log
    assert calls.more == words


@pytest.mark.parametrize(
    "out", ["plain", "with blanks", "-rf run", "--help", "a\nb", "$(id)", "ünï/../run"], ids=ascii
)
def test_the_folder_may_be_called_as_it_likes(place: Path, tmp_path: Path, out: str) -> None:
    (place / "ünï").mkdir()
    calls = Calls(tmp_path)
    code, _, log = run_step(check_step(), place, calls.programs, out=out)
    assert code == 0, log
    first, *reports = (each["argv"] for each in calls)
    assert first[3].startswith("--out=")
    given = first[3].removeprefix("--out=")
    assert not given.startswith("-")
    assert (place / given) == (place / out)
    assert [each[:2] for each in reports] == [["report", given]] * 3


def test_only_the_check_sees_the_key(place: Path, tmp_path: Path) -> None:
    steps = [step for step in ACTION["runs"]["steps"] if "inputs.key" in json.dumps(step)]
    assert steps == [check_step()]
    calls = Calls(tmp_path)
    _, files, log = run_step(check_step(), place, calls.programs, key="a key of mine")
    assert calls.keys == ["a key of mine", "", "", ""]
    assert "a key of mine" not in log + "".join(files.values())


@pytest.mark.parametrize("code", [0, 1, 2, 6, 70, 143])
def test_the_step_ends_as_the_check_did(place: Path, tmp_path: Path, code: int) -> None:
    calls = Calls(tmp_path, code=code)
    done, files, _ = run_step(check_step(), place, calls.programs)
    assert (done, files["GITHUB_OUTPUT"]) == (code, f"exit-code={code}\n")


def test_a_run_that_came_with_the_checkout_is_not_reported(place: Path, tmp_path: Path) -> None:
    (place / "soundstage-run").mkdir()
    forged = place / "soundstage-run" / "run.json"
    forged.write_text("{}")
    os.utime(forged, (1, 1))
    calls = Calls(tmp_path, code=2, leaves_a_run=False)
    assert run_step(check_step(), place, calls.programs)[0] == 2
    assert [each["argv"][0] for each in calls] == ["check"]


def test_commands_in_what_the_check_prints_are_stopped(place: Path, tmp_path: Path) -> None:
    tokens = set()
    for number in range(2):
        folder = tmp_path / str(number)
        folder.mkdir()
        says = "::set-output name=x::y\n::stop-commands::mine\n::mine::\n##[error]x\nno line end"
        calls = Calls(folder, says=says)
        _, _, log = run_step(check_step(), place, calls.programs, out=f"run-{number}")
        begun = re.match(r"::stop-commands::([0-9a-f]{32})\n", log)
        assert begun
        before, ended, _ = log[begun.end() :].partition(f"\n::{begun[1]}::\n")
        assert ended
        assert says in before
        tokens.add(begun[1])
    assert len(tokens) == 2


# --- installing -----------------------------------------------------------------------------------

#: A Python that makes an environment in which it is itself: it writes down what it is called with.
PYTHON_STAND_IN = """#!/bin/sh
for word; do printf '%s\\0' "$word"; done >> {calls}
printf '\\n' >> {calls}
if [ "$3" = venv ]; then mkdir -p "$4/bin" && cp "$0" "$4/bin/python"; fi
"""


def installed(
    place: Path, programs: Path, python: str = "python3", **inputs: str
) -> tuple[int, list[list[str]], dict[str, str], str]:
    """What Python was called with, a list of words a call."""
    programs.mkdir(exist_ok=True)
    calls = programs / "calls"
    program = programs / python
    program.write_text(PYTHON_STAND_IN.format(calls=shlex.quote(str(calls))))
    program.chmod(0o755)
    step = next(step for step in ACTION["runs"]["steps"] if step.get("id") != "check")
    code, files, log = run_step(step, place, programs, python=python, **inputs)
    lines = calls.read_text().splitlines() if calls.exists() else []
    return code, [line.split("\0")[:-1] for line in lines], files, log


@pytest.mark.parametrize("folder", ["checkout", "a check out", "ünï", "-dash"])
def test_a_checkout_is_installed_by_its_users_lock(
    place: Path, tmp_path: Path, folder: str
) -> None:
    checkout = tmp_path / folder
    checkout.mkdir()
    (checkout / "requirements.lock").touch()
    code, calls, files, log = installed(place, tmp_path / "programs", install=str(checkout))
    assert code == 0, log
    home = str(place / "runner temp" / "soundstage")
    pip = ["-I", "-m", "pip", "install", "--quiet", "--disable-pip-version-check"]
    assert calls == [
        ["-I", "-m", "venv", home],
        [*pip, "--require-hashes", "-r", f"{checkout}/requirements.lock"],
        [*pip, "--no-deps", "--no-build-isolation", "--", str(checkout)],
    ]
    assert files["GITHUB_PATH"] == f"{home}/command\n"
    assert os.listdir(f"{home}/command") == ["soundstage"], "the caller's Python stays"


@pytest.mark.parametrize(
    "install",
    ["soundstage", "soundstage==0.1.0", "-r evil.txt", "--index-url=x", "x; touch owned", "a\nb"],
    ids=ascii,
)
def test_what_is_no_checkout_is_one_word_for_pip(place: Path, tmp_path: Path, install: str) -> None:
    # A folder of the workspace that is called like the package does not stand in for it.
    (place / "soundstage").mkdir()
    (place / "soundstage" / "requirements.lock").write_text("evil==1\n")
    code, calls, _, log = installed(place, tmp_path / "programs", install=install)
    assert code == 0, log
    assert len(calls) == 2 or "\n" in install
    said = "\0".join(word for call in calls[1:] for word in call)
    assert "requirements.lock" not in said
    assert not list(tmp_path.rglob("owned"))
    if "\n" not in install:
        assert calls[1][-2:] == ["--", install]


def test_a_runner_with_windows_is_told_so(
    place: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    step = next(step for step in ACTION["runs"]["steps"] if step.get("id") != "check")
    windows = {**step, "env": {**step["env"], "RUNNER_OS": "Windows"}}
    code, _, log = run_step(windows, place, tmp_path)
    assert code == 2
    assert "runs on Linux" in log


@pytest.mark.parametrize("step", ACTION["runs"]["steps"], ids=lambda step: step["name"])
def test_every_variable_in_a_step_is_quoted(step: dict[str, Any]) -> None:
    assert "${{" not in step["run"]
    assert "eval" not in step["run"]
    script = re.sub(r"'[^']*'", "''", step["run"])
    script = re.sub(r"(?<!\S)#.*", "", script)
    bare = re.sub(r'"[^"]*"', '""', script)
    # Between [[ ]] and in an assignment nothing is split; `for` splits the versions on purpose.
    bare = re.sub(r"\[\[.*?\]\]|case \$|for api in \$APIS|\w+=\$\(|\$\?", "", bare)
    assert "$" not in bare


# --- what the docs show ---------------------------------------------------------------------------


@pytest.mark.parametrize("language", ["yaml"])
def test_every_snippet_of_the_docs_parses(language: str) -> None:
    text = (ROOT / "docs/how-to/ci.md").read_text()
    snippets = re.findall(rf"```{language}\n(.*?)```", text, re.DOTALL)
    assert len(snippets) == 3
    for snippet in snippets:
        assert yaml.safe_load(snippet)


def workflows() -> list[dict[str, Any]]:
    text = (ROOT / "docs/how-to/ci.md").read_text()
    found = map(yaml.safe_load, re.findall(r"```yaml\n(.*?)```", text, re.DOTALL))
    return [each for each in found if "jobs" in each]


@pytest.mark.parametrize("number", range(2))
def test_a_workflow_of_the_docs_asks_for_little(number: int) -> None:
    workflow = workflows()[number]
    triggers = workflow[True]  # YAML 1.1 reads `on` as a truth value
    assert "pull_request_target" not in triggers
    assert workflow["permissions"] == {}
    for job in workflow["jobs"].values():
        assert job["permissions"]["contents"] == "read"
        assert set(job["permissions"]) <= {"contents", "security-events"}
        checkouts = [step for step in job["steps"] if "actions/checkout@" in step.get("uses", "")]
        assert checkouts
        assert all(step["with"]["persist-credentials"] is False for step in checkouts)
        secret = [step for step in job["steps"] if "secrets." in json.dumps(step)]
        assert len(secret) <= 1, "one step sees the key"


@pytest.mark.parametrize("number", range(2))
def test_a_workflow_of_the_docs_gives_the_action_inputs_that_it_has(number: int) -> None:
    given = [
        (name, text)
        for job in workflows()[number]["jobs"].values()
        for step in job["steps"]
        if step["uses"].startswith("soundstage/")
        for name, text in step.get("with", {}).items()
    ]
    assert {name for name, _ in given} <= set(ACTION["inputs"])
    assert len(given) == (0, 5)[number]


def gitlab_lines() -> list[str]:
    """Each line of each script of the page's GitLab jobs."""
    text = (ROOT / "docs/how-to/ci.md").read_text()
    found = map(yaml.safe_load, re.findall(r"```yaml\n(.*?)```", text, re.DOTALL))
    jobs = next(each for each in found if "jobs" not in each)
    return [line for job in jobs.values() for line in job["script"]]


@pytest.mark.parametrize("line", dict.fromkeys(gitlab_lines()))
def test_a_line_of_a_gitlab_job_of_the_docs_means_something(line: str, tmp_path: Path) -> None:
    """Those of Soundstage are planned (`--dry-run`); of others the shell reads the words."""
    if line.startswith("soundstage "):
        done = run_here(*shlex.split(line)[1:], "--dry-run", folder=tmp_path)
        assert done.returncode == 0, done.stderr
    else:
        subprocess.run(["bash", "-n", "-c", line], check=True, timeout=10)
        for named in re.findall(r"/tmp/soundstage/([\w.]+)", line):
            assert (ROOT / named).exists()


def test_an_action_in_the_docs_is_pinned_by_its_commit() -> None:
    pages = [page.read_text("utf-8") for page in (ROOT / "docs").rglob("*.md")]
    used = [
        line
        for page in pages
        for line in re.findall(r"^\s*(?:- )?uses: (\S+.*)", page, re.MULTILINE)
    ]
    assert len(used) > 5
    for line in used:
        assert re.fullmatch(
            r"soundstage/soundstage@\S+ +#.+|[\w./-]+@[0-9a-f]{40} +# v\d+\.\d+\.\d+", line
        ), line
