"""Our client as Locust runs it: gevent, kernel timestamps, every chunk checked."""

from gevent import monkey

monkey.patch_all()

import re  # noqa: E402  # after the patch
import time  # noqa: E402
from collections.abc import Callable  # noqa: E402
from functools import partial  # noqa: E402

import gevent  # noqa: E402
from gevent.event import AsyncResult  # noqa: E402

from benchmarks.figures import Meter, asked, ramp_s  # noqa: E402
from soundstage.contract import available, load  # noqa: E402
from soundstage.exchange.budget import Budget  # noqa: E402
from soundstage.exchange.client import Call, Client  # noqa: E402
from soundstage.exchange.reader import Underway  # noqa: E402
from soundstage.exchange.target import Target  # noqa: E402
from soundstage.loadtests.generator.gevent_wakeups import HubWakeups  # noqa: E402
from soundstage.process import rubbish  # noqa: E402
from soundstage.wire.transport import Limits, Transport, TransportSettings  # noqa: E402

_STAMP = re.compile(rb": (\d+)\n")


class Reading:
    """The streams of one run, as a load run has them: each begins and ends in a greenlet, and
    nobody waits while its body comes.
    """

    def __init__(self, client: Client, call: Call, streams: int) -> None:
        self._client = client
        self._call = call
        self._left = streams
        self.over = AsyncResult()
        self.meter = Meter(streams)
        self.coarse = self.events = self.violations = 0

    def begin(self) -> None:
        underway = self._client.begin(self._call)
        underway.flow(partial(self._go_on, self._end, underway))

    def start(self) -> None:
        self._go_on(self.begin)

    def _go_on(self, step: Callable[..., None], *given: object) -> None:
        gevent.spawn(step, *given).link_exception(
            lambda failed: self.over.set_exception(failed.exception)
        )

    def _end(self, underway: Underway, failure: BaseException | None) -> None:
        if failure is not None:
            raise failure
        exchange = self._client.finish(underway)
        self.meter.ended()
        self.violations += sum(v.severity != "info" for v in exchange.violations)
        for at, raw, is_coarse in exchange.pieces:
            if stamp := _STAMP.match(raw):
                self.events += 1
                self.coarse += is_coarse
                self.meter.seen(int(stamp[1]), at)
        self._left -= 1
        if not self._left:
            self.over.set()


def main() -> None:
    options = asked()
    contract = load(available()[-1])
    endpoint = contract.endpoint_of_kind("stream")
    assert endpoint is not None
    limits = Limits(connect_s=60)
    settings = TransportSettings(
        limits=limits, ca_file=options.ca, watched=True, wakeups=HubWakeups
    )
    transport = Transport(settings)
    client = Client(Target(options.url, key="k"), transport, Budget(None, free=True))
    reading = Reading(client, Call(contract, endpoint, {"prompt": "bench"}), options.streams)

    def expire() -> None:
        while True:
            gevent.sleep(0.5)
            transport.expire()

    gevent.spawn(expire)
    with rubbish.seldom():  # as in `soundstage load`
        gevent.spawn(reading.meter.watch, gevent.sleep)
        began, gap = time.monotonic(), ramp_s(options.streams) / options.streams
        for number in range(options.streams):
            gevent.sleep(max(0.0, began + number * gap - time.monotonic()))
            reading.start()
        reading.over.get()
    coarse = reading.coarse / max(1, reading.events)
    reading.meter.report(coarse=coarse, violations=reading.violations)


main()
