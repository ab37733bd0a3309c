"""A Locust with a web UI, and what is said to it."""

from __future__ import annotations

import json
import signal
import socket
import subprocess
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from shlex import split
from typing import Any
from urllib.parse import urlencode

from tests.loadtests.conftest import start

from soundstage.results.bundle import Bundle

LOCUSTFILE = Path(__file__).parents[2] / "loadtests" / "locustfile.py"
PATIENCE_S = 60.0
KEY = "sk-of-somebody-0123456789"


@dataclass(frozen=True)
class Answer:
    """What a server said."""

    status: int
    head: str
    body: str


@dataclass(frozen=True)
class Ui:
    """A Locust that runs: where, in which folder, and what it is given."""

    port: int
    folder: Path
    emulator: str
    key_file: Path
    process: subprocess.Popen[str]

    @property
    def authority(self) -> str:
        return f"127.0.0.1:{self.port}"

    @property
    def said(self) -> str:
        return (self.folder / "log").read_text("utf-8")

    def ask(
        self,
        method: str = "GET",
        path: str = "/",
        headers: list[str] | None = None,
        *,
        form: dict[str, str] | str | None = None,
        host: str | None = None,
    ) -> Answer:
        """Send one request with exactly these header lines beside `Host`; "" sends none."""
        body = form if isinstance(form, str) else urlencode(form or {})
        host = self.authority if host is None else host
        lines = [
            f"{method} {path} HTTP/1.1",
            *([f"Host: {host}"] if host else []),
            *(headers or []),
        ]
        if method != "GET":
            lines += ["Content-Type: application/x-www-form-urlencoded"]
            lines += [f"Content-Length: {len(body)}"]
        return talk(self.port, "\r\n".join([*lines, "Connection: close", "", body]))

    def swarm(self, **form: str) -> dict[str, Any]:
        """What the form gets for an answer."""
        answer = self.ask("POST", "/swarm", form={"user_count": "2", "spawn_rate": "9", **form})
        return json.loads(answer.body)

    def bundles(self) -> list[Bundle]:
        runs = self.folder / "runs"
        return [Bundle.open(each) for each in sorted(runs.iterdir())] if runs.exists() else []


def talk(port: int, text: str, address: str = "127.0.0.1") -> Answer:
    with socket.create_connection((address, port), timeout=PATIENCE_S) as client:
        client.sendall(text.encode("latin-1"))
        raw = b""
        with suppress(ConnectionResetError):
            while data := client.recv(65536):
                raw += data
    head, _, body = raw.decode("utf-8", "replace").partition("\r\n\r\n")
    return Answer(int(head.split()[1]), head, body)


def free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as probe:
        return int(probe.getsockname()[1])


def until(happened: Callable[[], Any]) -> Any:
    deadline = time.monotonic() + PATIENCE_S
    while not (found := happened()):
        assert time.monotonic() < deadline, "nothing happened"
        time.sleep(0.05)
    return found


@contextmanager
def locust(folder: Path, host: str | None, options: str = "", *, key: bool = True) -> Iterator[Ui]:
    """A Locust with a web UI, once that answers."""
    port = free_port()
    key_file = folder / "key"
    key_file.write_text(KEY)
    words = ["-m", "locust", "-f", str(LOCUSTFILE), "--web-port", str(port), "--logfile", "log"]
    words += ["--host", host] if host else []
    words += ["--soundstage-key-file", str(key_file)] if key else []
    process = start(*words, "--soundstage-api", "v6", *split(options), cwd=folder)
    ui = Ui(port, folder, host or "", key_file, process)

    def answers() -> bool:
        with suppress(OSError, IndexError):
            return ui.ask().status > 0
        assert process.poll() is None, process.communicate()
        return False

    try:
        until(answers)
        yield ui
    finally:
        process.send_signal(signal.SIGINT)
        try:
            process.communicate(timeout=20)
        except subprocess.TimeoutExpired:
            process.kill()
            process.communicate()
