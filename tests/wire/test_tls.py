"""TLS over the timed socket, and https through a proxy, with certificates made for the test."""

from __future__ import annotations

import contextlib
import socket
import ssl
import subprocess
import sys
import threading

import pytest
from authority import Authority
from cryptography import x509

from soundstage.errors import UsageError
from soundstage.wire.proxy import Proxy
from soundstage.wire.transport import EndKind, Limits, Request, Transport, TransportSettings
from soundstage.wire.url import parse_target

CHUNKED = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n"
SIZED = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok"


def exchange(url, **settings):
    transport = Transport(TransportSettings(**settings))
    with transport.open(Request("POST", url, (("Authorization", "k"),), b"{}")) as response:
        reads = list(response.reads())
    transport.close()
    return response, b"".join(read.data for read in reads), reads


@pytest.mark.parametrize("host", ["127.0.0.1", "localhost"])
@pytest.mark.parametrize("version", [ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3])
def test_streams_over_tls_are_timed_like_others(raw_server, authority, server_tls, host, version):
    server_tls.minimum_version = server_tls.maximum_version = version
    chosen = []
    server = raw_server(
        [
            ("call", lambda sock: chosen.append(sock.selected_alpn_protocol())),
            ("send", CHUNKED),
            ("send", b"1\r\na\r\n"),
            ("sleep", 0.02),
            ("send", b"1\r\nb\r\n0\r\n\r\n"),
        ],
        tls=server_tls,
    )
    response, body, reads = exchange(server.url(host=host), ca_file=authority.file)
    assert (response.end.kind, body) == (EndKind.COMPLETE, b"ab"), response.end
    assert chosen == ["http/1.1"]
    times = response.times
    assert times.connected_ns < times.tls_ns < times.sent_ns
    assert times.first_byte_ns <= times.head_ns <= reads[0].at_ns < reads[-1].at_ns
    if sys.platform == "linux":
        assert response.timing_source == "kernel"


def test_a_large_body_over_tls_is_whole(raw_server, authority, server_tls):
    data = bytes(range(256)) * 8192
    head = b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n" % len(data)
    server = raw_server([("send", head + data)], tls=server_tls)
    response, body, _ = exchange(server.url(), ca_file=authority.file)
    assert body == data
    assert response.end.kind is EndKind.COMPLETE


def test_an_authority_that_is_not_trusted_is_refused(raw_server, server_tls, tmp_path):
    other = Authority(tmp_path, "other")
    server = raw_server([("send", SIZED)], tls=server_tls, repeat=True)
    for settings in ({"ca_file": other.file}, {}):
        response, _, _ = exchange(server.url(), **settings)
        assert (response.end.kind, response.end.fault_of) == (EndKind.TLS, "environment")
        assert "certificate" in response.end.message
    assert server.requests == []


def test_verification_can_be_turned_off(raw_server, server_tls):
    server = raw_server([("send", SIZED)], tls=server_tls)
    assert exchange(server.url(), verify=False)[1] == b"ok"


def test_a_certificate_for_another_host_is_refused(raw_server, authority):
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(*authority.issue("elsewhere", x509.DNSName("elsewhere.example")))
    server = raw_server([("send", SIZED)], tls=context)
    response, _, _ = exchange(server.url(host="localhost"), ca_file=authority.file)
    assert response.end.kind is EndKind.TLS
    assert "mismatch" in response.end.message
    assert server.requests == []


def test_a_client_certificate_is_shown(raw_server, authority, server_tls):
    server_tls.verify_mode = ssl.CERT_REQUIRED
    server_tls.load_verify_locations(authority.file)
    subjects = []
    server = raw_server(
        [("call", lambda sock: subjects.append(sock.getpeercert()["subject"])), ("send", SIZED)],
        tls=server_tls,
        repeat=True,
    )
    files = authority.issue("client")
    _, body, _ = exchange(server.url(), ca_file=authority.file, client_cert=files)
    assert (body, subjects) == (b"ok", [((("commonName", "client"),),)])
    response, _, _ = exchange(server.url(), ca_file=authority.file)
    assert response.end.kind is EndKind.TLS


