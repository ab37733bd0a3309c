"""Whole and valid files of every kind that strangers may send: what mutants are made of."""

from __future__ import annotations

import json
import random
from pathlib import Path
from typing import Any

from soundstage.contract import Contract, load_all
from soundstage.generation.walk import payloads, plan, random_story
from soundstage.observed.recorder import observe_stream
from soundstage.results.bundle import BundleWriter
from soundstage.saved.transcript import Transcript


def write_bundle(folder: Path, exchanges: int) -> None:
    rng = random.Random(7)
    facts: dict[str, Any] = {
        "kind": "load",
        "command": "soundstage load --target emulator",
        "target": {
            "url": "http://127.0.0.1:8000",
            "kind": "emulator",
            "profile": "p",
            "speed": 2.0,
            "seed": 1,
        },
        "contracts": {},
        "machine": {"system": "made up", "cpus": 2, "python": "3.11"},
        "versions": {"soundstage": "1"},
        "parameters": {"rate": 2.0, "duration_s": 20.0, "loop": "open"},
        "budget": {"limit": None, "spent": 0},
        "clock": {"source": "kernel", "stepped": False},
    }
    contract = list(load_all().values())[-1]
    promised = {"stream": ["accepted", "complete", "streaming_ready"]}
    facts["contracts"] = {
        contract.api: {"title": contract.title, "sha256": "0" * 64, "milestones": promised}
    }
    some = list(contract.rules)[:8]
    with BundleWriter.create(folder, facts) as writer:
        place = writer.transcript("e000001", transcript_of(contract))
        for number in range(1, exchanges + 1):
            writer.exchange(_row(contract, number, rng, place if number == 1 else None))
        for rule in some[:2]:
            row = {
                "exchange": "e000001",
                "api": contract.api,
                "endpoint": rule.endpoint,
                "code": "field.missing",
            }
            writer.violations(
                [
                    {
                        **row,
                        "severity": "error",
                        "chunk": 1,
                        "path": "/a",
                        "message": "m",
                        "rule": rule.id,
                    }
                ]
            )
        for second in range(3):
            counts = {"asked": 2, "started": 2, "dropped": 0, "in_flight": 1}
            writer.health(
                {
                    "t": second + 0.5,
                    "lag_max_s": 0.001,
                    "cpu": 0.1,
                    "steal": None,
                    "rss": 1e8,
                    **counts,
                }
            )
        writer.observed(_observed(contract))
        writer.finish(
            verdict="fail",
            exit_code=1,
            reason="made up",
            rules=[_rule(each, n) for n, each in enumerate(some)],
            voids=[{"kind": "budget", "message": "m"}],
            totals={"exchanges": exchanges, "outcomes": {"ok": exchanges}},
            slos=[_slo()],
            workers=[{"name": "w", "state": "finished", "exchanges": 1, "asked": 1}],
            capacity=_capacity(),
            selection={"expression": "x", "rules": 1, "of": 2, "outside": 0},
        )


def _row(
    contract: Contract, number: int, rng: random.Random, transcript: str | None
) -> dict[str, Any]:
    moment, stages = 0.0, {}
    for step in plan(contract, random.Random(1)):
        moment += rng.uniform(0.05, 0.2)
        name = step.stage if step.track is None else f"{step.stage}#{step.track}"
        first = stages.setdefault(name, [round(moment, 6), 0.0, 0])
        first[1:] = round(moment, 6), first[2] + 1
    ok = number % 8 != 0
    return {
        "id": f"e{number:06d}",
        "scenario": "load",
        "api": contract.api,
        "endpoint": "stream",
        "message_id": f"m{number}",
        "intended_ns": number * 10**9,
        "started_ns": number * 10**9 + 1_000,
        "outcome": "ok" if ok else "censored",
        "verdict": "conforms" if ok else "inconclusive",
        "reason": None if ok else "cap.x",
        "http_status": 200,
        "framing": "sse",
        "milestones": {
            "accepted": 0.01,
            "streaming_ready": 1.0,
            "complete": round(moment, 6) if ok else None,
        },
        "stages": stages,
        "codes": {"field.missing": 1} if number == 1 else {},
        "bytes": 900,
        "events": 20,
        "timing": "kernel",
        "coarse": 0.1,
        "billed": True,
        "warmup": False,
        "transcript": transcript,
        "hops": 0,
        "silence": [0.3, 1.0],
        "ended": round(moment, 6),
        "probe": False,
        "playback": {
            "stalls": 0,
            "stalled_s": 0.0,
            "first_byte_s": 0.1,
            "played_s": 9.0,
            "reason": None,
        },
    }


