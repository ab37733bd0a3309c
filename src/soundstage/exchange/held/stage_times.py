"""When an exchange reached what: its milestones, and the first, the last and the number of the
chunks of each stage.

Thousands of streams at once go through the same few stages in the same few orders, so that the
names are held once for all of them, and of each stream only its numbers: half a kilobyte where
dictionaries of lists take two.
"""

from __future__ import annotations

from array import array
from collections.abc import Iterator, Mapping, MutableMapping
from typing import Final

_Names = tuple[str, ...]
#: Orders of names that are shared, and the longest of them. What is beyond is its stream's own.
_SHARED: Final[dict[_Names, _Names]] = {(): ()}
_MOST_SHARED, _LONGEST_SHARED = 512, 32
#: Numbers of one stage: first, last, count.
_OF_STAGE: Final = 3


def _with(names: _Names, name: str) -> _Names:
    """`names` and one more, held once by all that have the same."""
    more = (*names, name)
    shared = _SHARED.get(more)
    if shared is not None:
        return shared
    if len(more) <= _LONGEST_SHARED and len(_SHARED) < _MOST_SHARED:
        _SHARED[more] = more
    return more


class MilestoneTimes(MutableMapping[str, float]):
    """Seconds since the start of the exchange, by milestone."""

    __slots__ = ("_names", "_seconds")

    def __init__(self) -> None:
        self._names: _Names = ()
        self._seconds = array("d")

    def __getitem__(self, name: str) -> float:
        if name not in self._names:
            raise KeyError(name)
        return self._seconds[self._names.index(name)]

    def __setitem__(self, name: str, seconds: float) -> None:
        if name in self._names:
            self._seconds[self._names.index(name)] = seconds
        else:
            self._names = _with(self._names, name)
            self._seconds.append(seconds)

    def __delitem__(self, name: str) -> None:
        if name not in self._names:
            raise KeyError(name)
        at = self._names.index(name)
        self._names = (*self._names[:at], *self._names[at + 1 :])
        del self._seconds[at]

    def __iter__(self) -> Iterator[str]:
        return iter(self._names)

    def __len__(self) -> int:
        return len(self._names)

    def __repr__(self) -> str:
        return f"{type(self).__name__}({dict(self)})"


class StageTimes(Mapping[str, tuple[float, float, int]]):
    """First and last (seconds since the start of the exchange) and number of the chunks of each
    stage, in the order in which they first came.
    """

    __slots__ = ("_last", "_names", "_numbers")

    def __init__(self) -> None:
        self._names: _Names = ()
        self._numbers = array("d")
        # Where the numbers of the stage stand that was seen last.
        self._last = 0

    def see(self, name: str, seconds: float, most: int | None = None) -> bool:
        """A chunk of a stage has come. False, and not noted, if that is more than `most` stages."""
        if name in self._names:
            self._last = _OF_STAGE * self._names.index(name)
            self.again(seconds)
        elif most is None or len(self._names) < most:
            self._last = len(self._numbers)
            self._names = _with(self._names, name)
            self._numbers.extend((seconds, seconds, 1))
        else:
            return False
        return True

    def again(self, seconds: float, many: int = 1) -> None:
        """So many more of the stage that was seen last have come, the last of them then."""
        numbers, last = self._numbers, self._last
        numbers[last + 1] = seconds
        numbers[last + 2] += many

    def __getitem__(self, name: str) -> tuple[float, float, int]:
        if name not in self._names:
            raise KeyError(name)
        at = _OF_STAGE * self._names.index(name)
        first, last, count = self._numbers[at : at + _OF_STAGE]
        return first, last, int(count)

    def __iter__(self) -> Iterator[str]:
        return iter(self._names)

    def __len__(self) -> int:
        return len(self._names)

    def __repr__(self) -> str:
        return f"{type(self).__name__}({dict(self)})"
