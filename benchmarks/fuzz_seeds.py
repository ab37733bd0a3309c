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
from soundstage.emulator.files import mp3
from soundstage.emulator.files.cover import cover
from soundstage.emulator.files.songs import song as made
from soundstage.generation import walk
from soundstage.generation.faults.catalogue import valid_result
from soundstage.observed.recorder import observe_stream
from soundstage.results.bundle import BundleWriter
from soundstage.saved.transcript import Transcript

#: Enough of a song for its headers and some frames.
_MOST_OF_SONG = 200_000
_HEAD = b"HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\n\r\n"


def contracts() -> list[Contract]:
    return list(load_all().values())


def _chunks(contract: Contract, rng: random.Random) -> list[dict[str, Any]]:
    steps = walk.plan(contract, rng)
    return walk.payloads(contract, steps, walk.random_story(rng), rng)


def _stream(contract: Contract, rng: random.Random) -> bytes:
    chunks = _chunks(contract, rng)
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


def transcript(contract: Contract) -> bytes:
    """A stream of which one chunk lacks a field, as `record` keeps it."""
    chunks = [dict(each) for each in _chunks(contract, random.Random(3))]
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


def archive(contract: Contract) -> bytes:
    """An HTTP archive of a stream and a result."""
    rng = random.Random(3)
    single = contract.endpoint_of_kind("sync")
    assert single is not None
    ((_, value),) = valid_result(contract, single.name, rng)
    return _archive(contract, _stream(contract, rng), json.dumps(value).encode())


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
    # The way of some browsers: the body lies in a file beside the archive.
    beside = {"mimeType": "text/event-stream", "_file": "body.sse"}
    response = {**entries[0]["response"], "content": beside}
    entries.append({**entries[0], "response": response})
    return json.dumps({"log": {"version": "1.2", "entries": entries}}).encode()


def write_bundle(folder: Path, exchanges: int, slow: float = 1.0) -> None:
    """Write a load run with findings, a transcript, objectives, workers and a capacity; its songs
    take `slow` times as long as they might.
    """
    rng = random.Random(7)
    facts: dict[str, Any] = {
        "kind": "load",
        "created": "2026-02-01T00:00:00.000Z",
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
    contract = contracts()[-1]
    promised = {"stream": ["accepted", "complete", "streaming_ready"]}
    facts["contracts"] = {
        contract.api: {"title": contract.title, "sha256": "0" * 64, "milestones": promised}
    }
    some = list(contract.rules)[:8]
    with BundleWriter.create(folder, facts) as writer:
        place = writer.transcript("e000001", transcript(contract))
        for number in range(1, exchanges + 1):
            writer.exchange(_row(contract, number, rng, slow, place if number == 1 else None))
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
    contract: Contract, number: int, rng: random.Random, slow: float, transcript: str | None
) -> dict[str, Any]:
    moment, stages = 0.0, {}
    for step in walk.plan(contract, random.Random(1)):
        moment += slow * rng.uniform(0.05, 0.2)
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
            "streaming_ready": slow,
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
            "buffer_s": 2.0,
            "pace": 1.0,
            "asked_s": 30,
            "tracks": {
                name: {
                    "continuous": name == "1",
                    "sound_s": 1.5,
                    "stalls": 0,
                    "stalled_s": 0.0,
                    "underrun_s": 0.0,
                    "played_s": 9.0,
                    "made_s": 4.0,
                    "reason": None,
                }
                for name in ("1", "2")
            },
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


def _observed(contract: Contract) -> dict[str, Any]:
    rng = random.Random(3)
    steps = walk.plan(contract, rng)
    chunks = walk.payloads(contract, steps, walk.random_story(rng), rng)
    seen = [(step.stage, chunk) for step, chunk in zip(steps, chunks, strict=True)]
    stream = contract.endpoints["stream"]
    return observe_stream(contract, stream, seen, framing="sse", whole=True).to_json()


@cache
def bundle(slow: float = 1.0) -> dict[str, bytes]:
    """The files of such a run, small enough to be read often."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "run"
        write_bundle(path, 12, slow)
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
def assets() -> tuple[bytes, ...]:
    """Whole files of the four formats that are decoded, and beginnings of others."""
    from PIL import Image

    song = made("a song", "", 0, mp3.RATE).piece(0, _MOST_OF_SONG)
    found = [song, b"ID3\4\0\0\0\0\1\x76" + bytes(246) + song, cover("a", "b")]
    noise = Image.effect_noise((48, 40), 90)
    options: dict[str, list[dict[str, object]]] = {
        "PNG": [{}, {"mode": "P"}, {"mode": "RGBA"}, {"mode": "I;16"}, {"mode": "1"}],
        "JPEG": [{}, {"progressive": True}, {"mode": "CMYK"}, {"mode": "L"}],
        "WEBP": [{}, {"lossless": True}, {"mode": "RGBA"}, {"save_all": True, "mode": "RGBA"}],
    }
    for kind, variants in options.items():
        for variant in variants:
            mode = str(variant.pop("mode", "RGB"))
            picture = noise.convert(mode if mode != "I;16" else "I").convert(mode)
            if variant.get("save_all"):
                variant["append_images"] = [picture.rotate(90)]
            file = io.BytesIO()
            picture.save(file, kind, **variant)
            found.append(file.getvalue())
    for kind in ("GIF", "AVIF", "TIFF", "BMP", "ICO"):
        file = io.BytesIO()
        noise.save(file, kind)
        found.append(file.getvalue())
    found.append(b"OggS\0\2" + bytes(21) + b"\x1e\1vorbis" + bytes(90))
    found += [b"fLaC\0\0\0\x22" + bytes(90), b"RIFF\x64\0\0\0WAVEfmt \x10\0\0\0\1\0" + bytes(90)]
    return tuple(found)


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
