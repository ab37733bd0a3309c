"""`soundstage doctor` asked by tests, and what servers say to it."""

from __future__ import annotations

from typing import Any, NamedTuple

import orjson
from tests.conftest import RecordedRequest
from tests.support.command_run import run_here

from soundstage.doctor.free_requests import NOBODYS

KEY = "sv-doctor-7f3a9c5e1b8d2046"
JSON = "application/json"


class Found(NamedTuple):
    """What the doctor found: its exit code, the first cause, and all that it printed as JSON."""

    code: int
    cause: str | None
    said: str
    document: dict[str, Any]

    def outcome(self, check: str) -> str:
        """The outcome of one check."""
        return next(each["outcome"] for each in self.document["checks"] if each["name"] == check)


def doctor(target: str, *words: str, key: str | None = KEY, **env: str) -> Found:
    """Ask the doctor, in this process; v6, unless the words say otherwise."""
    env = {**env, **({} if key is None else {"SOUNDVERSE_API_KEY": key})}
    words = ("--target", target, *words)
    if "--api" not in words:
        words = (*words, "--api", "v6")
    ran = run_here("doctor", *words, "--format", "json", env=env)
    assert KEY not in ran.stdout + ran.stderr
    document = orjson.loads(ran.stdout)
    first = document["first"]
    assert ran.returncode == document["exit_code"]
    if first is None:
        return Found(ran.returncode, None, "", document)
    assert first["todo"]
    return Found(ran.returncode, first["cause"], first["said"], document)


def answer(status: int, kind: str, body: bytes, *headers: str) -> bytes:
    """A whole answer, after which the connection is closed."""
    size = len(body)
    head = f"HTTP/1.1 {status} Whatever\r\nContent-Type: {kind}\r\nContent-Length: {size}\r\n"
    more = "".join(f"{each}\r\n" for each in headers)
    return f"{head}{more}Connection: close\r\n\r\n".encode() + body


def as_the_api(request: RecordedRequest) -> bytes:
    """What an API of the contract says that is up, to whoever may be without a key."""
    if request.target == f"/{NOBODYS}" or request.target.startswith("/_emulator"):
        return answer(404, JSON, b'{"detail":"Not Found"}')
    if request.headers.get("authorization") == f"Bearer {KEY}":
        return answer(404, JSON, b'{"detail":"No such generation"}')
    return answer(401, JSON, b'{"detail":"Missing or invalid API key"}')
