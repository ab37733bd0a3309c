"""Holds one JSON object against its schema, fast when it fits and with reasons when it does not.

`jsonschema-rs` says yes or no (about a microsecond); only after a no does the reference library
`jsonschema` say why. It is imported then, so that a clean run never pays for it. Patterns are run
by the first in both, which gives up where one would take for ever: such a value is not judged.
"""

from __future__ import annotations

import heapq
import json
from collections.abc import Callable, Iterator, Set
from functools import cache
from itertools import islice
from typing import Any, Final, NamedTuple

from soundstage.conformance.bounded_violations import rest
from soundstage.conformance.violations import Compared, Severity, Violation
from soundstage.contract.json_schema import patterns
from soundstage.contract.json_schema.field_schemas import Schema, constraint_of, pointer, type_name
from soundstage.contract.json_schema.keywords import is_open, names_of
from soundstage.contract.json_schema.proved_members import ProvedMembers
from soundstage.contract.json_schema.schema_words import asked_by, described, many
from soundstage.contract.rules import Rule, RuleBook
from soundstage.output.cutting import cut, head
from soundstage.process.rubbish import uncollected

#: What `FieldCheck.is_valid` raises where the fast library cannot judge (a Decimal, say).
REFUSED = (TypeError, ValueError, OverflowError)
#: Why an exchange is inconclusive in which a pattern of the contract came to its limit.
PATTERN_LIMIT = "pattern.limit"
_LONGEST_VALUE = 60
_LONGEST_NAME = 200
_MOST_NAMES = 8
_LONGEST_ASKED = 300
_LONGEST_NUMBER = 180  # bits
_CODES = {"required": "field.missing", "type": "field.type", "value": "field.value"}
#: What is counted by keywords that bound how many there are.
_COUNTED = {
    "minItems": "item", "maxItems": "item", "minProperties": "field", "maxProperties": "field"
}  # fmt: skip
_ORDER = {Severity.ERROR: 0, Severity.WARNING: 1, Severity.INFO: 2}


def shown(value: Any) -> str:
    """A JSON value for a message: short, on one line, never more than 60 characters of it."""
    if value is None or isinstance(value, bool):
        return {None: "null", True: "true", False: "false"}[value]
    if isinstance(value, dict | list) and value:
        return f"an {type_name(value)}"
    if isinstance(value, int) and value.bit_length() > _LONGEST_NUMBER:
        # Python refuses to write the longest (and takes its time for the others).
        return f"an integer of about {value.bit_length() * 30103 // 100000 + 1} digits"
    if isinstance(value, str):
        value = head(value, _LONGEST_VALUE, end="")
    return head(repr(value) if isinstance(value, str) else str(value), _LONGEST_VALUE)


def received(value: Any) -> str:
    """A JSON value as it stands beside what was expected, short and on one line: `null`, `"abc"`,
    `"abc…" (93 characters)`, `an array of 3 items`, `an object with id, name`.
    """
    if isinstance(value, str):
        quoted = json.dumps(head(value, _LONGEST_VALUE, end=""), ensure_ascii=False)
        if len(value) <= _LONGEST_VALUE:
            return quoted
        return f'{quoted[:-1]}…" ({len(value):,} characters)'
    if isinstance(value, list | dict) and not value:
        return "an empty array" if isinstance(value, list) else "an empty object"
    if isinstance(value, list):
        return f"an array of {many(len(value), 'item')}"
    if isinstance(value, dict):
        names = ", ".join(islice(map(str, value), _MOST_NAMES))
        return (
            f"an object with {cut(names, _LONGEST_NAME)}{', …' if len(value) > _MOST_NAMES else ''}"
        )
    return shown(value)