def test_a_server_that_speaks_no_tls_is_a_tls_end(raw_server, authority):
    server = raw_server([("silent",), ("send", b"HTTP/1.1 400 Bad\r\n\r\n"), ("hold",)])
    url = server.url().replace("http:", "https:")
    response, _, _ = exchange(url, ca_file=authority.file)
    assert response.end.kind is EndKind.TLS


def test_a_handshake_that_stalls_is_a_connect_timeout(raw_server, authority):
    server = raw_server([("silent",), ("hold",)])
    url = server.url().replace("http:", "https:")
    response, _, _ = exchange(url, ca_file=authority.file, limits=Limits(connect_s=0.2))
    assert response.end.kind is EndKind.CONNECT_TIMEOUT


@pytest.mark.parametrize(
    ("head", "kind"),
    [(b"", EndKind.TRUNCATED), (b"Content-Length: 2\r\n", EndKind.COMPLETE)],
)
def test_a_missing_close_notify_cuts_only_bodies_without_length(
    raw_server, authority, server_tls, head, kind
):
    answer = b"HTTP/1.1 200 OK\r\n" + head + b"\r\nok"
    server = raw_server([("send", answer), ("tls_eof",)], tls=server_tls)
    response, body, _ = exchange(server.url(), ca_file=authority.file)
    assert (response.end.kind, body) == (kind, b"ok")


def test_close_notify_ends_a_body_without_length(raw_server, authority, server_tls):
    server = raw_server([("send", b"HTTP/1.1 200 OK\r\n\r\nok")], tls=server_tls)
    response, body, _ = exchange(server.url(), ca_file=authority.file)
    assert (response.end.kind, body) == (EndKind.CLOSED, b"ok")


def test_kept_alive_tls_connections_are_reused(raw_server, authority, server_tls):
    server = raw_server([("send", SIZED), ("read",), ("send", SIZED)], tls=server_tls)
    transport = Transport(TransportSettings(ca_file=authority.file, keep_alive=True))
    for reused in (False, True):
        with transport.open(Request("GET", server.url())) as response:
            assert [read.data for read in response.reads()] == [b"ok"]
        assert (response.reused, response.times.tls_ns is None) == (reused, reused)
    transport.close()


@pytest.mark.parametrize("which", ["ca_file", "client_cert"])
def test_files_that_cannot_be_used_are_misuse(tmp_path, which):
    missing = tmp_path / "missing.pem"
    with pytest.raises(UsageError, match="cannot be used"):
        Transport(
            TransportSettings(**{which: missing if which == "ca_file" else (missing, missing)})
        )


