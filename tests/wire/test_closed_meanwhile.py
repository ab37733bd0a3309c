"""An exchange that another thread closes, at whatever moment, ends and raises nothing."""

from __future__ import annotations

import socket
import time
from collections.abc import Iterator

import pytest

from soundstage.wire.channel import Channel
from soundstage.wire.response import Response
from soundstage.wire.settings import Limits
from soundstage.wire.transport import EndKind


@pytest.fixture
def begun() -> Iterator[tuple[Response, Channel]]:
    """An exchange that is about to send its request, and its connection."""
    ours, theirs = socket.socketpair()
    with ours, theirs:
        response = Response(time.monotonic_ns(), Limits(idle_s=2), decode_content=True)
        channel = Channel(ours, 0, kernel_timestamps=False)
        response.begin(channel, "GET", None)
        yield response, channel


def asked(response: Response) -> EndKind | None:
    response.send(b"GET / HTTP/1.1\r\nHost: x\r\n\r\n")
    response.read_head()
    return None if response.end is None else response.end.kind


def test_before_its_request_is_sent(begun: tuple[Response, Channel]) -> None:
    response, _ = begun
    response.close()
    assert asked(response) is EndKind.CANCELLED


def test_while_it_is_being_closed(begun: tuple[Response, Channel]) -> None:
    response, channel = begun
    channel.close()  # what the other thread does last
    assert asked(response) is EndKind.RESET


def test_between_its_request_and_the_answer(begun: tuple[Response, Channel]) -> None:
    response, channel = begun
    response.send(b"GET / HTTP/1.1\r\nHost: x\r\n\r\n")
    channel.close()
    response.read_head()
    assert response.end is not None
    assert response.end.kind is EndKind.RESET
