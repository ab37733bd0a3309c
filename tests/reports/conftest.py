"""Made-up runs for the report tests, written by the real writer."""

from __future__ import annotations

import random
import sys
from collections.abc import Callable, Iterable
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest
from compare_calls import Make, change, delay

from soundstage.results.bundle import BundleWriter

STAGES = {
    "v6": ("initializing", "validated", "streaming", "processing", "running", "streaming_ready#1"),
    "v5": ("progress", "final"),
}
V6_LATE = ("streaming_ready#2", "completed", "uploading#1", "uploading#2", "final#1", "final#2")

#: Text that an API could send to hurt a reader of reports.
HOSTILE = (
    "<script>alert(1)</script> ]]> \x1b[31mred\x1b[0m | cell | \u202egnp.exe \x00 `code` "
    "@everyone <img src=https://evil.example/x.png onerror=alert(1)> \ud800 &amp; [a](http://b)"
)


def run_facts(kind: str = "check", target: str = "emulator", **changes: Any) -> dict[str, Any]:
    facts: dict[str, Any] = {
        "kind": kind,
        "command": f"soundstage {kind} --target emulator --seed 7",
        "target": {
            "url": "http://127.0.0.1:8080",
            "kind": target,
            "profile": "realistic",
            "speed": 100 if target == "emulator" else None,
            "seed": 7 if target == "emulator" else None,
        },
        "contracts": {
            "v5": {"title": "Generate Song (v5)", "sha256": "5" * 64},
            "v6": {"title": "Generate Song (v6)", "sha256": "6" * 64},
        },
        "versions": {"soundstage": "0.1.0", "python": "3.11.7", "locust": "2.40.0"},
        "seed": 7,
        "machine": {"system": "Linux 6.1 x86_64", "cpus": 2, "python": "3.11.7"},
        "parameters": {"rate": 5, "duration": "30s"} if kind == "load" else {"api": "v5,v6"},
        "budget": {"limit": None, "spent": 0},
        "clock": {"source": "kernel", "stepped": False},
    }
    return {**facts, **changes}


