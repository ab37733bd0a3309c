"""The part of the kill matrix that needs a connection: the faults of the wire, asked of an emulator
in this process, sent over sockets, and judged by the client that the gate and the load test use.
"""

from __future__ import annotations

import random
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from typing import Final, NamedTuple

from soundstage.conformance.violations import Verdict
from soundstage.contract import Contract
from soundstage.contract.protocol import Endpoint
from soundstage.exchange.client import Exchange
from soundstage.exchange.session import Session, open_session
from soundstage.generation.faults.catalogue import Fault
from soundstage.proof.call_maker import CallMaker
from soundstage.proof.kill_matrix import TrialFinding
from soundstage.proof.own_emulator import FAULT_HEADER, PATIENT_S, framings_of, own_emulator

#: What faults that take time are asked to take where they need not outlast the client's patience.
_SHORT_S: Final = 0.05
#: How long a client waits for what never comes: seconds without a byte, and for the whole exchange.
#: A busy machine may need longer to send what does come, so it is tried again with more patience.
_HASTY_S: Final = ((0.25, 0.6), (1.0, 2.5), (4.0, 10.0))
#: The patience of a client that waits for what comes.

_NO_PLACE: Final = TrialFinding(caught=False, placed=False)


class _TrialGround(NamedTuple):
    """An emulator with one framing of streams, and clients of it: one that is patient, and others
    that are ever less hasty.
    """

    framing: str
    patient: Session
    hasty: tuple[Session, ...]
    calls: CallMaker


def found_on_the_wire(
    contract: Contract, faults: Sequence[Fault], seed: int = 0
) -> Iterator[tuple[Fault, TrialFinding]]:
    """Each fault of the wire in a stream of each framing and in a result; the first answer that it
    is not caught in says what was found in its place.
    """
    if not faults:
        return
    with _emulators(contract, seed) as places:
        for fault in faults:
            yield fault, _tried(contract, fault, places, seed)


@contextmanager
def _emulators(contract: Contract, seed: int) -> Iterator[list[_TrialGround]]:
    with ExitStack() as stack:
        places = []
        for framing in framings_of(contract):
            url = stack.enter_context(own_emulator(contract, seed, framing))
            patient = open_session(url, timeout_s=PATIENT_S)
            hasty = tuple(
                open_session(url, timeout_s=total_s, idle_timeout_s=idle_s)
                for idle_s, total_s in _HASTY_S
            )
            for session in (patient, *hasty):
                stack.callback(session.close)
            calls = CallMaker(contract, patient.client, seed)
            places.append(_TrialGround(framing, patient, hasty, calls))
        yield places


def _tried(
    contract: Contract, fault: Fault, places: Sequence[_TrialGround], seed: int
) -> TrialFinding:
    """What came of a fault everywhere; of an answer that has no place for it nothing is told."""
    rng = random.Random(f"{seed}/{fault.name}")
    endless = any(reason.endswith("_timeout") for reason in fault.reasons)
    whole = _NO_PLACE
    for place in places:
        for endpoint in contract.endpoints.values():
            if not endpoint.makes_songs:
                continue
            finding = _NO_PLACE
            for session in place.hasty if endless else (place.patient,):
                finding = judged(fault, _exchange(place.calls, endpoint, fault, session, rng))
                if finding.caught or not finding.placed:
                    break
            if finding.caught:
                whole = finding
            elif finding.placed:
                where = f"{endpoint.name}, {place.framing}"
                return finding._replace(found=tuple(f"{what} ({where})" for what in finding.found))
    return whole


def _exchange(
    calls: CallMaker, endpoint: Endpoint, fault: Fault, session: Session, rng: random.Random
) -> Exchange:
    text = fault.name
    if fault.setting is not None and fault.setting < PATIENT_S:
        text = f"{fault.name}={min(fault.setting, _SHORT_S):g}"
    return session.client.exchange(calls.call(endpoint, rng, headers=((FAULT_HEADER, text),)))


def judged(fault: Fault, exchange: Exchange) -> TrialFinding:
    """Whether a client made of an answer what the catalogue says of its fault."""
    missed = exchange.response.header("soundstage-fault-missed")
    found = [f"{v.code} ({v.severity})" for v in exchange.violations if v.severity != "info"]
    verdict, reason = exchange.verdict, exchange.judge.reason
    if missed is not None:
        return _NO_PLACE
    if fault.codes:
        caught = any(v.code in fault.codes and v.severity == "error" for v in exchange.violations)
    elif verdict is Verdict.INCONCLUSIVE and reason in fault.reasons:
        # Of a single body that never ends nothing can be known; a stream has said its last chunk.
        caught = fault.verdict == "inconclusive" or exchange.call.endpoint.kind != "stream"
    else:
        caught = verdict.value == fault.verdict == "conforms" and not found
    return TrialFinding(
        caught, (*dict.fromkeys(found), f"{verdict.value}: {reason or 'no reason'}")
    )
