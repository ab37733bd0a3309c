"""Reads the bodies of requests by the schema of their endpoint: what they ask for, or which error
they deserve, and why.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from soundstage.contract.json_schema import patterns
from soundstage.contract.protocol import Endpoint
from soundstage.emulator.generations.body_problems import (
    BodyProblems,
    broken_text,
    problems_of,
    whole_body,
)
from soundstage.emulator.generations.factory import GenerationRequest
from soundstage.untrusted import json_text


@dataclass(frozen=True, slots=True)
class BadBody:
    """A body that deserves an error; `problems` are those of its fields."""

    error: str
    why: str
    problems: BodyProblems = field(default_factory=BodyProblems)


class RequestReader:
    """Reads the bodies of one endpoint's requests by its schema. The prompt, the lyrics and the
    duration are the fields that have these roles.
    """

    def __init__(self, endpoint: Endpoint) -> None:
        self._bodyless = endpoint.request is None
        self._schema = schema = endpoint.request or {"type": "object"}
        self._validator = patterns.validator(schema)
        self._required = frozenset(schema.get("required", ()))
        roles = {sub.get("x-role"): name for name, sub in schema.get("properties", {}).items()}
        self._prompt: str | None = roles.get("prompt")
        self._lyrics: str | None = roles.get("lyrics")
        self._duration: str | None = roles.get("duration")
        length = schema.get("properties", {}).get(self._duration, {})
        self._seconds: int | float | None = length.get("default")

    def read(self, raw: bytes, secret: str | None = None) -> GenerationRequest | BadBody:
        """What a body asks for, or what is wrong with it; `secret` is the key of the request, of
        which nothing is repeated.
        """
        if self._bodyless:
            return GenerationRequest("", None, {}, self._seconds)
        parsed = json_text.parse(raw)
        if parsed.problems or not parsed.ok:
            return BadBody("broken_json", broken_text(parsed.problems))
        body = parsed.value
        if not isinstance(body, dict):
            wrong = whole_body("an object", body, secret)
            return BadBody("wrong_types", str(wrong), wrong)
        if not self._validator.is_valid(body) and (fault := self._fault_of(body)) is not None:
            errors = self._validator.iter_errors(body)
            wrong = problems_of(errors, self._schema, body, secret)
            return BadBody(fault, str(wrong), wrong)
        prompt, lyrics = str(body.get(self._prompt) or ""), body.get(self._lyrics)
        return GenerationRequest(prompt, lyrics, body, body.get(self._duration, self._seconds))

    def _fault_of(self, body: Mapping[str, Any]) -> str | None:
        """A missing, empty or blank prompt has an error of its own; it yields to any other. None
        where nothing is wrong but that a pattern came to its limit.
        """
        if self._required - body.keys() - {self._prompt}:
            return "wrong_types"
        fault = None
        for error in self._validator.iter_errors(body):
            if patterns.gave_up(error):
                continue
            fault = "invalid_prompt"
            at, keyword = list(error.instance_path), list(error.schema_path)[-1]
            about_prompt = at == [self._prompt] and keyword != "type"
            if not about_prompt and keyword != "required":
                return "wrong_types"
        return fault
