"""Finds out what a saved body is the response of, by the names of its fields.

Only names are compared, so that a faulty response is still taken for what it was meant to be; of
JSON that does not parse, those that can be read. What has little in common with any contract `fits`
none: a guess is no reason to call it broken.

It judges nothing, and stands here and not in `conformance` because the emulator, which serves saved
answers again and may not ask the judge, needs it as well.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from typing import Any, Final, NamedTuple

from soundstage.contract.contract import Contract
from soundstage.contract.endpoint_words import ERROR, is_meant
from soundstage.contract.protocol import Endpoint
from soundstage.untrusted import json_text
from soundstage.wire.lines import decoded, sniff_framing

#: Chunks that are looked at; the first few tell.
_ENOUGH: Final = 50
#: So many bytes hold them, mostly.
_HEAD: Final = 2**20
#: Names in text that is no JSON: single quotes too, as programs print them.
_NAME: Final = re.compile(rb"[\"']([A-Za-z_][\w.-]{0,60})[\"']\s*:")
#: The least score of a response of the contract. No fault leaves a stream below 0.7, and none that
#: keeps a JSON object goes below 0.5 (tests/contract/test_recognise.py); streams of other APIs have
#: "status" or "progress" in common, and stay below 0.35.
_FITS: Final = 0.45


class Guess(NamedTuple):
    """What a body looks like: the answer of `endpoint`, or (`kind` "error") an error of any, else
    `kind` is the endpoint's. `score` goes from 0 (nothing in common) to 1, and above that where it
    is a printed error to the letter.
    """

    contract: Contract
    kind: str
    score: float
    endpoint: Endpoint

    def is_meant(self, word: str) -> bool:
        """Whether it is what people say by a kind, the name of an endpoint, or "error"."""
        return word == self.kind or (self.kind != ERROR and is_meant(self.endpoint, word))

    @property
    def fits(self) -> bool:
        """Whether there is enough in common to hold the body against the contract unasked."""
        return self.score >= _FITS


def recognise(body: bytes, contracts: Iterable[Contract], kind: str | None = None) -> list[Guess]:
    """Every contract and endpoint that a body may be the answer of (or only those meant by `kind`,
    a kind, the name of an endpoint, or "error"), the likeliest first. Where several are as likely,
    the contract whose name sorts last comes first: the newest.
    """
    framing = sniff_framing(body)
    texts = [] if framing == "json" else _texts(body, framing)
    chunks = [names for names in _chunks(body, framing, texts) if names is not None]
    value = _single(body) if framing in ("json", "lines", "unknown") else None
    single: set[str] = set(value or ())
    if value is None and _may_be_one(body, framing):
        single = _names_in(body) or set()
    guesses = []
    for contract in contracts:
        exact = contract.errors.matching(value) is not None
        # An event that is a printed error belongs to a stream that was refused.
        refused = sum(
            contract.errors.matching(json_text.parse(text).value) is not None for text in texts
        )
        for endpoint in contract.endpoints.values():
            if exact and kind is not None:
                score = 1.0  # where it was due, it is a refusal
            elif endpoint.kind == "stream":
                score = min(1.0, (_in_stages(endpoint, chunks) + refused) / max(1, len(chunks)))
            else:
                score = max((_alike(single, names) for names in _bodies(endpoint)), default=0.0)
            guesses.append(Guess(contract, endpoint.kind, score, endpoint))
        if single or kind is not None:
            known = (_alike(single, set(each.body)) for each in contract.errors.known)
            score = max(known, default=0.0)
            score = 1.0 + score if exact else score
            guesses.append(Guess(contract, ERROR, score, contract.endpoint_of_errors()))
    chosen = [guess for guess in guesses if kind is None or guess.is_meant(kind)]
    return sorted(chosen, key=lambda g: (g.score, g.contract.api), reverse=True)


def _in_stages(endpoint: Endpoint, chunks: list[set[str]]) -> float:
    """How much the chunks have in common with stages of a stream: up to 1 for each of them."""
    protocol = endpoint.protocol
    stages = protocol.stages if protocol is not None else ()
    told = [_names(each.schema) for each in stages if not each.failure]
    return sum(max((_alike(chunk, names) for names in told), default=0.0) for chunk in chunks)


def _bodies(endpoint: Endpoint) -> list[set[str]]:
    """The names in each body that an endpoint may answer with: its result, or its states."""
    if endpoint.sampled and endpoint.protocol is not None:
        return [_names(each.schema) for each in endpoint.protocol.stages]
    return [_names(endpoint.response)] if endpoint.response else []


def _single(body: bytes) -> dict[str, Any] | None:
    """The body as one JSON object, None if it is none."""
    value = json_text.parse(body.removeprefix(b"\xef\xbb\xbf")).value
    return value if isinstance(value, dict) else None


def _may_be_one(body: bytes, framing: str) -> bool:
    """Whether it begins as one JSON object and does not go on as one."""
    return framing in ("json", "unknown") and body.lstrip()[:1] == b"{"


def _chunks(body: bytes, framing: str, texts: list[bytes]) -> list[set[str] | None]:
    """The names in each of the first chunks, whose `texts` are known but for one JSON document;
    None for one that has none to tell.
    """
    if framing == "json":
        value = json_text.parse(body).value
        if isinstance(value, list):
            return [set(each) if isinstance(each, dict) else None for each in value[:_ENOUGH]]
        return [_names_in(body)]
    return [_names_in(text) for text in texts]


def _texts(body: bytes, framing: str) -> list[bytes]:
    """The texts of the first events; of a body that is not whole, the last may be a part of one.
    Where nothing tells the framing, those of the one that finds any.
    """
    framings = (framing,) if framing in ("sse", "lines") else ("sse", "lines")
    texts: list[bytes] = []
    for head in (body[:_HEAD], body):
        for each in framings:
            events, rest = decoded(head, each)
            if events:
                return [event.data for event in events[:_ENOUGH]]
            if rest is not None and rest.data:
                texts = [rest.data]
    return texts


def _names_in(text: bytes) -> set[str] | None:
    value = json_text.parse(text).value
    if isinstance(value, dict):
        return set(value)
    return {name.decode("ascii", "replace") for name in _NAME.findall(text[:_HEAD])} or None


def _names(schema: dict[str, Any]) -> set[str]:
    return set(schema.get("properties", {}))


def _alike(value: set[str], names: set[str]) -> float:
    """How alike two sets of names are, 0 to 1 (Jaccard index)."""
    union = value | names
    return len(value & names) / len(union) if union else 0.0
