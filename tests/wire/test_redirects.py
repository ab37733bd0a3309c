"""Redirects that are followed, with what, and those that are not."""

from __future__ import annotations

import pytest
from wire_exchanges import SHORT, exchange, sized

from soundstage.wire.transport import EndKind, Limits


def moved(status: int, location: str | None) -> bytes:
    field = b"" if location is None else b"Location: %s\r\n" % location.encode()
    return b"HTTP/1.1 %d X\r\n%sContent-Length: 0\r\n\r\n" % (status, field)


@pytest.mark.parametrize("status", [307, 308])
def test_307_and_308_keep_method_body_and_key_on_the_same_host(raw_server, status):
    server = raw_server([("send", moved(status, "b?c=d"))], [("send", sized(b"ok"))])
    response, body, _ = exchange(
        server.url("/a/x"), headers=[("Authorization", "k"), ("X-Api-Key", "k")], body=b"payload"
    )
    assert (response.status, body, response.end.kind) == (200, b"ok", EndKind.COMPLETE)
    assert [(hop.status, hop.location, hop.followed) for hop in response.hops] == [
        (status, "b?c=d", True)
    ]
    second = server.requests[1]
    assert (second.method, second.target, second.body) == ("POST", "/a/b?c=d", b"payload")
    assert second.headers["authorization"] == "k"


@pytest.mark.parametrize("status", [301, 302, 303])
def test_redirects_that_may_change_the_method_are_not_followed(raw_server, status):
    server = raw_server([("send", moved(status, "/final"))])
    response, _, _ = exchange(server.url())
    assert (response.status, response.end.kind, response.end.fault_of) == (
        status,
        EndKind.REDIRECT,
        "api",
    )
    assert [(hop.location, hop.followed) for hop in response.hops] == [("/final", False)]
    assert server.accepted == 1


@pytest.mark.parametrize("status", [301, 307])
@pytest.mark.parametrize(
    ("location", "says"),
    [(None, "no Location"), ("", "empty Location"), ("http://[", None), ("ftp://x/", None),
     ("http://u:p@127.0.0.1/", None)],
)  # fmt: skip
def test_a_redirect_to_nowhere_ends_with_its_reason(raw_server, status, location, says):
    server = raw_server([("send", moved(status, location))])
    response, _, _ = exchange(server.url())
    assert response.end.kind is EndKind.REDIRECT
    assert (says or str(status)) in response.end.message
    assert server.accepted == 1


def test_a_redirect_loop_ends(raw_server):
    server = raw_server([("send", moved(307, "/b"))], [("send", moved(307, "/a"))])
    response, _, _ = exchange(server.url("/a"))
    assert response.end.kind is EndKind.REDIRECT
    assert "loops" in response.end.message
    assert server.accepted == 2


def test_the_deadlines_hold_after_a_redirect_with_a_body(raw_server):
    first = b"HTTP/1.1 307 X\r\nLocation: /b\r\nContent-Length: 50\r\n\r\nnot all of it"
    server = raw_server([("send", first)], [("hold",)])
    response, body, _ = exchange(server.url("/a"), limits=SHORT)
    assert (response.end.kind, response.status, body) == (EndKind.IDLE_TIMEOUT, None, b"")
    assert response.hops[0].followed


def test_too_many_redirects_end_as_our_own_limit(raw_server):
    server = raw_server(*([("send", moved(307, f"/{n}"))] for n in range(9)))
    response, _, _ = exchange(server.url("/a"), limits=Limits(redirects=2))
    assert (response.end.kind, response.end.fault_of) == (EndKind.REDIRECT, "harness")
    assert [hop.followed for hop in response.hops] == [True, True, False]


def test_a_redirect_to_a_host_that_is_not_allowed_is_refused(raw_server):
    other = raw_server([("send", sized(b"ok"))])
    server = raw_server([("send", moved(307, other.url("/x")))])
    response, _, _ = exchange(server.url())
    assert (response.end.kind, response.end.fault_of) == (EndKind.REDIRECT, "harness")
    assert other.authority in response.end.message
    assert other.accepted == 0


def test_the_key_does_not_go_to_another_host(raw_server):
    other = raw_server([("send", sized(b"ok"))])
    server = raw_server([("send", moved(308, other.url("/x")))])
    response, body, _ = exchange(
        server.url(),
        headers=[("AUTHORIZATION", "Bearer k"), ("x-api-key", "k"), ("Cookie", "k"), ("X-Id", "1")],
        allowed_hosts=frozenset({other.authority}),
    )
    assert (body, response.end.kind) == (b"ok", EndKind.COMPLETE)
    headers = other.requests[0].headers
    assert {"authorization", "x-api-key", "cookie"}.isdisjoint(headers)
    assert headers["x-id"] == "1"
    assert headers["host"] == other.authority
