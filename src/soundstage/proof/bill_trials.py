"""The part of the kill matrix that needs an account: an emulator in this process charges wrongly,
and whoever adds up what it should have charged must notice.
"""

from __future__ import annotations

import random
from collections.abc import Iterator, Sequence
from dataclasses import replace

from soundstage.contract import Contract
from soundstage.contract.protocol import Endpoint
from soundstage.exchange.account.billing import Billing, BillJudgement
from soundstage.exchange.session import Session
from soundstage.exchange.target import find
from soundstage.generation.faults.catalogue import Fault
from soundstage.generation.faults.fault_bills import REFUSED
from soundstage.proof.call_maker import CallMaker
from soundstage.proof.kill_matrix import TrialFinding
from soundstage.proof.own_emulator import FAULT_HEADER, own_session

#: What no contract's request is sent as: refused by all, and by the endpoint that the body is for.
_OTHER_TYPE = "text/plain"


def found_in_bills(
    contract: Contract, faults: Sequence[Fault], seed: int = 0
) -> Iterator[tuple[Fault, TrialFinding]]:
    """Each fault of what is charged, in a song or, where that is its place, in a refusal."""
    if not faults:
        return
    with own_session(contract, seed) as session:
        for fault in faults:
            found = _asked(session, contract, contract.endpoints[fault.of], fault, seed).found
            codes = () if found is None else (f"{found.code} ({found.severity})",)
            yield (
                fault,
                TrialFinding(
                    found is not None
                    and found.code in fault.codes
                    and found.severity == fault.severity,
                    codes,
                ),
            )


def unbilled(contract: Contract, seed: int = 0) -> Iterator[tuple[Endpoint, BillJudgement]]:
    """What is found of endpoints that charge as they should: false alarms."""
    with own_session(contract, seed) as session:
        for endpoint in contract.endpoints.values():
            if endpoint.makes_songs and endpoint.billed:
                judged = _asked(session, contract, endpoint, None, seed)
                if judged.found is not None:
                    yield endpoint, judged


def _asked(
    session: Session, contract: Contract, endpoint: Endpoint, fault: Fault | None, seed: int
) -> BillJudgement:
    """One song and one refusal, and what is found in the account afterwards."""
    client, transport, url = session.client, session.transport, session.target.url
    calls = CallMaker(contract, client, seed)
    rng = random.Random(f"{seed}/{endpoint.name}")
    headers = () if fault is None else ((FAULT_HEADER, fault.name),)
    calls.call(endpoint, rng)  # what it is filled in with is asked for before it is counted
    billing = Billing.of([contract], find(url, transport).about)
    retried = endpoint.idempotency_key
    keyed = () if retried is None else ((retried, f"{seed}-{fault.name if fault else ''}"),)
    call = calls.call(endpoint, rng, headers=(*headers, *keyed))
    for again in (False, True) if keyed else (False,):
        song = client.exchange(call)
        billing.add(song.row(song.started_ns), again=again)
    if endpoint.request is not None and (fault is None or fault.name.endswith(f"/{REFUSED}")):
        call = calls.call(endpoint, rng, headers=headers, expect_error=True)
        refused = client.exchange(replace(call, content_type=_OTHER_TYPE))
        billing.add(refused.row(refused.started_ns))
    return billing.judge(contract, endpoint, find(url, transport).about)
