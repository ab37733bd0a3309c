"""The part of the kill matrix that needs two endpoints: faults of what a stream, or a job, and the
status endpoint beside it say of one generation. An emulator in this process behaves so, and the
client that the gate uses must notice.
"""

from __future__ import annotations

import random
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass

from soundstage.conformance.violations import Violation
from soundstage.contract import Contract
from soundstage.contract.protocol import Endpoint
from soundstage.exchange.exchange import Exchange, Leave
from soundstage.exchange.session import Session
from soundstage.exchange.target import find
from soundstage.exchange.ties import ask_alone, leave_and_ask, leaves_of, tied_endpoints
from soundstage.generation.faults.catalogue import Fault
from soundstage.proof.call_maker import CallMaker
from soundstage.proof.kill_matrix import TrialFinding
from soundstage.proof.own_emulator import FAULT_HEADER, own_session

#: Seconds that an exchange with an emulator of this process may take.


def found_in_ties(
    contract: Contract, faults: Sequence[Fault], seed: int = 0
) -> Iterator[tuple[Fault, TrialFinding]]:
    """Each fault of level "service": a stream is left after each of its stages, until one shows the
    fault; a job is asked for alone.
    """
    if not faults:
        return
    with _tied(contract, seed) as place:
        for fault in faults:
            found = list(place.asked(contract.endpoints[fault.of], fault))
            yield fault, _finding(fault, found)


def untied(contract: Contract, seed: int = 0) -> Iterator[tuple[Endpoint, Violation]]:
    """What is found of endpoints that no fault is in: false alarms."""
    endpoints = tied_endpoints(contract)
    if not endpoints:
        return
    with _tied(contract, seed) as place:
        for endpoint in endpoints:
            for exchange in place.asked(endpoint, None):
                yield from ((endpoint, each) for each in exchange.violations)


def _finding(fault: Fault, exchanges: Sequence[Exchange]) -> TrialFinding:
    seen = [each for exchange in exchanges for each in exchange.violations]
    said = [f"{v.code} ({v.severity})" for v in seen if v.severity != "info"]
    return TrialFinding(
        any(v.code in fault.codes and v.severity == fault.severity for v in seen),
        tuple(dict.fromkeys(said)),
        placed=any(exchange.looks for exchange in exchanges),
    )


@dataclass(frozen=True, slots=True)
class _TiedPlace:
    """An emulator of one contract, and a client of it."""

    session: Session
    calls: CallMaker

    def asked(self, endpoint: Endpoint, fault: Fault | None) -> Iterator[Exchange]:
        """Generations that are asked for beside their stream, or alone; none more once one of them
        shows the fault.
        """
        headers = () if fault is None else ((FAULT_HEADER, fault.name),)
        leaves: list[Leave | None] = [*leaves_of(endpoint)] or [None]
        for leave in leaves:
            rng = random.Random(f"{self.calls.seed}/{endpoint.name}/{leave}")
            call = self.calls.call(endpoint, rng, headers=headers, confirm=1)
            client = self.session.client
            if endpoint.kind == "job":
                exchange = ask_alone(client, call, self._charges)
            elif leave is not None:
                exchange = leave_and_ask(client, call, leave, self._charges)
            else:
                return
            yield exchange
            if fault is not None and any(v.code in fault.codes for v in exchange.violations):
                return

    def _charges(self) -> int | None:
        charges = find(self.session.target.url, self.session.transport).about.get("charges")
        return None if charges is None else int(charges)


@contextmanager
def _tied(contract: Contract, seed: int) -> Iterator[_TiedPlace]:
    with own_session(contract, seed) as session:
        yield _TiedPlace(session, CallMaker(contract, session.client, seed))
