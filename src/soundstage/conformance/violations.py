"""What a broken rule looks like: violations, severities, verdicts, and the table of codes.

Values only. Finding violations is `engine`'s business; showing them is that of the commands.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterable
from dataclasses import dataclass
from enum import StrEnum
from typing import Any

from soundstage import outgoing


class Severity(StrEnum):
    """How much a violation weighs. Follows from the basis of the broken rule."""

    ERROR = "error"
    WARNING = "warning"
    INFO = "info"


class Verdict(StrEnum):
    """The answer for one exchange. Inconclusive carries a reason and never counts as a pass."""

    CONFORMS = "conforms"
    VIOLATES = "violates"
    INCONCLUSIVE = "inconclusive"


#: The severity that follows from what a rule rests on (docs/reading-the-documentation.md).
SEVERITY_OF_BASIS = {
    "documented": Severity.ERROR,
    "exemplified": Severity.ERROR,
    "inferred": Severity.WARNING,
}


@dataclass(frozen=True, slots=True)
class Violation:
    """One place where an exchange breaks a rule.

    `chunk` is the zero-based number of the event, None when the exchange as a whole is meant.
    `path` is a JSON pointer (RFC 6901) into the chunk or body, "" for the whole of it.
    `rule` is the id of the rule (`v6/stream/order/uploading/after/completed`).
    """

    code: str
    severity: Severity
    chunk: int | None
    path: str
    message: str
    rule: str

    def to_json(self) -> dict[str, Any]:
        """The object that `lint --format json` and `violations.ndjson` hold."""
        return {
            "code": self.code,
            "severity": self.severity.value,
            "chunk": self.chunk,
            "path": self.path,
            "message": self.message,
            "rule": self.rule,
        }


def fingerprint(violation: Violation) -> str:
    """Twelve hex digits that stay the same for the same finding in every run: of its code, its
    rule and the place in the chunk, whatever the values and the number of the chunk, and whatever
    key a member's name repeats.
    """
    place = re.sub(r"/[0-9]+(?=/|$)", "/*", outgoing.text(violation.path))
    text = "\0".join((violation.code, violation.rule, place))
    return hashlib.sha256(text.encode(errors="replace")).hexdigest()[:12]


def verdict_of(
    violations: Iterable[Violation], reason: str | None = None, *, strict: bool = False
) -> Verdict:
    """The verdict that follows from violations and from `reason`, why the exchange could not be
    judged whole (None if it could). `strict` counts warnings as errors.
    """
    weighty = {Severity.ERROR, Severity.WARNING} if strict else {Severity.ERROR}
    if any(violation.severity in weighty for violation in violations):
        return Verdict.VIOLATES
    return Verdict.CONFORMS if reason is None else Verdict.INCONCLUSIVE
