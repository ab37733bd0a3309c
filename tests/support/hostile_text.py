"""Text that hurts whoever reads it: in a terminal, in the log of a build, on a page. And where it
may come from: a server, a bundle, a contract, the names of files.
"""

from __future__ import annotations

import json
import re
import shutil
import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from importlib.resources import files
from pathlib import Path
from typing import Any

from bundle_rows import RUN

from soundstage.results.bundle import BundleWriter

#: What it is called, and the text.
TEXTS = {
    "clear": "\x1b[2J\x1b[H",
    "link": "\x1b]8;;http://evil.example\x1b\\here\x1b]8;;\x1b\\",
    "clipboard": "\x1b]52;c;Y3VybCBldmls\x07",
    "title": "\x1b]0;title\x07",
    "c1": "\x9b31m\x85next",
    "overwritten": "bad\rgood\x08\x7f",
    "override": "\u202egnp.exe\u2066\u200f",
    "separators": "a\u2028b\u2029c",
    "invisible": "a\u200bb\u2060c\ufeffd\u00ade\u200df",
    "tags": "\U000e0041\U000e007f\U000e0100",
    "section": "section_start:1:x\r\x1b[0Kheader",
    "error": "\n::error::x",
    "output": "\n  ::set-output name=a::b",
    "mask": "\n\u00a0::add-mask::e\n::stop-commands::x",
    "bracket": "##[error]x",
    "azure": "##vso[task.complete result=Succeeded;]",
    "teamcity": "##teamcity[buildStatus status='SUCCESS']",
}
#: Where a text cannot be written as bytes: JSON may hold it all the same.
SURROGATE = "lone \ud800 surrogate"
ALL = " ".join(TEXTS.values())
#: Characters that no output may have, but for line ends and tabs.
_RAW = re.compile(
    "[\x00-\x08\x0b-\x1f\x7f-\x9f\u00ad\u061c\u200b-\u200f\u2028-\u202e\u2060-\u206f\ufeff\ud800-"
    "\udfff\U000e0000-\U000e0fff]"
)
_ORDER = re.compile(r"(?:^|\r)\s*::|##(?:vso|teamcity)?\[", re.MULTILINE)


def harms(said: bytes | str) -> list[str]:
    """What of it does harm, as it stands there; UTF-8 that is none does, too."""
    text = said.decode("utf-8", "surrogateescape") if isinstance(said, bytes) else said
    found = [ascii(each) for each in dict.fromkeys(_RAW.findall(text))]
    return found + [ascii(each) for each in dict.fromkeys(_ORDER.findall(text))]


def bundle(folder: Path, text: str = ALL, *, day: int = 1) -> Path:
    """A bundle that holds the text wherever somebody could put it."""
    facts = RUN | {
        "kind": "load",
        "created": f"2026-01-{day:02d}T08:00:00.000Z",
        "command": text,
        "parameters": {"p": text},
        "seed": None,
        "contracts": {"v6": {"title": text, "sha256": "6" * 64}},
        "versions": {"lib": text},
        "target": {"url": "http://h/", "kind": "local", "profile": text},
        "machine": {"system": text, "cpus": 2, "python": text},
    }
    failed = {
        "rule": f"v6/stream/{text}", "api": "v6", "endpoint": "stream", "outcome": "failed",
        "violations": 1, "exchanges": 1, "severity": "error", "basis": "documented",
        "text": text, "source": text, "reason": text, "seconds": 0.1,
        "evidence": [{"exchange": "e000001", "chunk": 3, "path": f"/{text}", "message": text}],
    }  # fmt: skip
    unjudged = {**failed, "rule": f"v6/stream/b{text}", "outcome": "inconclusive", "violations": 0}
    broken = {
        "exchange": "e000001", "api": "v6", "endpoint": "stream", "code": "field.missing",
        "severity": "error", "chunk": 3, "path": f"/{text}", "message": text,
        "rule": failed["rule"],
    }  # fmt: skip
    with BundleWriter.create(folder, facts) as writer:
        for number in range(1, 9):
            writer.exchange(_row(number, text))
        writer.violations([broken])
        writer.finish(
            verdict="fail",
            exit_code=1,
            reason=text,
            rules=[failed, unjudged],
            voids=[{"kind": "target", "message": text}],
        )
    return folder


def _row(number: int, text: str) -> dict[str, Any]:
    moment = 0.1 * number
    return {
        "id": f"e{number:06d}", "scenario": "check", "api": "v6", "endpoint": "stream",
        "message_id": text, "intended_ns": number, "started_ns": number,
        "wall": "2026-11-21T08:36:15Z", "outcome": "ok", "verdict": "violates", "reason": text,
        "http_status": 200, "framing": "sse", "milestones": {"accepted": 0.01, "complete": moment},
        "stages": {text: [moment, moment, 1]}, "codes": {text: 1}, "bytes": 10, "events": 3,
        "timing": "kernel", "coarse": 0.0, "billed": True, "warmup": False, "transcript": None,
        "hops": 0,
    }  # fmt: skip


def contract(folder: Path, text: str = ALL) -> Path:
    """A folder of contracts with one more version, which says the text where it can."""
    home = Path(str(files("soundstage.schemas")))
    place = folder / "hostile"
    shutil.copytree(home / "v6", place)
    shutil.copy(home / "fields.json", folder)
    protocol = json.loads((place / "protocol.json").read_text())
    protocol |= {"api": "hostile", "title": text}
    for stage in protocol["stages"]:
        stage["source"] = text
    (place / "protocol.json").write_text(json.dumps(protocol))
    return folder


def stream(text: str = ALL) -> bytes:
    """A stream whose chunks hold the text as names and values."""
    chunks = [
        {"status": text, text: text},
        {"status": "initializing", "message_id": "m-1", text: [text]},
        {"status": "failed", "error": text, "message": text},
    ]
    return b"".join(b"data: " + json.dumps(each).encode() + b"\n\n" for each in chunks)


@contextmanager
def server(text: str = ALL) -> Iterator[str]:
    """A server that says it everywhere; yields its base URL."""
    line = re.sub("[\x00-\x1f\x7f]", " ", text).encode("utf-8")  # else no head is read
    body = stream(text)
    head = b"HTTP/1.1 200 " + line + b"\r\nContent-Type: text/event-stream; x=" + line
    refused = json.dumps({"error": text, text: text, "detail": text}).encode()
    listening = socket.create_server(("127.0.0.1", 0), backlog=200)

    def answer(each: socket.socket) -> None:
        with each:
            each.settimeout(10)
            data = b""
            try:
                while b"\r\n\r\n" not in data:
                    if not (piece := each.recv(65536)):
                        return
                    data += piece
                if b"authorization" in data.lower() and data.startswith(b"POST"):
                    each.sendall(head + b"\r\nX-Odd: " + line + b"\r\nConnection: close\r\n\r\n")
                    each.sendall(body)
                else:
                    size = str(len(refused)).encode()
                    each.sendall(
                        b"HTTP/1.1 418 " + line + b"\r\nContent-Type: application/json\r\n"
                    )
                    each.sendall(b"Connection: close\r\nContent-Length: " + size + b"\r\n\r\n")
                    each.sendall(refused)
                each.shutdown(socket.SHUT_WR)
                while each.recv(65536):
                    pass
            except OSError:
                pass

    def serve() -> None:
        while True:
            try:
                each, _ = listening.accept()
            except OSError:
                return
            threading.Thread(target=answer, args=(each,), daemon=True).start()

    threading.Thread(target=serve, daemon=True).start()
    try:
        yield f"http://127.0.0.1:{listening.getsockname()[1]}"
    finally:
        listening.close()
