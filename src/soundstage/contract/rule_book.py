"""The rules of a contract by id, and the way from a broken constraint to its rule."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from soundstage.contract.grounds import Grounds
from soundstage.contract.json_schema.field_schemas import WHOLE_OBJECT, Schema, constraints

_SEVERITY = {"documented": "error", "exemplified": "error", "inferred": "warning"}


@dataclass(frozen=True, slots=True)
class Rule:
    """One thing that the contract asks. `endpoint` is "stream", "sync", "status", "error" or
    "request"; `severity` ("error", "warning", "info") follows from the basis unless overridden;
    `text` says what is asked in one sentence.
    """

    id: str
    api: str
    endpoint: str
    basis: str
    severity: str
    source: str
    text: str


class RuleBook:
    """All rules of a contract by id, and the way from a broken constraint to its rule."""

    def __init__(self, api: str) -> None:
        self.api = api
        self.rules: dict[str, Rule] = {}
        #: By endpoint: what stands in the ids of the rules of its requests, "" or `NAME/`.
        self.requests: dict[str, str] = {}
        self._constraints: dict[tuple[str, tuple[str, ...], str, str], Rule] = {}

    def __getitem__(self, rule_id: str) -> Rule:
        return self.rules[rule_id]

    def __iter__(self) -> Iterator[Rule]:
        return iter(self.rules.values())

    def __len__(self) -> int:
        return len(self.rules)

    def add(self, endpoint: str, path: str, grounds: Grounds, text: str) -> Rule:
        """A new rule `API/ENDPOINT/PATH`."""
        rule = Rule(
            f"{self.api}/{endpoint}/{path}",
            self.api,
            endpoint,
            grounds.basis,
            grounds.severity or _SEVERITY[grounds.basis],
            grounds.source,
            text,
        )
        if rule.id in self.rules:
            raise ValueError(f"two rules are called {rule.id}")
        self.rules[rule.id] = rule
        return rule

    def add_schema(
        self,
        endpoint: str,
        prefix: str,
        schema: Schema,
        subject: str,
        *,
        types: Grounds | None = None,
    ) -> None:
        """A rule for each constraint of a schema. `prefix` ends in "/" or is empty; `types`: what
        the rules about types rest on, if not on what the types do.
        """
        for constraint in constraints(schema):
            place = f"field/{'.'.join(constraint.path)}" if constraint.path else WHOLE_OBJECT
            path = f"{prefix}{place}/{constraint.aspect}"
            if f"{self.api}/{endpoint}/{path}" in self.rules:
                path += f"/{constraint.basis}"  # the same place, asked on other grounds
            grounds = Grounds(constraint.basis, constraint.source)
            if types is not None and constraint.aspect == "type":
                grounds = types
            rule = self.add(endpoint, path, grounds, f"In {subject}, {constraint.text}.")
            key = (f"{endpoint}/{prefix}", constraint.path, constraint.aspect, constraint.basis)
            self._constraints[key] = rule

    def of_constraint(
        self, endpoint: str, prefix: str, path: tuple[str, ...], aspect: str, basis: str
    ) -> Rule:
        """The rule that `add_schema` made for a constraint; KeyError if it made none."""
        return self._constraints[(f"{endpoint}/{prefix}", path, aspect, basis)]
