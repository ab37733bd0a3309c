"""Servers that say nothing, too little or too slowly meet a deadline."""

from __future__ import annotations

import threading
import time

import pytest
from wire_exchanges import CHUNKED, SHORT, chunk, exchange

from soundstage.wire.transport import EndKind, Limits, Request, Transport, TransportSettings


def test_a_silent_server_meets_the_idle_timeout(raw_server):
    server = raw_server([("hold",)])
    response, _, _ = exchange(server.url(), limits=SHORT)
    assert (response.end.kind, response.end.fault_of) == (EndKind.IDLE_TIMEOUT, "harness")
    assert response.status is None


def test_a_stream_that_stalls_meets_the_idle_timeout(raw_server):
    server = raw_server([("send", CHUNKED + chunk(b"one")), ("hold",)])
    began = time.monotonic()
    response, body, _ = exchange(server.url(), limits=SHORT)
    assert (response.end.kind, body) == (EndKind.IDLE_TIMEOUT, b"one")
    assert 0.25 < time.monotonic() - began < 2


def test_the_wait_for_the_head_is_not_taken_off_the_wait_for_the_body(raw_server):
    server = raw_server(
        [("sleep", 0.4), ("send", CHUNKED), ("sleep", 0.4), ("send", chunk(b"one") + b"0\r\n\r\n")]
    )
    response, body, _ = exchange(server.url(), limits=Limits(idle_s=0.7))
    assert (response.end.kind, body) == (EndKind.COMPLETE, b"one")


@pytest.mark.parametrize(
    "before", [b"HTTP/1.1 200 OK\r\nX: ", CHUNKED + chunk(b"one") + b"5;x="], ids=["head", "chunk"]
)
def test_dripped_bytes_that_bring_nothing_do_not_extend_the_idle_timeout(raw_server, before):
    server = raw_server([("send", before), ("drip", b"x" * 500, 0.02), ("hold",)])
    began = time.monotonic()
    response, _, _ = exchange(server.url(), limits=SHORT)
    assert response.end.kind is EndKind.IDLE_TIMEOUT
    assert time.monotonic() - began < 2


def test_dripped_body_meets_the_total_timeout(raw_server):
    server = raw_server([("send", CHUNKED), ("drip", chunk(b"x") * 500, 0.005)])
    began = time.monotonic()
    limits = Limits(idle_s=0.3, total_s=0.6)
    response, body, _ = exchange(server.url(), limits=limits)
    assert (response.end.kind, response.end.fault_of) == (EndKind.TOTAL_TIMEOUT, "harness")
    assert body.startswith(b"xx")
    assert 0.5 < time.monotonic() - began < 2


@pytest.mark.parametrize(
    ("limits", "kind"),
    [
        (Limits(idle_s=0.2), EndKind.IDLE_TIMEOUT),
        (Limits(idle_s=9, total_s=0.2), EndKind.TOTAL_TIMEOUT),
        (Limits(idle_s=0.1, total_s=0.35), EndKind.TOTAL_TIMEOUT),
    ],
)
def test_watched_exchanges_end_at_their_deadlines(raw_server, limits, kind):
    drip = ("drip", chunk(b"x") * 100, 0.005) if limits.total_s < 1 else ("hold",)
    server = raw_server([("send", CHUNKED + chunk(b"one")), drip, ("hold",)])
    transport = Transport(TransportSettings(limits=limits, watched=True))
    over = threading.Event()

    def watch():
        while not over.wait(0.02):
            transport.expire()

    watcher = threading.Thread(target=watch)
    watcher.start()
    with transport.open(Request("GET", server.url())) as response:
        body = b"".join(read.data for read in response.reads())
    over.set()
    watcher.join()
    assert (response.end.kind, body[:3]) == (kind, b"one")


def test_a_slow_reader_is_not_an_idle_server(raw_server):
    sent = threading.Event()
    rest = chunk(b"two") + b"0\r\n\r\n"
    server = raw_server([("send", CHUNKED + chunk(b"one")), ("wait", sent), ("send", rest)])
    with Transport(TransportSettings(limits=SHORT)).open(
        Request("GET", server.url(), ())
    ) as response:
        reads = response.reads()
        first = next(reads)
        sent.set()
        time.sleep(0.4)
        assert [first.data, *(read.data for read in reads)] == [b"one", b"two"]
    assert response.end.kind is EndKind.COMPLETE
