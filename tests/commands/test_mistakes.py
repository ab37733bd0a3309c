"""Thirty mistakes of users and more: each is answered in one line, which names the place and what
to do, with the right exit code, and without a traceback. `python -m pytest -rP` shows the answers.
"""

from __future__ import annotations

import io
import re
import shlex
import sys
from pathlib import Path
from typing import NamedTuple

import pytest
from command_run import run_here

from run_bundles import bundle
from soundstage.config import read_config
from soundstage.target_options import tell_unknown_rules


class Mistake(NamedTuple):
    """What was typed, what the answer must name, and its exit code."""

    line: str
    named: tuple[str, ...]
    code: int = 2


#: Files that are as people leave them.
FILES = {
    "broken.toml": "url = [oops\n",
    "binary.toml": b"\xff\xfe\x00\x01",
    "key.toml": "[target]\nbuget = 3\n",
    "type.toml": '[target]\nbudget = "four"\n',
    "api.toml": '[target]\nurl = "emulator"\napi = ["V6"]\n',
    "url.toml": '[target]\nurl = "localhost:8000"\n',
    "weight.toml": '[severity]\n"v6/stream/undocumented" = "warn"\n',
    "waiver.toml": '[[waiver]]\nrule = "x"\nreason = "y"\nuntil = 2027-01-01\n',
    "date.toml": '[[waiver]]\nrule = "x"\ncode = "y"\nreason = "z"\nuntil = "2027-02-30"\n',
    "no_load.toml": 'slo = ["violations==0"]\n',
    "phase.toml": '[[phase]]\nkind = "constnt"\nrate = 2\nduration = "5s"\n',
    "word.toml": '[[phase]]\nkind = "constant"\nrate = 2\nduraton = "5s"\n',
    "slo.toml": 'users = 1\nduration = "5s"\nslo = ["v6.complte.p95<9s"]\n',
    "notes.txt": "nothing that an API has sent\n",
    "empty": "",
}
MISTAKES = [
    # options
    Mistake("check --targt emulator", ("--targt", "did you mean --target?")),
    Mistake("check", ("--target is needed", "--target emulator")),
    Mistake('check --target ""', ("--target", "empty", "variable")),
    Mistake('doctor --target ""', ("--target", "empty", "variable")),
    Mistake("check --target emulatr", ("--target emulatr", "did you mean emulator?")),
    Mistake("check --target localhost:8000", ("localhost:8000", "try http://")),
    Mistake("check --target emulator --explore lots", ("--explore", "'lots'", "whole number")),
    Mistake("load --target emulator --rate fast", ("--rate", "'fast' is not a number")),
    Mistake("load --target emulator --rate -1", ("--rate", "above zero")),
    Mistake("load --target emulator --duration 5minutes", ("--duration", "try 30s")),
    Mistake("load --target emulator --rate 5 --users 3", ("--rate", "--users", "take one")),
    Mistake("load --target emulator --slo 'complete<3'", ("SLO 'complete<3'", "try v6.complete")),
    Mistake("check --target emulator -k 'index order'", ("-k", "try -k 'index or order'")),
    Mistake("compare latest", ("BASE and CANDIDATE",)),
    Mistake("runs prune", ("--keep N or --older-than AGE",)),
    Mistake("runs pin latest", ("--as",)),
    Mistake("report latest --output x.html", ("--output needs --format",)),
    Mistake("emulate --port 80000", ("--port", "0 to 65535")),
    Mistake("check --target http://127.0.0.1:9 --fault a/b", ("--fault", "only an emulator")),
    Mistake("check --target http://h.example --header k3y", ("--header", "'NAME: VALUE'")),
    Mistake("record --target emulator", ("--out DIR is needed",)),
    # names
    Mistake("chekc", ("'chekc'", "did you mean check?")),
    Mistake("--target emulator check", ("soundstage COMMAND --target",)),
    Mistake("runs lsit", ("'lsit'", "did you mean list?")),
    Mistake("report latest --format htlm", ("--format", "did you mean html?")),
    Mistake("check --target emulator --api V6", ("'V6'", "v5, v6", "did you mean v6?")),
    Mistake("emulate --profile realstic", ("'realstic'", "did you mean realistic?")),
    Mistake("faults --only order/streaming/skiped", ("did you mean order/streaming/skipped",)),
    Mistake("explain stage.ordr", ("did you mean stage.order?",)),
    Mistake("show lastest", ("lastest", "did you mean latest?")),
    Mistake("show latest --api v7", ("--api v7", "there are"), 5),
    Mistake("load --target emulator --scenario smok", ("smok", "did you mean smoke?")),
    Mistake("load --target emulator --traffic v6.strem", ("did you mean v6.stream?",)),
    Mistake("compare baseline latest", ("baseline", "runs pin latest --as baseline")),
    # files and folders
    Mistake("lint nothing.sse", ("nothing.sse", "No such file")),
    Mistake("lint notes.txt", ("notes.txt", "looks like no answer", "curl -sN")),
    Mistake("show notes.txt", ("notes.txt", "looks like no answer", "curl -sN")),
    Mistake("report work", ("work", "not a run bundle", "run.json")),
    Mistake("check --target emulator --out work", ("work", "not empty")),
    Mistake("record --target emulator --out work", ("--out work", "not empty")),
    Mistake("check --target emulator --write-waivers key.toml", ("key.toml", "already")),
    Mistake("check --target emulator --schemas nowhere", ("--schemas nowhere", "no such folder")),
    Mistake("check --target emulator --ca-file ca.pem", ("--ca-file ca.pem", "no such file")),
    Mistake("record --target emulator --out new --body notes.txt", ("--body notes.txt", "JSON")),
    Mistake("load --target emulator --corpus nothing.txt", ("nothing.txt", "cannot read")),
    Mistake("emulate --replay none", ("none", "No such file")),
    Mistake("runs --runs nowhere", ("nowhere", "no such folder"), 5),
    Mistake("runs index --runs work", ("work", "no run lies in it", "--runs"), 5),
    Mistake("schema --observed nothing", ("--observed nothing", "no such file")),
    Mistake("init work", ("work/soundstage.toml", "there already", "--force")),
    # configuration and scenarios
    Mistake("check --config none.toml", ("none.toml", "no such file", "soundstage init")),
    Mistake("check --config broken.toml", ("broken.toml", "line 1")),
    Mistake("check --config binary.toml", ("binary.toml", "no text in UTF-8")),
    Mistake("check --config key.toml", ("key.toml: [target]", "did you mean budget?")),
    Mistake("check --config type.toml", ("type.toml: [target][budget]", "integer")),
    Mistake("check --config api.toml", ("api.toml: [target][api]", "did you mean v6?")),
    Mistake("check --config url.toml", ("url.toml: [target][url]", "try http://")),
    Mistake("check --config weight.toml", ("weight.toml: [severity]", "did you mean warning?")),
    Mistake("check --config waiver.toml", ("waiver.toml: [waiver][0]", "a rule and a code")),
    Mistake("check --config date.toml", ("date.toml: [waiver][0][until]", "day")),
    Mistake("load --target emulator --scenario no_load.toml", ("no_load.toml", "phases, or users")),
    Mistake("load --target emulator --scenario phase.toml", ("[phase][0][kind]", "did you mean c")),
    Mistake("load --target emulator --scenario word.toml", ("[phase][0]", "mean duration?")),
    Mistake("load --target emulator --scenario slo.toml", ("slo.toml", "did you mean complete?")),
]


