"""Whether a value can be made up for each schema of a contract: a request for each endpoint, a
chunk for each stage and state, an answer where one is described.
"""

from __future__ import annotations

import random
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final

from soundstage.contract import Contract
from soundstage.contract.json_schema.field_schemas import Schema
from soundstage.contract.protocol import Endpoint
from soundstage.errors import ContractDataError, UsageError
from soundstage.exchange.requests import request_body
from soundstage.generation.faults.catalogue import valid_stream
from soundstage.generation.sampler import TRIES, Unmet, sampler_of
from soundstage.generation.walk import maker_of, random_story, story_tracks
from soundstage.proof.contract_files import ContractFiles
from soundstage.proof.contradictions import ProofPlace

#: Courses that are walked to see which stages come; the others are made up one by one.
_WALKED: Final = 4


@dataclass(frozen=True, slots=True)
class MadeUpValues:
    """Makes them up, each in at most so many `tries`."""

    contract: Contract
    files: ContractFiles
    tries: int = TRIES

    def without(self) -> Iterator[ProofPlace]:
        """The schemas of which no value was found."""
        for endpoint in self.with_request():
            try:
                request_body(self.contract, endpoint, random.Random(0))
            except (UsageError, Unmet) as error:
                yield ProofPlace(self.files.of_endpoint(endpoint, "request"), "", str(error))
        come = set(self._walked())
        for stage in self.contract.stages:
            asked: Schema = {"allOf": [each for each in (stage.schema, stage.when) if each]}
            if stage.name not in come and (why := self._unmet({"type": "object", **asked})):
                yield ProofPlace(self.files.of_stage(stage), "", f"{stage.name}: {why}")
        for endpoint in self.with_response():
            if why := self._no_answer(endpoint):
                file = self.files.of_endpoint(endpoint, "response")
                yield ProofPlace(file, "", f"{endpoint.name}: {why}")

    def with_request(self) -> list[Endpoint]:
        """The endpoints that take a body."""
        return [each for each in self.contract.endpoints.values() if each.request is not None]

    def with_response(self) -> list[Endpoint]:
        """The endpoints whose single answer is described."""
        endpoints = self.contract.endpoints.values()
        return [e for e in endpoints if e.protocol is None and "type" in (e.response or {})]

    def _walked(self) -> Iterator[str]:
        """The stages that come in a few valid courses: what roles know is in their chunks."""
        for endpoint in self.contract.endpoints.values():
            if endpoint.protocol is None:
                continue
            seen = self.contract.seen_through(endpoint)
            fails = any(stage.failure for stage in endpoint.protocol.stages)
            for number in range(_WALKED):
                try:
                    rng = random.Random(number)
                    course = valid_stream(seen, rng, fails=fails and number % 2 == 1)
                except ContractDataError:
                    break
                yield from (step.stage for step, _ in course)

    def _no_answer(self, endpoint: Endpoint) -> str | None:
        """Why no answer of an endpoint is found; None if one is."""
        story = random_story(random.Random(0), story_tracks(self.contract))
        try:
            maker_of(self.contract).result(endpoint.response or {}, story)
        except ContractDataError:
            return self._unmet(endpoint.response or {})
        return None

    def _unmet(self, schema: Schema) -> str | None:
        try:
            sampler_of(schema).draw(random.Random(0), tries=self.tries)
        except Unmet as error:
            return str(error)
        return None
