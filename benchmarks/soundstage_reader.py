"""Our client on gevent: kernel timestamps, every chunk checked. Prints its figures as JSON."""

from gevent import monkey

monkey.patch_all()

import re  # noqa: E402  # after the patch, as Locust does it
import sys  # noqa: E402

import gevent  # noqa: E402

from benchmarks.figures import Meter  # noqa: E402
from soundstage.contract import available, load  # noqa: E402
from soundstage.exchange.budget import Budget  # noqa: E402
from soundstage.exchange.client import Call, Client  # noqa: E402
from soundstage.exchange.target import Target  # noqa: E402
from soundstage.wire.transport import Limits, Settings, Transport  # noqa: E402

_STAMP = re.compile(rb": (\d+)\n")


def main(port: int, streams: int) -> None:
    contract = load(available()[-1])
    endpoint = contract.endpoint_of_kind("stream")
    assert endpoint is not None
    target = Target(f"http://127.0.0.1:{port}", key="k")
    transport = Transport(Settings(limits=Limits(connect_s=60), watched=True))
    client = Client(target, transport, Budget(None, free=True))
    meter = Meter()
    late, coarse, events, violations = [], 0, 0, 0

    def one(wait: float) -> None:
        nonlocal coarse, events, violations
        gevent.sleep(wait)
        exchange = client.exchange(Call(contract, endpoint, {"prompt": "bench"}))
        violations += sum(v.severity != "info" for v in exchange.violations)
        for at, raw, is_coarse in exchange.pieces:
            if stamp := _STAMP.match(raw):
                events += 1
                coarse += is_coarse
                late.append(at - int(stamp[1]))

    def watch() -> None:
        while True:
            gevent.sleep(1)
            transport.expire()

    watcher = gevent.spawn(watch)
    gevent.joinall([gevent.spawn(one, 2 * n / streams) for n in range(streams)], raise_error=True)
    watcher.kill()
    meter.report(late, coarse=coarse / max(1, events), violations=violations)


main(int(sys.argv[1]), int(sys.argv[2]))
