"""A server that accepts a job and then says what a test wants of its state, and a client whose
waits take no time: they are written down, and the clock is put forward.
"""

from __future__ import annotations

import json
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from types import SimpleNamespace
from typing import Any

import pytest

from soundstage.contract import Contract
from soundstage.exchange import job_follower
from soundstage.exchange.budget import Budget
from soundstage.exchange.client import Call, Client
from soundstage.exchange.exchange import Exchange
from soundstage.exchange.job_follower import Interrupt
from soundstage.exchange.target import Target
from soundstage.wire.transport import Limits, Transport, TransportSettings

KEY = "sk-live-3f9a8b7c6d5e"


def answer(status: int, body: Any, **headers: str) -> bytes:
    """An answer of one body; `Retry_After` is written Retry-After."""
    raw = body if isinstance(body, bytes) else json.dumps(body).encode()
    said = {"Content-Type": "application/json", **headers}
    lines = [f"{name.replace('_', '-')}: {value}" for name, value in said.items()]
    head = "\r\n".join([f"HTTP/1.1 {status} Said", *lines, f"Content-Length: {len(raw)}"])
    return f"{head}\r\nConnection: close\r\n\r\n".encode() + raw


def state(name: str, status: int = 200, **headers: str) -> bytes:
    """A look that shows a state of `small_api.small_job`."""
    return answer(status, {"t": name, "id": "a", "error": "gone"}, **headers)


@dataclass
class Waits(Interrupt):
    """Waits that take no time: `seconds` are those that were waited. `at_wait`: called before each
    with its number, says whether it is interrupted.
    """

    seconds: list[float] = field(default_factory=list)
    at_wait: Callable[[int], bool] = lambda _: False
    forward_s: float = 0.0

    def wait(self, seconds: float) -> bool:
        self.seconds.append(round(seconds, 3))
        if self.at_wait(len(self.seconds)):
            return True
        self.forward_s += seconds
        return False


@dataclass
class Followed:
    """What became of a job: its exchange, what was waited, and the questions for its state, with
    what stands where the key belongs.
    """

    exchange: Exchange
    waits: list[float]
    requests: list[Any]
    keys: list[str | None]

    @property
    def asked(self) -> list[str]:
        return [each.target for each in self.requests]

    @property
    def reason(self) -> str | None:
        return self.exchange.reason

    @property
    def codes(self) -> list[str]:
        return [each.code for each in self.exchange.violations]


class Follow:
    """Follows jobs of `contract`: `follow(accepted, look, look, …)`; the last look is repeated."""

    def __init__(self, raw_server: Any, patch: pytest.MonkeyPatch) -> None:
        self._raw_server, self._patch = raw_server, patch
        self.waits = Waits()

    def __call__(
        self,
        contract: Contract,
        accepted: bytes,
        *looks: bytes,
        budget: Budget | None = None,
        about: dict[str, Any] | None = None,
        **call: Any,
    ) -> Followed:
        waits = self.waits
        clock = SimpleNamespace(
            monotonic_ns=lambda: time.monotonic_ns() + int(waits.forward_s * 1e9),
            time=lambda: time.time() + waits.forward_s,
        )
        self._patch.setattr(job_follower, "time", clock)
        steps = [[("send", each)] for each in (accepted, *looks)]
        server = self._raw_server(*steps, repeat=True)
        target = Target(server.url("").rstrip("/"), "local", KEY, about=about or {})
        transport = Transport(TransportSettings(limits=Limits(connect_s=2, idle_s=2, total_s=4)))
        client = Client(target, transport, budget or Budget(None, free=True))
        client.interrupt = waits
        exchange = client.exchange(Call(contract, contract.endpoints["job"], {}, **call))
        asked = server.requests[1:]
        auth = contract.auth.header.lower()
        return Followed(
            exchange,
            waits.seconds,
            asked,
            [each.headers.get(auth) for each in asked],
        )
