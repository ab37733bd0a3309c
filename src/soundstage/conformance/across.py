"""What holds from one chunk (or one look at a state) to the next: numbers, identity, what never
falls, and the flag that says that it was the last.

Kept for one stream. What is as it should be is seen at a glance by whoever calls; only the rest
comes here.
"""

from __future__ import annotations

from collections.abc import Callable
from decimal import Decimal
from typing import Any, Final

from soundstage.conformance.fields import received, shown
from soundstage.conformance.order.stage_order import StageOrder
from soundstage.conformance.violations import Compared
from soundstage.contract.protocol import Completion, ConstantField, Index, NeverDecrease

#: (code, rule below the endpoint, number of the chunk, JSON pointer, message, both values)
Report = Callable[[str, str, int | None, str, str, Compared], None]
#: Different values of a field that identifies the stream which are told apart.
_MOST_OTHERS: Final = 1_000
#: Places whose value is remembered: a field may stand in many items, and on many tracks.
_MOST_PLACES: Final = 10_000
_NONE: Final[frozenset[Any]] = frozenset()
Track = int | str | None
#: The JSON pointer to a place; with its track where each track has values of its own.
_Place = str | tuple[str, Track]


def whole_number(value: Any) -> int | None:
    """The integer that a JSON value is (2.0 is one, says JSON Schema); None if it is none."""
    if type(value) is int:
        return value
    return int(value) if type(value) is float and value.is_integer() else None


class Across:
    """`due` is the number that the next chunk should have, where chunks are numbered; where nothing
    is `astray`, it goes up by the step with each that has it.
    """

    __slots__ = (
        "_begun",
        "_completed",
        "_completion",
        "_constants",
        "_index",
        "_or_due",
        "_others",
        "_report",
        "_rising",
        "_unnumbered",
        "astray",
        "due",
    )

    def __init__(
        self, index: Index | None, report: Report, completion: Completion | None = None
    ) -> None:
        self._index = index
        self._completion = completion
        self._completed = False
        self._report = report
        self.due = index.start if index is not None else 0
        self._or_due: int | None = None
        self._unnumbered = 0
        self._begun = False  # whether any chunk had a number, and it was not the one that was due
        #: Whether there is more to remember of the last numbers than what is due.
        self.astray = False
        self._constants: dict[_Place, Any] = {}
        self._others: dict[_Place, set[Any]] = {}
        self._rising: dict[_Place, int | float | Decimal] = {}

    def completion(self, chunk: dict[str, Any], order: StageOrder, number: int) -> None:
        """The flag that says whether more comes, in a chunk that may have it."""
        if self._completion is None:
            return
        field = self._completion.field
        value = field.of(chunk)
        if value is True:
            if not (order.ended or order.perhaps_ended()):
                message = f"{field} is true; the stream goes on"
                rule = "completion/before_last"
                compared = Compared("false, as more comes", "true")
                self._report("field.value", rule, number, field.pointer, message, compared)
            self._completed = True
        elif value is False and order.ended and not self._completed:
            message = f"{field} is false on the last chunk and was never true"
            compared = Compared("true on the last chunk", "false")
            rule = "completion/last"
            self._report("stream.not_closed", rule, number, field.pointer, message, compared)

    # ------------------------------------------------------------------ identity

    def constant(
        self, constant: ConstantField, at: str, value: Any, number: int, track: Track = None
    ) -> None:
        """The field of `constant`, which stands at the pointer `at` of a chunk, has a value."""
        if value is None or type(value) is dict or type(value) is list:
            return
        place: _Place = (at, track) if constant.per_track else at
        first = self._constants.get(place)
        if first is None:
            if len(self._constants) < _MOST_PLACES:
                self._constants[place] = value
            return
        if value == first or type(value) is not type(first):
            return
        others = self._others.get(place, _NONE)
        if value not in others:
            if len(others) < _MOST_OTHERS:
                self._others.setdefault(place, set()).add(value)
            on = f" of track {shown(track)}" if constant.per_track and track is not None else ""
            message = f"{constant.field}{on} is {shown(value)}; it was {shown(first)}"
            rule = f"constant/{constant.field}"
            compared = Compared(f"{received(first)}, as before", received(value))
            self._report("identity.changed", rule, number, at, message, compared)

    def every_constant(
        self, constant: ConstantField, chunk: Any, number: int, track: Track, broken: Any
    ) -> None:
        """As `constant`, for each place that its field names, but those that are `broken`."""
        for at, value in constant.field.every(chunk):
            if not (broken and at in broken):
                self.constant(constant, at, value, number, track)

    # ------------------------------------------------------------------ what never falls

    def rising(
        self, rising: NeverDecrease, at: str, value: Any, number: int, track: Track = None
    ) -> None:
        """The field of `rising`, which stands at the pointer `at` of a chunk, has a value."""
        if type(value) is not int and type(value) is not float and type(value) is not Decimal:
            return
        place: _Place = (at, track) if rising.per_track else at
        before = self._rising.get(place)
        if before is not None and value < before:
            message = f"{rising.field} is {shown(value)}; it was {shown(before)}"
            rule = f"never_decrease/{rising.field}"
            compared = Compared(f"at least {shown(before)}, as before", shown(value))
            self._report("progress.decreased", rule, number, at, message, compared)
        if before is not None or len(self._rising) < _MOST_PLACES:
            self._rising[place] = value

    # ------------------------------------------------------------------ numbers of chunks

    def number(self, value: Any, number: int) -> None:
        """The chunk has this number, or none (None)."""
        if value == self.due and type(value) is int:
            self.came(value)
        else:
            self.index(value, number)

    def index(self, value: Any, number: int) -> None:
        """The chunk has a number that is not the one that was due, or none."""
        index = self._index
        if index is None:
            return
        self.astray = True
        step, due = index.step, self.due
        whole = value if type(value) is Decimal else whole_number(value)
        if whole is None:
            # Missing or mistyped, which is reported elsewhere: either the number was left out of a
            # chunk that counts, or an event that does not count stands between two that do.
            self._unnumbered += 1
            return
        expected = self._is_due(whole, step)
        counted = int(whole) if expected or type(whole) is int else due
        first, self._begun = not self._begun and due == index.start, True
        self.due, self._or_due, self._unnumbered = counted + step, None, 0
        if expected:
            return
        at = index.field.pointer
        if first:
            message = f"{index.field} starts at {shown(value)}; expected {index.start}"
            compared = Compared(str(index.start), shown(value))
            self._report("index.start", "index/start", number, at, message, compared)
            return
        last = due - step
        code = "index.gap" if whole > last else "index.decreased"
        code = "index.repeated" if whole == last else code
        message = f"{index.field} is {shown(value)} after {shown(last)}; expected {shown(due)}"
        compared = Compared(shown(due), shown(value))
        self._report(code, "index/consecutive", number, at, message, compared)
        # The count may go on from here, or as if nothing had happened.
        self._or_due = due + step

    def came(self, value: int) -> None:
        """The chunk has the number that was due."""
        assert self._index is not None
        self.due = value + self._index.step
        self._or_due = None
        self._unnumbered = 0
        self.astray = False

    def _is_due(self, whole: int | Decimal, step: int) -> bool:
        """Whether a number goes on from what was due, each event without one counted or not."""
        most = self._unnumbered * step
        return any(
            due is not None and due <= whole <= due + most and (whole - due) % step == 0
            for due in (self.due, self._or_due)
        )