def test_patched_by_gevent_tls_streams_run_at_once(raw_server, authority, server_tls):
    steps = [
        ("send", CHUNKED + b"1\r\na\r\n"),
        ("sleep", 0.4),
        ("send", b"1\r\nb\r\n0\r\n\r\n"),
    ]
    server = raw_server(steps, tls=server_tls, repeat=True)
    code = """
from gevent import monkey; monkey.patch_all()
import sys, time, gevent
from soundstage.wire.transport import Request, TransportSettings, Transport
transport = Transport(TransportSettings(ca_file=sys.argv[2]))
def one(_):
    with transport.open(Request("POST", sys.argv[1])) as response:
        return b"".join(read.data for read in response.reads()), response.end.kind.value
began = time.monotonic()
jobs = [gevent.spawn(one, i) for i in range(10)]
print(sorted({job.get() for job in jobs}), time.monotonic() - began < 3)
"""
    done = subprocess.run(
        [sys.executable, "-W", "error", "-c", code, server.url(), str(authority.file)],
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert done.stdout.strip() == "[(b'ab', 'complete')] True"


# Proxy


@pytest.fixture
def tunnel():
    """A proxy that connects wherever it is asked to: (port, heads it received)."""
    heads = []
    listener = socket.create_server(("127.0.0.1", 0))

    def pump(source, sink):
        with contextlib.suppress(OSError):
            while data := source.recv(65536):
                sink.sendall(data)
        with contextlib.suppress(OSError):
            sink.shutdown(socket.SHUT_WR)

    def serve():
        with contextlib.suppress(OSError):
            while True:
                client, _ = listener.accept()
                with client:
                    head = b""
                    while b"\r\n\r\n" not in head:
                        head += client.recv(65536)
                    heads.append(head.decode())
                    host, _, port = head.split(b" ")[1].decode().rpartition(":")
                    with socket.create_connection((host, int(port)), 5) as upstream:
                        client.sendall(b"HTTP/1.1 200 Connected\r\n\r\n")
                        back = threading.Thread(target=pump, args=(upstream, client))
                        back.start()
                        pump(client, upstream)
                        back.join(5)

    thread = threading.Thread(target=serve)
    thread.start()
    yield listener.getsockname()[1], heads
    with contextlib.suppress(OSError):
        listener.shutdown(socket.SHUT_RDWR)
    listener.close()
    thread.join(5)


def test_https_goes_through_the_proxy_by_connect(raw_server, authority, server_tls, tunnel):
    port, heads = tunnel
    server = raw_server([("send", SIZED)], tls=server_tls)
    settings = {"ca_file": authority.file, "proxy": f"http://me:pass%21@127.0.0.1:{port}"}
    response, body, _ = exchange(server.url(), **settings)
    assert (response.end.kind, body) == (EndKind.COMPLETE, b"ok"), response.end
    (head,) = heads
    assert head.startswith(f"CONNECT {server.authority} HTTP/1.1\r\n")
    assert "Proxy-Authorization: Basic bWU6cGFzcyE=" in head
    assert "authorization: k" not in head.lower()
    assert "proxy-authorization" not in server.requests[0].headers
    assert "pass" not in repr(TransportSettings(**settings))


def test_no_proxy_and_plain_http_bypass_the_proxy(raw_server, authority, server_tls, tunnel):
    port, heads = tunnel
    proxy = f"http://127.0.0.1:{port}"
    secure = raw_server([("send", SIZED)], tls=server_tls)
    plain = raw_server([("send", SIZED)])
    settings = {"ca_file": authority.file, "proxy": proxy, "no_proxy": ("127.0.0.1",)}
    assert exchange(secure.url(), **settings)[1] == b"ok"
    assert exchange(plain.url(), proxy=proxy)[1] == b"ok"
    assert heads == []


@pytest.mark.parametrize(
    ("answer", "kind"),
    [
        (b"HTTP/1.1 407 Auth\r\nContent-Length: 0\r\n\r\n", EndKind.UNREACHABLE),
        (b"HTTP/1.1 200 OK\r\n\r\nsurplus", EndKind.UNREACHABLE),
        (b"nonsense\r\n\r\n", EndKind.UNREACHABLE),
        (b"", EndKind.UNREACHABLE),
    ],
)
def test_a_proxy_that_will_not_connect_is_the_environments(raw_server, authority, answer, kind):
    proxy = raw_server([("send", answer)])
    response, _, _ = exchange(
        "https://127.0.0.1:1/", ca_file=authority.file, proxy=f"http://{proxy.authority}"
    )
    assert (response.end.kind, response.end.fault_of) == (kind, "environment")
    assert "proxy" in response.end.message
    assert response.status is None


@pytest.mark.parametrize(
    ("entry", "url", "served"),
    [
        ("*", "https://a.example/", False),
        ("a.example", "https://a.example/", False),
        ("example", "https://a.example/", False),
        (".example", "https://a.example/", False),
        ("*.example", "https://a.example/", False),
        ("b.example", "https://a.example/", True),
        ("xample", "https://a.example/", True),
        ("a.example:443", "https://a.example/", False),
        ("a.example:8443", "https://a.example/", True),
        ("::1", "https://[::1]/", False),
        ("[::1]", "https://[::1]/", False),
    ],
)
def test_no_proxy_entries(entry, url, served):
    assert Proxy("http://p:1", (entry,)).serves(parse_target(url)) is served


def test_the_proxy_of_the_environment_is_taken_unless_one_is_given():
    environ = {"HTTPS_PROXY": "http://p:1", "NO_PROXY": "a, .b"}
    settings = TransportSettings().with_proxy_from(environ)
    assert (settings.proxy, settings.no_proxy) == ("http://p:1", ("a", ".b"))
    assert TransportSettings(proxy="http://q:1").with_proxy_from(environ).proxy == "http://q:1"
    with pytest.raises(UsageError):
        Transport(TransportSettings(proxy="socks5://p:1"))
