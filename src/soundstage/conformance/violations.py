"""What a broken rule looks like: violations, severities, verdicts, and the table of codes.

Values only. Finding violations is `engine`'s business; showing them is that of the commands.
"""

from __future__ import annotations

import hashlib
import re
from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass
from enum import StrEnum
from typing import Any, Final, NamedTuple

from soundstage.output import outgoing
from soundstage.output.cutting import cut

#: What a violation may hold of somebody else's text, in characters: a pointer into a chunk whose
#: keys are a megabyte each, a message that quotes them.
LONGEST_PATH: Final = 300
LONGEST_MESSAGE: Final = 500
#: And each side of what is expected and what came.
LONGEST_SIDE: Final = 200


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


#: The severity that follows from what a rule rests on
#: (docs/explanation/reading-the-documentation.md).
SEVERITY_OF_BASIS = {
    "documented": Severity.ERROR,
    "exemplified": Severity.ERROR,
    "inferred": Severity.WARNING,
}


class Compared(NamedTuple):
    """What a rule asks of a value, and what came in its place, in words that stand side by side:
    `a string, of at least 1 characters`, `null`.
    """

    expected: str
    received: str


@dataclass(frozen=True, slots=True)
class Violation:
    """One place where an exchange breaks a rule.

    `chunk` is the zero-based number of the event, None when the exchange as a whole is meant.
    `path` is a JSON pointer (RFC 6901) into the chunk or body, "" for the whole of it; of one that
    is longer than `LONGEST_PATH` the head and the tail are kept, as of a message that is too long.
    `rule` is the id of the rule (`v6/stream/order/uploading/after/completed`).
    `times` is how many violations it stands for: 1, or itself and those of its kind that were not
    kept (`bounded_violations.py`). `compared` is there where the rule is about one value.
    """

    code: str
    severity: Severity
    chunk: int | None
    path: str
    message: str
    rule: str
    times: int = 1
    compared: Compared | None = None

    def __post_init__(self) -> None:
        if len(self.path) > LONGEST_PATH:
            object.__setattr__(self, "path", cut(self.path, LONGEST_PATH))
        if len(self.message) > LONGEST_MESSAGE:
            object.__setattr__(self, "message", cut(self.message, LONGEST_MESSAGE))
        if self.compared is not None and max(map(len, self.compared)) > LONGEST_SIDE:
            sides = (cut(side, LONGEST_SIDE) for side in self.compared)
            object.__setattr__(self, "compared", Compared(*sides))

    def to_json(self) -> dict[str, Any]:
        """The object that `lint --format json` and `violations.ndjson` hold; `times` is in it only
        where it is not 1, `expected` and `received` only where one value is to blame.
        """
        row: dict[str, Any] = {
            "code": self.code,
            "severity": self.severity.value,
            "chunk": self.chunk,
            "path": self.path,
            "message": self.message,
            "rule": self.rule,
        }
        if self.compared is not None:
            row |= self.compared._asdict()
        return row if self.times == 1 else {**row, "times": self.times}


def place_of(violation: Violation) -> str:
    """Where in a chunk it is, whatever the numbers of items: `/audio_data/*/audio_url`."""
    return re.sub(r"/[0-9]+(?=/|$)", "/*", violation.path)


def occurrences(violations: Iterable[Violation]) -> Counter[str]:
    """How many violations of each code these stand for."""
    found: Counter[str] = Counter()
    for each in violations:
        found[each.code] += each.times
    return found


def fingerprint(violation: Violation) -> str:
    """Twelve hex digits that stay the same for the same finding in every run: of its code, its
    rule and the place in the chunk, whatever the values and the number of the chunk, and whatever
    key a member's name repeats.
    """
    text = "\0".join((violation.code, violation.rule, outgoing.text(place_of(violation))))
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
