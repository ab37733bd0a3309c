"""Whatever an API repeats, and however it writes it: no command lets a key or a sender's own words
out, neither into a file nor onto a terminal. Real commands, a real socket, a search that undoes
codings.
"""

from __future__ import annotations

import io
import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
from tests.support.echoing import PLACES, echoing
from tests.support.leaks import forms, leaks, stands_in, written_below

from soundstage import cli
from soundstage.conformance.violations import Severity, Violation, fingerprint
from soundstage.output import outgoing
from soundstage.output.outgoing import KEY_VARIABLE
from soundstage.results.bundle import BundleWriter

LOCUSTFILE = Path(__file__).parents[2] / "loadtests/locustfile.py"
KEY = "sk-live-Zx9+8w/7V6u5T4s3"
PROMPT = "my grandmother's Gugelhupf recipe, sung by candlelight"
USER = "user-20770815-qzx"
BODY = {"prompt": PROMPT, "userId": USER, "projectId": "pj_0f9e8d7c6b5a"}


def of_key(key: str, _: dict) -> list[str]:
    return list(forms(key).values())


def of_texts(_: str, body: dict) -> list[str]:
    """The user's words, short and long, whole and in pieces, in several codings."""
    texts = [body.get("prompt", "-"), body.get("userId", "-"), body.get("prompt", "-")[4:34]]
    return [form for text in texts for form in list(forms(text).values())[:: 5 - len(text) % 2]]


@pytest.mark.parametrize("secret", [KEY, PROMPT, USER])
def test_the_search_finds_a_secret_in_every_form(secret):
    for name, form in forms(secret).items():
        assert stands_in(f"a {form} b".encode(), secret), name


@pytest.mark.parametrize("place", PLACES)
@pytest.mark.proof
def test_a_key_that_comes_back_is_in_no_recording_and_nowhere_else(place, tmp_path, monkeypatch):
    monkeypatch.setenv(KEY_VARIABLE, KEY)
    with echoing([PLACES[place]], of_key) as api:
        said = _run("record", tmp_path, api.url, "--count", str(len(forms(KEY))))
    assert len(api.bodies) >= len(forms(KEY))
    assert leaks(tmp_path, said, KEY) == []


@pytest.mark.parametrize("place", PLACES)
@pytest.mark.proof
def test_own_words_that_come_back_are_in_no_recording_and_nowhere_else(
    place, tmp_path, monkeypatch
):
    monkeypatch.setenv(KEY_VARIABLE, KEY)
    body = tmp_path.parent / f"{tmp_path.name}.json"
    body.write_text(json.dumps(BODY))
    with echoing([PLACES[place]], of_texts) as api:
        said = _run("record", tmp_path, api.url, "--count", "12", "--body", str(body))
    assert leaks(tmp_path, said, PROMPT, USER, PROMPT[4:34]) == []


def _run(command: str, folder: Path, url: str, *options: str) -> str:
    """What a command says, run in this process."""
    out, err = io.StringIO(), io.StringIO()
    arguments = ["--target", url, "--out", str(folder / "out"), "--api", "v6", *options]
    code = cli.run(command, arguments, out, err)
    assert code in (0, 1, 4, 6), err.getvalue()
    return out.getvalue() + err.getvalue()


#: Every command that sends something, with the options that make it quick.
COMMANDS = {
    "check": "-m soundstage check --target URL --out out --write-waivers drafts.toml --explore 2",
    "check as JSON": "-m soundstage check --target URL --out out --format json --api v6"
    " --explore 0 --verbose",
    "pytest": "-m pytest --pyargs soundstage.contracts -p soundstage.pytest_plugin --target URL"
    " -p no:cacheprovider --out out --explore 1 --junitxml junit.xml -ra --showlocals --api v6",
    "load": "-m soundstage load --target URL --out out --rate 60 --duration 2s --drain 5s --api v6"
    " --corpus words.txt",
    "load, many": "-m soundstage load --target URL --out out --rate 60 --duration 2s --drain 5s"
    " --processes 2 --corpus words.txt --api v6",
    "locust": f"-m locust -f {LOCUSTFILE} --host URL --headless --users 8 --spawn-rate 8"
    " --run-time 3s --soundstage-corpus words.txt --soundstage-api v6 --soundstage-drain 5"
    " --csv stats --html it.html --json",
}


