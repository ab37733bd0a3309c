"""Fixtures of this room: certificates, servers, and that no POST to any of them carries a key."""

from __future__ import annotations

import ipaddress
import socket
import ssl
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from cryptography import x509
from tests.conftest import RawServer, RecordedRequest, Step
from tests.support.asking_doctor import KEY
from tests.support.authority import Authority

from soundstage.doctor import free_requests
from soundstage.wire.settings import Limits

LOOPBACK = x509.IPAddress(ipaddress.ip_address("127.0.0.1"))


@pytest.fixture(scope="module")
def authority(tmp_path_factory: pytest.TempPathFactory) -> Authority:
    return Authority(tmp_path_factory.mktemp("pki"), "authority")


@pytest.fixture
def speaks_tls(authority: Authority) -> Callable[..., ssl.SSLContext]:
    """A server's side of TLS, with a certificate of these names, valid from and to these hours."""

    def context(
        name: str, *names: x509.GeneralName, hours: tuple[int, int] = (-1, 1)
    ) -> ssl.SSLContext:
        made = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        made.load_cert_chain(*authority.issue(name, *names, hours=hours))
        return made

    return context


@pytest.fixture
def impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    """A question takes a second at most: for servers that leave one waiting."""
    limits = Limits(connect_s=1, idle_s=1, total_s=1, body_bytes=65_536, redirects=0)
    monkeypatch.setattr(free_requests, "LIMITS", limits)


@pytest.fixture
def raw_server(
    raw_server: Callable[..., RawServer],
) -> Iterator[Callable[..., RawServer]]:
    """As everywhere; and when the test is over, what its servers got is looked through, but for
    those that are to be paid (`paid`).
    """
    started: list[RawServer] = []

    def start(*connections: list[Step], paid: bool = False, **options: Any) -> RawServer:
        server = raw_server(*connections, **options)
        if not paid:
            started.append(server)
        return server

    yield start
    for server in started:
        asked = [each for each in server.requests if each.method != "GET"]
        assert not [each.raw for each in asked if KEY.encode() in each.raw]


@pytest.fixture
def host(raw_server: Callable[..., RawServer]) -> Callable[..., RawServer]:
    """Start a host that answers each request as a function says, or all with the same bytes."""

    def start(says: Callable[[RecordedRequest], bytes] | bytes, **options: Any) -> RawServer:
        def play(sock: socket.socket) -> None:
            reply = says if isinstance(says, bytes) else says(server.requests[-1])
            sock.sendall(reply)

        server = raw_server([("call", play)], repeat=True, **options)
        return server

    return start
