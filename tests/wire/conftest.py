"""Certificates for servers that speak TLS."""

from __future__ import annotations

import ipaddress
import ssl

import pytest
from authority import Authority
from cryptography import x509


@pytest.fixture(scope="module")
def authority(tmp_path_factory):
    return Authority(tmp_path_factory.mktemp("pki"), "authority")


@pytest.fixture(scope="module")
def server_files(authority):
    loopback = x509.IPAddress(ipaddress.ip_address("127.0.0.1"))
    return authority.issue("server", x509.DNSName("localhost"), loopback)


@pytest.fixture
def server_tls(server_files):
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(*server_files)
    context.set_alpn_protocols(["h2", "http/1.1"])
    return context
