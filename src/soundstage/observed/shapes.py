"""The shapes of the JSON values of one exchange, as facts: at each place, which types, values,
classes of text, sizes and ranges there were. Counts and classes, never anybody's words.

Bounded whatever comes: depth, items, kept values and the work spent on one value have caps.
"""

from __future__ import annotations

import hashlib
import json
import math
from collections import Counter, deque
from collections.abc import Iterator
from decimal import Decimal
from itertools import islice
from typing import Any

from soundstage.contract.json_schema.field_schemas import type_name
from soundstage.observed.documented import Documented, Places
from soundstage.observed.facts import Facts, Range
from soundstage.observed.text_classes import SPECIFIC, format_of, is_token, name_of
from soundstage.output.redact import PRIVATE_FIELDS

#: Objects and arrays below this are not entered.
DEEPEST = 6
#: Values that are looked at in one chunk or result; items of one array.
MOST_NODES = 2_000
MOST_ITEMS = 50
#: Longest text that may be a value of an enumeration.
LONGEST_VALUE = 40

_LARGEST_SIZE = 100
#: Numbers that may be values: those of documented fields, and of others, which may be somebody's.
_LARGEST_KNOWN = 10**6
_LARGEST_UNKNOWN = 1_000
_KINDS = {str: "string", int: "integer", bool: "boolean", type(None): "null", dict: "object"}
_FLOAT_MAX = 1.7976931348623157e308


class ShapeReader:
    """Takes chunks of one stage, or a result, into the facts of the exchange."""

    def __init__(self, facts: Facts, stage: str, known: Places) -> None:
        self._facts, self._stage, self._known = facts, stage, known
        self._seen: Counter[str] = Counter()
        self._objects: Counter[str] = Counter()
        self._extra: set[str] = set()

    def look(self, value: Any) -> int:
        """Take in one chunk or result. Breadth first and what is documented first, so that the caps
        cut what matters least. Returns how many values it looked at.
        """
        root = self._known.get("")
        queue: deque[tuple[str, Any, Documented | None, bool, int]]
        queue = deque([("", value, root, root is not None and root.private, 0)])
        looked = 0
        while queue and looked < MOST_NODES:
            where, found, about, private, depth = queue.popleft()
            looked += 1
            self._seen[where] += 1
            if about is None:
                self._extra.add(where)
            self._note(where, found, about, private)
            if depth < DEEPEST:
                left = max(0, MOST_NODES - looked - len(queue))
                inner = islice(self._children(where, found, about, private), left)
                queue.extend((*each, depth + 1) for each in inner)
        return looked

    def end(self) -> None:
        """No more chunks: say which places there were, and which were never left out."""
        counts, stage = self._facts.counts, self._stage
        for where, times in self._seen.items():
            counts[f"field/{stage}/{where}"] = 1
            if where in self._extra:
                counts[f"extra/{stage}/{where}"] = 1
            item = not where or where.endswith("/*")
            if item or times >= self._objects[where.rpartition("/")[0]]:
                counts[f"always/{stage}/{where}"] = 1

    def _note(self, where: str, value: Any, about: Documented | None, private: bool) -> None:
        facts, counts, stage = self._facts, self._facts.counts, self._stage
        kind = _KINDS.get(type(value)) or type_name(value)
        if kind == "number" and isinstance(value, float) and value.is_integer():
            kind = "integer"  # 2.0 is one, says JSON Schema
        counts[f"type/{stage}/{kind}{where}"] = 1
        if kind == "object":
            self._objects[where] += 1
        elif kind == "array":
            size = len(value) if len(value) <= _LARGEST_SIZE else "more"
            counts[f"size/{stage}/{size}{where}"] = 1
        elif kind == "string":
            facts.widen(f"length/{stage}/{where}", float(len(value)), float(len(value)))
            counts[f"format/{stage}/{format_of(value)}{where}"] = 1
        elif kind in ("integer", "number") and not private:
            ends = _neighbourhood(value) if about is None else (_plain_number(value),) * 2
            facts.widen(f"number/{stage}/{where}", *ends)
        kept = _kept(value, kind, about, private)
        if kept is not None:
            counts[f"value/{stage}/{kept}{where}"] = 1
        elif kind == "string":
            counts[f"unkept/{stage}/{where}"] = 1

    def _children(
        self, where: str, value: Any, about: Documented | None, private: bool
    ) -> Iterator[tuple[str, Any, Documented | None, bool]]:
        """What is below a value: its place, itself, what is documented, and if it is private."""
        if isinstance(value, dict):
            fields = about.fields if about is not None else {}
            for name, at in fields.items():
                if name in value:
                    below = self._known[at]
                    yield at, value[name], below, below.private
            for name, inner in value.items():
                if name not in fields:
                    hide = private or name in PRIVATE_FIELDS
                    yield f"{where}/{name_of(name)}", inner, None, hide
        elif isinstance(value, list):
            at = f"{where}/*"
            item = self._known.get(at) if about is not None else None
            for inner in value[:MOST_ITEMS]:
                yield at, inner, item, item.private if item is not None else private


def _kept(value: Any, kind: str, about: Documented | None, private: bool) -> str | None:
    """How a value is kept as a candidate of an enumeration: as JSON, as its class (`<text>`) where
    it is no name though names are due, or as a hash (`#1a2b3c4d`) where nobody said that its texts
    are names; None where it is not kept at all.
    """
    if kind == "boolean":
        return "true" if value else "false"
    if private:
        return None
    if kind == "integer":
        largest = _LARGEST_UNKNOWN if about is None else _LARGEST_KNOWN
        return str(int(value)) if abs(value) <= largest else None
    if kind != "string":
        return None
    short = len(value) <= LONGEST_VALUE and is_token(value)
    if about is not None and about.naming:
        return json.dumps(value) if short else f"<{format_of(value)}>"
    if about is not None or not short or format_of(value) in SPECIFIC:
        return None
    return "#" + hashlib.sha256(value.encode()).hexdigest()[:8]


def _plain_number(value: int | float | Decimal) -> float:
    try:
        number = float(value)
    except OverflowError:
        number = math.inf if value > 0 else -math.inf
    return max(-_FLOAT_MAX, min(_FLOAT_MAX, number))


def _neighbourhood(value: int | float | Decimal) -> Range:
    """Of a number of nobody knows what only its neighbourhood, one digit of it."""
    number = _plain_number(value)
    if abs(number) < _LARGEST_UNKNOWN:
        return (float(math.floor(number)), float(math.ceil(number)))
    unit = 10.0 ** min(307, math.floor(math.log10(abs(number))))
    low, high = math.floor(number / unit) * unit, math.ceil(number / unit) * unit
    return (max(-_FLOAT_MAX, low), min(_FLOAT_MAX, high))
