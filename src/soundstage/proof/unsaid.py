"""What a contract leaves unsaid: nothing is wrong with that, but what nobody says nobody checks,
measures or shows.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple

from soundstage.contract import Contract
from soundstage.contract.json_schema.field_schemas import Schema
from soundstage.contract.json_schema.keywords import inner
from soundstage.contract.protocol import Endpoint
from soundstage.exchange.filled_paths import names_in
from soundstage.proof.contract_files import ContractFiles
from soundstage.proof.no_fault import unbroken_keywords

#: What is named in one line; `--format json` has all.
_NAMED = 12


class Unsaid(NamedTuple):
    """One thing that is left unsaid: its kind, what that means, and of what."""

    kind: str
    says: str
    of: tuple[str, ...]

    def __str__(self) -> str:
        named = ", ".join(self.of[:_NAMED])
        more = len(self.of) - _NAMED
        beyond = f", and {more} more" if more > 0 else ""
        return f"{self.says}: {named}{beyond}" if self.of else self.says


def unsaid(contract: Contract, files: ContractFiles) -> Iterator[Unsaid]:
    """All of it."""
    told = [each for each in contract.endpoints.values() if each.protocol is not None]
    for endpoint in told:
        assert endpoint.protocol is not None
        stages = endpoint.protocol.stages
        silent = tuple(s.name for s in stages if not (s.milestones or s.failure or s.anywhere))
        if silent and len(silent) == sum(not (s.failure or s.anywhere) for s in stages):
            yield Unsaid("no_milestone", f"{endpoint.name} has no milestone: nothing is timed", ())
        elif silent:
            yield Unsaid("no_milestone", f"stages of {endpoint.name} without a milestone", silent)
        if not any(stage.failure for stage in stages):
            says = f"{endpoint.name} has no stage that reports a failure"
            yield Unsaid("no_failure", says, ())
    if fields := tuple(sorted(_without_role(contract))):
        yield Unsaid("no_role", "fields without a role", fields)
    if lonely := tuple(each.name for each in _unreached(contract)):
        yield Unsaid("not_reached", "endpoints that nothing else leads to", lonely)
    if not files.has_errors:
        yield Unsaid("no_errors", "there is no errors.json: any error will do", ())
    for each in unbroken_keywords(contract, files):
        yield Unsaid("no_fault", str(each), ())


def _without_role(contract: Contract) -> Iterator[str]:
    """The names of fields of answers and chunks that have no role, and no part in the course."""
    schemas = [stage.schema for stage in contract.stages]
    schemas += [each.response for each in contract.endpoints.values() if each.response]
    known: set[str] = set()
    for endpoint in contract.endpoints.values():
        known |= {given.field.parts[-1] for given in endpoint.gives if given.field is not None}
        if (own := endpoint.protocol) is not None:
            words = (own.tracks, own.index, own.completion, *own.constant, *own.never_decrease)
            known |= {each.field.parts[-1] for each in words if each is not None}
    return (name for name in dict.fromkeys(_names(schemas)) if name not in known)


def _names(schemas: list[Schema]) -> Iterator[str]:
    for schema in schemas:
        for each in inner(schema):
            fixed = each.schema.keys() & {"const", "properties", "items", "prefixItems", "x-role"}
            if each.way[0] == "properties" and not fixed:
                yield str(each.way[1])
            yield from _names([each.schema])


def _unreached(contract: Contract) -> Iterator[Endpoint]:
    """Endpoints that are asked with what no other endpoint gives."""
    gives = {given.name for each in contract.endpoints.values() for given in each.gives}
    by_role = any(not each.gives for each in contract.of_kind("stream"))
    for endpoint in contract.endpoints.values():
        missing = names_in(endpoint) - endpoint.parameters.keys() - gives
        if missing and not (endpoint.kind == "status" and len(missing) == 1 and by_role):
            yield endpoint
