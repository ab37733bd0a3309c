"""Tells the stage of a chunk, and what follows from it: what there is to check in such a chunk.

Built once per contract and endpoint, and shared by all streams.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator, Set
from functools import cache
from operator import itemgetter
from typing import Any, Final, TypeVar

from soundstage.conformance.fields import FieldCheck, shown
from soundstage.conformance.order.remembered_states import RememberedStates
from soundstage.conformance.remembered_kinds import (
    NOTHING_RARE,
    Kind,
    RareChecks,
    RememberedKinds,
)
from soundstage.conformance.violations import Compared, Severity, Violation
from soundstage.contract import Contract
from soundstage.contract.json_schema import patterns
from soundstage.contract.json_schema.field_path import FieldPath
from soundstage.contract.json_schema.field_schemas import Schema
from soundstage.contract.json_schema.proved_members import Unproved
from soundstage.contract.protocol import ConstantField, Endpoint, NeverDecrease, Stage
from soundstage.output.cutting import head

#: Characters of what an API says of a failure that are looked at, and kept.
_LOOKED_AT, _LONGEST_FAILURE = 2_048, 200


#: The types of a chunk's number, and of a flag.
_NUMBERS: Final = frozenset({int})
_FLAGS: Final = frozenset({bool})
#: What tells a stage, the stage, and its fields.
_CompiledStage = tuple[Callable[[Any], bool], Stage, FieldCheck]


class Compiled:
    """What every stream of one endpoint shares: built once per contract."""

    def __init__(self, contract: Contract, endpoint: Endpoint) -> None:
        protocol = endpoint.protocol
        assert protocol is not None
        self.contract = contract
        self.protocol = protocol
        self.prefix = f"{contract.api}/{endpoint.name}/"
        self.framings = endpoint.framings
        #: Whether the names of events help to tell stages.
        self.named = any(stage.event is not None for stage in protocol.stages)
        #: The stages that may come, once, after the one that ended the stream.
        self.trailing = frozenset(
            stage.name for stage in protocol.stages if protocol.may_follow_the_end(stage)
        )
        #: Those of whose milestones a field lies deeper in a chunk.
        self._deep_milestones = frozenset(
            stage.name for stage in protocol.stages for each in stage.milestones
            if each.field is not None and each.field.name is None
        )  # fmt: skip
        tracks = protocol.tracks
        self.track_types = frozenset(map(type, tracks.values if tracks is not None else ())) | (
            {int} if tracks is not None and tracks.start is not None else set()
        )
        #: Whether a pattern came to its limit: streams are not judged as a whole from then on.
        self.given_up = False
        self._slow = [
            stage.when
            for stage in protocol.stages
            if any(map(patterns.can_give_up, patterns.of_schema(stage.when)))
        ]
        self.stages: list[_CompiledStage] = []
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
        valued = frozenset(name for name, by_value in self._looked_at if by_value)
        self.remembered = RememberedKinds(self._recognised, self._unproved, valued)
        #: A chunk as its text says, and its kind, if both can be told at a glance.
        self.read = self.remembered.read
        #: The stage of a chunk and what to check in it; None if no stage knows it.
        self.kind = self.remembered.kind
        self.states = RememberedStates()

    def _recognised(self, chunk: dict[str, Any], event: str | None = None) -> Kind | None:
        # Only what is looked at, since the library refuses what is nested too deeply elsewhere.
        marks = {name: chunk[name] for name, _ in self._looked_at if name in chunk}
        if any(any(patterns.given_up(when, marks)) for when in self._slow):
            self._gave_up()
            return None
        named = "" if event == "message" else event
        found, misnamed = self._told_by(marks, named)
        if found is None:
            return None
        _, stage, fields = found
        plain, nested = self._constants(chunk)
        rising = tuple(
            each for each in self.protocol.never_decrease
            if stage.name in each.stages and (each.field.name is None or each.field.name in chunk)
        )  # fmt: skip
        constant = tuple(str(each.field.name) for each in plain)
        index, tracks = self._number_of(stage), self._tracks_of(stage)
        number = _plain(index, chunk, _NUMBERS)
        flag = self._flag_of(stage)
        told, track = _plain(flag, chunk, _FLAGS), _plain(tracks, chunk, self.track_types)
        beside = RareChecks(
            nested,
            rising=tuple(each for each in rising if each.field.name is None),
            number=index if number is None else None,
            tracked=tracks is not None and track is None and tracks.name in (None, *chunk),
            flagged=flag is not None and flag.name is None,
            milestones=stage.name in self._deep_milestones,
            misnamed=misnamed,
        )
        return Kind(
            stage,
            fields,
            self.states.move(stage, chunk),
            track,
            fits=fields.is_valid if chunk.keys() <= fields.known else None,
            values=_values_of(constant),
            constant=constant,
            constants=tuple(_member(each) for each in plain),
            rising=tuple(_member(each) for each in rising if each.field.name is not None),
            number=number,
            flag=told,
            beside=beside if beside != NOTHING_RARE else None,
        )

    def _unproved(self, kind: Kind, chunk: dict[str, Any]) -> Unproved | None:
        if kind.fits is None:
            return None
        return kind.fields.proved.unproved(chunk, self.remembered.valued, kind.constant)

    def _told_by(
        self, marks: dict[str, Any], event: str | None
    ) -> tuple[_CompiledStage | None, str | None]:
        """The stage of a chunk, and what is wrong with the name of its event: the first that the
        name and the chunk speak for; else the first that the chunk alone does, where it says
        anything; else the one whose name it is.
        """
        named = None
        for each in self.stages:
            takes = event is None or each[1].event is None or each[1].event.takes(event)
            if takes and each[0](marks):
                return each, None
            if takes and event and each[1].event is not None:
                named = named or each
        if event is None:
            return None, None
        for each in self.stages:
            if each[1].when and each[0](marks):
                return each, _misnamed(each[1], event)
        return named, None

    def _constants(
        self, chunk: dict[str, Any]
    ) -> tuple[tuple[ConstantField, ...], tuple[ConstantField, ...]]:
        """The constants that are plain members of a chunk, and those that may be deeper in it."""
        plain, nested = [], []
        for each in self.protocol.constant:
            if each.field.name is not None and not each.per_track:
                plain += [each] if each.field.name in chunk else []
            else:
                nested.append(each)
        return tuple(plain), tuple(nested)

    def _tracks_of(self, stage: Stage) -> FieldPath | None:
        """Where chunks of a stage may name their track."""
        tracks = self.protocol.tracks
        if tracks is None or (tracks.field.name is None and not tracks.field.schemas(stage.schema)):
            return None
        return tracks.field

    def _number_of(self, stage: Stage) -> FieldPath | None:
        index = self.protocol.index
        return None if index is None or stage.name in index.without else index.field

    def _flag_of(self, stage: Stage) -> FieldPath | None:
        completion = self.protocol.completion
        return None if completion is None or stage.failure or stage.anywhere else completion.field

    def _gave_up(self) -> None:
        self.given_up = True
        self.remembered.clear()

    def said_of_failure(self, stage: Stage, chunk: dict[str, Any]) -> str:
        """What a failure says of itself: the text that it is told by, or any text of the chunk."""
        told_by = dict.fromkeys(name for name, _ in marks_of(stage.when) if name in chunk)
        fields = self.protocol.fields
        texts = [name for name, field in fields.items() if field.get("x-role") == "text"]
        for name in (*told_by, *texts):
            if isinstance(chunk.get(name), str) and chunk[name]:
                return head(str(chunk[name]), _LONGEST_FAILURE)
        return " and ".join(f"{name} is {shown(chunk[name])}" for name in told_by)

    def violation(
        self,
        code: str,
        rule: str,
        chunk: int | None,
        path: str,
        message: str,
        compared: Compared | None = None,
        *,
        times: int = 1,
    ) -> Violation:
        full = self.prefix + rule
        severity = Severity(self.contract.rules[full].severity)
        return Violation(code, severity, chunk, path, message, full, times, compared)


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


_Said = TypeVar("_Said", ConstantField, NeverDecrease)


def _member(said: _Said) -> tuple[_Said, str, str]:
    """What is said of a plain member of a chunk, its name and its JSON pointer."""
    return said, str(said.field.name), said.field.pointer


def _plain(field: FieldPath | None, chunk: dict[str, Any], types: Set[type]) -> str | None:
    """The name of a field that is a plain member of a chunk, with a value of these types."""
    name = field.name if field is not None else None
    return name if name is not None and name in chunk and type(chunk[name]) in types else None


def _misnamed(stage: Stage, event: str) -> str | None:
    if stage.event is None or stage.event.takes(event):
        return None
    said = f"the event is called {shown(event)}" if event else "the event has no name"
    return f"{said}; expected {shown(stage.event.name) if stage.event.name else 'none'}"


@cache
def _values_of(names: tuple[str, ...]) -> Callable[[dict[str, Any]], Any] | None:
    return itemgetter(*names) if names else None


@cache
def compiled(contract: Contract, endpoint: str) -> Compiled:
    return Compiled(contract, contract.endpoints[endpoint])
