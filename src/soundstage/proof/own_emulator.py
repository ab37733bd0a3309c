"""An emulator of one contract in this process, for what only a connection can show."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from typing import Final

from soundstage.contract import Contract
from soundstage.exchange.session import Session, open_session

#: A session waits so long for what does not come by itself, in seconds.
PATIENT_S: Final = 30.0
#: Names the fault that the answer to one request gets.
FAULT_HEADER: Final = "Soundstage-Fault"


def framings_of(contract: Contract) -> tuple[str, ...]:
    """The framings that streams of the contract come in; "json", one body, where it has none."""
    streams = contract.of_kind("stream")
    return tuple(dict.fromkeys(each for one in streams for each in one.framings)) or ("json",)


@contextmanager
def own_emulator(contract: Contract, seed: int = 0, framing: str | None = None) -> Iterator[str]:
    """The URL of an emulator that takes no time. `framing`: that of streams which allow it (None:
    the first that there is).
    """
    from soundstage.emulator import Options, running

    framing = framing or framings_of(contract)[0]
    options = Options(profile="instant", seed=seed)
    if framing in {each for one in contract.endpoints.values() for each in one.framings}:
        options = replace(options, framing=framing)
    with _quiet(), running(options, contracts={contract.api: contract}) as served:
        yield served.url


@contextmanager
def own_session(contract: Contract, seed: int = 0) -> Iterator[Session]:
    """A patient session with an emulator of one contract."""
    with own_emulator(contract, seed) as url:
        session = open_session(url, timeout_s=PATIENT_S)
        try:
            yield session
        finally:
            session.close()


@contextmanager
def _quiet() -> Iterator[None]:
    """What the emulator says of faults without a place is found, and need not be said as well."""
    log = logging.getLogger("soundstage.emulator")
    before = log.level
    log.setLevel(logging.ERROR)
    try:
        yield
    finally:
        log.setLevel(before)
