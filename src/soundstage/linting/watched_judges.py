"""Judges of what was looked at though no job was accepted by what is judged first: a stream whose
reader has gone, and looks whose beginning nobody saved.

Outwardly each is a `Judge`, so that whoever shows what was found need not know.
"""

from __future__ import annotations

from typing import Any

from soundstage.conformance.following import Following
from soundstage.conformance.judge import Judge
from soundstage.conformance.looks_judge import LooksJudge
from soundstage.conformance.violations import Violation


class LeftJudge(Judge):
    """The judge of a stream, and of what is found by `following` its generation."""

    __slots__ = ("following",)

    def __init__(self, contract: Any, endpoint: Any, **options: Any) -> None:
        super().__init__(contract, endpoint, **options)
        self.following = Following(contract, endpoint, caps=self.caps)

    @property
    def violations(self) -> list[Violation]:
        return [*super().violations, *self.following.violations]


class StatesJudge(Judge):
    """The judge of several looks at one job, in `looks`; nothing is known of what was asked first,
    so that it is fed nothing itself.
    """

    __slots__ = ("looks",)

    def __init__(self, contract: Any, endpoint: Any, **options: Any) -> None:
        super().__init__(contract, endpoint, **options)
        self.looks = LooksJudge(contract, endpoint, caps=self.caps)

    @property
    def violations(self) -> list[Violation]:
        return self.looks.violations

    @property
    def reason(self) -> str | None:
        return self.looks.check.reason

    @property
    def failed(self) -> str | None:
        return self.looks.check.failed

    @property
    def ended(self) -> bool:
        return self.looks.check.done
