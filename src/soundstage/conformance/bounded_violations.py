"""The violations of one exchange, bounded however many there are: what is said first of each rule
and place is kept, what comes again is counted.

Nothing is hidden by a flood. Each code and rule has its first violation kept, so that a verdict, a
severity and a waiver weigh what they would weigh unbounded; each place (a pointer without numbers
of items, as a fingerprint has it) is kept before any is kept twice; and what is not kept is counted
in one that is: `Violation.times` of them all adds up to what there was.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, replace
from typing import Final, Generic, ParamSpec

from soundstage.conformance.violations import Violation, place_of

_Said = ParamSpec("_Said")


@dataclass(frozen=True, slots=True)
class Allowance:
    """How much is kept: of different places, of violations at a place that has one already, and of
    these at one place.
    """

    places: int
    repeated: int
    of_a_place: int


#: What is held of an exchange while it goes on, and what is said of it in the end.
HELD: Final = Allowance(1_000, 10_000, 1_000)
SAID: Final = Allowance(100, 100, 10)

_REST: Final = "more, at other places"
_Kind = tuple[str, str, str]


@dataclass(slots=True)
class _KindCount:
    """Of one kind: the number of the last that is kept, how many are, and how many are not."""

    last: int
    kept: int = 1
    more: int = 0


class _Reporting(Generic[_Said]):
    """See `Findings.taking`; smaller than a function of its own for each exchange."""

    __slots__ = ("_found", "_make")

    def __init__(self, found: Findings, make: Callable[_Said, Violation]) -> None:
        self._found = found
        self._make = make

    def __call__(self, *said: _Said.args, **more: _Said.kwargs) -> None:
        self._found.add(self._make(*said, **more))


class _Taken:
    """What one `Findings` holds, from its first violation on: most exchanges have none."""

    __slots__ = ("beyond", "kept", "known", "places", "repeated", "rules")

    def __init__(self) -> None:
        self.kept: list[Violation] = []
        self.known: dict[_Kind, _KindCount] = {}
        self.rules: set[tuple[str, str]] = set()
        #: By code and rule: the first at a place that is not kept, counting the others.
        self.beyond: dict[tuple[str, str], Violation] = {}
        self.places = self.repeated = 0


class Findings:
    """Takes violations as they are found; iterating gives those that stand for them, in the order
    in which they were found, and at the end what else there was of a rule.
    """

    __slots__ = ("_room", "_taken")

    def __init__(self, room: Allowance = HELD) -> None:
        self._room = room
        self._taken: _Taken | None = None

    def add(self, violation: Violation) -> None:
        """Take one in; one that stands for several counts as so many."""
        taken = self._taken
        if taken is None:
            taken = self._taken = _Taken()
        rule = (violation.code, violation.rule)
        if is_rest(violation):
            _count(taken, rule, violation)
            return
        kind = (*rule, place_of(violation))
        known = taken.known.get(kind)
        if known is None:
            if rule in taken.rules and taken.places >= self._room.places:
                _count(taken, rule, violation)
                return
            taken.rules.add(rule)
            taken.places += 1
            taken.known[kind] = _KindCount(len(taken.kept))
            taken.kept.append(violation)
        elif known.kept < self._room.of_a_place and taken.repeated < self._room.repeated:
            taken.repeated += 1
            known.kept += 1
            known.last = len(taken.kept)
            taken.kept.append(violation)
        else:
            known.more += violation.times

    def extend(self, violations: Iterable[Violation]) -> None:
        """Take several in, one after the other."""
        for each in violations:
            self.add(each)

    def taking(self, make: Callable[_Said, Violation]) -> Callable[_Said, None]:
        """A function that makes a violation as `make` does, and takes it in."""

        return _Reporting(self, make)

    def __iter__(self) -> Iterator[Violation]:
        return iter(self.all())

    def all(self) -> list[Violation]:
        """Those that are kept, each with how many it stands for."""
        taken = self._taken
        if taken is None:
            return []
        found = list(taken.kept)
        for known in taken.known.values():
            if known.more:
                last = found[known.last]
                found[known.last] = replace(last, times=last.times + known.more)
        return [*found, *taken.beyond.values()]


def _count(taken: _Taken, rule: tuple[str, str], violation: Violation) -> None:
    before = taken.beyond.get(rule)
    many = violation.times + (before.times if before is not None else 0)
    taken.beyond[rule] = rest(violation, many)


def bounded(violations: Iterable[Violation], room: Allowance = HELD) -> list[Violation]:
    """These, as `Findings` keeps them."""
    found = Findings(room)
    found.extend(violations)
    return found.all()


def rest(violation: Violation, many: int) -> Violation:
    """What stands for `many` violations of the same rule and code at other places. It is at no
    place itself: a waiver that names one must not speak for all of them.
    """
    message = f"{many:,} {_REST}"
    return replace(violation, chunk=None, path="", message=message, times=many, compared=None)


def is_rest(violation: Violation) -> bool:
    """Whether it is no violation of its own, but the count of a rule's at places that were not
    kept.
    """
    return violation.chunk is None and not violation.path and is_rest_message(violation.message)


def is_rest_message(message: str) -> bool:
    """Whether it is the message of such a count, where no more of it is known."""
    return message.endswith(_REST)
