"""What turns `soundstage check` red, and what does not: waivers, selections, outages, 500s."""

from __future__ import annotations

import io
import json
import xml.etree.ElementTree as ET
from collections.abc import Iterator
from pathlib import Path

import pytest
from emulated import served
from gateway import gateway, page

from soundstage import cli
from soundstage.emulator.options import Options
from soundstage.exchange.target import KEY_VARIABLE

FAULT = "field/streaming_ready/stream_url/missing"
RULE = "v6/stream/streaming_ready/field/stream_url/required"
#: A fault whose rule only warns.
WARNS = ("identity/song_name/changed", "v6/stream/constant/song_name")


@pytest.fixture(scope="module")
def emulator() -> Iterator[str]:
    with served(Options(profile="instant")) as url:
        yield url


@pytest.fixture(scope="module")
def faulty() -> Iterator[str]:
    with served(Options(profile="instant", faults=(FAULT,))) as url:
        yield url


def check(target: str, bundle: Path, *more: str, explore: str = "1") -> tuple[int, str]:
    out, err = io.StringIO(), io.StringIO()
    arguments = ["--target", target, "--api", "v6", "--explore", explore, "--out", str(bundle)]
    code = cli.run("check", [*arguments, *more], out, err)
    return code, out.getvalue() + err.getvalue()


def run_json(bundle: Path) -> dict:
    return json.loads((bundle / "run.json").read_bytes())


def outcome(bundle: Path, rule: str) -> dict:
    lines = (bundle / "rules.ndjson").read_text().splitlines()
    return next(row for row in map(json.loads, lines) if row["rule"] == rule)


def cases(bundle: Path, kind: str) -> set[str]:
    root = ET.parse(bundle / "junit.xml").getroot()
    return {case.attrib["name"] for case in root.iter("testcase") if case.find(kind) is not None}


@pytest.mark.proof
def test_a_waiver_reaches_explored_requests_too(faulty: str, tmp_path: Path) -> None:
    config = tmp_path / "known.toml"
    config.write_text(
        f'[[waiver]]\nrule = "{RULE}"\ncode = "field.missing"\nreason = "ticket 7"\n'
        "until = 2999-01-01\n"
    )
    code, said = check(faulty, tmp_path / "open")
    assert code == 1, said
    assert len(run_json(tmp_path / "open")["reason"]) > 20
    code, said = check(faulty, tmp_path / "run", "--config", str(config))
    assert (code, said.split()[0]) == (0, "PASS"), said
    found = outcome(tmp_path / "run", RULE)
    assert found["outcome"] == "known"
    assert found["exchanges"] > 5, "explored, too"
    assert not cases(tmp_path / "run", "failure")
    assert "1 known" in said
    assert "violates" not in said


@pytest.mark.proof
def test_severities_and_strictness_reach_explored_requests_too(faulty: str, tmp_path: Path) -> None:
    config = tmp_path / "lowered.toml"
    config.write_text(f'[severity]\n"{RULE}" = "warning"\n')
    code, said = check(faulty, tmp_path / "lowered", "--config", str(config))
    assert (code, outcome(tmp_path / "lowered", RULE)["outcome"]) == (0, "warned"), said
    rows = (tmp_path / "lowered" / "violations.ndjson").read_text().splitlines()
    assert {json.loads(row)["severity"] for row in rows if RULE in row} == {"warning"}
    code, said = check(faulty, tmp_path / "strict", "--config", str(config), "--strict")
    assert code == 1, said
    assert "stream_url is missing in streaming_ready" in said.splitlines()[1], "and no test of ours"
    found = outcome(tmp_path / "strict", RULE)
    assert found["exchanges"] > 5, "explored, too"


