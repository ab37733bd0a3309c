"""A certificate to send answers under, and jobs to follow."""

from __future__ import annotations

import ipaddress
import ssl

import pytest
from authority import Authority
from cryptography import x509
from tests.support.scripted_job import Follow


@pytest.fixture(scope="session")
def tls(tmp_path_factory) -> tuple[ssl.SSLContext, str]:
    """A server's context for 127.0.0.1, and the file of the authority that it is trusted by."""
    authority = Authority(tmp_path_factory.mktemp("pki"), "authority")
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    loopback = x509.IPAddress(ipaddress.ip_address("127.0.0.1"))
    context.load_cert_chain(*authority.issue("server", loopback))
    return context, str(authority.file)


@pytest.fixture
def follow(raw_server, monkeypatch) -> Follow:
    return Follow(raw_server, monkeypatch)
