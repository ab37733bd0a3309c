"""Rate limits: how many requests a key may make in a time, and how long it has to wait else.

The algorithm is GCRA, the generic cell rate algorithm (ITU-T I.371, annex A, virtual scheduling):
of each key one number is kept, the time at which it would be even. It lets through a whole
allowance at once, and after that one request each `period / count` seconds.

Never here: whose limit it is, and where the number is kept.
"""

from __future__ import annotations

import math
import re
from dataclasses import dataclass
from typing import Final, NamedTuple

from soundstage.errors import UsageError
from soundstage.output.cutting import head

#: Seconds by the word for them.
PERIODS: Final = {"second": 1, "minute": 60, "hour": 3600, "day": 86_400}
#: What a rate looks like; `accounts.schema.json` and the admin API's description say the same.
PATTERN: Final = r"^[1-9][0-9]{0,8}/(second|minute|hour|day)$"
_RATE: Final = re.compile(PATTERN)


class Turn(NamedTuple):
    """What becomes of a request. `even` is what to keep; `wait_s`, in seconds, is 0 if the request
    is let through.
    """

    even: float
    wait_s: float


@dataclass(frozen=True, slots=True)
class RateLimit:
    """`count` requests in `period_s` seconds."""

    count: int
    period_s: float

    def turn(self, even: float, now: float) -> Turn:
        """Let a request through or not. `even` is what the last turn said, 0 before the first;
        `now` is in seconds of a clock that does not step. A request that is not let through
        changes nothing.
        """
        spacing = self.period_s / self.count
        # Nobody can be further behind than a whole allowance; what says so is of another limit.
        behind = min(max(even, now), now + self.period_s)
        wait = behind + spacing - self.period_s - now
        # Rounding must not cost the last request of an allowance.
        if wait > 1e-9 * self.period_s:
            return Turn(even, wait)
        return Turn(behind + spacing, 0.0)


def parse(text: str, where: str) -> RateLimit:
    """`COUNT/UNIT`, as in `60/minute`. Raises UsageError, naming `where` it stands."""
    if not _RATE.fullmatch(text):
        units = ", ".join(PERIODS)
        raise UsageError(
            f"{where}: {head(text, 40)!r} is no rate; write COUNT/UNIT, unit one of {units}"
        )
    count, _, unit = text.partition("/")
    return RateLimit(int(count), PERIODS[unit])


def retry_after(wait_s: float) -> bytes:
    """The value of `Retry-After` (RFC 9110, section 10.2.3): whole seconds, at least one."""
    return b"%d" % max(1, math.ceil(wait_s))