def test_a_selection_says_so_and_is_no_pass_over_broken_rules(faulty: str, tmp_path: Path) -> None:
    code, said = check(faulty, tmp_path / "run", "-k", "index", explore="0")
    assert code == 4, said
    assert said.startswith("INCONCLUSIVE")
    selection = run_json(tmp_path / "run")["selection"]
    words = f"selection: {selection['rules']} of {selection['of']} rules (-k index)"
    assert 0 < selection["rules"] < selection["of"]
    assert selection["outside"] == 1
    page_of = (tmp_path / "run" / "report.html").read_text()
    for text in (said, (tmp_path / "run" / "summary.md").read_text(), page_of):
        assert words in text.replace("&#40;", "(").replace("&#45;", "-").replace("&#41;", ")")
        assert "1 rule is broken outside of the selection" in text
    assert not cases(tmp_path / "run", "failure"), "JUnit says what the exit code says"
    assert RULE in cases(tmp_path / "run", "skipped")
    code, said = check(faulty, tmp_path / "its", "-k", "stream_url", explore="0")
    assert (code, said.split()[0]) == (1, "FAIL"), said


def test_a_selection_that_holds_passes_and_says_that_it_is_one(
    emulator: str, tmp_path: Path
) -> None:
    code, said = check(emulator, tmp_path / "run", "-k", "index", explore="0")
    assert code == 0, said
    assert said.startswith("PASS  Contract kept, selection: ")


@pytest.mark.parametrize("expression", ["(", "a b", "not", "index and (", ""])
def test_an_expression_that_is_none_is_wrong_usage(expression: str, tmp_path: Path) -> None:
    code, said = check("http://127.0.0.1:1", tmp_path / "run", "-k", expression)
    assert code == 2, said
    assert len(said.splitlines()) == 1
    assert not (tmp_path / "run").exists()


@pytest.mark.parametrize("number", ["-3", "nan", "1.5", "", "1e3", "99999999", "9" * 30])
@pytest.mark.parametrize("option", ["--explore", "--budget", "--explore-budget", "--seed"])
def test_a_number_that_is_none_is_wrong_usage(option: str, number: str) -> None:
    if (option, number) == ("--seed", "-3") or (option != "--explore" and number == "99999999"):
        return  # these are numbers
    with pytest.raises(SystemExit) as stopped:
        cli.run("check", ["--target", "emulator", option, number], io.StringIO(), io.StringIO())
    assert stopped.value.code == 2


def test_options_that_the_emulator_does_not_know_are_wrong_usage(tmp_path: Path) -> None:
    code, said = check("emulator", tmp_path / "run", "--fault", "no/such/fault")
    assert code == 2, said
    assert "no/such/fault" in said


# ------------------------------------------------------- what stands between us and the API