@pytest.fixture
def desk(tmp_path: Path) -> Path:
    """The folder of somebody who makes mistakes."""
    for name, text in FILES.items():
        (tmp_path / name).write_bytes(text if isinstance(text, bytes) else text.encode())
    (tmp_path / "work").mkdir()
    (tmp_path / "work" / "soundstage.toml").write_text("")
    bundle(tmp_path / "runs" / "one", kind="load")
    return tmp_path


@pytest.mark.parametrize("mistake", MISTAKES, ids=[each.line for each in MISTAKES])
def test_a_mistake_is_answered_in_one_line(mistake: Mistake, desk: Path) -> None:
    before = sorted(desk.rglob("*"))
    run = run_here(*shlex.split(mistake.line), folder=desk)
    said = f"$ soundstage {mistake.line}\n{run.stderr.strip()}\n  exit code {run.returncode:d}\n"
    sys.stdout.write(said)
    assert run.returncode == mistake.code, run
    assert run.stdout == ""
    assert run.stderr.count("\n") == 1
    assert run.stderr.startswith("soundstage")
    for words in mistake.named:
        assert words in run.stderr
    assert not re.search(r"Traceback|Errno|our bug|codec", run.stderr)
    assert sorted(desk.rglob("*")) == before  # a mistake writes nothing


def test_there_are_thirty_and_no_two_are_alike() -> None:
    assert len({each.line for each in MISTAKES}) == len(MISTAKES) >= 30


def test_a_severity_of_a_rule_that_is_not_there_is_said(tmp_path: Path) -> None:
    file = tmp_path / "soundstage.toml"
    rules = ("v6/strem/undocumented", "v6/stream/undocumented", "v6/stream/", "v9/stream/")
    file.write_text("[severity]\n" + "".join(f'"{rule}" = "info"\n' for rule in rules))
    said = io.StringIO()
    tell_unknown_rules(read_config(file), ["v6"], "soundstage check", said)
    assert said.getvalue().count("\n") == 1
    assert "[severity]: no rule is called 'v6/strem/undocumented'; did you mean" in said.getvalue()
