"""Tells the stage of a chunk, and what follows from it: what there is to check in such a chunk.

Built once per contract and endpoint, and shared by all streams; answers are remembered.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator
from functools import cache
from operator import itemgetter
from typing import Any, NamedTuple

from soundstage.conformance.fields import FieldCheck
from soundstage.conformance.violations import Severity, Violation
from soundstage.contract import Contract, patterns
from soundstage.contract.field_schemas import Schema
from soundstage.contract.protocol import Endpoint, Stage

#: Values of these types are equal only if they are the same JSON value (1, 1.0 and true are not).
_DISTINCT = frozenset((str, bool, type(None)))
#: How many kinds of chunk are remembered, and how long the names and marks of one may be.
_MOST_KINDS = 1024
_LONGEST_KIND = 1000


class Kind(NamedTuple):
    """What follows from a chunk's names and from the values that stages are told by.

    `fits` says whether the fields of such a chunk are as they should be; None where they cannot
    be, since not all of its names are documented. The rest: what there is to check in it.
    """

    stage: Stage
    fields: FieldCheck
    fits: Callable[[Any], bool] | None
    tracked: bool
    constant: tuple[str, ...]
    values: Callable[[dict[str, Any]], Any] | None
    rising: tuple[str, ...]


class Compiled:
    """What every stream of one endpoint shares: built once per contract."""

    def __init__(self, contract: Contract, endpoint: Endpoint) -> None:
        protocol = contract.protocol
        self.contract = contract
        self.protocol = protocol
        self.prefix = f"{contract.api}/{endpoint.name}/"
        self.framings = endpoint.framings
        #: Whether a pattern came to its limit: streams are not judged as a whole from then on.
        self.given_up = False
        self._kinds: dict[tuple[Any, ...], Kind] = {}
        self._slow = [
            stage.when
            for stage in protocol.stages
            if any(map(patterns.can_give_up, patterns.of_schema(stage.when)))
        ]
        self.stages: list[tuple[Callable[[Any], bool], Stage, FieldCheck]] = []
        for stage in protocol.stages:
            when = patterns.validator(stage.when).is_valid
            prefix = f"{stage.name}/"
            fields = FieldCheck(
                contract.rules,
                endpoint.name,
                prefix,
                stage.schema,
                protocol.fields,
                on_change=self._gave_up,
            )
            self.stages.append((when, stage, fields))
        # The field that most stages are told by: what to name when no stage fits.
        marks = Counter(
            mark for each in protocol.stages for mark in each.when.get("properties", ())
        )
        self.mark = marks.most_common(1)[0][0] if marks else ""
        looked_at = [set(marks_of(stage.when)) for stage in protocol.stages]
        self._looked_at = frozenset().union(*looked_at)
        self._valued = tuple(sorted(name for name, by_value in self._looked_at if by_value))

    def kind(self, chunk: dict[str, Any]) -> Kind | None:
        """The stage of a chunk and what to check in it; None if no stage knows it.

        Answers are remembered: streams consist of a few kinds of chunk, and trying every `when`
        costs more than all other checks together.
        """
        marks = tuple(map(chunk.get, self._valued))
        key = (tuple(chunk), marks)
        if not _DISTINCT.issuperset(map(type, marks)):
            return self._recognised(chunk)
        kind = self._kinds.get(key)
        if kind is None:
            kind = self._recognised(chunk)
            size = sum(map(len, key[0])) + sum(len(mark) for mark in marks if type(mark) is str)
            if kind is not None and size <= _LONGEST_KIND and len(self._kinds) < _MOST_KINDS:
                self._kinds[key] = kind
        return kind

    def _recognised(self, chunk: dict[str, Any]) -> Kind | None:
        # Only what is looked at, since the library refuses what is nested too deeply elsewhere.
        marks = {name: chunk[name] for name, _ in self._looked_at if name in chunk}
        if any(any(patterns.given_up(when, marks)) for when in self._slow):
            self._gave_up()
            return None
        found = next((each for each in self.stages if each[0](marks)), None)
        if found is None:
            return None
        _, stage, fields = found
        protocol = self.protocol
        constant = tuple(each.field for each in protocol.constant if each.field in chunk)
        return Kind(
            stage,
            fields,
            fits=fields.is_valid if chunk.keys() <= fields.known else None,
            tracked=protocol.tracks is not None and protocol.tracks.field in chunk,
            constant=constant,
            values=_values_of(constant),
            rising=tuple(
                each.field
                for each in protocol.never_decrease
                if stage.name in each.stages and each.field in chunk
            ),
        )

    def _gave_up(self) -> None:
        self.given_up = True
        self._kinds.clear()

    def violation(
        self,
        code: str,
        rule: str,
        chunk: int | None,
        path: str,
        message: str,
    ) -> Violation:
        severity = Severity(self.contract.rules[self.prefix + rule].severity)
        return Violation(code, severity, chunk, path, message, self.prefix + rule)


def marks_of(when: Schema) -> Iterator[tuple[str, bool]]:
    """The fields that a `when` looks at, and whether it looks at their values or only whether
    they are there.
    """
    for name in when.get("properties", ()):
        yield name, True
    for name in when.get("required", ()):
        yield name, False
    for keyword in ("allOf", "anyOf"):
        for part in when.get(keyword, ()):
            yield from marks_of(part)
    if "not" in when:
        yield from marks_of(when["not"])


@cache
def _values_of(names: tuple[str, ...]) -> Callable[[dict[str, Any]], Any] | None:
    return itemgetter(*names) if names else None


@cache
def compiled(contract: Contract, endpoint: str) -> Compiled:
    return Compiled(contract, contract.endpoints[endpoint])
