"""Faults of what two endpoints say of one generation: no single answer shows them.

Nothing is changed in an answer: the emulator lets the service itself behave so, and whoever asks
both endpoints must notice.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, Final

from soundstage.contract import Contract
from soundstage.generation.faults.fault import Fault

UNKNOWN_ID: Final = "unknown_id"
BEHIND: Final = "behind"
OTHER_URL: Final = "other_url"
CHARGED_TWICE: Final = "charged_twice"

#: Name -> code, rule below the endpoint, what it does; whether only a stream can show it.
_TIES: Final = {
    UNKNOWN_ID: (
        "job.unknown_id",
        "status/known",
        "nobody knows the id that was given, once its reader has gone",
        False,
    ),
    BEHIND: ("job.behind", "status/not_behind", "the state that is shown stays the first", True),
    OTHER_URL: (
        "job.other_result",
        "result/same",
        "the state that is shown has other URLs than the stream had",
        True,
    ),
    CHARGED_TWICE: (
        "job.charged_twice",
        "charged/once",
        "a generation is charged for again when it is asked for",
        False,
    ),
}


def of_ties(contract: Contract) -> Iterator[Fault]:
    """The faults of every endpoint whose generations another one looks up."""
    for endpoint in contract.endpoints.values():
        if endpoint.looked_up_by is None or endpoint.kind not in ("stream", "job"):
            continue
        for name, (code, rule, says, of_stream) in _TIES.items():
            if of_stream and endpoint.kind != "stream":
                continue
            yield Fault(
                f"tie/{endpoint.name}/{name}",
                "service",
                endpoint.name,
                frozenset({code}),
                contract.rules[f"{contract.api}/{endpoint.name}/{rule}"].severity,
                says,
                _nothing,
                kind="tie",
            )


def _nothing(answer: Any, rng: Any) -> None:
    """No answer has a place for it."""
