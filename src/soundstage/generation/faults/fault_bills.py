"""Faults of what is charged: no answer shows them, only the account. The emulator lets the service
itself charge so, and whoever adds up must notice.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, Final

from soundstage.contract import Contract
from soundstage.contract.rules import BILLING
from soundstage.generation.faults.fault import Fault

TWICE: Final = "twice"
REFUSED: Final = "refused"
NOT_AT_ALL: Final = "not_at_all"
RETRIED: Final = "retried"

#: Name -> code, what it does.
_BILLS: Final = {
    TWICE: ("billing.too_much", "a song is charged for twice"),
    REFUSED: ("billing.too_much", "a request that is refused is charged for"),
    NOT_AT_ALL: ("billing.too_little", "a song is not charged for"),
    RETRIED: ("billing.too_much", "a request that is sent again with its key is charged for again"),
}


def of_bills(contract: Contract) -> Iterator[Fault]:
    """The faults of every endpoint whose songs are charged for."""
    for endpoint in contract.endpoints.values():
        if not (endpoint.billed and endpoint.makes_songs):
            continue
        severity = contract.rules[f"{contract.api}/{endpoint.name}/{BILLING}"].severity
        for name, (code, says) in _BILLS.items():
            if name == RETRIED and endpoint.idempotency_key is None:
                continue
            yield Fault(
                f"bill/{endpoint.name}/{name}",
                "service",
                endpoint.name,
                frozenset({code}),
                severity,
                says,
                _nothing,
                kind="bill",
            )


def _nothing(answer: Any, rng: Any) -> None:
    """No answer has a place for it."""