@pytest.fixture
def key(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(KEY_VARIABLE, "sk-of-the-user-0123")


BROKEN = (500, "application/json", b'{"detail": "sorry"}')


@pytest.mark.usefixtures("key")
@pytest.mark.parametrize("status", [502, 524, 599, 403])
@pytest.mark.proof
def test_a_gateway_that_answers_the_probes_makes_the_check_inconclusive(
    status: int, emulator: str, tmp_path: Path
) -> None:
    def keyless(method: str, path: str, key: bool, body: bytes) -> tuple[int, str, bytes] | None:
        return None if key or path.startswith("/assets") else page(status)

    with gateway(emulator, keyless) as url:
        code, said = check(url, tmp_path / "run", explore="0")
    assert (code, said.split()[0]) == (6, "INCONCLUSIVE"), said
    assert f"http.{status}" in said
    assert not cases(tmp_path / "run", "failure")
    assert "run/verdict" in cases(tmp_path / "run", "skipped")


@pytest.mark.usefixtures("key")
@pytest.mark.proof
def test_a_gateway_that_refuses_an_unusual_request_makes_the_check_inconclusive(
    emulator: str, tmp_path: Path
) -> None:
    with gateway(emulator, lambda *asked: page(502) if len(asked[3]) > 50_000 else None) as url:
        code, said = check(url, tmp_path / "run")
    assert code == 6, said
    assert "the target answered with 502 Bad Gateway [http.502]" in said


def on_sync(most: int):
    """A backend whose synchronous endpoint gives a 500, so many times."""
    left = [most]

    def rule(method: str, path: str, key: bool, body: bytes) -> tuple[int, str, bytes] | None:
        if key and method == "POST" and path.endswith("/sync") and left[0]:
            left[0] -= 1
            return BROKEN
        return None

    return rule


@pytest.mark.usefixtures("key")
def test_a_500_that_comes_again_while_others_are_answered_is_a_finding(
    emulator: str, tmp_path: Path
) -> None:
    with gateway(emulator, on_sync(10**6)) as url:
        code, said = check(url, tmp_path / "run", explore="0")
    assert code == 1, said
    found = outcome(tmp_path / "run", "v6/sync/http/status")
    assert (found["outcome"], found["violations"]) == ("failed", 2)
    rows = map(json.loads, (tmp_path / "run" / "violations.ndjson").read_text().splitlines())
    of_it = [row for row in rows if row["code"] == "http.server_error"]
    assert {row["rule"] for row in of_it} == {"v6/sync/http/status"}
    assert len({row["exchange"] for row in of_it}) == 2
    assert "http.server_error" in said


@pytest.mark.usefixtures("key")
@pytest.mark.proof
def test_a_500_that_does_not_come_again_leaves_nothing_open_where_asking_is_free(
    emulator: str, tmp_path: Path
) -> None:
    with gateway(emulator, on_sync(1)) as url:
        code, said = check(url, tmp_path / "run", explore="0")
        assert code == 0, said
    with gateway(emulator, on_sync(1)) as url:
        code, said = check(url, tmp_path / "paid", "--budget", "2", explore="0")
    assert (code, run_json(tmp_path / "paid")["budget"]["spent"]) == (6, 2), said


@pytest.mark.usefixtures("key")
def test_500s_alone_are_a_backend_that_is_down(emulator: str, tmp_path: Path) -> None:
    def down(method: str, path: str, key: bool, body: bytes) -> tuple[int, str, bytes] | None:
        return BROKEN if key and method == "POST" else None

    with gateway(emulator, down) as url:
        code, said = check(url, tmp_path / "run", explore="0")
    assert code == 6, said


@pytest.mark.usefixtures("key")
@pytest.mark.parametrize(
    ("status", "code"),
    [(200, "http.status"), (500, "http.server_error"), (501, "http.server_error")],
)
@pytest.mark.proof
def test_a_request_without_a_key_has_to_be_refused(
    status: int, code: str, emulator: str, tmp_path: Path
) -> None:
    def keyless(method: str, path: str, key: bool, body: bytes) -> tuple[int, str, bytes] | None:
        if key or path.startswith("/assets"):
            return None
        return status, "application/json", b'{"ok": true}'

    with gateway(emulator, keyless) as url:
        red, said = check(url, tmp_path / "run", explore="0")
        assert red == 1, said
        assert f"[{code}]" in said
        # Like any other finding it can be waived.
        known = tmp_path / "known.toml"
        rule = "v6/error/status" if code == "http.status" else "v6/error/no_500"
        known.write_text(
            f'[[waiver]]\nrule = "{rule}"\ncode = "{code}"\nreason = "r"\nuntil = 2999-01-01\n'
        )
        waived, said = check(url, tmp_path / "known", "--config", str(known), explore="0")
    assert waived == 0, said


def test_a_rehearsal_is_told_as_one_and_never_as_live(tmp_path: Path) -> None:
    bundle = tmp_path / "runs" / "rehearsed"
    words = ["--treat-as-live", "--budget", "2", "--yes"]
    with served(Options(profile="instant", seed=1)) as url:
        code, said = check(url, bundle, *words, explore="0")
    assert code == 0, said
    target = run_json(bundle)["target"]
    assert (target["kind"], target["rehearsal"]) == ("emulator", True)
    told = [said, (bundle / "report.html").read_text("utf-8")]
    told += [(bundle / name).read_text("utf-8") for name in ("summary.md", "junit.xml")]
    for text in told:
        assert "a rehearsal of a live run" in text
        assert "against the live api" not in text.lower()
    root = ET.parse(bundle / "junit.xml").getroot()
    assert root.attrib["name"] == "Soundstage contract check against the EMULATOR"
    listed = io.StringIO()
    cli.run("runs", ["--runs", str(bundle.parent)], listed, listed)
    assert "emulator, rehearsal" in listed.getvalue()
    listed = io.StringIO()
    cli.run("runs", ["--runs", str(bundle.parent), "--target-kind", "live"], listed, listed)
    assert listed.getvalue().startswith("no such runs")
