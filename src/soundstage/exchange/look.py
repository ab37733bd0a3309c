"""One question for the state of a job, and its answer; and all that were asked. Values."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from soundstage.conformance.following import Following
from soundstage.exchange.held.tape import Tape
from soundstage.wire.response import Response


@dataclass(slots=True)
class Look:
    """One question for the state of a job and its answer. Times are monotonic ns; `state` is None
    where the answer shows none; `cut` is the bound of ours at which we stopped reading it.
    """

    url: str
    sent_ns: int
    ended_ns: int
    response: Response
    tape: Tape = field(default_factory=Tape)
    request_head: tuple[tuple[str, str], ...] = ()
    state: str | None = None
    milestones: tuple[str, ...] = ()
    cut: str | None = None


@dataclass(slots=True)
class FollowedJob:
    """What one exchange made, as far as it was asked for (`job_follower.py`). `looks` are the
    questions, and `states` what they showed, (state, answer), kept as chunks are. `milestones_low`:
    since when a milestone may have been reached, in seconds (`Exchange.milestones`: by when).
    """

    following: Following | None = field(default=None, repr=False)
    looks: list[Look] = field(default_factory=list)
    states: list[tuple[str | None, dict[str, Any]]] = field(default_factory=list)
    milestones_low: dict[str, float] = field(default_factory=dict)
