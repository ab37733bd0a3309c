"""`soundstage report` on a run of a million exchanges, as a user starts it: a new process.

The bundle is made up here: rows as the load command writes them (ids and start times all
different, the times of 4,000 exchanges in turn), one in a hundred with violations.
"""

from __future__ import annotations

import gzip
import json
import random
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from benchmarks.result import Row
from soundstage.contract import Contract, load_all
from soundstage.generation.walk import plan
from soundstage.results.bundle import EXCHANGES, FLUSH_ROWS, VIOLATIONS, BundleWriter

_PATTERNS = 4_000
_RATE = 400.0
#: Runs a command and prints its peak memory in kB: that of the largest of its processes.
_ALONE = """
import resource, subprocess, sys
subprocess.run(sys.argv[1:], stdout=subprocess.DEVNULL, check=True)
print(resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss)
"""


def measure(exchanges: int = 1_000_000) -> list[Row]:
    """Wall time, peak memory, and the size of the page."""
    with tempfile.TemporaryDirectory() as folder:
        bundle = Path(folder) / "run"
        write(bundle, exchanges)
        begun = time.perf_counter()
        # Of all children of a process the largest counts: so it gets a parent of its own.
        command = [sys.executable, "-c", _ALONE, sys.executable, "-P", "-m", "soundstage", "report"]
        done = subprocess.run([*command, str(bundle)], capture_output=True, check=True)
        seconds = time.perf_counter() - begun
        memory = int(done.stdout) * 1024
        page = (bundle / "report.html").stat().st_size
    what = f"report of {exchanges:,} exchanges"
    return [
        Row(what, f"{seconds:.1f} s", target="<= 10 s"),
        Row(f"{what}, memory", f"{memory / 1e6:.0f} MB", target="<= 400 MB"),
        Row(f"{what}, page", f"{page / 1e3:.0f} KB", target="<= 2,000 KB"),
    ]


def write(folder: Path, exchanges: int) -> None:
    """A bundle of a load run with this many exchanges."""
    rng = random.Random(1)
    contract = list(load_all().values())[-1]
    rules = [_rule(rule) for rule in contract.rules]
    facts = {
        "kind": "load",
        "command": "soundstage load --target emulator",
        "target": {"url": "http://127.0.0.1:8000", "kind": "emulator", "profile": "realistic"},
        "contracts": {contract.api: {"title": contract.title, "sha256": "0" * 64}},
        "machine": {"system": "made up", "cpus": 2, "python": "3.11"},
        "budget": {"limit": None, "spent": 0},
        "clock": {"source": "kernel", "stepped": False},
    }
    writer = BundleWriter.create(folder, facts)
    writer.finish(verdict="pass", exit_code=0, reason=None, rules=rules)
    with (folder / EXCHANGES).open("wb") as file, (folder / VIOLATIONS).open("wb") as broken:
        rows: list[bytes] = []
        for number, (row, rule) in enumerate(_rows(contract, rng, exchanges), 1):
            rows.append(row)
            if rule is not None:
                broken.write(_violation(number, rule))
            if len(rows) == FLUSH_ROWS or number == exchanges:
                file.write(gzip.compress(b"".join(rows), compresslevel=3, mtime=0))
                rows.clear()


def _rows(
    contract: Contract, rng: random.Random, exchanges: int
) -> Iterator[tuple[bytes, str | None]]:
    rules = [rule.id for rule in contract.rules if rule.endpoint == "stream"]
    made = [_pattern(contract, rng) for _ in range(_PATTERNS)]
    at = 0.0
    for number in range(1, exchanges + 1):
        at += rng.expovariate(_RATE)
        head, tail, broken = made[number % _PATTERNS]
        intended = int(at * 1e9)
        started = intended + int(rng.expovariate(2_000) * 1e9)
        row = head % (b"e%07d" % number, b"m-%d" % (number * 7919), intended, started)
        yield row + tail, rng.choice(rules) if broken else None


def _pattern(contract: Contract, rng: random.Random) -> tuple[bytes, bytes, bool]:
    """An exchange without ids and start times, and whether it breaks a rule."""
    ends = rng.choices(("ok", "timeout", "transport", "failed"), (97, 1, 1, 1))[0]
    stages: dict[str, list[Any]] = {}
    milestones: dict[str, float] = {"accepted": 0.003}
    moment = 0.004
    steps = plan(contract, rng)
    for step in steps if ends == "ok" else steps[: rng.randrange(len(steps))]:
        moment += rng.lognormvariate(-1.6, 0.5)
        name = step.stage if step.track is None else f"{step.stage}#{step.track}"
        stage = stages.setdefault(name, [round(moment, 6), 0.0, 0])
        stage[1:] = round(moment, 6), stage[2] + 1
        for milestone in contract.protocol.by_name[step.stage].milestones:
            if milestone.at != "first" or milestone.name not in milestones:
                milestones[milestone.name] = round(moment, 6)
    broken = rng.random() < 0.01
    row = {
        "outcome": ends,
        "verdict": "violates" if broken else "conforms" if ends == "ok" else "inconclusive",
        "reason": None if ends == "ok" else f"outcome.{ends}",
        "http_status": 200,
        "framing": "sse",
        "milestones": milestones,
        "stages": stages,
        "codes": {"field.missing": 1} if broken else {},
        "bytes": rng.randint(4_000, 9_000),
        "events": 40,
        "timing": "kernel",
        "coarse": 0.02,
        "billed": True,
        "warmup": False,
        "transcript": None,
        "hops": 0,
        "ended": round(moment, 6),
        "probe": False,
    }
    head = (
        b'{"id":"%%b","scenario":"load","api":"%b","endpoint":"stream","message_id":"%%b",'
        b'"intended_ns":%%d,"started_ns":%%d,'
    ) % contract.api.encode()
    return head, json.dumps(row, separators=(",", ":")).encode()[1:] + b"\n", broken


def _rule(rule: Any) -> dict[str, Any]:
    return {
        "rule": rule.id,
        "api": rule.api,
        "endpoint": rule.endpoint,
        "outcome": "passed",
        "severity": rule.severity,
        "basis": rule.basis,
        "source": rule.source,
        "text": rule.text,
    }


def _violation(number: int, rule: str) -> bytes:
    row = {
        "exchange": f"e{number:07d}",
        "code": "field.missing",
        "severity": "error",
        "chunk": 4,
        "path": "/field",
        "message": "a field that the contract asks for is missing",
        "rule": rule,
    }
    return json.dumps(row).encode() + b"\n"
