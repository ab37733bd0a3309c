"""Whether this machine's clock and the target's agree: the `Date` of an answer (RFC 9110, section
6.6.1) against when it was asked for and when it came.
"""

from __future__ import annotations

from collections.abc import Iterable
from datetime import UTC
from email.utils import parsedate_to_datetime
from typing import Final

from soundstage.doctor.free_requests import FreeAnswer
from soundstage.doctor.health import HealthCheck, ok, problem, unknown

#: A `Date` counts whole seconds, and servers make one for several answers.
_COARSE_S: Final = 2.0
#: Clocks that are set by the network are nearer than that, in seconds.
_ALLOWED_S: Final = 5.0
#: A cache says for how long it has kept an answer; longer than that is no answer of today's.
_OLDEST_S: Final = 86_400.0


def clock(answers: Iterable[FreeAnswer]) -> HealthCheck:
    """The check of the clocks, by the first answer that says when it was made."""
    for answer in answers:
        said = _moment(answer)
        if said is None:
            continue
        off = offset_of(answer)
        if off is not None:
            return problem("clock", "clock.off", shown_offset(off))
        trip = answer.answered_at - answer.asked_at
        return ok("clock", f"agrees with the target's to {_ALLOWED_S + trip:.1f} s")
    return unknown("clock", "no answer says when it was made (no Date header)")


def offset_of(answer: FreeAnswer) -> float | None:
    """By how many seconds this machine's clock is ahead of the target's (negative: behind); None
    where they agree as far as can be told: to the round trip, and some seconds.
    """
    said = _moment(answer)
    if said is None:
        return None
    if said > answer.answered_at:
        off = answer.answered_at - said
    elif said + _COARSE_S < answer.asked_at:
        off = answer.asked_at - said - _COARSE_S
    else:
        return None
    return off if abs(off) > _ALLOWED_S else None


def shown_offset(off: float) -> str:
    """An offset in words."""
    size = abs(off)
    units = (("day", 86_400), ("hour", 3_600), ("minute", 60), ("second", 1))
    unit, seconds = next((each for each in units if size >= each[1]), units[-1])
    many = round(size / seconds)
    side = "ahead of" if off > 0 else "behind"
    return f"this machine's clock is {many} {unit}{'' if many == 1 else 's'} {side} the target's"


def _moment(answer: FreeAnswer) -> float | None:
    """When the answer was made by its server's clock, in seconds since 1970; None if it does not
    say, or says nonsense.
    """
    date = answer.header("date")
    if answer.status is None or not date or len(date) > 100:
        return None
    try:
        moment = parsedate_to_datetime(date)
        made = moment.replace(tzinfo=moment.tzinfo or UTC).timestamp()
        age = float(answer.header("age") or 0)
    except (ValueError, OverflowError, TypeError):
        return None
    # What a cache kept was made earlier by its Age.
    return made + age if 0 <= age <= _OLDEST_S else None
