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
from typing import Final, ParamSpec

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


class Findings:
    """Takes violations as they are found; iterating gives those that stand for them, in the order
    in which they were found, and at the end what else there was of a rule.
    """

    __slots__ = ("_beyond", "_kept", "_known", "_places", "_repeated", "_room", "_rules")

    def __init__(self, room: Allowance = HELD) -> None:
        self._room = room
        self._kept: list[Violation] = []
        self._known: dict[_Kind, _KindCount] = {}
        self._rules: set[tuple[str, str]] = set()
        #: By code and rule: the first at a place that is not kept, counting the others.
        self._beyond: dict[tuple[str, str], Violation] = {}
        self._places = self._repeated = 0

    def add(self, violation: Violation) -> None:
        """Take one in; one that stands for several counts as so many."""
        rule = (violation.code, violation.rule)
        if is_rest(violation):
            self._count(rule, violation)
            return
        kind = (*rule, place_of(violation))
        known = self._known.get(kind)
        if known is None:
            if rule in self._rules and self._places >= self._room.places:
                self._count(rule, violation)
                return
            self._rules.add(rule)
            self._places += 1
            self._known[kind] = _KindCount(len(self._kept))
            self._kept.append(violation)
        elif known.kept < self._room.of_a_place and self._repeated < self._room.repeated:
            self._repeated += 1
            known.kept += 1
            known.last = len(self._kept)
            self._kept.append(violation)
        else:
            known.more += violation.times

    def _count(self, rule: tuple[str, str], violation: Violation) -> None:
        before = self._beyond.get(rule)
        many = violation.times + (before.times if before is not None else 0)
        self._beyond[rule] = rest(violation, many)

    def extend(self, violations: Iterable[Violation]) -> None:
        """Take several in, one after the other."""
        for each in violations:
            self.add(each)

    def taking(self, make: Callable[_Said, Violation]) -> Callable[_Said, None]:
        """A function that makes a violation as `make` does, and takes it in."""

        def report(*said: _Said.args, **more: _Said.kwargs) -> None:
            self.add(make(*said, **more))

        return report

    def __iter__(self) -> Iterator[Violation]:
        return iter(self.all())

    def all(self) -> list[Violation]:
        """Those that are kept, each with how many it stands for."""
        found = list(self._kept)
        for known in self._known.values():
            if known.more:
                last = found[known.last]
                found[known.last] = replace(last, times=last.times + known.more)
        return [*found, *self._beyond.values()]


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
