"""What ties the exchanges of one generation together: the values that an answer gives, the status
endpoint that is asked with them, and how it is polled. Values only, read from `protocol.json`.
"""

from __future__ import annotations

from dataclasses import dataclass

from soundstage.contract.grounds import Grounds
from soundstage.contract.json_schema.field_path import FieldPath


@dataclass(frozen=True, slots=True)
class GivenValue:
    """A value that an answer gives, by the name that paths and queries take it by: `field` is its
    place in the body (of a stream: in chunks of `stage`, or in any), `header` that header of the
    answer.
    """

    name: str
    field: FieldPath | None = None
    header: str | None = None
    stage: str | None = None


@dataclass(frozen=True, slots=True)
class Polling:
    """How the state of a job is asked for: at `endpoint`, first `every_s` seconds after it was
    accepted, each time `growth` times as long after, at most `at_most_every_s`; a Retry-After of an
    answer counts instead. What is not done after `until_s` is inconclusive. For `grace_s` after it
    was given, an id may be unknown. `billed`: each poll costs as much as a request.
    """

    endpoint: str
    every_s: float = 2.0
    growth: float = 1.0
    at_most_every_s: float = 60.0
    until_s: float = 900.0
    grace_s: float = 0.0
    billed: bool = False


@dataclass(frozen=True, slots=True)
class LookedUp:
    """The status endpoint that tells of the generations that another endpoint makes, and what that
    rests on.
    """

    endpoint: str
    grounds: Grounds


@dataclass(frozen=True, slots=True)
class Auth:
    """The header that carries the key, and the scheme before it ("" for none)."""

    header: str = "Authorization"
    scheme: str = "Bearer"

    def value(self, key: str) -> str:
        """What the header says for a key."""
        return f"{self.scheme} {key}" if self.scheme else key
