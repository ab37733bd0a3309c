"""Judges the answers of a status endpoint to one id: each as an answer, all together as a job."""

from __future__ import annotations

from typing import Final

from soundstage.conformance.bounded_violations import SAID, Findings, bounded
from soundstage.conformance.judge import Caps, Judge
from soundstage.conformance.poll_check import PollCheck
from soundstage.conformance.violations import Violation
from soundstage.contract import Contract
from soundstage.contract.protocol import Endpoint
from soundstage.process.memory import Claim

#: The statuses that say that nobody knows the id.
NOT_FOUND: Final = (404, 410)


class LooksJudge:
    """`check` holds what was seen of the job. Make a `judge` for each answer, feed and close it,
    and `take` it.
    """

    def __init__(
        self,
        contract: Contract,
        endpoint: Endpoint,
        *,
        caps: Caps | None = None,
        own_host: str | None = None,
    ) -> None:
        self.check = PollCheck(contract, endpoint.name)
        self._contract, self._endpoint = contract, endpoint
        self._caps, self._own_host = caps, own_host
        self._found = Findings()
        #: Why the last answer that showed no state did not, as `Judge.reason` says it.
        self.reason: str | None = None
        self.error_name: str | None = None

    def judge(self, claim: Claim | None = None) -> Judge:
        """A judge for the next answer."""
        return Judge(
            self._contract,
            self._endpoint,
            caps=self._caps,
            own_host=self._own_host,
            claim=claim,
            looks=self.check,
        )

    def take(self, judge: Judge, *, may_be_unknown: bool = False) -> None:
        """Take over what the judge of an answer, which is closed, has found. `may_be_unknown`: that
        nobody knows the id is no fault of the answer; whoever asks says whether it may be so yet.
        """
        found = judge.violations
        if may_be_unknown and judge.status in NOT_FOUND:
            found = [each for each in found if each.code != "http.status"]
        self._found.extend(found)
        if judge.seen is None:
            self.reason, self.error_name = judge.reason, judge.error_name
        else:
            self.reason = self.error_name = None

    @property
    def violations(self) -> list[Violation]:
        """What was found in all answers so far."""
        found = [*self._found.all(), *self.check.violations]
        return found if len(found) <= SAID.of_a_place else bounded(found, SAID)
