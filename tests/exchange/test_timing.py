"""Events are timed by when their last byte arrived, whenever that was read, and say if not.

A server sends byte patterns and notes when; the client is a process of its own. On loopback a
segment arrives while it is being sent, so the kernel's stamp must lie between two looks at the
clock; that holds on the busiest machine.
"""

from __future__ import annotations

import json
import subprocess
import sys
import time
from pathlib import Path

import pytest

HEAD = b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nTransfer-Encoding: chunked\r\n\r\n"
CLIENT = """
import json, os, sys, time
sleep, (url, ca, go, how) = time.sleep, sys.argv[1:]
if how == "hub":
    from gevent import monkey; monkey.patch_all()
    from soundstage.loadtests.generator.gevent_wakeups import HubWakeups
from soundstage.contract import load
from soundstage.exchange.budget import Budget
from soundstage.exchange.client import Call, Client
from soundstage.exchange.target import Target
from soundstage.wire.transport import TransportSettings, Transport
settings = TransportSettings(ca_file=ca or None)
if how == "hub":
    settings = TransportSettings(ca_file=ca or None, watched=True, wakeups=HubWakeups)
def on_comment(_, comment):
    os.write(1, comment + b"\\n")
    while comment == b" hold" and not os.path.exists(go):
        sleep(0.001)
client = Client(
    Target(url, key="k"), Transport(settings), Budget(None, free=True), on_comment=on_comment
)
contract = load("v6")
underway = client.begin(Call(contract, contract.endpoints["stream"], {}))
if how == "hub":
    import gevent.event
    over = gevent.event.AsyncResult()
    underway.flow(over.set)
    assert over.get() is None
else:
    underway.read()
exchange = client.finish(underway)
row = exchange.row(0)
print(json.dumps({
    "pieces": [(at, raw.decode(), coarse) for at, raw, coarse in exchange.pieces],
    "coarse": row["coarse"], "timing": row["timing"], "events": row["events"],
    "accepted": exchange.started_ns + exchange.milestones["accepted"] * 1e9,
}))
"""


def event(name: str) -> bytes:
    return b": %s\ndata: {}\n\n" % name.encode()


def chunk(data: bytes) -> bytes:
    return b"%x\r\n%s\r\n" % (len(data), data)


class Script:
    """The server's side: sends, notes when, and goes on once the client has told what it saw."""

    def __init__(self, go: Path) -> None:
        self.go = go
        self.spans: dict[str, tuple[int, int]] = {}
        self.client: subprocess.Popen[str] | None = None
        self.told: list[str] = []

    def send(self, sock, data: bytes, *names: str) -> None:
        """Send all of `data`, in which these events end."""
        before = time.monotonic_ns()
        sock.sendall(data)
        after = time.monotonic_ns()
        self.spans.update(dict.fromkeys(names, (before, after)))

    def seen(self, name: str) -> None:
        """Wait until the client has read the comment of this event."""
        while name not in self.told:
            self.told.append(self.client.stdout.readline().strip())

    def play(self, sock) -> None:
        self.send(sock, HEAD + chunk(event("with the head")), "with the head")
        self.seen("with the head")
        whole = chunk(event("split"))
        self.send(sock, whole[:20])
        self.seen("split")
        time.sleep(0.02)
        self.send(sock, whole[20:], "split")
        # Whoever waits for a comment knows of all that came before it.
        self.send(sock, chunk(event("older") + event("newer")), "older", "newer")
        self.seen("newer")
        self.send(sock, chunk(event("hold")), "hold")
        self.seen("hold")
        self.send(sock, chunk(event("first of two")), "first of two")
        time.sleep(0.02)
        self.send(sock, chunk(event("second of two")), "second of two")
        self.go.touch()
        self.seen("second of two")
        last = event("with the end")
        self.send(sock, chunk(last) + b"0\r\n\r\n", "with the end")


@pytest.fixture(params=["plain", "tls"])
def listen(request, raw_server, tls, tmp_path):
    """Run the client that is asked for against the script; returns what it saw, and the script."""

    def run(how: str):
        context, authority = tls if request.param == "tls" else (None, "")
        script = Script(tmp_path / "go")
        server = raw_server([("call", script.play)], tls=context)
        url = server.url("").rstrip("/")
        script.client = subprocess.Popen(
            [sys.executable, "-c", CLIENT, url, authority, str(script.go), how],
            stdout=subprocess.PIPE,
            text=True,
        )
        with script.client as client:
            rest = client.stdout.readlines() if client.wait(60) == 0 else []
        assert rest, (script.told, server.errors)
        return json.loads(rest[-1]), script

    return run


def name_of(raw: str) -> str:
    return raw.split("\n")[0].removeprefix(": ")


@pytest.mark.skipif(sys.platform != "linux", reason="needs the kernel's stamps")
@pytest.mark.parametrize("how", ["wait", "hub"])
@pytest.mark.proof
def test_each_event_is_timed_by_the_segment_that_ended_it(listen, how):
    result, script = listen(how)
    seen = {name_of(raw): (at, coarse) for at, raw, coarse in result["pieces"]}
    assert list(seen) == list(script.spans) == list(dict.fromkeys(script.spans))
    assert result["timing"] == "kernel"
    # Events that are older than the newest segment of their read have its time, and are coarse.
    merged = {"first of two": "second of two"}
    for name, (at, _) in seen.items():
        before, after = script.spans[merged.get(name, name)]
        assert before - 500_000 <= at <= after + 20_000_000, name
    coarse = {name for name, (_, is_coarse) in seen.items() if is_coarse}
    assert {"older", "first of two", "with the end"} <= coarse
    assert not coarse & {"with the head", "hold", "newer", "second of two"}
    assert result["coarse"] == pytest.approx(len(coarse) / 8, abs=1e-3)
    assert result["events"] == 8
    assert result["accepted"] == pytest.approx(seen["with the head"][0], abs=10)
    assert [at for at, _, _ in result["pieces"]] == sorted(at for at, _, _ in result["pieces"])
