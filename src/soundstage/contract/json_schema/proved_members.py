"""What of a chunk's fields is proved by what is known of it already: by the types of its members,
by the values that its stage is told by, and by those that identify the stream.

A schema that only lists members asks each for itself. What was answered once for all values of a
type, or for this very value, need not be asked again: it is most of what a schema asks.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Set
from functools import lru_cache
from typing import Any, Final, NamedTuple

from soundstage.contract.json_schema import patterns
from soundstage.contract.json_schema.field_schemas import Schema
from soundstage.contract.json_schema.keywords import ANNOTATIONS

#: The name of a member, and whether its value is as it should be; may raise as `is_valid` does.
MemberCheck = tuple[str, Callable[[Any], bool]]

#: What a schema may say of an object so that each of its members can be asked for itself.
_OF_MEMBERS: Final = ANNOTATIONS | {"type", "required", "properties"}
#: Types whose values are all of one JSON type (a float may be an integer).
_OF_ONE_TYPE: Final = frozenset((str, int, list, dict))
#: All values of a type that has few.
_VALUES: Final[dict[type, tuple[Any, ...]]] = {type(None): (None,), bool: (False, True)}
#: Types of which equal values are the same JSON value.
_COMPARED: Final = frozenset((str, int, bool, type(None)))


#: No integer that orjson reads is as large.
_LARGEST: Final = 2**64


class Unproved(NamedTuple):
    """What is left to check in a chunk: `left` in any case, and `identifying`, members that
    identify the stream, where no chunk before it had the same values of them. Of these, chunks with
    the same `identity` ask the same.
    """

    left: tuple[MemberCheck, ...]
    identifying: tuple[MemberCheck, ...]
    identity: str


class _Member(NamedTuple):
    """What a schema asks of one member: whether a value is valid, and whether an integer is, if
    that is known in less time; whether it depends on the value's JSON type alone, and what is asked
    as text.
    """

    is_valid: Callable[[Any], bool]
    has_integer: Callable[[Any], bool]
    by_type: bool
    text: str


class ProvedMembers:
    """What chunks of one schema, which is resolved, have proved."""

    def __init__(self, schema: Schema) -> None:
        self._required = frozenset(schema.get("required", ()))
        self._properties: dict[str, Any] = schema.get("properties", {})
        self._apart = schema.keys() <= _OF_MEMBERS and schema.get("type", "object") == "object"
        self._members: dict[str, _Member] = {}

    def unproved(
        self, chunk: dict[str, Any], told_by: Set[str], identifying: Iterable[str]
    ) -> Unproved | None:
        """What is left to check in chunks like this one: with the same names and types, and the
        same values of the members that the stage is `told_by`. `identifying` are members of the
        chunk. None where the schema asks for more than each member by itself, or where no such
        chunk is valid.
        """
        if not (self._apart and self._required <= chunk.keys()):
            return None
        compared = [name for name in identifying if type(chunk[name]) in _COMPARED]
        left: list[MemberCheck] = []
        again: list[MemberCheck] = []
        identity: list[tuple[str, str, str]] = []
        for name in sorted(chunk.keys() & self._properties.keys()):
            value, member = chunk[name], self._member(name)
            same: tuple[Any, ...] = (value,)
            if not (name in told_by or (member.by_type and type(value) in _OF_ONE_TYPE)):
                same = _VALUES.get(type(value), ())
            if same and _all_valid(member, same):
                continue
            if len(same) == 1:
                return None
            if name in compared:
                again.append((name, member.is_valid))
                identity.append((name, type(value).__name__, member.text))
            else:
                integer = type(value) is int
                left.append((name, member.has_integer if integer else member.is_valid))
        return Unproved(tuple(left), tuple(again), json.dumps(identity))

    def _member(self, name: str) -> _Member:
        # Made when it is first asked for: most fields of most stages never are.
        member = self._members.get(name)
        if member is None:
            asked = self._properties[name]
            # What stages say of a field differs, more often than what they ask of it.
            asked = {word: held for word, held in asked.items() if word not in ANNOTATIONS}
            by_type = asked.keys() <= {"type"}
            text = json.dumps(asked, sort_keys=True)
            is_valid = _is_valid(text)
            member = _Member(is_valid, _integers(asked) or is_valid, by_type, text)
            self._members[name] = member
        return member


@lru_cache(maxsize=1_024)
def _is_valid(text: str) -> Callable[[Any], bool]:
    """What says whether a value meets a schema: one for all stages that ask the same."""
    is_valid: Callable[[Any], bool] = patterns.validator(json.loads(text)).is_valid
    return is_valid


def _integers(asked: Schema) -> Callable[[Any], bool] | None:
    """Whether an integer is one that a schema allows which only bounds it: a third of the time that
    the library takes. No of one beyond 64 bits, which is to be looked at more closely.
    """
    least, most = asked.get("minimum", -_LARGEST), asked.get("maximum", _LARGEST)
    bounded = asked.keys() <= {"type", "minimum", "maximum"}
    types = asked.get("type")
    named = types if isinstance(types, list) else [types]
    if not bounded or "integer" not in named or not type(least) is type(most) is int:
        return None
    return range(least, most + 1).__contains__


def _all_valid(member: _Member, values: Iterable[Any]) -> bool:
    try:
        return all(map(member.is_valid, values))
    except (TypeError, ValueError, OverflowError):  # an integer that the library does not take
        return False
