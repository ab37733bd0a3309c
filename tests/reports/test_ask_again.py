"""How a finding is asked for again: the command of a report, run by a shell, shows it once more."""

from __future__ import annotations

import html
import io
import os
import re
import shlex
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from soundstage import cli
from soundstage.contract import load
from soundstage.emulator.options import Options
from soundstage.emulator.service.server import running
from soundstage.reports.formats import junit, markdown
from soundstage.reports.run.findings import read_report
from soundstage.reports.story.ask_again import LONGEST, KeptExchange, ask_again
from soundstage.results.bundle import Bundle

V6 = load("v6")
SKIPPED = "order/streaming/skipped"
NASTY = "it's $(touch x) `id` \\ \x1b[31m\u202e\n\"!"


def checked(out: Path, *arguments: str) -> str:
    printed = io.StringIO()
    words = ["--api", "v6", "--explore", "0", "--out", str(out), *arguments]
    assert cli.run("check", words, printed, io.StringIO()) == 1, printed.getvalue()
    return printed.getvalue()


def commands(bundle: Path) -> dict[str, str]:
    """The commands of the page, by the rule that they are for."""
    page = (bundle / "report.html").read_text("utf-8")
    found = re.findall(
        r'<code class="id">([^<]*)</code></summary>(.*?)(?=<details class="finding|</section)',
        page,
        re.DOTALL,
    )
    lines = ((rule, re.search(r'<pre class="curl"[^>]*>(.*?)</pre>', body)) for rule, body in found)
    return {rule: html.unescape(line[1]) for rule, line in lines if line is not None}


def pasted(command: str, folder: Path) -> subprocess.CompletedProcess[str]:
    """What a shell makes of a command, with the `soundstage` of these tests."""
    tools = folder / "bin"
    tools.mkdir(exist_ok=True)
    tool = tools / "soundstage"
    tool.write_text(f'#!/bin/sh\nexec {shlex.quote(sys.executable)} -m soundstage "$@"\n')
    tool.chmod(0o755)
    env = {**os.environ, "PATH": f"{tools}{os.pathsep}{os.environ['PATH']}"}
    env.pop("SOUNDVERSE_API_KEY", None)
    return subprocess.run(
        ["bash", "-c", command],
        capture_output=True,
        text=True,
        cwd=folder,
        env=env,
        timeout=120,
        check=False,
    )


@pytest.fixture(scope="module")
def gone(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, str]:
    """A check whose emulator is gone with it, and what it printed."""
    out = tmp_path_factory.mktemp("gone") / "run"
    return out, checked(out, "--target", "emulator", "--fault", SKIPPED)


def test_a_run_says_how_its_emulator_was_started(gone: tuple[Path, str]) -> None:
    target = Bundle.open(gone[0]).run["target"]
    assert target["started_with"] == ["--profile", "instant", "--fault", SKIPPED]
    assert isinstance(target["seed"], int)


def test_the_command_of_the_page_starts_the_emulator_again_and_shows_the_finding(
    gone: tuple[Path, str], tmp_path: Path
) -> None:
    found = commands(gone[0])
    rule = "v6/stream/order/running/after/streaming"
    assert {"v6/stream/times/streaming"} <= found.keys()
    wanted = rule if rule in found else "v6/stream/times/streaming"
    done = pasted(found[wanted], tmp_path)
    assert done.returncode == 1, done.stderr
    assert wanted in done.stdout


def test_terminal_markdown_and_junit_say_the_same_command(gone: tuple[Path, str]) -> None:
    bundle, printed = gone
    line = next(each for each in printed.splitlines() if "ask it again: " in each)
    command = line.partition("ask it again: ")[2]
    assert command in commands(bundle).values()
    report = read_report(Bundle.open(bundle))
    assert command in html.unescape(junit.render(report))
    said = re.sub("<b></b>", "", html.unescape(markdown.render(report)))
    assert command in said
    assert f"soundstage show {shlex.quote(str(bundle))} e0" in printed


