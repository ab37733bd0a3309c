"""What it costs that nothing leaves with a secret in it: gate and escaping of an exchange."""

from __future__ import annotations

import json
import random
import time
from collections.abc import Callable

import orjson

from benchmarks.result import Row
from soundstage.contract import Contract, load_all
from soundstage.contract.protocol import Endpoint
from soundstage.exchange.budget import Budget
from soundstage.exchange.client import Call, Client, Exchange
from soundstage.exchange.requests import valid_body
from soundstage.exchange.spawn import spawned_emulator
from soundstage.exchange.target import Target
from soundstage.output import outgoing, visible
from soundstage.output.redact import Redactor
from soundstage.wire.settings import TransportSettings
from soundstage.wire.transport import Transport

_KEY = "sk-live-" + "".join(random.Random(1).choices("0123456789abcdef", k=32))
_ROUNDS = 7
_TARGET = "<= 20 us"


def measure(repeats: int = 2_000) -> list[Row]:
    """Microseconds an exchange of our emulator, the best of seven rounds of `repeats`, with a key
    of 40 characters: what gate and escaping take of one that is as it should be (its row, its id,
    a line about it), beside making and writing the row; and the transcript of one that is kept.
    """
    outgoing.hide([_KEY])
    with spawned_emulator(["--profile", "instant", "--seed", "1"]) as url:
        redactor = Redactor([_KEY])
        client = Client(
            Target(url, "emulator", key=_KEY),
            Transport(TransportSettings()),
            Budget(None, free=True),
            redactor=redactor,
        )
        contract, endpoint = _longest()
        call = Call(contract, endpoint, valid_body(contract, endpoint, 1))
        exchange = max(
            (client.exchange(call) for _ in range(20)), key=lambda each: each.judge.events
        )
    line = orjson.dumps(exchange.row(0))
    said = f"{exchange.id}: {exchange.verdict}: {exchange.call.contract.api}"

    def gate() -> None:
        exchange._id_to_keep()
        assert not outgoing.may_hold(line)
        visible.line(outgoing.text(said))

    taken = _us(gate, repeats)
    written = _us(lambda: orjson.dumps(exchange.row(0)), repeats)
    kept = _us(lambda: _transcript(exchange, redactor), max(1, repeats // 100))
    many = f"{exchange.judge.events} chunks, {len(line)} bytes of row"
    return [
        Row(f"gate and escaping of an exchange ({many})", f"{taken:.1f} us",
            f"its row {written:.1f} us", f"{taken / written:.2f}x", _TARGET),
        Row("transcript of an exchange that is kept", f"{kept / 1000:.2f} ms"),
    ]  # fmt: skip


def _longest() -> tuple[Contract, Endpoint]:
    """The stream with the most stages."""
    contract = max(load_all().values(), key=lambda each: len(each.protocol.stages))
    endpoint = contract.endpoint_of_kind("stream")
    assert endpoint is not None
    return contract, endpoint


def _transcript(exchange: Exchange, redactor: Redactor) -> None:
    json.dumps(exchange.transcript(redactor).header)


def _us(run: Callable[[], object], repeats: int) -> float:
    best = float("inf")
    for _ in range(_ROUNDS):
        begun = time.process_time()
        for _ in range(repeats):
            run()
        best = min(best, (time.process_time() - begun) / repeats)
    return best * 1e6
