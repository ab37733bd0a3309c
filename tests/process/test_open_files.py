"""The limit of open files is raised by whoever needs it, as far as the system lets anybody."""

from __future__ import annotations

import resource

import pytest

from soundstage.loadtests.generator.sockets import most_sockets, too_few
from soundstage.process.open_files import raise_limit
from soundstage.wire.transport import EndKind, Request, Transport


@pytest.fixture
def soft_limit():
    """Sets the soft limit, and has it back at the end."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)

    def set_to(many: int) -> None:
        resource.setrlimit(resource.RLIMIT_NOFILE, (many, hard))

    yield set_to
    resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))


def test_the_limit_is_raised_to_what_is_wanted_and_no_further(soft_limit):
    soft_limit(256)
    assert raise_limit(300) == 300
    assert resource.getrlimit(resource.RLIMIT_NOFILE)[0] == 300


def test_the_limit_is_raised_to_the_hard_one_at_most(soft_limit):
    soft_limit(256)
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    assert raise_limit() in (hard, 2**31)
    assert resource.getrlimit(resource.RLIMIT_NOFILE)[1] == hard


def test_the_limit_is_never_lowered(soft_limit):
    soft_limit(300)
    assert raise_limit(200) == 300


def test_more_songs_than_sockets_are_said_with_what_to_do():
    most = most_sockets()
    assert too_few(most) is None
    assert too_few(2 * most, 2) is None
    said = too_few(most + 1)
    assert said is not None
    assert f"{most:,} sockets" in said
    assert "ulimit -Hn" in said
    assert "\n" not in said


def test_a_connection_without_a_file_for_it_says_whose_limit_it_is(soft_limit):
    transport = Transport()
    soft_limit(3)  # more are open already
    response = transport.open(Request("GET", "http://127.0.0.1:9/", (), b""))
    assert response.end is not None
    assert response.end.kind is EndKind.UNREACHABLE
    assert response.end.fault_of == "environment"
    assert "ulimit -n" in response.end.message
