"""`soundstage schema --prove`: proved, contradictory, or not proved; and no run blames a target for
a contract that nobody could keep.
"""

from __future__ import annotations

import io
import json
import time
from pathlib import Path

import pytest
import small_contract as small
from command_run import CommandRun, run_here

from soundstage.commands import prove as command
from soundstage.contract.contract import SCHEMAS_VARIABLE
from soundstage.output.visible import own
from soundstage.proof.one_conforming import unkept

EXAMPLES = Path(__file__).parents[2] / "examples" / "contracts"
#: A text that the schema allows, and that no library makes up: too long for its pattern.
UNFOUND = {
    "type": "object",
    "properties": {"line": {"type": "string", "pattern": "^[a-c]{3}$", "minLength": 9}},
    "required": ["line"],
}


def prove(*words: str) -> CommandRun:
    return run_here("schema", "--prove", *words, env={SCHEMAS_VARIABLE: ""})


def test_a_contract_that_can_be_kept_is_proved_step_by_step(tmp_path: Path) -> None:
    done = prove(str(small.write(tmp_path)))
    assert done.returncode == 0, done.stdout + done.stderr
    said = [line.split(": ")[1] for line in done.stdout.splitlines()]
    steps = ["loads", "constraints", "values", "courses", "emulator", "kill matrix"]
    assert said[: len(steps)] == steps
    assert done.stdout.endswith("tales: proved\n")
    assert "unsaid: stream has no milestone: nothing is timed" in done.stdout
    assert "unsaid: there is no errors.json: any error will do" in done.stdout


def test_json_has_the_figures_of_each_step(tmp_path: Path) -> None:
    small.write(tmp_path)
    small.write(tmp_path, api="again")
    done = prove(str(tmp_path), "--api", "tales", "--format", "json")
    assert done.returncode == 0, done.stdout + done.stderr
    (row,) = map(json.loads, done.stdout.splitlines())
    assert (row["api"], row["answer"], row["refused"]) == ("tales", "proved", None)
    steps = {each["step"]: each for each in row["steps"]}
    assert steps["courses"]["conform"] == {"stream": 100}
    assert steps["emulator"]["conform"] == ["stream"]
    killed, nowhere = steps["kill matrix"]["killed"], steps["kill matrix"]["no_place"]
    assert killed + len(nowhere) == steps["kill matrix"]["faults"] > 50
    assert {
        "kind": "no_errors",
        "says": "there is no errors.json: any error will do",
        "of": [],
    } in (row["unsaid"])


@pytest.mark.proof
# Of the others, pages show the proof, and their test runs it.
@pytest.mark.parametrize("api", ["chat", "messages", "pictures"])
def test_every_example_is_proved(api: str) -> None:
    done = prove(str(EXAMPLES / api))
    assert done.returncode == 0, done.stdout + done.stderr


def test_what_the_loader_refuses_is_contradictory_with_its_place(tmp_path: Path) -> None:
    nothing = {"type": "integer", "minimum": 5, "maximum": 3}
    line = {"type": "object", "properties": {"line": nothing}, "required": ["line"]}
    folder = small.write(tmp_path, files={"line.json": line})
    done = prove(str(folder))
    where = f"{folder}/line.json#/properties/line"
    why = "no value can meet this: `minimum` with `maximum`"
    assert (done.returncode, done.stdout) == (1, f"tales: contradictory: {where}: {why}\n")


@pytest.mark.parametrize(
    "stages",
    [
        [{**small.STAGES[0], "times": [2, 1]}, small.STAGES[1]],
        [{**small.STAGES[0], "after": [["end"]]}, small.STAGES[1]],
    ],
    ids=["times", "order"],
)
def test_words_that_do_not_fit_are_contradictory(tmp_path: Path, stages: list[small.Json]) -> None:
    done = prove(str(small.write(tmp_path, stages=stages)))
    assert done.returncode == 1
    assert "protocol.json#/stages" in done.stdout


def test_a_field_that_must_be_there_and_can_be_nothing_is_contradictory(tmp_path: Path) -> None:
    line = {**small.LINE, "properties": {"line": False}}
    done = prove(str(small.write(tmp_path, files={"line.json": line})))
    assert done.returncode == 1
    assert "line.json#/properties/line: no value can meet this" in done.stdout