@pytest.mark.skipif(shutil.which("curl") is None, reason="curl is not installed")
def test_an_emulator_that_still_runs_gives_curl_the_broken_answer_again(tmp_path: Path) -> None:
    with running(Options(profile="instant", seed=4, faults=(SKIPPED,))) as emulator:
        checked(tmp_path / "run", "--target", emulator.url)
        command = commands(tmp_path / "run")["v6/stream/times/streaming"]
        assert command.startswith("curl -N ")
        done = pasted(command, tmp_path)
    assert done.returncode == 0, done.stderr
    assert '"status":"validated"' in done.stdout
    kept = Bundle.open(tmp_path / "run")
    row = next(each for each in kept.exchanges() if each["transcript"])
    assert row["message_id"] in done.stdout, "it is the very answer that broke the rule"
    saved = tmp_path / "answer.sse"
    saved.write_text(done.stdout)
    out = io.StringIO()
    assert cli.run("lint", ["--api", "v6", str(saved)], out, io.StringIO()) == 1
    assert "v6/stream/times/streaming" in out.getvalue()


def kept(body: Any, **changes: Any) -> KeptExchange:
    asked = {"method": "POST", "url": "http://127.0.0.1:1/v6/generate/song", "headers": []}
    header = {"request": {**asked, "body": body}, **changes.pop("header", {})}
    return KeptExchange(**{"id": "e1", "bundle": "a run", "contract": V6, "endpoint": "stream",
                           "header": header, **changes})  # fmt: skip


def run_of(**target: Any) -> dict[str, Any]:
    command = "soundstage check --target emulator --fault index/gap --out x -k 'a b' --header y"
    return {"target": {"kind": "emulator", "seed": 7, **target}, "command": command}


GONE = run_of(started_with=["--profile", "instant"])


def test_no_body_gets_out_of_its_quotes(tmp_path: Path) -> None:
    found = ask_again(GONE, kept({"prompt": NASTY}))
    assert found is not None
    assert found.command.isascii()
    assert found.command.isprintable()
    words = subprocess.run(
        ["bash", "-c", f"soundstage() {{ cat; }}; {found.command}"],
        capture_output=True,
        text=True,
        check=True,
        cwd=tmp_path,
    ).stdout
    import json

    assert json.loads(words)["prompt"] == NASTY
    assert list(tmp_path.iterdir()) == []


def test_a_long_body_comes_from_the_bundle() -> None:
    body = {"prompt": "a song", "lyrics": "la " * 3000}
    found = ask_again(GONE, kept(body))
    assert found is not None
    assert found.command.startswith("soundstage show 'a run' 'e1' --body | soundstage record ")
    assert len(found.command) < 1000


@pytest.mark.parametrize(
    "exchange",
    [
        kept({"prompt": "a song"}, header={"expect": "error"}),
        kept({"prompt": 3}),
        kept(None),
        kept({"prompt": "a song"}, contract=None),
        kept(None, endpoint="status"),
    ],
    ids=["to be refused", "no valid body", "no body", "unknown contract", "looks another up"],
)
def test_what_one_request_does_not_show_is_shown_by_the_run_once_more(
    exchange: KeptExchange,
) -> None:
    found = ask_again(GONE, exchange)
    assert found is not None
    assert found.command == (
        "soundstage check --target emulator -k 'a b' --emulator-args='--profile instant --seed 7'"
    )


@pytest.mark.parametrize(
    "command",
    [
        "rm -rf /",
        "soundstage record --target emulator",
        "soundstage check --target http://evil.example",
        "soundstage check --target=http://evil.example",
        "pytest -p evil --target emulator",
        "soundstage check 'unfinished",
        "soundstage check --target emulator -k " + "x" * LONGEST,
        "",
    ],
)
def test_a_bundle_from_elsewhere_makes_nobody_paste_another_command(command: str) -> None:
    assert ask_again({**GONE, "command": command}, kept(None)) is None


def test_a_live_target_is_asked_by_curl_and_what_that_costs_is_said() -> None:
    found = ask_again(run_of(kind="live"), kept({"prompt": "[redacted 9 chars]"}))
    assert found is not None
    assert found.command.startswith("curl -N -X POST ")
    assert found.note is not None
    assert "costs a generation" in found.note
    assert "Private words were taken out" in found.note
