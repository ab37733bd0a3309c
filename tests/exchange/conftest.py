"""Bodies of whole streams, as a server sends them, and a certificate to send them under."""

from __future__ import annotations

import ipaddress
import json
import random
import ssl
from collections.abc import Callable

import pytest
from authority import Authority
from cryptography import x509

from soundstage.contract import load
from soundstage.generation import walk


@pytest.fixture(scope="session")
def stream_of() -> Callable[..., bytes]:
    """The body of a valid stream of a version, framed as Server-Sent Events."""

    def body(api: str, seed: int = 3, **fields: object) -> bytes:
        contract, rng = load(api), random.Random(seed)
        steps = walk.plan(contract, rng)
        chunks = walk.payloads(contract, steps, walk.random_story(rng), rng)
        events = (json.dumps({**chunk, **fields}).encode() for chunk in chunks)
        return b"".join(b"data: " + event + b"\n\n" for event in events)

    return body


@pytest.fixture(scope="session")
def tls(tmp_path_factory) -> tuple[ssl.SSLContext, str]:
    """A server's context for 127.0.0.1, and the file of the authority that it is trusted by."""
    authority = Authority(tmp_path_factory.mktemp("pki"), "authority")
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    loopback = x509.IPAddress(ipaddress.ip_address("127.0.0.1"))
    context.load_cert_chain(*authority.issue("server", loopback))
    return context, str(authority.file)
