"""The exchanges that did not come to their end, counted by why: how many, when, and one to look at.

Taken in with the rows (`columns`), so that a million of them cost no second pass. A failed exchange
counts once, under its reason: the one that stands in its row, else the code of the violation that
explains best how it ended. One that came to its end and broke the contract is a finding, and does
not stand here; nor does a request that was made to be refused and was.
"""

from __future__ import annotations

from array import array
from collections.abc import Iterable, Iterator, Mapping
from typing import TYPE_CHECKING, Any, NamedTuple

from soundstage.output.cutting import head

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt

#: Kinds of failures that are told apart at an endpoint, and characters of a reason: both may be
#: somebody else's words. What comes after them counts as one kind.
MOST_KINDS = 200
LONGEST_REASON = 200
OTHER_REASONS = "(others)"

#: Of several violations the one of the lowest layer says how an exchange ended: a stream whose
#: connection was reset also lacks its end.
_LAYERS = {"http": 0, "framing": 1, "json": 2, "stream": 3, "track": 4}


class FailureKind(NamedTuple):
    """What failures that are counted together have in common, as it stands in their rows. `status`
    is that of HTTP, None where no answer came; `reason` may be "" (nobody knows).
    """

    outcome: str
    status: int | None
    reason: str
    warmup: bool


class FailureCount:
    """Of one kind: when each was seen (seconds since the run began, in `moments`), and an example,
    with the path of its transcript in the bundle if one was kept.
    """

    __slots__ = ("example", "moments", "transcript")

    def __init__(self) -> None:
        self.moments = array("d")
        self.example = ""
        self.transcript: str | None = None

    @property
    def count(self) -> int:
        """How many there are."""
        return len(self.moments)

    def when(self) -> npt.NDArray[np.float64]:
        """When each was seen, in seconds since the run began, in the order of the rows."""
        # A check asks only `why_failed`, and starts without numpy.
        from numpy import frombuffer

        return frombuffer(self.moments)

    def show(self, example: str, transcript: str | None) -> None:
        """Take an example: the first, but one with a transcript rather than one without."""
        if not self.example or (self.transcript is None and transcript is not None):
            self.example, self.transcript = example, transcript


class FailureTally:
    """The failures of one endpoint, by kind."""

    __slots__ = ("_kinds",)

    def __init__(self) -> None:
        self._kinds: dict[FailureKind, FailureCount] = {}

    def __iter__(self) -> Iterator[tuple[FailureKind, FailureCount]]:
        return iter(self._kinds.items())

    def add(self, row: Mapping[str, Any], lasted: float) -> None:
        """Take in a row that did not end well, `lasted` seconds after its start. Raises what a row
        of another shape raises.
        """
        get = row.get
        reason = why_failed(get("reason"), get("errors") or row["codes"])
        kind = FailureKind(row["outcome"], get("http_status"), reason, bool(get("warmup")))
        found = self._kinds.get(kind) or self._new(kind)
        found.moments.append(row["started_ns"] / 1e9 + lasted)
        if found.transcript is None:
            found.show(get("id") or "", get("transcript"))

    def _new(self, kind: FailureKind) -> FailureCount:
        if len(self._kinds) >= MOST_KINDS:
            kind = FailureKind(kind.outcome, None, OTHER_REASONS, kind.warmup)
        return self._kinds.setdefault(kind, FailureCount())

    def merge(self, other: FailureTally) -> None:
        """Take in the failures that came after these, which another one took in."""
        for kind, theirs in other:
            ours = self._kinds.get(kind) or self._new(kind)
            ours.moments.extend(theirs.moments)
            ours.show(theirs.example, theirs.transcript)


def why_failed(reason: str | None, codes: Iterable[str]) -> str:
    """Under what a failed exchange counts: its `reason`, else the most telling of the `codes` of
    its violations; "" where there is neither.
    """
    if reason is None:
        reason = min(codes, key=lambda code: _LAYERS.get(code.partition(".")[0], 9), default="")
    return head(reason, LONGEST_REASON)
