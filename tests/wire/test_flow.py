"""Bodies that an event loop reads: the same as those that are waited for, whatever happens."""

from __future__ import annotations

import contextlib
import threading
import time

import gevent
import gevent.event
import pytest

from soundstage.loadtests.generator.gevent_wakeups import HubWakeups
from soundstage.wire.transport import EndKind, Limits, Request, Transport, TransportSettings

CHUNKED = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n"
LAST = b"0\r\n\r\n"


def chunk(data: bytes) -> bytes:
    return b"%x\r\n%s\r\n" % (len(data), data)


def opened(server, **settings):
    transport = Transport(TransportSettings(watched=True, wakeups=HubWakeups, **settings))
    return transport, transport.open(Request("POST", server.url(), (), b"{}"))


class Flowing:
    """A response that the hub reads: `take` gets its pieces; `pieces` are those so far."""

    def __init__(self, response, take=lambda *_: False):
        self.response = response
        self.pieces = []
        self.calls = 0
        self._over = gevent.event.AsyncResult()

        def taken(*piece):
            self.pieces.append(piece)
            return take(*piece)

        def over(failure):
            self.calls += 1
            response.close()
            self._over.set(failure)

        response.flow(taken, over)

    @property
    def over(self):
        return self._over.ready()

    @property
    def body(self):
        return b"".join(data for data, *_ in self.pieces)

    def wait(self):
        """Wait until it is over; what was raised meanwhile, or None."""
        return self._over.get(timeout=10)


def flowed(server, **settings):
    """(response, pieces) of an exchange that the hub reads."""
    _, response = opened(server, **settings)
    flowing = Flowing(response)
    assert flowing.wait() is None
    return response, flowing.pieces


def waited_for(server, **settings):
    with Transport(TransportSettings(**settings)).open(
        Request("POST", server.url(), (), b"{}")
    ) as response:
        return response, list(response.reads())


@pytest.fixture(params=["plain", "tls"])
def serve(request, raw_server):
    """Start a server, with or without TLS; returns it and the settings to reach it with."""
    if request.param == "plain":
        return lambda *steps, **options: (raw_server(*steps, **options), {})
    tls = request.getfixturevalue("server_tls")
    authority = request.getfixturevalue("authority")
    return lambda *steps, **options: (
        raw_server(*steps, tls=tls, **options),
        {"ca_file": authority.file},
    )


ENDINGS = {
    "complete": (chunk(b"one") + chunk(b"two") + LAST, EndKind.COMPLETE, b"onetwo"),
    "truncated": (chunk(b"one") + b"9\r\ntwo", EndKind.TRUNCATED, b"onetwo"),
    "framing": (chunk(b"one") + b"-5\r\ntwo\r\n", EndKind.FRAMING, b"one"),
    "surplus": (chunk(b"one") + LAST + b"HTTP", EndKind.FRAMING, b"one"),
}
DRIPPED = ("drip", "surplus")


# What follows the end of a message is only seen if it comes with it, which dripping leaves open.
@pytest.mark.parametrize(
    ("how", "ending"),
    [(how, ending) for how in ("send", "drip") for ending in ENDINGS if (how, ending) != DRIPPED],
)
def test_what_the_loop_reads_is_what_a_wait_would_have_read(serve, how, ending):
    answer, kind, body = ENDINGS[ending]
    step = ("drip", CHUNKED + answer, 0) if how == "drip" else ("send", CHUNKED + answer)
    server, settings = serve([step], repeat=True)
    response, pieces = flowed(server, **settings)
    other, reads = waited_for(server, **settings)
    assert (response.end.kind, b"".join(data for data, _, _ in pieces)) == (kind, body)
    assert (other.end.kind, b"".join(read.data for read in reads)) == (kind, body)
    assert response.end.message == other.end.message
    assert [at for _, at, _ in pieces] == sorted(at for _, at, _ in pieces)
    if kind is not EndKind.FRAMING:  # then reading stops somewhere in it
        assert response.wire_bytes == len(CHUNKED + answer) == other.wire_bytes
    assert response.timing_source == other.timing_source


