"""What real runs against the emulator observe: in bundles, in transcripts, and what `soundstage
schema --observed` makes of it.
"""

from __future__ import annotations

import gzip
import io
import json
from datetime import date
from pathlib import Path
from typing import Any

import jsonschema_rs
import pytest
from command_run import run_here
from strict_validators import ajv, needs_ajv

from made_up_api import folder
from soundstage import cli
from soundstage.commands.observed_schema import read
from soundstage.config import read_config
from soundstage.contract import load, load_all
from soundstage.contracts.explored_requests import MadeUp
from soundstage.errors import UsageError
from soundstage.exit_codes import ExitCode
from soundstage.gate import conclusion, made_up_calls
from soundstage.gate.contract_check import EMULATOR, CheckOptions, open_gate
from soundstage.observed.exchanges import EACH_SECOND, Sampler
from soundstage.observed.facts import Observed
from soundstage.reports.drift.drift import broken, drift, observed_of, waived
from soundstage.results.bundle import OBSERVED

LOST = "field/validated/message_id/missing"
AT_TIMES = "field/streaming_ready/stream_url/missing"


def captured(home: Path, name: str, api: str, *faults: str, seed: int = 0) -> Path:
    """The bundle of a gate that captured every endpoint of an emulator of its own."""
    words = [word for fault in faults for word in ("--fault", fault)]
    options = CheckOptions(
        target=EMULATOR,
        apis=(api,),
        out=str(home / name),
        seed=seed,
        emulator_arguments=("--profile", "instant", *words),
    )
    with open_gate(options) as gate:
        gate.captures.all((api, endpoint) for endpoint in gate.contracts[api].endpoints)
        contract = gate.contracts[api]
        first = next(iter(contract.endpoints.values()))
        gate.made_up.send([made_up_calls.explored(contract, MadeUp(first, {}, first.method))])
        conclusion.finish(gate, [], ExitCode.PASS)
    return home / name


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("observed")


@pytest.fixture(scope="module")
def base(home: Path) -> Path:
    """What v6 sends when nothing is wrong."""
    return captured(home, "base", "v6")


@pytest.fixture(scope="module")
def recorded(home: Path) -> Path:
    """Twenty streams of which about a third lack a field, as transcripts."""
    out, err = io.StringIO(), io.StringIO()
    arguments = f"--profile instant --seed 3 --fault {AT_TIMES}:0.3"
    argv = ["--target", "emulator", "--api", "v6", "--count", "20", "--out", str(home / "lossy")]
    code = cli.run("record", [*argv, "--emulator-args", arguments], out, err)
    assert (code, err.getvalue()) == (0, "")
    return home / "lossy"


def schema(*argv: str) -> str:
    out, err = io.StringIO(), io.StringIO()
    assert (cli.run("schema", list(argv), out, err), err.getvalue()) == (0, "")
    return out.getvalue()


def refused(*argv: str) -> tuple[int, str]:
    err = io.StringIO()
    return cli.run("schema", list(argv), io.StringIO(), err), err.getvalue()


# ------------------------------------------------------------------ drift of real runs


@pytest.mark.proof
def test_two_checks_of_the_same_api_show_no_drift(home: Path, base: Path):
    again = captured(home, "again", "v6", seed=9)
    assert drift(observed_of([base]), observed_of([again]), load_all()) == []


@pytest.mark.proof
def test_a_field_that_is_gone_is_breaking_drift_with_its_evidence(home: Path, base: Path):
    """Through the real command, as a user runs it."""
    done = run_here(
        *("check", "--target", "emulator", "--api", "v6", "--explore", "0"),
        *("--fault", LOST, "--out", "faulty"),
        folder=home,
    )
    assert done.returncode == 1, done.stdout + done.stderr
    findings = drift(observed_of([base]), observed_of([home / "faulty"]), load_all())
    (finding,) = [each for each in findings if each.effect == "breaking"]
    assert broken(findings)
    assert (finding.kind, finding.verdict) == ("field.gone", "drift")
    assert (finding.endpoint, finding.stage, finding.path) == (
        "stream", "validated", "/message_id",
    )  # fmt: skip
    assert finding.text == "message_id of validated is gone"
    assert finding.evidence.text.startswith("in 0 of ")
    assert finding.evidence.text.endswith("(100%)")
    # Waived in soundstage.toml, it is known.
    file = home / "soundstage.toml"
    file.write_text(
        f'[[waiver]]\ndrift = "{finding.fingerprint}"\nreason = "x"\nuntil = 2099-01-01\n'
    )
    marked = waived(findings, read_config(file), date(2026, 11, 21))
    assert not broken(marked)
    assert [each.fingerprint for each in marked if each.verdict == "known"] == [finding.fingerprint]