def _rule(rule: Any, number: int) -> dict[str, Any]:
    evidence = (
        [{"exchange": "e000001", "chunk": 1, "path": "/a", "message": "m"}] if number < 2 else []
    )
    return {
        "rule": rule.id,
        "api": rule.api,
        "endpoint": rule.endpoint,
        "severity": rule.severity,
        "basis": rule.basis,
        "outcome": "failed" if number < 2 else "passed",
        "reason": None,
        "source": rule.source,
        "text": rule.text,
        "violations": int(number < 2),
        "exchanges": 40,
        "evidence": evidence,
        "seconds": None,
    }


def _slo() -> dict[str, Any]:
    return {
        "slo": "complete.p95<9s",
        "kind": "quantile",
        "api": None,
        "endpoint": None,
        "milestone": "complete",
        "order": 0.95,
        "op": "<",
        "bound": 9.0,
        "unit": "s",
        "n": 40,
        "unknown": 2,
        "value": 3.0,
        "low": 2.0,
        "high": None,
        "level": 0.95,
        "verdict": "inconclusive",
        "reason": None,
        "more": 30,
    }


def _capacity() -> dict[str, Any]:
    quantiles = {"v6.stream.complete": {"p50": 1.0, "p90": 2.0, "p95": 2.0, "p99": None}}
    trial = {
        "rate": 2.0,
        "delivered": 2.0,
        "seed": 1,
        "seconds": 9.0,
        "exchanges": 18,
        "verdict": "pass",
        "reason": None,
        "stopped": False,
        "slos": [_slo()],
        "quantiles": quantiles,
    }
    trials = [trial, {**trial, "rate": 4.0, "verdict": "fail"}]
    return {
        "slos": ["complete.p95<9s"],
        "rate": 2.0,
        "low": 2.0,
        "high": 4.0,
        "verdict": "found",
        "reason": None,
        "precision": 0.1,
        "trials": trials,
    }


def _chunks(contract: Contract) -> list[dict[str, Any]]:
    rng = random.Random(3)
    return [dict(each) for each in payloads(contract, plan(contract, rng), random_story(rng), rng)]


def transcript_of(contract: Contract) -> bytes:
    chunks = _chunks(contract)
    chunks[1].pop(next(reversed(chunks[1])))
    pieces = [
        (0.1 * n, b"data: %b\n\n" % json.dumps(each).encode(), n == 2)
        for n, each in enumerate(chunks)
    ]
    url = f"http://127.0.0.1:8000{contract.endpoints['stream'].path}"
    asked = {
        "method": "POST",
        "url": url,
        "headers": [["Authorization", "[redacted]"]],
        "body": {"prompt": "x"},
    }
    head = {
        "status": 200,
        "reason": "OK",
        "headers": [["content-type", "text/event-stream"]],
        "t": 0.01,
        "hops": [],
    }
    header = {
        "api": contract.api,
        "endpoint": "stream",
        "request": asked,
        "response": head,
        "timing": "kernel",
    }
    end = {"kind": "complete", "fault_of": None, "message": "", "cut": None, "t": 9.0}
    return Transcript(header, pieces, end).to_bytes()


def archive_of(contract: Contract) -> bytes:
    text = "".join(f"data: {json.dumps(each)}\n\n" for each in _chunks(contract))
    url = f"https://api.soundverse.ai{contract.endpoints['stream'].path}"
    content = {"size": len(text), "mimeType": "text/event-stream", "text": text}
    headers = [{"name": "content-type", "value": "text/event-stream"}]
    response = {
        "status": 200,
        "statusText": "OK",
        "headers": headers,
        "content": content,
        "_error": None,
    }
    entry = {
        "request": {"method": "POST", "url": url, "headers": headers},
        "response": response,
        "timings": {"wait": 100, "receive": 1000},
        "time": 3,
    }
    beside = {
        **entry,
        "response": {**response, "content": {"mimeType": "text/event-stream", "_file": "body.sse"}},
    }
    return json.dumps({"log": {"version": "1.2", "entries": [entry, beside]}}).encode()


def _observed(contract: Contract) -> dict[str, Any]:
    rng = random.Random(3)
    steps = plan(contract, rng)
    chunks = payloads(contract, steps, random_story(rng), rng)
    seen = [(step.stage, chunk) for step, chunk in zip(steps, chunks, strict=True)]
    stream = contract.endpoints["stream"]
    return observe_stream(contract, stream, seen, framing="sse", whole=True).to_json()
