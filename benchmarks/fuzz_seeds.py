"""Valid inputs that mutants are made from: streams and results as people save them, transcripts,
archives, a run bundle, a contract's folder, songs and pictures. All of it comes of a seed.
"""

from __future__ import annotations

import base64
import gzip
import io
import json
import random
import tempfile
from functools import cache
from importlib.resources import files
from importlib.resources.abc import Traversable
from pathlib import Path
from typing import Any

from soundstage.contract import Contract, load_all
from soundstage.generation import walk
from soundstage.generation.faults import valid_result
from soundstage.results.bundle import BundleWriter
from soundstage.saved.transcript import Transcript

_HEAD = b"HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\n\r\n"


def contracts() -> list[Contract]:
    return list(load_all().values())


def _stream(contract: Contract, rng: random.Random) -> bytes:
    steps = walk.plan(contract, rng)
    chunks = walk.payloads(contract, steps, walk.random_story(rng), rng)
    return b"".join(b"data: " + json.dumps(each).encode() + b"\n\n" for each in chunks)


def _header(contract: Contract, endpoint: str, media: str) -> dict[str, Any]:
    asked = contract.endpoints[endpoint]
    return {
        "api": contract.api,
        "endpoint": endpoint,
        "request": {"method": asked.method, "url": contract.base_url + asked.path, "body": {}},
        "response": {"status": 200, "headers": [["content-type", media]]},
    }


@cache
def saved() -> tuple[tuple[str, bytes], ...]:
    """(name, bytes) of saved answers: plain, with a head, as transcript, in an archive, packed."""
    found: list[tuple[str, bytes]] = []
    rng = random.Random(1)
    for contract in contracts():
        streaming, single = (contract.endpoint_of_kind(kind) for kind in ("stream", "sync"))
        if streaming is None or single is None:
            continue
        body = _stream(contract, rng)
        ((_, value),) = valid_result(contract, single.name, rng)
        result = json.dumps(value).encode()
        for name, endpoint, media, raw in (
            ("stream", streaming, "text/event-stream", body),
            ("sync", single, "application/json", result),
        ):
            whole = Transcript(_header(contract, endpoint.name, media))
            whole.pieces = [
                (n / 10, piece, False) for n, piece in enumerate(raw.split(b"\n\n"), 1) if piece
            ]
            whole.end = {"kind": "clean", "fault_of": None, "message": None, "cut": None}
            found.append((f"{name}.ndjson", whole.to_bytes()))
        found += [
            ("stream.sse", body),
            ("result.json", result),
            ("answer.txt", _HEAD + body),
            ("stream.sse.gz", gzip.compress(body, mtime=0)),
            ("archive.har", _archive(contract, body, result)),
        ]
    return tuple(found)


def _archive(contract: Contract, body: bytes, result: bytes) -> bytes:
    entries = []
    for kind, media, raw in (
        ("stream", "text/event-stream", body),
        ("sync", "application/json", result),
    ):
        endpoint = contract.endpoint_of_kind(kind)
        assert endpoint is not None
        content = {"size": len(raw), "mimeType": media, "text": raw.decode()}
        coded = {**content, "text": base64.b64encode(raw).decode(), "encoding": "base64"}
        for each in (content, coded):
            entries.append(
                {
                    "startedDateTime": "2026-11-26T10:00:00.000Z",
                    "time": 100,
                    "request": {
                        "method": endpoint.method,
                        "url": contract.base_url + endpoint.path,
                        "headers": [],
                    },
                    "response": {
                        "status": 200,
                        "statusText": "OK",
                        "headers": [{"name": "content-type", "value": media}],
                        "content": each,
                    },
                    "timings": {"send": 0, "wait": 100, "receive": 1000},
                }
            )
    return json.dumps({"log": {"version": "1.2", "entries": entries}}).encode()


def _row(number: int, api: str, rng: random.Random, slow: float) -> dict[str, Any]:
    moment, stages = 0.01, {}
    for stage in ("validated", "streaming", "running", "streaming_ready#1", "completed", "final#1"):
        moment += rng.lognormvariate(-2, 0.4) * slow
        stages[stage] = [round(moment, 6), round(moment * 1.1, 6), 2]
    bad = number == 0
    return {
        "id": f"e{number:06d}",
        "scenario": "load",
        "api": api,
        "endpoint": "stream",
        "message_id": f"m-{number}",
        "intended_ns": number * 100_000_000,
        "started_ns": number * 100_000_000 + 1000,
        "wall": "2026-11-21T08:36:15Z",
        "outcome": "timeout" if number == 3 else "ok",
        "verdict": "violates" if bad else "conforms",
        "reason": None,
        "http_status": 200,
        "framing": "sse",
        "milestones": {"accepted": 0.003, "streaming_ready": moment / 2, "complete": moment},
        "stages": stages,
        "codes": {"field.missing": 1} if bad else {},
        "bytes": 4000,
        "events": 12,
        "timing": "kernel",
        "coarse": 0.0,
        "billed": True,
        "warmup": False,
        "transcript": "transcripts/e000000.ndjson" if bad else None,
        "hops": 0,
    }


