"""Every fault of the catalogue over the whole path: asked of a running emulator by header, sent
over real sockets, judged by the client. What `soundstage faults` proves in memory, seen again.
"""

from __future__ import annotations

import time

from benchmarks.result import Row
from soundstage.contract import Contract, load_all
from soundstage.exchange.client import Call
from soundstage.exchange.session import Session, open_session
from soundstage.exchange.spawn import spawned_emulator
from soundstage.generation.faults.catalogue import catalogue, wire_faults
from soundstage.generation.faults.fault import Fault
from soundstage.proof.wire_trials import found_on_the_wire

_LINES = ("--framing", "lines")
_FAILING_WORD = "failing-test-word"


def measure() -> list[Row]:
    """Faults caught under the right code and severity, of all that there are."""
    rows = []
    arguments = ["--profile", "instant", "--seed", "1"]
    with spawned_emulator(arguments) as url, spawned_emulator([*arguments, *_LINES]) as lines:
        sessions = [open_session(url), open_session(lines)]
        for contract in load_all().values():
            faults = catalogue(contract)
            begun = time.perf_counter()
            # A few faults exist only in bare JSON lines.
            missed = [
                fault.name
                for fault in faults
                if not any(_caught(contract, fault, session) for session in sessions)
            ]
            on_the_wire = wire_faults(contract)
            trials = found_on_the_wire(contract, on_the_wire, seed=1)
            missed += [fault.name for fault, finding in trials if not finding.caught]
            seconds = time.perf_counter() - begun
            many = len(faults) + len(on_the_wire)
            what = f"faults caught over the whole path, {contract.api}"
            caught = f"{many - len(missed)} of {many} in {seconds:.0f} s"
            rows.append(Row(what, caught, ", ".join(missed[:3]), "", "all"))
        for session in sessions:
            session.close()
    return rows


def _caught(contract: Contract, fault: Fault, session: Session) -> bool:
    headers = [("Soundstage-Fault", fault.name)]
    if fault.of == "error":
        printed = [error.name for error in contract.errors.known if error.printed]
        named = fault.name.split("/")[1]
        headers.append(("Soundstage-Error", named if named in printed else printed[0]))
    body = dict(next(each.payload for each in contract.examples if each.of == "request"))
    if fault.of_failure:
        body["prompt"] = f"a song with the {_FAILING_WORD}"
    endpoint = contract.endpoints.get(fault.of) or contract.endpoint_of_kind("stream")
    assert endpoint is not None
    call = Call(
        contract,
        endpoint,
        body,
        headers=tuple(headers),
        expect_error=fault.of == "error",
        broken_rule=fault.broken_rule,
    )
    found = session.client.exchange(call).violations
    return any(v.code in fault.codes and v.severity.value == fault.severity for v in found)
