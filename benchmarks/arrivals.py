"""Arrivals that are asked for and arrivals that come: `soundstage load` beside Locust's own users.

Both ask for 50 requests a second for a minute, of an emulator whose songs take about two seconds.
Ours is an open loop. Locust's `poisson` and `constant_throughput` pace users that wait for their
answers: a hundred of them, each with a hundredth of the rate, wait for an answer and then some, so
what they deliver depends on how slow the answers are.
"""

from __future__ import annotations

import json
import math
import subprocess
import sys
import tempfile
from itertools import pairwise
from pathlib import Path
from typing import Any

from benchmarks.result import Row
from soundstage.exchange.spawn import spawned_emulator
from soundstage.results.bundle import Bundle
from soundstage.results.quantiles import quantile

_RATE = 50.0
_USERS = 100
#: The realistic profile at this speed takes about two seconds a song.
_EMULATOR = ("--speed", "40", "--seed", "1")

#: A locustfile as one would write it: users that together should send so many requests a second.
_LOCUSTFILE = """
import json, time
from locust import FastHttpUser, events, task
from locust.user.wait_time import {kind}

started = []

class Songs(FastHttpUser):
    wait_time = {kind}({rate} / {users})

    @task
    def song(self):
        started.append(time.monotonic())
        head = {{"Authorization": "Bearer soundstage-emulator-key"}}
        self.client.post({path!r}, json={body!r}, headers=head).content

@events.quit.add_listener
def _(**_):
    with open({out!r}, "w") as file:
        json.dump(started, file)
"""


def measure(seconds: float) -> list[Row]:
    """The rate that is delivered, with its 95% interval, and how well gaps fit."""
    rows = []
    with spawned_emulator(list(_EMULATOR)) as url, tempfile.TemporaryDirectory() as folder:
        for kind, users_kind in (("poisson", "poisson"), ("constant", "constant_throughput")):
            asked, ours = _soundstage(url, Path(folder), kind, seconds)
            theirs = _locust(url, Path(folder), users_kind, seconds)
            ours_rate, theirs_rate = len(ours) / seconds, len(theirs) / seconds
            rows.append(
                Row(
                    f"{kind} arrivals, {_RATE:g}/s asked for {seconds:g} s, delivered",
                    _with_interval(len(ours), seconds),
                    f"Locust {users_kind}, {_USERS} users: {_with_interval(len(theirs), seconds)}",
                    f"{ours_rate / theirs_rate:.2f}x",
                    f"{_RATE:g}/s in the interval",
                )
            )
            rows.append(_shape(kind, asked, ours, theirs))
    return rows


def _shape(kind: str, asked: list[float], ours: list[float], theirs: list[float]) -> Row:
    """How well gaps fit. How late a busy machine starts requests shows in those of an evenly spaced
    schedule; of a random one, in how much further its starts are from the ideal than it is itself.
    """
    if kind == "poisson":
        return Row(
            "poisson arrivals, Kolmogorov's distance of gaps from exponential at the asked rate",
            f"{_distance(ours):.3f} (its schedule {_distance(asked):.3f})",
            f"Locust {_distance(theirs):.3f}",
            f"{_distance(ours) / _distance(theirs):.2f}x",
            f"< {1.36 / math.sqrt(len(ours)):.3f} (5%)",
        )
    return Row(
        "constant arrivals, gaps' p99 off by",
        f"{_jitter(ours) * 1000:.2f} ms",
        f"Locust {_jitter(theirs) * 1000:.2f} ms",
        f"{_jitter(ours) / _jitter(theirs):.2g}x",
        "",
    )


def _with_interval(count: int, seconds: float) -> str:
    """A rate with the exact interval of a Poisson count (Garwood 1936)."""
    from scipy.stats import chi2

    low = chi2.ppf(0.025, 2 * count) / 2 / seconds
    high = chi2.ppf(0.975, 2 * count + 2) / 2 / seconds
    return f"{count / seconds:.2f}/s ({low:.2f} to {high:.2f})"


def _gaps(moments: list[float]) -> list[float]:
    return [b - a for a, b in pairwise(moments)]


def _distance(moments: list[float]) -> float:
    gaps = sorted(_gaps(moments))
    n = len(gaps)
    cdf = [1 - math.exp(-_RATE * gap) for gap in gaps]
    return max(max((i + 1) / n - value, value - i / n) for i, value in enumerate(cdf))


def _jitter(moments: list[float]) -> float:
    import numpy as np

    return quantile(np.abs(np.array(_gaps(moments)) - 1 / _RATE), 0.99)


def _soundstage(
    url: str, folder: Path, kind: str, seconds: float
) -> tuple[list[float], list[float]]:
    """When requests were due, and when they started, in order."""
    bundle = folder / f"ours-{kind}"
    options = ["--rate", f"{_RATE}", "--duration", f"{seconds}s", "--arrivals", kind]
    said = _run(
        *("-m", "soundstage", "load", "--target", url, "--out", str(bundle), *options),
        seconds=seconds,
    )
    if not bundle.is_dir():
        raise RuntimeError(said)
    rows = list(Bundle.open(bundle).exchanges())
    due, started = (
        sorted(row[name] / 1e9 for row in rows) for name in ("intended_ns", "started_ns")
    )
    return due, started


def _locust(url: str, folder: Path, kind: str, seconds: float) -> list[float]:
    """When Locust's users started their requests, in the last `seconds` of a run: they come up
    in the first few.
    """
    place, body = _request()
    out, file = folder / f"theirs-{kind}.json", folder / f"file_{kind}.py"
    facts = {"rate": _RATE, "users": _USERS, "kind": kind, "path": place, "body": body}
    file.write_text(_LOCUSTFILE.format(**facts, out=str(out)))
    up = 10
    options = ["-u", str(_USERS), "-r", str(_USERS / 2), "-t", f"{int(seconds) + up}s"]
    quiet = ["--headless", "--only-summary", "-L", "ERROR", "--host", url, *options]
    _run("-m", "locust", "-f", str(file), *quiet, seconds=seconds + up)
    started: list[float] = json.loads(out.read_text())
    return [moment for moment in started if up - 1 <= moment - started[0] < up - 1 + seconds]


def _request() -> tuple[str, dict[str, Any]]:
    """The path and a body of the newest version's stream."""
    from random import Random

    from soundstage.contract import available, load
    from soundstage.exchange.requests import request_body

    contract = load(available()[-1])
    endpoint = contract.endpoint_of_kind("stream")
    assert endpoint is not None
    return endpoint.path, request_body(contract, endpoint, Random(1))


def _run(*words: str, seconds: float) -> str:
    """Run Python with these words; a load run may end with any code of its own. Returns what it
    said on standard error.
    """
    done = subprocess.run(
        [sys.executable, *words], capture_output=True, text=True, timeout=seconds + 120, check=False
    )
    if "Traceback" in done.stderr:
        raise RuntimeError(done.stderr[-2000:])
    return done.stderr