def test_a_field_that_is_missing_at_times_is_no_longer_always_there(base: Path, recorded: Path):
    findings = drift(observed_of([base]), read([str(recorded)], load_all()), load_all())
    (finding,) = [each for each in findings if each.effect == "breaking"]
    assert (finding.kind, finding.path) == ("field.optional", "/stream_url")
    assert finding.evidence.candidate_n == 20
    assert 8 <= finding.evidence.candidate < 20


@pytest.mark.proof
def test_a_made_up_api_is_observed_from_its_data_alone(home: Path, monkeypatch: Any):
    schemas = home / "apis"
    schemas.mkdir()
    folder(schemas, "string-tracks")
    monkeypatch.setenv("SOUNDSTAGE_SCHEMAS", str(schemas))
    before = captured(home, "made-up", "string-tracks")
    after = captured(home, "made-up-lossy", "string-tracks", "field/hello/job/missing")
    findings = drift(observed_of([before]), observed_of([after]), load_all())
    assert [(f.effect, f.kind, f.endpoint, f.stage, f.path) for f in findings] == [
        ("breaking", "field.gone", "tune", "hello", "/job")
    ]
    seen = observed_of([before]).apis["string-tracks"]["tune"]
    assert set(seen.details("track")) == {"low", "mid", "high"}


# ------------------------------------------------------------------ what is observed


def test_only_what_should_have_succeeded_is_observed(base: Path):
    seen = observed_of([base]).apis["v6"]
    rows = [json.loads(line) for line in _rows(base)]
    for name, facts in seen.items():
        good = [
            r for r in rows if r["endpoint"] == name and not r["probe"] and r["outcome"] == "ok"
        ]
        assert facts.counts["exchanges//"] == facts.counts["whole//"] == len(good) > 0


def _rows(bundle: Path) -> list[str]:
    return gzip.decompress((bundle / "exchanges.ndjson.gz").read_bytes()).decode().splitlines()


def test_a_transcript_shows_what_its_exchange_showed(home: Path, recorded: Path):
    seen = read([str(recorded)], load_all()).apis["v6"]["stream"]
    assert (seen.counts["exchanges//"], seen.counts["whole//"]) == (20, 20)
    assert set(seen.details("last")) == {"final"}
    assert set(seen.stages()) >= {"validated", "running"}


def test_nothing_private_is_in_a_bundle(base: Path):
    text = (base / OBSERVED).read_text()
    assert "://" not in text
    assert "http" not in text


