"""Puts the entries of an archive together that are of one generation: the request that made it, and
the looks at its state, however they were sent.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from soundstage.contract import Contract
from soundstage.contract.endpoint_words import ERROR, is_meant
from soundstage.contract.given_values import given_by_answer
from soundstage.contract.polled import SentRequest, polled_jobs
from soundstage.contract.protocol import Endpoint
from soundstage.errors import UsageError
from soundstage.linting.answer_origin import asked_at
from soundstage.saved.har import ArchiveEntry
from soundstage.saved.transcript import MOST_LOOKS, Transcript


@dataclass(frozen=True, slots=True)
class ArchivedAnswer:
    """What one entry holds, or several that are of one generation: `exchange` has the looks then.
    `number` is that of its first entry.
    """

    number: int
    contract: Contract
    endpoint: Endpoint
    exchange: Transcript


def put_together(
    entries: Iterable[ArchiveEntry], contracts: list[Contract], name: str, endpoint: str | None
) -> list[ArchivedAnswer]:
    """The answers in an archive to requests to endpoints of these contracts, each once. `endpoint`:
    only those of an endpoint of this name or kind ("error": of any); None for all.

    Raises UsageError, in which `name` stands, for a job that was looked at too often.
    """
    known: list[tuple[ArchiveEntry, Transcript, SentRequest]] = []
    for entry in _in_order(entries):
        exchange = entry.exchange
        found = None if exchange is None else asked_at(exchange, contracts)
        if exchange is None or found is None or entry.followed:
            continue
        if _is_wanted(found[1], endpoint) or found[1].sampled:
            known.append((entry, exchange, _request(*found, exchange)))
    answers = []
    for job in polled_jobs([request for _, _, request in known]):
        entry, exchange, request = known[job.number]
        if not _is_wanted(request.endpoint, endpoint):
            continue
        if len(job.looks) > MOST_LOOKS:
            raise UsageError(f"{name}#{entry.number}: more than {MOST_LOOKS:,} looks at one job")
        whole = exchange
        looks = [known[number][:2] for number in job.looks]
        if job.first is None and len(looks) > 1:
            whole = Transcript({**exchange.header}, end={"kind": "complete"})
        if job.first is not None or len(looks) > 1:
            _add_looks(whole, entry, looks)
        answers.append(ArchivedAnswer(entry.number, request.contract, request.endpoint, whole))
    return answers


def _is_wanted(endpoint: Endpoint, word: str | None) -> bool:
    return word in (None, ERROR) or is_meant(endpoint, word)


def _request(contract: Contract, endpoint: Endpoint, exchange: Transcript) -> SentRequest:
    given = {}
    if endpoint.gives:
        given = given_by_answer(endpoint, exchange.body, exchange.answer_header)
    return SentRequest(contract, endpoint, str(exchange.header["request"]["url"]), given)


def _in_order(entries: Iterable[ArchiveEntry]) -> list[ArchiveEntry]:
    """The entries in the order they were sent in, where all say when that was."""
    found = list(entries)
    if any(entry.started is None for entry in found):
        return found
    return sorted(found, key=lambda entry: entry.started or 0.0)


def _add_looks(
    whole: Transcript, first: ArchiveEntry, looks: list[tuple[ArchiveEntry, Transcript]]
) -> None:
    """Give an answer the looks at what it made, with times since it was asked for, where the
    archive says when that was.
    """
    if whole.end is not None:
        known = first.took is not None and first.started is not None
        whole.end["t"] = first.took if known else None
    for entry, look in looks:
        sent = None
        if entry.started is not None and first.started is not None:
            sent = entry.started - first.started
        look.header["t"] = sent
        if look.end is not None:
            look.end["t"] = None if sent is None or entry.took is None else sent + entry.took
        whole.looks.append(look)
    if looks:
        whole.over = {"cut": None}