def test_without_kernel_stamps_the_loop_reads_the_clock_and_says_so(serve):
    server, settings = serve([("send", CHUNKED), ("sleep", 0.02), ("send", chunk(b"one") + LAST)])
    began = time.monotonic_ns()
    response, pieces = flowed(server, kernel_timestamps=False, **settings)
    assert (response.timing_source, response.stamped_reads) == ("userspace", 0)
    assert [data for data, *_ in pieces] == [b"one"]
    assert began < pieces[0][1] < time.monotonic_ns()


def test_pieces_come_when_they_come_and_the_last_is_marked(serve):
    seen = threading.Event()
    server, settings = serve(
        [("send", CHUNKED), ("send", chunk(b"one")), ("wait", seen), ("send", chunk(b"two") + LAST)]
    )
    transport, response = opened(server, **settings)
    pieces = []

    def take(data, at_ns, last):
        pieces.append((data, last))
        assert abs(time.monotonic_ns() - at_ns) < 5_000_000_000
        seen.set()
        return False

    Flowing(response, take).wait()
    assert pieces == [(b"one", False), (b"two", True)]
    transport.close()


def test_streams_are_read_side_by_side(serve):
    both = threading.Barrier(2, timeout=10)
    server, settings = serve(
        [("send", CHUNKED + chunk(b"a")), ("call", lambda _: both.wait()), ("send", LAST)],
        repeat=True,
    )
    both_flow = [Flowing(opened(server, **settings)[1]) for _ in range(2)]
    assert [flowing.wait() for flowing in both_flow] == [None, None]
    assert [flowing.response.end.kind for flowing in both_flow] == [EndKind.COMPLETE] * 2


def test_reading_stops_once_no_more_is_wanted(serve):
    server, settings = serve([("send", CHUNKED), ("send", chunk(b"one")), ("hold",)])
    _, response = opened(server, **settings)
    ends = []
    flowing = Flowing(response, lambda *_: ends.append(response.end) or True)
    flowing.wait()
    assert (ends, flowing.body) == ([None], b"one")
    assert response.end.kind is EndKind.CANCELLED


def test_what_is_raised_in_the_loop_is_told_to_whoever_hears_of_the_end(serve):
    server, settings = serve([("send", CHUNKED), ("sleep", 0.01), ("send", chunk(b"a")), ("hold",)])
    _, response = opened(server, **settings)

    def take(*_):
        raise ZeroDivisionError("ours")

    failure = Flowing(response, take).wait()
    assert isinstance(failure, ZeroDivisionError)
    assert response.end.kind is EndKind.CANCELLED


def test_what_is_raised_of_the_first_piece_is_told_as_well(serve):
    server, settings = serve([("send", CHUNKED + chunk(b"one")), ("hold",)])
    _, response = opened(server, **settings)

    def take(*_):
        raise ZeroDivisionError("ours")

    assert isinstance(Flowing(response, take).wait(), ZeroDivisionError)


def test_a_body_that_came_with_its_head_is_over_at_once(serve):
    server, settings = serve([("send", CHUNKED + chunk(b"one") + LAST)])
    response, pieces = flowed(server, **settings)
    assert (response.end.kind, pieces[0][0]) == (EndKind.COMPLETE, b"one")


def test_the_end_is_told_once(serve):
    server, settings = serve([("send", CHUNKED + chunk(b"one")), ("hold",)])
    transport, response = opened(server, **settings)
    flowing = Flowing(response)
    transport.cut()
    response.close()
    gevent.sleep(0)
    assert flowing.calls == 1


