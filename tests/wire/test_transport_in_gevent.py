"""The same transport, patched by gevent."""

from __future__ import annotations

import subprocess
import sys

from wire_exchanges import CHUNKED, chunk

GEVENT = """
from gevent import monkey; monkey.patch_all()
import sys, time, gevent
from soundstage.wire.transport import Limits, Request, TransportSettings, Transport
url, ca, n = sys.argv[1], sys.argv[2] or None, int(sys.argv[3])
transport = Transport(TransportSettings(ca_file=ca, limits=Limits(idle_s=5, total_s=10)))
def one(_):
    with transport.open(Request("POST", url, (), b"{}")) as response:
        data = b"".join(read.data for read in response.reads())
    return data, response.end.kind.value, response.timing_source
began = time.monotonic()
jobs = [gevent.spawn(one, i) for i in range(n)]
results = [job.get() for job in jobs]
short = Transport(TransportSettings(ca_file=ca, limits=Limits(idle_s=0.1)))
with short.open(Request("POST", url, (), b"{}")) as response:
    list(response.reads())
watched = Transport(TransportSettings(ca_file=ca, limits=Limits(idle_s=0.1), watched=True))
def watch():
    while True:
        gevent.sleep(0.02)
        watched.expire()
watcher = gevent.spawn(watch)
with watched.open(Request("POST", url, (), b"{}")) as other:
    list(other.reads())
watcher.kill()
assert other.end.kind.value == "idle_timeout", other.end
print(sorted(set(results)), response.end.kind.value, time.monotonic() - began < 4)
"""


def run_gevent(server, ca=""):
    done = subprocess.run(
        [sys.executable, "-W", "error", "-c", GEVENT, server.url(), ca, "20"],
        capture_output=True, text=True, timeout=60, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    return done.stdout.strip()


STREAM = [("send", CHUNKED + chunk(b"a")), ("sleep", 0.5), ("send", chunk(b"b") + b"0\r\n\r\n")]


def test_patched_by_gevent_many_streams_run_at_once(raw_server):
    source = "kernel" if sys.platform == "linux" else "userspace"
    out = run_gevent(raw_server(STREAM, repeat=True))
    assert out == f"[(b'ab', 'complete', '{source}')] idle_timeout True"
