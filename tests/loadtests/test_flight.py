"""An exchange of a load run: waited for by users, and by nobody's greenlet while its body comes."""

from __future__ import annotations

import gevent
import gevent.event

from soundstage.exchange.client import Call
from soundstage.loadtests.run.flight import Flight


def flight(contract) -> Flight:
    return Flight(Call(contract, contract.endpoint_of_kind("stream")))


def test_whoever_joins_waits_until_it_has_landed(v6):
    one, seen = flight(v6), []
    joining = [gevent.spawn(lambda: (one.join(), seen.append("joined"))) for _ in range(2)]
    gevent.sleep(0)
    assert seen == []
    one.land()
    gevent.joinall(joining, timeout=5, raise_error=True)
    assert seen == ["joined", "joined"]


def test_one_that_has_landed_is_joined_at_once(v6):
    one = flight(v6)
    one.land()
    with gevent.Timeout(5):
        one.join()


def test_the_greenlet_that_works_for_it_can_be_killed(v6):
    one, ended = flight(v6), gevent.event.Event()

    def step() -> None:
        try:
            gevent.sleep(60)
        finally:
            ended.set()

    one.go_on(step)
    gevent.sleep(0)
    one.kill()
    assert ended.wait(5)


def test_one_that_rests_has_no_greenlet_to_kill(v6):
    one, left = flight(v6), gevent.event.Event()
    one.go_on(left.wait, 60)
    gevent.sleep(0)
    one.rest()
    one.kill()
    left.set()
