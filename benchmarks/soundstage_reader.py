"""Our client as Locust runs it: gevent, kernel timestamps, every chunk checked."""

from gevent import monkey

monkey.patch_all()

import re  # noqa: E402  # after the patch

import gevent  # noqa: E402

from benchmarks.figures import Meter, asked, ramp_s  # noqa: E402
from soundstage.contract import available, load  # noqa: E402
from soundstage.exchange.budget import Budget  # noqa: E402
from soundstage.exchange.client import Call, Client  # noqa: E402
from soundstage.exchange.target import Target  # noqa: E402
from soundstage.loadtests.generator.gevent_wakeups import HubWakeups  # noqa: E402
from soundstage.wire.transport import Limits, Transport, TransportSettings  # noqa: E402

_STAMP = re.compile(rb": (\d+)\n")


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
    meter, ramp = Meter(options.streams), ramp_s(options.streams)
    coarse, events, violations = 0, 0, 0

    def one(wait: float) -> None:
        nonlocal coarse, events, violations
        gevent.sleep(wait)
        exchange = client.exchange(Call(contract, endpoint, {"prompt": "bench"}))
        meter.ended()
        violations += sum(v.severity != "info" for v in exchange.violations)
        for at, raw, is_coarse in exchange.pieces:
            if stamp := _STAMP.match(raw):
                events += 1
                coarse += is_coarse
                meter.seen(int(stamp[1]), at)

    def expire() -> None:
        while True:
            gevent.sleep(0.5)
            transport.expire()

    expirer = gevent.spawn(expire)
    jobs = [gevent.spawn(one, ramp * n / options.streams) for n in range(options.streams)]
    gevent.joinall([gevent.spawn(meter.watch, gevent.sleep), *jobs], raise_error=True)
    expirer.kill()
    meter.report(coarse=coarse / max(1, events), violations=violations)


main()
