"""Holds the answers of a status endpoint to one id against a contract, one look after the other.

A job is a stream of which only samples are seen: a state that nobody saw is not missing, one may
stay as long as it likes, and several things may have come about between two looks. What cannot be
is going back, a value that changes that identifies the job, and a last state that does not stay.
"""

from __future__ import annotations

from typing import Any

from soundstage.conformance.across import Across
from soundstage.conformance.bounded_violations import Findings
from soundstage.conformance.engine import SeenEvent
from soundstage.conformance.fields import PATTERN_LIMIT, shown
from soundstage.conformance.order.milestones import Milestones
from soundstage.conformance.stages import compiled
from soundstage.conformance.violations import Verdict, Violation, verdict_of
from soundstage.contract import Contract
from soundstage.contract.protocol import Stage

#: Why a job whose last state nobody saw is not judged as a whole.
NOT_DONE = "job.not_done"


class PollCheck:
    """The looks at one job so far. `state` is the last state that was seen, None before the first;
    `failed` what the API says of a job that failed; `reason` why one without errors is inconclusive
    (known after `close`).
    """

    __slots__ = (
        "_across",
        "_c",
        "_found",
        "_milestones",
        "_over",
        "_report",
        "_searched",
        "failed",
        "looks",
        "reason",
        "state",
    )

    def __init__(self, contract: Contract, endpoint: str) -> None:
        self._c = compiled(contract, endpoint)
        assert self._c.protocol.sampled
        self._found = Findings()
        self._report = self._found.taking(self._c.violation)
        self._across = Across(None, self._report)
        self._milestones = Milestones(self._c.protocol)
        self._searched = True
        self._over = False
        self.looks = 0
        self.state: str | None = None
        self.failed: str | None = None
        self.reason: str | None = None

    @property
    def violations(self) -> list[Violation]:
        return self._found.all()

    @property
    def over(self) -> bool:
        """Whether a state was seen that is to stay, whatever was shown after it."""
        return self._over

    @property
    def done(self) -> bool:
        """Whether the job has come to the end that it was made for."""
        return self.over and self.failed is None

    def verdict(self, *, strict: bool = False) -> Verdict:
        """The verdict so far; final after `close`."""
        return verdict_of(self.violations, self.reason, strict=strict)

    def look(self, value: dict[str, Any]) -> SeenEvent:
        """Check the object in the next answer; says which state it shows, and which milestones are
        reached by now.
        """
        number = self.looks
        self.looks += 1
        kind = self._c.kind(value)
        if kind is None:
            if not self._c.given_up:
                self._report("stage.unknown", "stages", number, "", self._unknown(value))
            return SeenEvent(value, None, None, ())
        stage = kind.stage
        found, whole = kind.fields.found(value, number)
        self._found.extend(found)
        self._searched = self._searched and whole
        broken = {violation.path for violation in found}
        self._check_order(stage, number)
        beside = kind.beside
        plain = [each for each, _, _ in kind.constants]
        for constant in (*plain, *(beside.nested if beside is not None else ())):
            self._across.every_constant(constant, value, number, None, broken)
        falling = [each for each, _, _ in kind.rising]
        for rising in (*falling, *(beside.rising if beside is not None else ())):
            for at, each in rising.field.every(value):
                if at not in broken:
                    self._across.rising(rising, at, each, number)
        self.state = stage.name
        self._over = self._over or stage.ends is not None
        if stage.failure and self.failed is None:
            self.failed = self._c.said_of_failure(stage, value)
        return SeenEvent(value, stage.name, None, self._milestones.of_state(stage, value))

    @property
    def limits(self) -> str | None:
        """The bound of ours for which what was seen is not judged as a whole; None if none is."""
        if self._c.given_up:
            return PATTERN_LIMIT
        return None if self._searched else "cap.findings"

    def close(self, *, cut: str | None = None) -> None:
        """Nobody looks any more; `cut` says why where the job may have gone on."""
        if cut is not None:
            self.reason = cut
        elif self.failed is not None:
            self.reason = "stream.failed"
        elif not self.over:
            self.reason = NOT_DONE
        else:
            self.reason = self.limits

    # ------------------------------------------------------------------ one look

    def _stage(self, name: str) -> Stage:
        return self._c.protocol.by_name[name]

    def _check_order(self, stage: Stage, number: int) -> None:
        before = self.state
        if before is None or before == stage.name:
            return
        protocol = self._c.protocol
        if self._stage(before).ends is not None:
            message = f"the state is {stage.name}; it was {before}, which stays"
            self._report("job.changed", "terminal/stays", number, "", message)
        elif stage.name in protocol.before(before) and before not in protocol.before(stage.name):
            message = f"the state is {stage.name}; it was {before}, which comes after it"
            self._report("job.backwards", "forward", number, "", message)

    def _unknown(self, value: dict[str, Any]) -> str:
        mark = self._c.mark
        if mark and mark in value:
            return f"no state is like this: {mark} is {shown(value[mark])}"
        return f"no state is like this: {mark} is missing" if mark else "no state is like this"
