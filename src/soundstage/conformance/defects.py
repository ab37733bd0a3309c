"""What is wrong where a rule was broken, in one line: the title of a finding, and the headline of a
run that broke its contract.

A rule says what is asked; a reader wants to know what came instead. It is said by what the
violations of the rule have in common, else by the sentence that their code has for it
(`defect` in codes.toml). Pure: codes, places and messages in, words out.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Final

from soundstage.conformance.bounded_violations import is_rest_message
from soundstage.conformance.codes import codes
from soundstage.output import visible
from soundstage.output.cutting import cut

#: A title is no longer than that, in characters.
LONGEST: Final = 200
#: Different messages of a code that are compared; more of them have nothing in common but the code.
_COMPARED: Final = 12
#: Values that are named where messages differ in one; else the first stands for them.
_NAMED: Final = 3
#: Codes that a title speaks of.
_CODES: Final = 2

#: A text as messages quote it (one that was cut has no second mark), or a word, or what parts them.
_WORD: Final = re.compile(
    r"""(?<![\w'"])'(?:(?:[^'\\]|\\.)*'(?!\w)|[^']*…)"""
    r"""|(?<![\w'"])"(?:(?:[^"\\]|\\.)*"(?!\w)|[^"]*…)"""
    r"""|[^\s,;:]+|\s+|[,;:]"""
)
_FIELD: Final = re.compile(
    r"(?:(?P<stage>[^/]+)/)?(?:field/(?P<field>.+)|whole)/"
    r"(?P<aspect>required|type|value)(?:/(?:documented|exemplified|inferred))?"
)
#: What a rule of the shape of a path is about, by what stands before the name.
_NAMED_BY: Final = (
    re.compile(r"times/(?P<stage>[^/]+)(?:/.*)?"),
    re.compile(r"order/(?P<stage>[^/]+)/after(?:_all)?/(?P<before>.+)"),
    re.compile(r"(?P<stage>[^/]+)/event"),
    re.compile(r"(?:constant|never_decrease)/(?P<field>.+)"),
    re.compile(r"asset/[^/]+/(?P<field>.+)"),
)
#: How a request was wrong that should have been refused, by what it broke.
_WRONG_REQUESTS: Final = {
    "required": "a request without {field}",
    "type": "a request whose {field} is of another type",
    "value": "a request whose {field} is out of bounds",
    "body": "a request whose body is no JSON object",
    "media_type": "a request that is not sent as JSON",
}


#: What exchanges of an endpoint are called, by its kind; rules of errors and of requests have these
#: names where others have that of an endpoint.
_UNITS: Final = {
    "stream": "stream",
    "sync": "request",
    "job": "job",
    "status": "look-up",
    "error": "request",
    "request": "request",
}


def counted(broken_in: int, exchanges: int, kind: str | None = None) -> str:
    """`13 of 13 streams`: how many exchanges with an endpoint of this kind broke a rule, of how
    many that were held against it (0 where nobody knows); `exchanges` where the kind is not known.
    """
    noun = _UNITS.get(kind or "", "exchange")
    whole = max(broken_in, exchanges)
    of = f"{broken_in:,} of " if exchanges >= broken_in else ""
    return f"{of}{whole:,} {noun}{'' if whole == 1 else 's'}"


@dataclass(frozen=True, slots=True)
class BrokenRule:
    """What is wrong, in how many exchanges (`13 of 13 streams`), and how often it came."""

    defect: str
    counted: str
    broken_in: int
    violations: int


def headline_of(broken: Iterable[BrokenRule]) -> str:
    """`streaming never came: 13 of 13 streams`; of several rules `3 rules broken: streaming never
    came, in 13 of 13 streams; and 2 more`, where the one that most exchanges broke speaks for all;
    "" for none.
    """
    found = sorted(broken, key=lambda each: (-each.broken_in, -each.violations))
    if not found:
        return ""
    worst = found[0]
    if len(found) == 1:
        return f"{worst.defect}: {worst.counted}"
    said = f"{worst.defect}, in {worst.counted}; and {len(found) - 1:,} more"
    return f"{len(found):,} rules broken: {said}"


class Defects:
    """What the violations of one rule have in common. `rule` is its id."""

    def __init__(self, rule: str) -> None:
        self._rule = rule
        self._times: Counter[str] = Counter()
        self._said: dict[str, dict[str, None]] = {}
        self._places: dict[str, None] = {}

    def add(self, code: str, message: str, path: str = "", times: int = 1) -> None:
        """Take a violation in; `path` is its JSON pointer, `times` how many it stands for."""
        self._times[code] += times
        if is_rest_message(message):
            return
        said = self._said.setdefault(code, {})
        if len(said) <= _COMPARED:
            said[message] = None
        if len(self._places) <= 1:
            self._places[path] = None

    @property
    def sentence(self) -> str:
        """`streaming_ready of track 2 never came`: safe to show, at most `LONGEST` characters; ""
        where nothing was broken.
        """
        worst = [code for code, _ in self._times.most_common(_CODES)]
        # More follows it in a headline: a sentence of somebody else loses its full stop.
        found = dict.fromkeys(self._of_code(code).rstrip(". ") for code in worst)
        return cut(visible.line("; ".join(filter(None, found))), LONGEST)

    def _of_code(self, code: str) -> str:
        known = codes().get(code)
        about = self._about()
        said = [_shortened(each) for each in self._said.get(code, ())]
        if not _ITEM.search(about["field"]):  # else it is about that very item
            said = [_of_any_item(each) for each in said]
        common = _common(said) if known is None or known.as_said else None
        if common is not None:
            stage = about["stage"]
            if stage and not re.search(rf"(?<![\w.]){re.escape(stage)}(?![\w.])", common):
                head, mark, tail = common.partition(";")
                common = f"{head} in {stage}{mark}{tail}"
            return common
        if known is None:
            return said[0] if said else code
        words = {name: value or _NOBODY[name] for name, value in about.items()}
        where = about["stage"] and "{stage}" not in known.defect
        sentence = known.defect.format(**words)
        return f"{sentence} in {about['stage']}" if where else sentence

    def _about(self) -> dict[str, str]:
        """The field, the stage and so on that the rule is about; "" for what it has not."""
        _, endpoint, path = [*self._rule.split("/", 2), "", ""][:3]
        found = {"field": "", "stage": "", "before": "", "error": "", "request": ""}
        match = _FIELD.fullmatch(path)
        for shape in _NAMED_BY:
            match = match or shape.fullmatch(path)
        if match is not None:
            found.update({name: value or "" for name, value in match.groupdict().items()})
        aspect = found.pop("aspect", path)
        found["before"] = " or ".join(found["before"].split("|"))
        if not found["field"] and len(self._places) == 1:
            found["field"] = _dotted(next(iter(self._places)))
        if endpoint == "request":
            found["stage"] = ""  # the name of an endpoint stands there
            wrong = _WRONG_REQUESTS.get(aspect, "a request that is ruled out")
            found["request"] = wrong.format(field=found["field"] or "body")
        if endpoint == "error" and path.endswith("/body") and path != "other/body":
            found["error"] = f"the error {path.removesuffix('/body')}"
        return found


#: What stands for what a rule does not name.
_NOBODY: Final = {
    "field": "a field",
    "stage": "a stage",
    "before": "what must precede it",
    "error": "an error",
    "request": "a request that is ruled out",
}


def _dotted(pointer: str) -> str:
    """`/audio_data/0/audio_url` as `audio_data.*.audio_url`."""
    steps = (each.replace("~1", "/").replace("~0", "~") for each in pointer.split("/")[1:])
    return ".".join("*" if each.isdecimal() else each for each in steps)


def _shortened(message: str) -> str:
    """A message without what a title need not say: a value that is called as its type is, what was
    still due, and how a schema says "of".
    """
    said = message.partition("; still due: ")[0]
    said = re.sub(r" is (?:an )?(\w+), of type \1;", r" is of type \1;", said)
    return re.sub(r"; expected (?:of|(?=like )) ?", lambda found: _EXPECTED[found[0]], said)


_EXPECTED: Final = {"; expected of ": "; expected ", "; expected ": "; expected a text "}


#: The number of an item in the name of a field.
_ITEM: Final = re.compile(r"\.[0-9]+(?=\.|$)")


def _of_any_item(message: str) -> str:
    """A message that begins with a field, with `*` for the numbers of items in its name."""
    field, space, rest = message.partition(" ")
    return message if field[:1].isdecimal() else f"{_ITEM.sub('.*', field)}{space}{rest}"


def _common(messages: list[str]) -> str | None:
    """What these say, where all say the same but for one value, or for values of whatever type;
    else None.
    """
    if not messages or len(messages) > _COMPARED:
        return None
    if (found := _alike(messages)) is not None:
        return found
    return _alike([re.sub(r" is .*, of type ", " is of type ", each) for each in messages])


def _alike(messages: list[str]) -> str | None:
    rows = list(dict.fromkeys(tuple(_words(each)) for each in messages))
    if len({len(row) for row in rows}) > 1:
        return None
    columns = [list(dict.fromkeys(column)) for column in zip(*rows, strict=True)]
    differing = [column for column in columns if len(column) > 1]
    if len(differing) > 1:
        return None
    return "".join(column[0] if len(column) == 1 else _several(column) for column in columns)


def _words(message: str) -> list[str]:
    """The words of a message, each value one of them, texts in the marks of prose."""
    return [_quoted(each) for each in _WORD.findall(message)]


def _quoted(word: str) -> str:
    if len(word) > 1 and word[0] in "'\"" and word[-1] in (word[0], "…"):
        return f"“{word[1:-1]}”" if word[-1] == word[0] else f"“{word[1:]}”"
    return word


def _several(values: list[str]) -> str:
    if len(values) > _NAMED:
        return f"{values[0]} or others"
    values = sorted(values, key=lambda each: (len(each), each))
    return f"{', '.join(values[:-1])} or {values[-1]}"