@cache
def bundle(slow: float = 1.0) -> dict[str, bytes]:
    """The files of a run with a finding and its transcript, small enough to be read often."""
    rng = random.Random(2)
    contract = contracts()[-1]
    endpoint = contract.endpoint_of_kind("stream")
    assert endpoint is not None
    rule = next(each.id for each in contract.rules if each.id.endswith("/required"))
    code, message = "field.missing", "“version” is missing"
    violation = {
        "exchange": "e000000", "api": contract.api, "endpoint": endpoint.name, "code": code,
        "severity": "error", "chunk": 2, "path": "/version", "message": message, "rule": rule,
    }  # fmt: skip
    row = {
        "rule": rule, "api": contract.api, "endpoint": endpoint.name, "outcome": "failed",
        "reason": None, "severity": "error", "basis": "documented", "source": "Made up > Nothing",
        "text": "It is there.", "violations": 1, "exchanges": 1, "seconds": 0.001,
        "evidence": [{"exchange": "e000000", "chunk": 2, "path": "/version", "message": message}],
    }  # fmt: skip
    health = {
        "t": 0.98, "rate": 10.0, "asked": 10, "started": 10, "dropped": 0, "in_flight": 7,
        "lag_max_s": 0.002, "cpu": 0.2, "steal": None, "rss": 80e6,
    }  # fmt: skip
    facts = {
        "kind": "load", "command": "soundstage load", "created": "2026-02-01T00:00:00.000Z",
        "target": {"url": "http://127.0.0.1:1", "kind": "emulator"}, "seed": 7,
        "machine": {"system": "Linux", "cpus": 2, "python": "3.11.7"},
        "parameters": {"rate": 5}, "budget": {"limit": None, "spent": 0},
        "clock": {"source": "kernel", "stepped": False},
    }  # fmt: skip
    transcript = next(raw for name, raw in reversed(saved()) if name == "stream.ndjson")
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "run"
        with BundleWriter.create(path, facts) as writer:
            for number in range(12):
                writer.exchange(_row(number, contract.api, rng, slow))
            writer.violations([violation])
            for second in range(3):
                writer.health({**health, "t": second + 0.9})
            writer.transcript("e000000", transcript)
            writer.finish(verdict="fail", exit_code=1, reason="1 rule is broken", rules=[row])
        found = {
            str(each.relative_to(path)): each.read_bytes()
            for each in sorted(path.rglob("*"))
            if each.is_file()
        }
    # What only the clock knows is not to differ from run to run.
    run = json.loads(found["run.json"]) | {"finished": "2026-02-01T00:01:00.000Z"}
    found["run.json"] = json.dumps(run).encode()
    rows = gzip.decompress(found["exchanges.ndjson.gz"])
    return {**found, "exchanges.ndjson.gz": gzip.compress(rows, mtime=0)}


@cache
def folder_of_contract(api: str) -> dict[str, bytes]:
    """The files of a contract as they would lie in a folder of somebody's own."""
    root = files("soundstage.schemas")
    found = {"fields.json": root.joinpath("fields.json").read_bytes()}

    def add(place: Traversable, name: str) -> None:
        for each in sorted(place.iterdir(), key=lambda entry: entry.name):
            if each.is_dir():
                add(each, f"{name}/{each.name}")
            elif each.name.endswith(".json"):
                found[f"{name}/{each.name}"] = each.read_bytes()

    add(root.joinpath(api), api)
    return found


@cache
def assets() -> tuple[tuple[str, bytes], ...]:
    """(kind, bytes): a short song and small pictures in every form that is decoded."""
    import lameenc
    from PIL import Image

    encoder = lameenc.Encoder()
    encoder.set_bit_rate(64)
    encoder.set_in_sample_rate(22_050)
    encoder.set_channels(1)
    encoder.silence()
    rng = random.Random(3)
    samples = b"".join(
        rng.randrange(-9000, 9000).to_bytes(2, "little", signed=True) for _ in range(9000)
    )
    found = [("audio", bytes(encoder.encode(samples)) + bytes(encoder.flush()))]
    found.append(("audio", _wave(samples)))
    picture = Image.new("RGB", (24, 16))
    picture.putdata([(n % 256, n * 7 % 256, n * 31 % 256) for n in range(24 * 16)])
    for form in ("WEBP", "PNG", "JPEG", "GIF"):
        out = io.BytesIO()
        picture.save(out, form)
        found.append(("image", out.getvalue()))
    for raw in (b"OggS" + bytes(60), b"fLaC" + bytes(60), b"\0\0\0\x1cftypavif" + bytes(90)):
        found += [("audio", raw), ("image", raw)]
    return tuple(found)


def _wave(samples: bytes) -> bytes:
    head = b"WAVEfmt " + bytes.fromhex("10000000010001002256000044ac000002001000")
    data = b"data" + len(samples).to_bytes(4, "little") + samples
    return b"RIFF" + (len(head) + len(data)).to_bytes(4, "little") + head + data


CONFIG = b"""[target]
url = "http://127.0.0.1:1"
api = ["v6"]
budget = 4

[severity]
"v6/stream/undocumented" = "error"

[[waiver]]
rule = "v6/stream/streaming_ready/field/stream_url/required"
code = "field.missing"
reason = "ticket 7"
until = 2026-12-31
"""


@cache
def scenario() -> bytes:
    """One of our scenarios."""
    folder = files("soundstage.loadtests").joinpath("scenarios")
    return folder.joinpath("smoke.toml").read_bytes()
