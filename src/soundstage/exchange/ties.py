"""Finds out whether a stream and the status endpoint beside it speak of one generation: leaves the
stream somewhere, and asks for the state until it is over.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import replace

from soundstage.conformance.following import Following
from soundstage.conformance.job_judge import JobJudge
from soundstage.contract import Contract
from soundstage.contract.protocol import Endpoint
from soundstage.exchange.client import Client
from soundstage.exchange.exchange import Call, Exchange, Leave
from soundstage.exchange.given_by import given_by

#: How many generations the target has charged for so far; None where nobody knows.
Charges = Callable[[], int | None]


def tied_endpoints(contract: Contract) -> list[Endpoint]:
    """The endpoints whose generations another one knows."""
    return [
        each
        for each in contract.endpoints.values()
        if each.looked_up_by is not None and each.kind in ("stream", "job")
    ]


def polled_by(contract: Contract) -> list[str]:
    """The endpoints for the state of whose jobs each question is billed, by name."""
    return [
        each.name
        for each in contract.endpoints.values()
        if each.poll is not None and each.poll.billed
    ]


def leaves_of(endpoint: Endpoint) -> Iterator[Leave]:
    """Where a stream may be left: after each stage of it, and once in the middle of a chunk. Not
    before the id has come that it is asked for by.
    """
    protocol = endpoint.protocol
    if protocol is None:
        return
    needed = {given.stage for given in endpoint.gives if given.stage is not None}
    fitting = [
        stage
        for stage in protocol.stages
        if not (stage.failure or stage.anywhere)
        and stage.times[0]
        and needed <= {stage.name, *protocol.before(stage.name)}
    ]
    for number, stage in enumerate(fitting):
        if number == 0 and not stage.ends:
            yield Leave(stage.name, inside=True)
        yield Leave(stage.name)


def leave_and_ask(client: Client, call: Call, leave: Leave, charges: Charges) -> Exchange:
    """Leave the stream of `call`, ask for its generation until it is over, and give the exchange
    what was found (`Exchange.found_later`). Raises BudgetError if it is not covered.
    """
    before = charges()
    exchange = client.exchange(replace(call, leave_at=leave, keep_chunks=True))
    chunks = list(exchange.chunks)
    given = given_by(exchange)
    if not given:
        return exchange
    following = Following(call.contract, call.endpoint, given, caps=client.caps)
    client.ask_for(exchange, following)
    seen = [look for look in exchange.looks if look.state is not None]
    if seen:
        following.compare_first(seen[0].state, chunks)
        done = following.looks.check.done
        following.compare_results([state for _, state in exchange.states], chunks, done=done)
        if done and exchange.states:
            exchange.tied |= {"result/same"}
        exchange.tied |= {"status/not_behind"}
    _count(exchange, following, before, charges())
    exchange.found_later = [*exchange.found_later, *following.violations]
    return exchange


def ask_alone(client: Client, call: Call, charges: Charges) -> Exchange:
    """Make a job while nothing else is made, so that what it is charged can be told."""
    before = charges()
    exchange = client.exchange(call)
    judge = exchange.judge
    assert isinstance(judge, JobJudge)
    following = judge.following
    _count(exchange, following, before, charges())
    return exchange


def _count(exchange: Exchange, following: Following, before: int | None, after: int | None) -> None:
    if exchange.looks:
        exchange.tied |= {"status/known"}
    if before is not None and after is not None and exchange.looks:
        following.charged(after - before)
        exchange.tied |= {"charged/once"}
