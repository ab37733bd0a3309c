"""Constraints of a contract that cannot hold together, where that can be told without making
anything up. What a single file shows by itself is refused when the contract is read.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import combinations
from typing import Any, NamedTuple

import jsonschema_rs
from jsonschema_rs import canonical

from soundstage.contract import Contract
from soundstage.contract.json_schema.field_path import FieldPath
from soundstage.contract.json_schema.field_schemas import Schema, pointer
from soundstage.contract.json_schema.plain import for_strict_readers
from soundstage.contract.protocol import Endpoint, Protocol, Stage
from soundstage.contract.reading.folder import PROTOCOL
from soundstage.proof.contract_files import ContractFiles

_KNOWN: Schema = {"not": {"type": "null"}}


class ProofPlace(NamedTuple):
    """A place in a contract's folder, and what is wrong there."""

    file: str
    at: str
    reason: str

    def __str__(self) -> str:
        return f"{self.file}#{self.at}: {self.reason}"


def contradictions(contract: Contract, files: ContractFiles) -> Iterator[ProofPlace]:
    """The places that cannot be met, the plainest first; each is one small set of constraints."""
    for endpoint in contract.endpoints.values():
        if None not in (endpoint.request, endpoint.when) and is_impossible(
            endpoint.request, endpoint.when
        ):
            file = files.of_endpoint(endpoint, "request")
            why = f"no request meets this and the `when` of the endpoint {endpoint.name}"
            yield ProofPlace(file, "", why)
        if endpoint.protocol is not None:
            yield from _CourseContradictions(endpoint, endpoint.protocol, files)


def is_impossible(*schemas: Any) -> bool:
    """Whether no value meets all of these schemas, as far as their canonical form tells."""
    whole = for_strict_readers({"allOf": [each for each in schemas if each]})
    try:
        found = jsonschema_rs.canonicalize(whole, offline=True).to_json_schema()
    except (ValueError, canonical.CanonicalizationError):
        return False  # beyond the library's bounds
    return found is False or (isinstance(found, dict) and found.get("not") == {})


class _CourseContradictions:
    """What cannot hold together in what one endpoint tells in order."""

    def __init__(self, endpoint: Endpoint, protocol: Protocol, files: ContractFiles) -> None:
        self._endpoint = endpoint
        self._protocol = protocol
        self._files = files
        self._must = [s for s in protocol.stages if s.times[0] and not s.failure]

    def __iter__(self) -> Iterator[ProofPlace]:
        yield from self._of_recognition()
        yield from self._of_order()
        yield from self._of_constants()
        yield from self._of_tracks()
        yield from self._of_completion()

    def _of_recognition(self) -> Iterator[ProofPlace]:
        """Stages whose chunks are never told for theirs."""
        for number, stage in enumerate(self._protocol.stages):
            file = self._files.of_stage(stage)
            if is_impossible(stage.schema, stage.when):
                yield ProofPlace(file, "", f"no chunk meets this and the `when` of {stage.name}")
                continue
            for other in self._protocol.stages[:number]:
                if _same_event(stage, other) and is_impossible(
                    stage.schema, stage.when, {"not": other.when}
                ):
                    why = f"every chunk of {stage.name} is told for {other.name}, tried before it"
                    yield ProofPlace(file, "", why)
                    break

    def _of_order(self) -> Iterator[ProofPlace]:
        """Stages that must come, and can only after the end."""
        late = _after_the_end(self._protocol, self._must)
        if late:
            names = ", ".join(stage.name for stage in late)
            why = f"{names} must come at {self._endpoint.name}, and can only after its end"
            yield ProofPlace(PROTOCOL, "/stages", why)

    def _of_constants(self) -> Iterator[ProofPlace]:
        """Fields that keep their value, and must have two."""
        for constant in self._protocol.constant:
            if constant.per_track or constant.field.wild:
                continue
            held = [(s, each) for s in self._must if (each := _demanded(s, constant.field))]
            for (one, asked), (other, wanted) in combinations(held, 2):
                if is_impossible(*asked, *wanted):
                    file, at = self._files.of_stage(other), _at(constant.field)
                    why = f"{constant.field} stays the same, and must be another in {one.name}"
                    yield ProofPlace(file, at, f"{why} ({self._files.of_stage(one)})")
                    break

    def _of_tracks(self) -> Iterator[ProofPlace]:
        """Numbers of tracks that a stage of every track does not allow."""
        tracks = self._protocol.tracks
        for stage in self._must if tracks is not None else ():
            assert tracks is not None
            asked = tracks.field.schemas(stage.schema) if stage.per_track else []
            for value in tracks.values if asked else ():
                if is_impossible(*asked, {"const": value}):
                    why = f"{stage.name} comes on each track, and cannot on {value!r}"
                    yield ProofPlace(self._files.of_stage(stage), _at(tracks.field), why)

    def _of_completion(self) -> Iterator[ProofPlace]:
        """Flags that cannot say what they must on the last chunk, or before it."""
        flag = self._protocol.completion
        ends = [stage for stage in self._must if stage.ends == "stream"]
        for stage in self._must if flag is not None and len(ends) == 1 else ():
            assert flag is not None
            last = stage in ends
            grounds = flag.last if last else flag.before_last
            if grounds.severity == "info" or (stage.ends and not last):
                continue
            if (asked := flag.field.schemas(stage.schema)) and is_impossible(
                *asked, {"const": last}
            ):
                what = "the last chunk" if last else "a chunk before the last"
                why = f"{flag.field} must be {str(last).lower()}, as {stage.name} is {what}"
                yield ProofPlace(self._files.of_stage(stage), _at(flag.field), why)


def _same_event(stage: Stage, other: Stage) -> bool:
    """Whether the name of an event does not tell one stage from another."""
    if stage.event is None or other.event is None:
        return other.event is None
    return other.event.takes(stage.event.name or "")


def _after_the_end(protocol: Protocol, must: Sequence[Stage]) -> list[Stage]:
    """Those of the stages that must come that cannot before the stream is over, even if every
    stage that need not come does.
    """
    ends = {each.name for each in must if each.ends == "stream"}
    known = {stage.name for stage in protocol.stages if not stage.failure}
    left = [stage for stage in protocol.stages if stage.name in known - ends]
    come: set[str] = set()

    def ready(stage: Stage) -> bool:
        groups = (*stage.after, *stage.after_all)
        return all(come & set(group) or not known & set(group) for group in groups)

    while able := [stage for stage in left if ready(stage)]:
        come |= {stage.name for stage in able}
        left = [stage for stage in left if stage not in able]
    return [stage for stage in must if stage in left] if ends else []


def _demanded(stage: Stage, field: FieldPath) -> list[Schema]:
    """What a stage asks of a field that each of its chunks must have, and know; [] if it may be
    left out, or be null.
    """
    schema: Any = stage.schema
    for part in field.parts:
        if not isinstance(schema, dict) or part not in schema.get("required", ()):
            return []
        schema = schema.get("properties", {}).get(part)
    asked = [each for each in field.schemas(stage.schema) if each]
    return [*asked, _KNOWN] if asked and is_impossible(*asked, {"type": "null"}) else []


def _at(field: FieldPath) -> str:
    return pointer(*(step for part in field.parts for step in ("properties", part)))