def exchange(
    number: int,
    rng: random.Random,
    *,
    api: str = "v6",
    endpoint: str = "stream",
    outcome: str = "ok",
    at: float = 0.0,
    late: float = 0.0002,
    **changes: Any,
) -> dict[str, Any]:
    """An exchange row with plausible times; a bad outcome ends it part of the way."""
    moment, stages, milestones = 0.004, {}, {"accepted": 0.003}
    if outcome == "dropped":
        milestones = {}
    names = STAGES[api] + (V6_LATE if api == "v6" else ())
    if endpoint != "stream" or outcome == "dropped":
        names = ()
    reached = len(names) if outcome == "ok" else rng.randrange(len(names) // 2 + 1)
    for name in names[:reached]:
        moment += rng.lognormvariate(-1.4, 0.6) * (0.1 if name in STAGES[api][:2] else 1)
        if name == "processing" and rng.random() < 0.3:
            continue
        stages[name] = [round(moment, 6), round(moment * 1.1, 6), rng.randint(1, 5)]
    if "initializing" in stages or "progress" in stages:
        milestones["first_chunk"] = next(iter(stages.values()))[0]
    for milestone, stage in (
        ("validated", "validated"),
        ("streaming_ready", "streaming_ready#1"),
        ("streaming_ready_all", "streaming_ready#2"),
        ("audio", "completed"),
        ("complete", "final#2"),
    ):
        if stage in stages:
            milestones[milestone] = stages[stage][0]
    if api == "v5" and "final" in stages:
        milestones["audio"] = milestones["complete"] = stages["final"][0]
    if endpoint == "sync" and outcome == "ok":
        milestones["complete"] = round(rng.lognormvariate(0.6, 0.4), 6)
    row = {
        "id": f"e{number:06d}",
        "scenario": "check",
        "api": api,
        "endpoint": endpoint,
        "message_id": f"m-{number}" if api == "v6" else None,
        "intended_ns": int(at * 1e9),
        "started_ns": int((at + late) * 1e9),
        "wall": "2026-11-21T08:36:15Z",
        "outcome": outcome,
        "verdict": "conforms" if outcome == "ok" else "inconclusive",
        "reason": None if outcome == "ok" else f"outcome.{outcome}",
        "http_status": 200 if outcome not in ("transport", "dropped") else None,
        "framing": "sse" if endpoint == "stream" else "json",
        "milestones": milestones,
        "stages": stages,
        "codes": {},
        "bytes": 4000 * len(stages),
        "events": 3 * len(stages),
        "timing": "kernel",
        "coarse": 0.02,
        "billed": True,
        "warmup": False,
        "transcript": None,
        "hops": 0,
    }
    return {**row, **changes}


def contract_rules() -> list[dict[str, Any]]:
    """A matrix about as large as the real one."""
    rules = []
    fields = {
        "v6": {
            stage.partition("#")[0]: ("message_id", "status", "chunkIndex", "isComplete", "version")
            for stage in (*STAGES["v6"], *V6_LATE)
        },
        "v5": dict.fromkeys(STAGES["v5"], ("content", "tokens", "totalTokens", "status")),
    }
    for api, stages in fields.items():
        for stage, names in stages.items():
            for name in names:
                for check in ("required", "type", "value"):
                    rules.append(rule(f"{api}/stream/{stage}/field/{name}/{check}"))
            rules.append(rule(f"{api}/stream/order/{stage}"))
            rules.append(rule(f"{api}/stream/times/{stage}"))
        rules.append(rule(f"{api}/stream/index/consecutive"))
        rules.append(rule(f"{api}/stream/track/both"))
        rules.extend(rule(f"{api}/sync/field/{name}/required") for name in ("success", "status"))
    return rules


def rule(name: str, outcome: str = "passed", **changes: Any) -> dict[str, Any]:
    api, endpoint, *steps = name.split("/")
    row = {
        "rule": name,
        "api": api,
        "endpoint": endpoint,
        "outcome": outcome,
        "reason": None,
        "severity": "error",
        "basis": "documented",
        "source": f"Generate Song ({api}) > Stages of Streaming Response > {steps[0].title()}",
        "text": f"The {' '.join(steps)} rule of {api} holds.",
        "violations": 0,
        "exchanges": 4,
        "evidence": [],
        "seconds": 0.001,
    }
    return {**row, **changes}


def broken(name: str, message: str, exchange_id: str = "e000001", **changes: Any) -> dict[str, Any]:
    evidence = [{"exchange": exchange_id, "chunk": 5, "path": "/stream_url", "message": message}]
    facts = {"violations": 3, "exchanges": 2, "evidence": evidence}
    return rule(name, "failed", **{**facts, **changes})


def violation(name: str, code: str, message: str, exchange_id: str = "e000001") -> dict[str, Any]:
    api, endpoint = name.split("/")[:2]
    return {
        "exchange": exchange_id,
        "api": api,
        "endpoint": endpoint,
        "code": code,
        "severity": "error",
        "chunk": 5,
        "path": "/stream_url",
        "message": message,
        "rule": name,
    }


def write(
    path: Path,
    exchanges: Iterable[dict[str, Any]],
    *,
    rules: Iterable[dict[str, Any]] = (),
    violations: Iterable[dict[str, Any]] = (),
    finish: dict[str, Any] | None = None,
    transcripts: Iterable[str] = (),
    health: Iterable[dict[str, Any]] = (),
    **facts: Any,
) -> Path:
    """A bundle at `path`; `finish` is what the verdict is, {} leaves the run unfinished."""
    with BundleWriter.create(path, run_facts(**facts)) as writer:
        for row in exchanges:
            writer.exchange(row)
        writer.violations(violations)
        for second in health:
            writer.health(second)
        for name in transcripts:
            writer.transcript(name, b'{"made":"up"}\n')
        if finish != {}:
            end: dict[str, Any] = {"verdict": "pass", "exit_code": 0, "reason": None}
            writer.finish(**{**end, "rules": rules, **(finish or {})})
    return path


def slo(text: str, verdict: str = "fail", **changes: Any) -> dict[str, Any]:
    """An objective on a quantile of v6 stream, `complete.p95<2s`, as run.json holds it."""
    name, _, rest = text.rpartition(".p95<")
    entry = {
        "slo": text,
        "kind": "quantile",
        "api": "v6",
        "endpoint": "stream",
        "milestone": name.rpartition(".")[2],
        "order": 0.95,
        "op": "<",
        "bound": float(rest.removesuffix("s")),
        "unit": "s",
        "n": 120,
        "unknown": 0,
        "value": 3.25,
        "low": 3.0,
        "high": None,
        "level": 0.95,
        "verdict": verdict,
        "reason": None,
        "more": None,
    }
    return {**entry, **changes}


def capacity(**changes: Any) -> dict[str, Any]:
    """What a search for capacity found in three trials."""
    trials = [
        {
            "rate": rate,
            "delivered": rate,
            "seed": 1,
            "seconds": 10.0,
            "exchanges": 100,
            "verdict": "pass" if p95 and p95 < 2 else "fail",
            "reason": None,
            "stopped": False,
            "slos": [slo("complete.p95<2s")],
            "quantiles": {"v6.stream.complete": {"p50": 1.0, "p95": p95}},
        }
        for rate, p95 in ((10.0, 1.2), (40.0, None), (20.0, 1.6))
    ]
    found = {
        "slos": ["complete.p95<2s"],
        "rate": 20.0,
        "low": 20.0,
        "high": 40.0,
        "verdict": "found",
        "reason": None,
        "precision": 0.5,
        "trials": trials,
    }
    return {**found, **changes}


def health(second: int, **changes: Any) -> dict[str, Any]:
    """How the generator did in one second."""
    row = {
        "t": second + 0.98,
        "rate": 10.0,
        "asked": 10,
        "started": 10,
        "dropped": 0,
        "in_flight": 7,
        "lag_max_s": 0.002,
        "cpu": 0.2,
        "steal": None,
        "rss": 80e6,
    }
    return {**row, **changes}


REQUIRED = "v6/stream/streaming_ready/field/version/required"
ORDER = "v6/stream/order/uploading"


def check_run(path: Path) -> Path:
    """A contract check that fails at two rules, warns at one, and has some of everything else."""
    rng = random.Random(7)
    rows = [exchange(n + 1, rng, at=n * 0.1) for n in range(3)]
    rows[0] |= {"verdict": "violates", "codes": {"field.missing": 2, "stage.order": 1}}
    rows[0]["transcript"] = "transcripts/e000001.ndjson"
    rows.append(exchange(4, rng, api="v5", at=0.4))
    rows.append(exchange(5, rng, api="v5", endpoint="sync", at=0.5))
    rows.append(exchange(6, rng, endpoint="sync", at=0.6))
    rows.append(exchange(7, rng, at=0.7, http_status=401, probe=True, outcome="failed"))
    rules = contract_rules()
    changed = {
        REQUIRED: broken(
            REQUIRED,
            "“version” is missing; a streaming_ready chunk names its track",
            text="Every streaming_ready chunk carries “version”, 1 or 2.",
        ),
        ORDER: broken(
            ORDER,
            "uploading of track 2 came before any completed",
            text="A track is uploaded after a completed.",
            violations=1,
            exchanges=1,
        ),
        "v6/stream/running/field/status/value": rule(
            "v6/stream/running/field/status/value",
            "warned",
            severity="warning",
            basis="inferred",
            violations=1,
            exchanges=1,
            evidence=[
                {"exchange": "e000002", "chunk": 9, "path": "/x", "message": "“x” is undocumented"}
            ],
        ),
        "v5/stream/track/both": rule(
            "v5/stream/track/both", "not_exercised", reason="v5 has one track", exchanges=0
        ),
        "v5/sync/field/status/required": rule(
            "v5/sync/field/status/required", "inconclusive", reason="the API answered 503"
        ),
        "v5/stream/final/field/status/value": rule(
            "v5/stream/final/field/status/value", "known", reason="waived until 2026-12-31"
        ),
    }
    return write(
        path,
        rows,
        rules=[changed.get(row["rule"], row) for row in rules],
        violations=[
            violation(REQUIRED, "field.missing", "“version” is missing"),
            violation(REQUIRED, "field.missing", "“version” is missing"),
            violation(ORDER, "stage.order", "uploading of track 2 came before any completed"),
        ],
        finish={"verdict": "fail", "exit_code": 1, "reason": "2 rules of 252 are broken"},
        transcripts=["e000001"],
    )


def load_run(path: Path, number: int = 2000, **changes: Any) -> Path:
    rng = random.Random(11)
    outcomes = ["ok"] * 190 + ["timeout"] * 4 + ["transport", "refused", "cut", "failed"]
    outcomes += ["censored", "dropped"]
    at = 0.0
    rows = []
    for n in range(number):
        at += rng.expovariate(40)
        api = "v5" if n % 3 == 0 else "v6"
        rows.append(
            exchange(
                n + 1,
                rng,
                api=api,
                outcome=rng.choice(outcomes),
                at=at,
                late=abs(rng.gauss(0.0005, 0.0005)),
                warmup=at < 5,
                scenario="load",
            )
        )
    return write(
        path, rows, kind="load", rules=contract_rules(), **{"target": "emulator", **changes}
    )


def every_chart(path: Path, *rules: dict[str, Any], **finish: Any) -> Path:
    """A load run with something to show for every chart; `rules` beside those of the contract."""
    rng = random.Random(3)
    outcomes = ["ok"] * 12 + ["timeout", "transport"]
    rows = [
        exchange(n + 1, rng, at=n / 10, outcome=outcomes[n % len(outcomes)]) for n in range(140)
    ]
    held = [
        broken(row["rule"], "“version” is missing") if row["rule"] == REQUIRED else row
        for row in contract_rules()
    ]
    return write(
        path,
        rows,
        kind="load",
        created="2026-01-01T00:00:00.000Z",
        rules=[*held, *rules],
        violations=[violation(REQUIRED, "field.missing", "“version” is missing")],
        finish={
            "verdict": "fail",
            "exit_code": 1,
            "reason": "1 rule is broken",
            "voids": [{"kind": "generator", "message": "the generator was late"}],
            "slos": [slo("streaming_ready.p95<9s", "pass"), slo("v6.complete.p95<1s")],
            **finish,
        },
        health=[health(second) for second in range(14)],
    )


@pytest.fixture(scope="session")
def runs() -> ModuleType:
    """The builders of this file."""
    return sys.modules[__name__]


@pytest.fixture
def bundle(tmp_path: Path) -> Callable[..., Path]:
    """Makes a bundle in a folder of its own: `bundle(rows, rules=…, finish=…)`."""
    made = iter(range(1000))

    def make(rows: Iterable[dict[str, Any]] = (), **how: Any) -> Path:
        return write(tmp_path / f"run-{next(made)}", rows, **how)

    return make


@pytest.fixture
def check_bundle(tmp_path: Path) -> Path:
    return check_run(tmp_path / "check")


@pytest.fixture(scope="session")
def load_bundle(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return load_run(tmp_path_factory.mktemp("load") / "run")


@pytest.fixture
def load(tmp_path: Path, runs: ModuleType) -> Make:
    """Makes a load run: `load("name", seed=1, slower={"running": 2.0}, …facts of run.json)`."""

    def make(
        name: str,
        *,
        seed: int,
        n: int = 250,
        slower: dict[str, float] | None = None,
        outcomes: tuple[str, ...] = ("ok",),
        broken: tuple[str, ...] = (),
        api: str = "v6",
        created: str | None = None,
        **facts: Any,
    ) -> Path:
        rng = random.Random(seed)
        rows = []
        for number in range(n):
            row = runs.exchange(
                number + 1, rng, api=api, at=number / 5, outcome=rng.choice(outcomes)
            )
            for stage, factor in (slower or {}).items():
                delay(row, stage, factor)
            rows.append(row)
        rules = [
            runs.broken(row["rule"], "“version” is missing", violations=9, exchanges=n)
            if row["rule"] in broken
            else {**row, "exchanges": n}
            for row in runs.contract_rules()
            if row["api"] == api
        ]
        violations = [
            runs.violation(rule, "field.missing", "“version” is missing", f"e{number:06d}")
            for rule in broken
            for number in range(1, 10)
        ]
        path: Path = runs.write(
            tmp_path / name, rows, kind="load", rules=rules, violations=violations, **facts
        )
        if created is not None:
            change(path, created=created)
        return path

    return make
