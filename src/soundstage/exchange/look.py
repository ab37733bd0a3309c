"""One question for the state of a job, and its answer. A value."""

from __future__ import annotations

from dataclasses import dataclass, field

from soundstage.exchange.tape import Tape
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
