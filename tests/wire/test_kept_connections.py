"""Connections that are kept for the next exchange, and those that are not."""

from __future__ import annotations

from wire_exchanges import sized

from soundstage.wire.transport import EndKind, Request, Transport, TransportSettings


def test_each_exchange_has_its_own_connection_unless_asked(raw_server):
    server = raw_server([("send", sized(b"1"))], [("send", sized(b"2"))])
    transport = Transport()
    for expected in (b"1", b"2"):
        with transport.open(Request("GET", server.url(), ())) as response:
            assert b"".join(read.data for read in response.reads()) == expected
    assert server.accepted == 2


def test_kept_alive_connections_are_reused_while_they_live(raw_server):
    server = raw_server(
        [("send", sized(b"1")), ("read",), ("send", sized(b"2")), ("read",),
         ("send", sized(b"3", b"Connection: close\r\n"))],
        [("send", sized(b"4"))],
    )  # fmt: skip
    transport = Transport(TransportSettings(keep_alive=True))
    reused = []
    for expected in (b"1", b"2", b"3", b"4"):
        with transport.open(Request("POST", server.url(), ())) as response:
            assert b"".join(read.data for read in response.reads()) == expected
        reused.append(response.reused)
    transport.close()
    assert reused == [False, True, True, False]
    assert server.accepted == 2


def test_a_kept_alive_connection_that_dies_is_not_retried(raw_server):
    server = raw_server([("send", sized(b"1")), ("read",), ("rst",)], [("send", sized(b"2"))])
    transport = Transport(TransportSettings(keep_alive=True))
    with transport.open(Request("POST", server.url(), ())) as response:
        list(response.reads())
    with transport.open(Request("POST", server.url(), ())) as response:
        list(response.reads())
    transport.close()
    assert (response.end.kind, response.end.fault_of) == (EndKind.RESET, "environment")
    assert server.accepted == 1