@pytest.mark.parametrize("name", COMMANDS)
@pytest.mark.proof
def test_nothing_that_comes_back_leaves_a_command(name, tmp_path):
    (tmp_path / "words.txt").write_text(f"{PROMPT}\n")
    (tmp_path / "key").write_text(KEY)

    def said(key: str, body: dict) -> list[str]:
        return of_key(key, body) if len(key) > 20 else ["-"]

    def texts(key: str, body: dict) -> list[str]:
        return [*of_texts(key, body)[:3], *said(key, body)]

    with echoing(list(PLACES.values()), texts if "words.txt" in COMMANDS[name] else said) as api:
        words = [api.url if word == "URL" else word for word in COMMANDS[name].split()]
        done = subprocess.run(
            [sys.executable, *words],
            cwd=tmp_path,
            env={**os.environ, KEY_VARIABLE: KEY},
            capture_output=True,
            text=True,
            timeout=240,
            check=False,
        )
    assert done.returncode in (0, 1, 4), done.stderr[-3000:]
    assert len(api.bodies) > 4, done.stdout + done.stderr
    (tmp_path / "words.txt").unlink()
    (tmp_path / "key").unlink()
    assert leaks(tmp_path, done.stdout + done.stderr, KEY, PROMPT) == []


@pytest.mark.parametrize(
    ("header", "secret"),
    [
        ("X-S: Hush_4711-qwert", "Hush_4711-qwert"),
        ("Authorization: Bearer Hush_4711-qwert", "Hush_4711-qwert"),
        ("Cookie: theme=dark; sid=Hush_4711-qwert", "Hush_4711-qwert"),
        ("X-Auth: Basic dXNlcjpIdXNoXzQ3MTEtcXdlcnQ=", "Hush_4711-qwert"),
        ("X-Staging-Key: a Hush_4711-qwert", "Hush_4711-qwert"),
    ],
)
@pytest.mark.proof
def test_a_header_of_ones_own_that_comes_back_leaves_nothing(header, secret, tmp_path):
    places = [PLACES[name] for name in ("error chunk", "undocumented text", "header", "error")]
    out, err = io.StringIO(), io.StringIO()
    with echoing(places, lambda *_: list(forms(secret).values())) as api:
        arguments = ["--target", api.url, "--out", str(tmp_path / "out"), "--api", "v6"]
        key = tmp_path.parent / f"{tmp_path.name}.key"
        key.write_text(KEY)
        arguments += ["--key-file", str(key), "--count", "40", "--header", header]
        assert cli.run("record", arguments, out, err) in (0, 6), err.getvalue()
    assert leaks(tmp_path, out.getvalue() + err.getvalue(), secret, KEY) == []


def test_a_header_that_says_what_all_may_know_stays(tmp_path, monkeypatch):
    monkeypatch.setenv(KEY_VARIABLE, KEY)
    with echoing([PLACES["undocumented text"]], lambda *_: ["de-CH-1996"]) as api:
        _run("record", tmp_path, api.url, "--header", "Accept-Language: de-CH-1996")
    raw = b"".join(data for name, data in written_below(tmp_path) if name.endswith("raw"))
    assert b"de-CH-1996" in raw


def test_a_finding_has_the_same_fingerprint_whatever_key_its_place_repeats(monkeypatch):
    found = set()
    for key in (KEY, "sk-live-other/key-0815"):
        outgoing.hide([key])
        path = "/" + key.replace("/", "~1")
        found.add(fingerprint(Violation("field.undocumented", Severity.ERROR, 0, path, "", "r")))
    assert len(found) == 1


def test_row_and_run_lose_a_key_and_keep_what_the_format_fixes(tmp_path):
    outgoing.hide([KEY, "conforms-with", "exchange"])
    target = {"url": "http://h", "kind": "local", "profile": None, "speed": None, "seed": None}
    run = {"kind": "check", "command": f"x {KEY}", "target": target, "parameters": {}}
    run |= {"machine": {"system": "s", "cpus": 1, "python": "3"}}
    run |= {"budget": {"limit": None, "spent": 0}, "clock": {"source": "kernel", "stepped": False}}
    with BundleWriter.create(tmp_path / "run", run) as writer:
        row = {"id": "e1", "scenario": "check", "api": "v6", "endpoint": "stream"}
        row |= {"message_id": f"{KEY}", "intended_ns": 1, "started_ns": 1, "outcome": "failed"}
        row |= {"verdict": "conforms", "reason": f"said {KEY}", "milestones": {}, "stages": {}}
        row |= {"codes": {}, "billed": False, "warmup": False, "http_status": 200}
        writer.exchange(row)
        found = {"exchange": "e1", "api": "v6", "endpoint": "stream", "code": "a.b", "chunk": 0}
        found |= {"severity": "error", "path": f"/{KEY}", "message": f"{KEY}?", "rule": "v6/x"}
        writer.violations([found])
        writer.finish(verdict="fail", exit_code=1, reason=f"{KEY}!", rules=[])
        assert writer.run["reason"] == "[redacted]!"
    assert leaks(tmp_path, "", KEY) == []
    written = dict(written_below(tmp_path))
    assert json.loads(written["run/violations.ndjson:1"])["exchange"] == "e1"
    assert json.loads(written["run/exchanges.ndjson.gz:1"])["verdict"] == "conforms"
