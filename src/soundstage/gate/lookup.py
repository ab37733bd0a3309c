"""What is wrong with an identifier by which nothing could be looked up."""

from __future__ import annotations

from typing import Final

from soundstage.conformance.answers import violation
from soundstage.conformance.fields import shown
from soundstage.conformance.violations import Violation
from soundstage.contract import Contract
from soundstage.contract.json_schema.field_schemas import pointer
from soundstage.contract.protocol import Endpoint
from soundstage.contract.roles import identifiers
from soundstage.exchange.filled_paths import UnusableError, segment

#: What an identifier that is none breaks: the rule of its field, by the last step of its id.
_CODES: Final = {"value": "field.value", "type": "field.type"}


def unusable(contract: Contract, made_by: Endpoint, identifier: str) -> Violation | None:
    """What is wrong with the identifier of a generation that `made_by` gave, where the contract has
    an endpoint that looks generations up; None if nothing is.
    """
    if contract.endpoint_of_kind("status") is None:
        return None
    try:
        segment(identifier)
    except UnusableError as error:
        for name in identifiers(contract):
            said = f"{name} is {shown(identifier)}: nothing can be looked up by it, as {error}"
            for aspect, code in _CODES.items():
                rule = f"{made_by.name}/field/{name}/{aspect}"
                if f"{contract.api}/{rule}" in contract.rules.rules:
                    return violation(contract, code, rule, said, pointer(name))
    return None