@cache
def _explaining() -> Any:
    """The class of the reference library's validators, with our engine for patterns."""
    with uncollected():
        import jsonschema

    def pattern(_: Any, asked: str, value: Any, __: Any) -> Iterator[Any]:
        if isinstance(value, str) and patterns.found_in(asked, value) is False:
            yield jsonschema.ValidationError(f"{head(value, 60)!r} does not match {asked!r}")

    extend: Any = jsonschema.validators.extend
    return extend(jsonschema.Draft202012Validator, {"pattern": pattern})


#: Faults of one object that are explained; each costs the reference library about 50 us.
MOST_EXPLAINED: Final = 1_000
#: Undocumented fields of one object that are named; of more only the number is said.
_MOST_NAMED: Final = 150


class FieldFindings(NamedTuple):
    """What is wrong with one object. `whole`: everything is in it; False where so much was wrong
    that the search was ended.
    """

    violations: list[Violation]
    whole: bool


class FieldCheck:
    """The fields of one kind of object: of a stage's chunks, or of a result.

    `schema` is resolved; `others` are documented fields that it does not list: allowed anywhere,
    held only to their type; None where undocumented fields are allowed. `prefix` leads to the
    rules of `schema` in the book. `on_change` is called when `is_valid` is another function.
    """

    def __init__(
        self,
        book: RuleBook,
        endpoint: str,
        prefix: str,
        schema: Schema,
        others: Schema | None,
        on_change: Callable[[], object] = lambda: None,
    ) -> None:
        self._book = book
        self._endpoint = endpoint
        self._prefix = prefix
        self._listed = names_of(schema)
        self._schema = {
            **schema, "properties": {**(others or {}), **schema.get("properties", {})}
        }  # fmt: skip
        #: The fast library's own function; may raise one of `REFUSED`.
        self.is_valid: Callable[[Any], bool] = patterns.validator(self._schema).is_valid
        #: What of the fields is proved by what is known of a chunk.
        self.proved = ProvedMembers(self._schema)
        #: The patterns that came to their limit, and are not asked for any more: what was held
        #: against this is not judged as a whole.
        self.given_up: frozenset[str] = frozenset()
        self._on_change = on_change
        self.known = self._listed | self._schema["properties"].keys()
        # Where a schema says itself which other names may come, it is it that is broken by one.
        self._open = others is None or not self.known or is_open(schema)

    def fits(self, value: dict[str, Any]) -> bool:
        """Whether an object meets the schema. False where the fast library cannot judge: then the
        reference library is asked.
        """
        try:
            return self.is_valid(value)
        except REFUSED:
            return False

    def violations(self, value: dict[str, Any], chunk: int | None) -> list[Violation]:
        """Every broken field rule, then every undocumented field. At one place only the weightiest
        grounds are named, and nothing but its type where that is wrong.
        """
        return self.found(value, chunk).violations

    def found(
        self, value: dict[str, Any], chunk: int | None, *, most: int = MOST_EXPLAINED
    ) -> FieldFindings:
        """What `violations` gives, and whether it is everything: after `most` faults the search for
        more is ended.
        """
        violations: list[Violation] = []
        whole = True
        if not self.fits(value):
            if given_up := frozenset(patterns.given_up(self._schema, value)):
                self._give_up(given_up)
            violations, whole = self._explained(value, chunk, most)
        if not (self._open or value.keys() <= self.known):
            violations += self._undocumented(value.keys() - self.known, chunk)
        return FieldFindings(violations, whole)

    def _give_up(self, given_up: frozenset[str]) -> None:
        """Ask no more for patterns that take too long: the next value would cost as much."""
        self.given_up |= given_up
        self._schema = patterns.without(self._schema, given_up)
        self.is_valid = patterns.validator(self._schema).is_valid
        self.proved = ProvedMembers(self._schema)
        self._on_change()

    def _undocumented(self, names: Set[str], chunk: int | None) -> Iterator[Violation]:
        rule = self._book[f"{self._book.api}/{self._endpoint}/undocumented"]

        def undocumented(name: str) -> Violation:
            message = f"{cut(name, _LONGEST_NAME)} is not documented"
            severity = Severity(rule.severity)
            code = "field.undocumented"
            return Violation(code, severity, chunk, pointer(name), message, rule.id)

        named = heapq.nsmallest(_MOST_NAMED, names)
        yield from map(undocumented, named)
        if (more := len(names) - len(named)) > 0:
            yield rest(undocumented(named[0]), more)

    def _explained(self, value: dict[str, Any], chunk: int | None, most: int) -> FieldFindings:
        found: dict[tuple[str | int, ...], tuple[tuple[int, int], Violation]] = {}
        errors = _explaining()(self._schema).iter_errors(value)
        for error in islice(errors, most):
            place = tuple(error.absolute_path)
            names, aspect = constraint_of(
                self._schema, list(error.absolute_schema_path), error.validator
            )
            for name in self._lacking(error) if aspect == "required" else (None,):
                path = (*place, name) if name is not None else place
                about = (*names, name) if name is not None else names
                rule = self._rule(about, aspect, self._basis(error))
                severity = Severity(rule.severity)
                message = self._message(path, aspect, error)
                violation = Violation(
                    _CODES[aspect],
                    severity,
                    chunk,
                    pointer(*path),
                    message,
                    rule.id,
                    compared=_compared(aspect, name, error),
                )
                weight = (0 if aspect != "value" else 1, _ORDER[severity])
                if path not in found or weight < found[path][0]:
                    found[path] = (weight, violation)
        whole = next(errors, None) is None
        return FieldFindings([violation for _, violation in found.values()], whole)

    @staticmethod
    def _lacking(error: Any) -> list[str]:
        return [name for name in error.validator_value if name not in error.instance]

    def _basis(self, error: Any) -> str:
        basis, schema = "", self._schema
        for part in error.absolute_schema_path:
            schema = schema[part]
            if isinstance(schema, dict) and "x-basis" in schema:
                basis = schema["x-basis"]
        return basis

    def _rule(self, names: tuple[str, ...], aspect: str, basis: str) -> Rule:
        prefix = self._prefix if not names or names[0] in self._listed else ""
        bases = (basis, "documented", "exemplified", "inferred")
        for candidate in bases:
            try:
                return self._book.of_constraint(self._endpoint, prefix, names, aspect, candidate)
            except KeyError:
                continue
        raise LookupError(f"no rule for {prefix}{'.'.join(names)}: {aspect}")

    @staticmethod
    def _message(path: tuple[str | int, ...], aspect: str, error: Any) -> str:
        field = cut(".".join(map(str, path)), _LONGEST_NAME)
        if aspect == "required":
            return f"{field} is missing"
        if aspect == "type":
            asked = error.validator_value
            kinds = " or ".join(asked if isinstance(asked, list) else [asked])
            kind = type_name(error.instance)
            return f"{field} is {shown(error.instance)}, of type {kind}; expected {kinds}"
        asked = cut(asked_by(error.validator, error.schema), _LONGEST_ASKED)
        field = field or "the object"
        if (noun := _COUNTED.get(error.validator)) is not None:
            return f"{field} has {many(len(error.instance), noun)}; expected {asked}"
        if isinstance(error.instance, dict):
            names = cut(", ".join(map(str, error.instance)) or "nothing", _LONGEST_NAME)
            return f"{field} has {names}; expected {asked}"
        return f"{field} is {shown(error.instance)}; expected {asked}"


def _compared(aspect: str, name: str | None, error: Any) -> Compared:
    """What a broken keyword asks, and what came; `name`: of the field that is missing."""
    if aspect == "required":
        asked = error.schema.get("properties", {}).get(name)
        return Compared(described(asked) if asked else "a value", "nothing: it is missing")
    words = described(error.schema)
    if aspect == "type":
        kinds = error.validator_value
        kinds = [kinds] if isinstance(kinds, str) else kinds
        if not any(kind in words for kind in kinds):  # a title that does not name the type
            words = f"{' or '.join(kinds)}: {words}"
    return Compared(words, received(error.instance))
