"""Judges a job: the answer that accepted it, and the looks at its state until it is over.

Outwardly a `Judge`, so that whoever makes exchanges need not know which kind of endpoint it is.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from soundstage.conformance.following import Following
from soundstage.conformance.judge import Judge
from soundstage.conformance.poll_check import NOT_DONE
from soundstage.conformance.violations import Violation
from soundstage.contract.given_values import given_by_body, given_by_head


class JobJudge(Judge):
    """The judge of the answer that accepts a job, and, once it is accepted, of what is found by
    `following` it.
    """

    __slots__ = ("_missing", "following")

    def __init__(self, contract: Any, endpoint: Any, **options: Any) -> None:
        super().__init__(contract, endpoint, **options)
        own_host = options.get("own_host")
        self.following = Following(contract, endpoint, caps=self.caps, own_host=own_host)
        #: The first value that an accepted job was to give and did not.
        self._missing: str | None = None

    def accepted(self, header: Callable[[str], str | None]) -> bool:
        """Whether the job was accepted, and may be asked for; to be called once the answer is
        closed.
        """
        judged = self.value is not None and self.error_name is None and super().reason is None
        if not judged or not (self.status is None or self.endpoint.is_success(self.status)):
            return False
        body = given_by_body(self.endpoint, [(None, self.value)])
        given = {**body, **given_by_head(self.endpoint, header)}
        missing = (each.name for each in self.endpoint.gives if each.name not in given)
        self._missing = next(missing, None)
        if self._missing is None:
            self.following.given = given
        return self._missing is None

    @property
    def was_accepted(self) -> bool:
        """Whether `accepted` has said so."""
        return bool(self.following.given)

    @property
    def timed_out(self) -> bool:
        """Whether the job was not over when the time for it was."""
        return self.following.looks.check.reason == NOT_DONE

    # ------------------------------------------------------------------ as a judge

    @property
    def violations(self) -> list[Violation]:
        return [*super().violations, *self.following.violations]

    @property
    def reason(self) -> str | None:
        own = super().reason
        if own is None and self._missing is not None:
            return f"job.no_id: the answer gives no {self._missing!r}"
        if own is not None or not self.was_accepted or self.following.unknown:
            return own
        return self.following.looks.check.reason

    @property
    def failed(self) -> str | None:
        return self.following.looks.check.failed

    @property
    def ended(self) -> bool:
        return self.following.looks.check.done
