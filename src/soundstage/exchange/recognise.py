"""Finds out what a saved body is the response of, by the names of its fields.

Only names are compared, so that a faulty response is still taken for what it was meant to be.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, NamedTuple

from soundstage.contract import Contract
from soundstage.wire import jsontext
from soundstage.wire.lines import LineDecoder, sniff_framing
from soundstage.wire.sse import Decoder, EventTooLarge

#: Chunks that are looked at; the first few tell.
_ENOUGH = 50


class Guess(NamedTuple):
    """What a body looks like. `kind` is "stream", "sync" or "error"; `score` from 0 (nothing in
    common) to 1.
    """

    contract: Contract
    kind: str
    score: float


def recognise(body: bytes, contracts: Iterable[Contract], kind: str | None = None) -> list[Guess]:
    """Every contract and kind of response (or only `kind`), the likeliest first. Where several
    are as likely, the contract whose name sorts last comes first: the newest.
    """
    chunks = _chunks(body)
    single = chunks[0] if len(chunks) == 1 and sniff_framing(body) != "sse" else None
    guesses = []
    for contract in contracts:
        stages = [stage.schema for stage in contract.protocol.stages if not stage.failure]
        stream = sum(max(_alike(chunk, _names(each)) for each in stages) for chunk in chunks)
        guesses.append(Guess(contract, "stream", stream / max(1, len(chunks))))
        if single is None and kind is None:
            continue
        value = single or {}
        results = [
            _names(endpoint.response)
            for endpoint in contract.endpoints.values()
            if endpoint.kind == "sync" and endpoint.response
        ]
        sync = max((_alike(value, names) for names in results), default=0.0)
        guesses.append(Guess(contract, "sync", sync))
        error = max(_alike(value, set(each.body)) for each in contract.errors.known)
        exact = contract.errors.matching(value) is not None
        guesses.append(Guess(contract, "error", 1.0 + error if exact else error))
    chosen = [guess for guess in guesses if kind in (None, guess.kind)]
    return sorted(chosen, key=lambda g: (g.score, g.contract.api), reverse=True)


def _chunks(body: bytes) -> list[dict[str, Any]]:
    framing = sniff_framing(body)
    if framing == "json":
        texts = [body]
    else:
        decoder = LineDecoder() if framing == "lines" else Decoder()
        try:
            texts = [event.data for event in decoder.feed(body)[:_ENOUGH]]
        except EventTooLarge as error:
            texts = [event.data for event in error.events[:_ENOUGH]]
    values = (jsontext.parse(text).value for text in texts)
    return [value for value in values if isinstance(value, dict)]


def _names(schema: dict[str, Any]) -> set[str]:
    return set(schema.get("properties", {}))


def _alike(value: dict[str, Any], names: set[str]) -> float:
    """How alike two sets of names are, 0 to 1 (Jaccard index)."""
    union = value.keys() | names
    return len(value.keys() & names) / len(union) if union else 0.0