def test_a_sampler_takes_the_first_few_of_each_second_and_endpoint():
    sampler, second = Sampler(), 1_000_000_000
    taken = [sampler.due("v6", "stream", n * second // 10) for n in range(20)]
    assert [n for n, due in enumerate(taken) if due] == [0, 1, 10, 11]
    assert sampler.due("v6", "sync", second)
    assert sum(Sampler().due("v6", "stream", 5) for _ in range(1)) == 1
    assert EACH_SECOND == 2


# ------------------------------------------------------------------ the command


def test_the_inferred_schema_is_printed_for_every_stage(base: Path):
    whole = json.loads(schema("--observed", str(base)))
    jsonschema_rs.meta.validate(whole)
    stages = {stage.name for stage in load("v6").protocol.stages if stage.times[0]}
    assert {f"stream.{name}" for name in stages} | {"sync"} <= set(whole["$defs"])
    ready = whole["$defs"]["stream.streaming_ready"]
    assert ready["properties"]["stream_url"]["format"] == "uri"
    assert "stream_url" in ready["required"]
    protocol = whole["x-observed-protocol"]["stream"]
    assert protocol["index_starts"] == {"0": protocol["exchanges"]}


@needs_ajv
def test_a_strict_validator_takes_the_inferred_schemas(base: Path):
    plain = json.loads(schema("--observed", str(base), "--format", "jsonschema"))
    noted = json.loads(schema("--observed", str(base), "--format", "jsonschema", "--with-basis"))
    assert ajv(plain)[0] == []
    assert plain["$defs"].keys() == noted["$defs"].keys()
    assert noted == json.loads(schema("--observed", str(base)))
    assert "unknown keyword" in ajv(noted)[0][0]


def test_the_documentation_is_told_what_to_say(recorded: Path):
    text = schema("--observed", str(recorded), "--docs-diff", "--api", "v6")
    assert "contradicted  stream_url: complete in" in text
    assert "say that it is optional" in text
    page = schema("--observed", str(recorded), "--docs-diff", "--format", "markdown")
    assert page.startswith("# Generate Song")
    rows = json.loads(schema("--observed", str(recorded), "--docs-diff", "--format", "json"))
    (row,) = [each for each in rows["differences"] if each["sort"] == "contradicted"]
    assert (row["stage"], row["path"]) == ("streaming_ready", "/stream_url")
    assert row["exchanges"][1] == 20


def test_places_are_put_together(base: Path, recorded: Path):
    both = read([str(base / OBSERVED), str(recorded / "001-v6-stream.ndjson")], load_all())
    alone = observed_of([base])
    alone.merge(read([str(recorded / "001-v6-stream.ndjson")], load_all()))
    assert both.to_json() == alone.to_json()


def test_a_killed_run_is_read_from_its_transcripts(home: Path, recorded: Path):
    killed = home / "killed"
    (killed / "transcripts").mkdir(parents=True)
    run = json.loads((home / "base" / "run.json").read_text()) | {
        "status": "running", "finished": None, "verdict": None, "exit_code": None,
    }  # fmt: skip
    (killed / "run.json").write_text(json.dumps(run))
    name = "001-v6-stream.ndjson"
    (killed / "transcripts" / name).write_bytes((recorded / name).read_bytes())
    seen = read([str(killed)], load_all())
    assert isinstance(seen, Observed)
    assert seen.exchanges == 1


def test_what_cannot_be_read_is_refused_with_its_place(tmp_path: Path, base: Path):
    assert refused("--observed", str(tmp_path / "none")) == (
        2, f"soundstage schema: --observed {tmp_path}/none: no such file or folder\n",
    )  # fmt: skip
    code, said = refused("--observed", str(tmp_path))
    assert code == 5
    assert "neither observed.json nor a transcript" in said
    (tmp_path / "x.ndjson").write_text("data: 1\n\n")
    code, said = refused("--observed", str(tmp_path / "x.ndjson"))
    assert (code, "not a transcript" in said) == (2, True)
    code, said = refused("--observed", str(base), "--api", "v5")
    assert (code, "no answer of v5 was seen" in said) == (5, True)


def test_what_an_older_version_observed_is_refused_in_one_line(tmp_path: Path):
    file = tmp_path / OBSERVED
    file.write_text('{"format": 1, "apis": {}}')
    said = f"{file}: of an older version (format 1), which cannot be compared"
    for more in ([], ["--docs-diff"]):
        assert refused("--observed", str(file), *more) == (5, f"soundstage schema: {said}\n")


@pytest.mark.parametrize(
    ("argv", "said"),
    [
        (["--docs-diff"], "--docs-diff: say with --observed PLACE"),
        (["--format", "markdown"], "--format markdown: say with --observed PLACE"),
        (["--observed", "x", "--format", "mermaid"], "--observed prints jsonschema"),
        (["--observed", "x", "--docs-diff", "--format", "openapi"], "prints text, markdown, json"),
    ],
)
def test_options_that_do_not_go_together_are_refused(argv, said):
    code, message = refused(*argv)
    assert code == UsageError.exit_code
    assert said in message