def test_cutting_wakes_those_that_read(serve):
    server, settings = serve([("send", CHUNKED + chunk(b"one")), ("hold",)], repeat=True)
    transport = Transport(TransportSettings(watched=True, wakeups=HubWakeups, **settings))
    responses = [transport.open(Request("POST", server.url(), (), b"{}")) for _ in range(3)]
    flowing = [Flowing(response) for response in responses]
    while sum(len(each.pieces) for each in flowing) < 3:
        gevent.sleep(0.005)
    transport.cut()
    assert [each.wait() for each in flowing] == [None] * 3
    assert [response.end.kind for response in responses] == [EndKind.CANCELLED] * 3


@pytest.mark.parametrize(
    ("limits", "kind"),
    [
        (Limits(idle_s=0.15), EndKind.IDLE_TIMEOUT),
        (Limits(idle_s=9, total_s=0.2), EndKind.TOTAL_TIMEOUT),
    ],
)
def test_deadlines_are_kept_by_whoever_watches(serve, limits, kind):
    server, settings = serve([("send", CHUNKED + chunk(b"one")), ("hold",)])
    transport, response = opened(server, limits=limits, **settings)
    flowing = Flowing(response)
    deadline = time.monotonic() + 10
    while not flowing.over and time.monotonic() < deadline:
        gevent.sleep(0.02)
        transport.expire()
    assert flowing.wait() is None
    assert (response.end.kind, flowing.body) == (kind, b"one")


def test_bytes_that_bring_nothing_do_not_keep_an_exchange_alive(serve):
    # Chunk extensions that never end: bytes come all the time, but no body does.
    server, settings = serve(
        [("send", CHUNKED + chunk(b"one")), ("drip", b"5;" + b"x" * 4000, 0.005)]
    )
    transport, response = opened(server, limits=Limits(idle_s=0.2), **settings)
    flowing = Flowing(response)
    began = time.monotonic()
    while not flowing.over and time.monotonic() - began < 10:
        gevent.sleep(0.02)
        transport.expire()
    assert response.end.kind is EndKind.IDLE_TIMEOUT


def test_ctrl_c_in_the_loop_is_left_to_the_loop(serve):
    server, settings = serve([("send", CHUNKED), ("sleep", 0.01), ("send", chunk(b"a")), ("hold",)])
    _, response = opened(server, **settings)

    def take(*_):
        raise KeyboardInterrupt

    flowing = Flowing(response, take)
    with pytest.raises(KeyboardInterrupt):
        flowing.wait()
    assert isinstance(flowing.wait(), KeyboardInterrupt)
    assert response.end.kind is EndKind.CANCELLED


def test_a_reset_keeps_what_came_before(raw_server):
    seen = threading.Event()
    server = raw_server([("send", CHUNKED + chunk(b"one")), ("wait", seen), ("rst",)])
    _, response = opened(server)
    pieces = []

    def take(data, *_):
        pieces.append(data)
        seen.set()
        return False

    Flowing(response, take).wait()
    assert pieces == [b"one"]
    assert (response.end.kind, response.end.fault_of) == (EndKind.RESET, "api")


def test_goodbye_over_tls_is_an_end_though_the_connection_stays_open(
    raw_server, authority, server_tls
):
    def say_goodbye(sock):
        sock.settimeout(0.05)
        with contextlib.suppress(OSError):
            sock.unwrap()

    answer = b"HTTP/1.1 200 OK\r\n\r\nwhole"
    server = raw_server([("send", answer), ("call", say_goodbye), ("hold",)], tls=server_tls)
    began = time.monotonic()
    response, pieces = flowed(server, ca_file=authority.file, limits=Limits(idle_s=30))
    assert (response.end.kind, b"".join(data for data, *_ in pieces)) == (EndKind.CLOSED, b"whole")
    assert time.monotonic() - began < 10


def test_without_goodbye_a_body_without_a_length_may_have_been_cut(
    raw_server, authority, server_tls
):
    answer = b"HTTP/1.1 200 OK\r\n\r\nwhole"
    server = raw_server([("send", answer), ("tls_eof",)], tls=server_tls)
    response, pieces = flowed(server, ca_file=authority.file)
    assert response.end.kind is EndKind.TRUNCATED
    assert b"".join(data for data, *_ in pieces) == b"whole"
