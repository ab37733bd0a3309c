"""What a target should have charged for, by what was seen, beside what an emulator says it did.

A song is charged for once, with the stage that charges (else when it is whole); what is refused is
not. Of what broke off nobody knows, so what is expected is a range. Only an emulator says what it
charged, and only of itself: where others asked it meanwhile, their songs are among them, and then
nothing is judged.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any, Final, NamedTuple

from soundstage.conformance.answers import violation
from soundstage.conformance.violations import Violation
from soundstage.contract import Contract
from soundstage.contract.protocol import Endpoint
from soundstage.contract.rules import BILLING

#: A request that is refused has a status from here on; from the second, a song may have failed
#: after it was paid for.
_REFUSED, _FAILED = 400, 500
_MULTIPLE: Final = 300

Place = tuple[str, str]


class BillJudgement(NamedTuple):
    """What became of the rule about billing at one endpoint: what is wrong with it, or why that is
    not judged; both None: it adds up.
    """

    found: Violation | None = None
    reason: str | None = None


@dataclass(slots=True)
class _Expected:
    """Of one endpoint: requests that were `sent` at most, and what they should have been charged
    for at least and at most.
    """

    sent: int = 0
    least: int = 0
    most: int = 0
    last: str = ""


@dataclass(slots=True)
class Billing:
    """What one run should be charged. `about`: what the target said of itself before it."""

    contracts: Mapping[str, Contract]
    about: Mapping[str, Any]
    _expected: dict[Place, _Expected] = field(default_factory=dict)

    @classmethod
    def of(cls, contracts: Iterable[Contract], about: Mapping[str, Any]) -> Billing:
        """Of a run that is held against these contracts."""
        return cls({each.api: each for each in contracts}, about)

    def add(self, row: Mapping[str, Any], *, again: bool = False) -> None:
        """Count a row of exchanges.ndjson.gz. `again`: its request was sent again, with the key
        that it had before.
        """
        place = row["api"], row["endpoint"]
        contract = self.contracts.get(row["api"])
        endpoint = contract.endpoints.get(row["endpoint"]) if contract is not None else None
        if endpoint is None or not endpoint.makes_songs or row["outcome"] == "dropped":
            return
        known = self._expected.setdefault(place, _Expected())
        least, most = _charged(endpoint, row) if endpoint.billed and not again else (0, 0)
        known.sent += 1
        known.least += least
        known.most += most
        known.last = row["id"]

    def last(self, api: str, endpoint: str) -> str | None:
        """The exchange by which a finding at an endpoint stands."""
        known = self._expected.get((api, endpoint))
        return None if known is None else known.last

    def judge(
        self, contract: Contract, endpoint: Endpoint, about: Mapping[str, Any]
    ) -> BillJudgement:
        """Hold what is expected of an endpoint against what the target says now."""
        place = contract.api, endpoint.name
        before, now = (_counts(each, *place) for each in (self.about, about))
        if before is None or now is None:
            return BillJudgement(reason="only an emulator says what it charged")
        known = self._expected.get(place, _Expected())
        asked, charged = (after - start for start, after in zip(before, now, strict=True))
        if not known.sent:
            return BillJudgement(reason="nothing was asked for here")
        if not 0 <= asked <= known.sent:
            return BillJudgement(reason="others asked this emulator meanwhile, or it began anew")
        if known.least <= charged <= known.most:
            return BillJudgement()
        code = "billing.too_much" if charged > known.most else "billing.too_little"
        due = f"{known.least:,}"
        if known.least != known.most:
            due += f" to {known.most:,}"
        message = (
            f"{charged:,} songs were charged for, and {due} should have been, of {known.sent:,} "
            "requests"
        )
        return BillJudgement(violation(contract, code, f"{endpoint.name}/{BILLING}", message))

    def cost(self) -> list[dict[str, Any]]:
        """What the songs cost, by the contracts' prices: the least and the most, by unit; nothing
        where no contract says a price.
        """
        found: dict[str, list[float]] = {}
        for (api, name), known in sorted(self._expected.items()):
            price = self.contracts[api].endpoints[name].price
            if price is not None:
                sums = found.setdefault(price.unit, [0.0, 0.0])
                sums[0] += known.least * price.amount
                sums[1] += known.most * price.amount
        return [
            {"unit": unit, "least": least, "most": most} for unit, (least, most) in found.items()
        ]


def cost_of(billing: Billing) -> dict[str, Any]:
    """`cost` of the budget in run.json; nothing where no contract says a price."""
    cost = billing.cost()
    return {"cost": cost} if cost else {}


def _charged(endpoint: Endpoint, row: Mapping[str, Any]) -> tuple[int, int]:
    """How often one exchange should be charged for, at least and at most."""
    status = row.get("http_status")
    if status is None:
        return 0, 1
    if status >= _REFUSED:
        # A result that is made while its client waits may fail once it is paid for.
        paid = endpoint.kind != "stream" and status >= _FAILED
        return 0, int(paid)
    if status >= _MULTIPLE or row.get("hops") or row.get("errors") or row["outcome"] == "refused":
        return 0, 1
    protocol = endpoint.protocol
    slow = {stage.name for stage in protocol.stages if stage.charges} if protocol else set()
    seen = {name.partition("#")[0] for name in row["stages"]}
    certain = row["outcome"] == "ok" or bool(slow & seen)
    return int(certain), 1


def _counts(about: Mapping[str, Any], api: str, endpoint: str) -> tuple[int, int] | None:
    """Requests and charges of an endpoint by now, as an emulator says; None where it does not."""
    found = []
    for word in ("asked", "charged"):
        by_api = about.get(word)
        by_name = by_api.get(api) if isinstance(by_api, Mapping) else None
        many = by_name.get(endpoint) if isinstance(by_name, Mapping) else None
        if type(many) is not int:
            return None
        found.append(many)
    return found[0], found[1]
