"""Stock Locust, as its documentation has it: a `FastHttpUser` that goes through `iter_lines`."""

from __future__ import annotations

import gevent
from locust import FastHttpUser, task
from locust.env import Environment
from locust.exception import StopUser

from benchmarks.figures import Meter, asked, ramp_s

import json  # isort: skip  # after Locust, which patches
import time  # isort: skip


def main() -> None:
    options = asked()
    meter, ramp = Meter(options.streams), ramp_s(options.streams)

    class Listener(FastHttpUser):
        host = options.url
        network_timeout = connection_timeout = 600.0

        @task
        def listen(self) -> None:
            sent = 0
            for line in self.client.iter_lines("/", "POST", json={"prompt": "bench"}):
                now = time.monotonic_ns()
                if line.startswith(": "):
                    sent = int(line[2:])
                elif line.startswith("data: "):
                    json.loads(line[6:])
                    meter.seen(sent, now)
            meter.ended()
            raise StopUser

    environment = Environment(user_classes=[Listener])
    runner = environment.create_local_runner()
    gevent.spawn(meter.watch, gevent.sleep)
    runner.start(options.streams, spawn_rate=options.streams / ramp)
    gevent.sleep(ramp)
    while runner.user_count:
        gevent.sleep(0.2)
    if environment.stats.total.num_failures:
        raise SystemExit(str(environment.stats.errors))
    meter.report()


main()