def test_constraints_of_several_files_are_contradictory(tmp_path: Path) -> None:
    stages = [{**small.STAGES[0], "when": {}}, small.STAGES[1]]
    done = prove(str(small.write(tmp_path, stages=stages)))
    assert done.returncode == 1
    assert "tales: constraints: contradictory\n    end.json#: every chunk of end" in done.stdout
    assert done.stdout.endswith("tales: contradictory\n")


def test_what_is_not_found_is_not_proved_within_so_many_tries(tmp_path: Path) -> None:
    folder = small.write(tmp_path, files={"line.json": UNFOUND})
    done = prove(str(folder), "--tries", "7")
    assert done.returncode == 4
    assert "tales: values: not found\n    line.json#: line: no value found in 7" in done.stdout
    assert done.stdout.endswith("tales: not proved within 7 tries\n")


def test_the_worst_answer_of_several_contracts_is_the_exit_code(tmp_path: Path) -> None:
    small.write(tmp_path, files={"line.json": UNFOUND})
    small.write(tmp_path, stages=[{**small.STAGES[0], "when": {}}, small.STAGES[1]], api="worse")
    assert prove(str(tmp_path)).returncode == 1


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["nowhere"], "no such folder of contracts"),
        (["{}", "--api", "other"], "there is no 'other', only tales"),
        (["{}", "--tries", "0"], "at least one"),
        (["{}", "--format", "openapi"], "--format text or json"),
        (["{}", "--output", "x"], "no --output"),
    ],
)
def test_wrong_usage_is_refused_in_one_line(tmp_path: Path, words: list[str], said: str) -> None:
    small.write(tmp_path)
    done = prove(*(word.format(tmp_path) for word in words))
    assert (done.returncode, done.stdout) == (2, "")
    assert said in done.stderr
    assert len(done.stderr.splitlines()) == 1


# --- before a run ---------------------------------------------------------------------------------


@pytest.fixture
def unmet(tmp_path: Path) -> Path:
    return small.write(tmp_path / "added", files={"line.json": UNFOUND})


@pytest.mark.parametrize(
    "words",
    [
        ["check", "--target", "emulator", "--api", "tales"],
        ["emulate", "--port", "0"],
        ["emulate", "--port", "0", "--api", "tales"],
        ["load", "--target", "emulator", "--traffic", "tales.stream", "--duration", "1s"],
    ],
    ids=lambda words: f"{words[0]} {words[-1]}",
)
def test_a_contract_that_nobody_could_keep_is_refused(unmet: Path, words: list[str]) -> None:
    added = unmet.parent
    done = run_here(*words, "--schemas", str(added), folder=added, env={SCHEMAS_VARIABLE: ""})
    assert (done.returncode, done.stdout) == (2, "")
    assert f"{unmet}/line.json#: line: no value found in 200 tries" in done.stderr
    assert f"`soundstage schema --prove {unmet}`" in done.stderr
    assert len(done.stderr.splitlines()) == 1


@pytest.mark.proof
def test_it_stops_no_run_that_asks_for_another(unmet: Path) -> None:
    small.write(unmet.parent, api="other")
    words = ["check", "--target", "emulator", "--api", "other", "--explore", "0", "--out", "run"]
    added = unmet.parent
    done = run_here(*words, "--schemas", str(added), folder=added, env={SCHEMAS_VARIABLE: ""})
    assert done.returncode == 0, done.stdout + done.stderr


def test_one_answer_is_found_in_a_moment(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(SCHEMAS_VARIABLE, str(EXAMPLES))
    began = time.process_time()
    assert unkept("songs") is None
    # It takes a twentieth of a second; the rest is for busy machines.
    assert time.process_time() - began < 2


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


def test_what_takes_long_is_shown_on_one_line_of_a_terminal_and_taken_away() -> None:
    shown = Terminal()
    said = command.StepsSaid(None, shown)
    said.waiting("1 of 10")
    said.waiting("2 of 10")
    said.over()
    back = own("\r")
    assert shown.getvalue() == f"{back}1 of 10{back}2 of 10{back}       {back}"
    said.over()
    assert shown.getvalue().count(back) == 4
