"""The parts of a transcript that are looked at, each held to what `Exchange.transcript` writes: a
file may come from anybody.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Final

from soundstage.errors import UsageError

#: So long an exchange may have taken (thirty years, in seconds).
_LONGEST_S: Final = 1e9
_MOST_CHARGES: Final = 1_000_000
#: Of arrivals: so many moments, of so many numbers, the last of them whole ones below this.
_MOST_MOMENTS, _NUMBERS, _MOST_BYTES = 10_000, 6, 2**53


def is_time(value: Any) -> bool:
    """Whether it is a number of seconds that an exchange can have taken."""
    return type(value) in (int, float) and -_LONGEST_S <= value <= _LONGEST_S


def _is_text(value: Any) -> bool:
    return value is None or isinstance(value, str)


def _is_headers(value: Any) -> bool:
    return isinstance(value, list) and all(
        isinstance(pair, list) and len(pair) == 2 and all(isinstance(p, str) for p in pair)
        for pair in value
    )


def _is_status(value: Any) -> bool:
    return value is None or (type(value) is int and 0 <= value <= 999)


def _is_count(value: Any) -> bool:
    return value is None or (type(value) is int and 0 <= value <= _MOST_CHARGES)


def _is_moment(value: Any) -> bool:
    return value is None or is_time(value)


def is_arrivals(value: Any) -> bool:
    """Whether it says when the chunks of a stream came: moments of six numbers, in order."""
    if value is None:
        return True
    if not isinstance(value, dict) or not isinstance(value.get("moments"), list):
        return False
    work, moments = value.get("work"), value["moments"]
    if (work is not None and not is_time(work)) or len(moments) > _MOST_MOMENTS:
        return False
    return all(
        isinstance(each, list)
        and len(each) == _NUMBERS
        and all(map(is_time, each[:2]))
        and all(type(number) is int and 0 <= number < _MOST_BYTES for number in each[2:])
        for each in moments
    )


#: What each member must be that a reader looks at: where it stands, and the check.
_HEADER: Final = (
    ("api", _is_text),
    ("endpoint", _is_text),
    ("timing", _is_text),
    ("expect", _is_text),
)
_REQUEST: Final = (("method", _is_text), ("url", _is_text), ("headers", _is_headers))
_RESPONSE: Final = (
    ("status", _is_status),
    ("reason", _is_text),
    ("headers", _is_headers),
    ("t", _is_moment),
)
_END: Final = (
    ("kind", _is_text),
    ("fault_of", _is_text),
    ("message", _is_text),
    ("cut", _is_text),
    ("t", _is_moment),
    ("arrivals", is_arrivals),
)
#: Of looks: why nobody looked any longer.
_OVER: Final = (("cut", _is_text), ("t", _is_moment), ("second", is_time), ("charged", _is_count))


def check_header(header: dict[str, Any], place: str, pointer: str = "") -> None:
    """Raise UsageError for a header whose members are not what `Exchange.transcript` writes. It
    stands at `pointer` of the line at `place`.
    """
    _check(header, _HEADER, place, pointer)
    parts = (("request", "a request", _REQUEST), ("response", "the head of a response", _RESPONSE))
    for part, what, members in parts:
        value = header.get(part)
        if value is None:
            continue
        if not isinstance(value, dict):
            raise UsageError(f"{place}: not {what}: {pointer}/{part}")
        _check(value, members, f"{place}: not {what}", f"{pointer}/{part}")


def check_end(end: Any, place: str) -> None:
    """Raise UsageError for an end that is none."""
    if not isinstance(end, dict):
        raise UsageError(f"{place}: the end is no object")
    _check(end, _END, place, "/end")


def check_over(over: Any, place: str) -> None:
    """Raise UsageError for what says of nobody why looking was over."""
    if not isinstance(over, dict):
        raise UsageError(f"{place}: what says that it was over is no object")
    _check(over, _OVER, place, "/over")


def _check(
    value: dict[str, Any],
    members: tuple[tuple[str, Callable[[Any], bool]], ...],
    place: str,
    pointer: str,
) -> None:
    for name, holds in members:
        if name in value and not holds(value[name]):
            raise UsageError(f"{place}: {pointer}/{name} is not as `soundstage` writes it")
