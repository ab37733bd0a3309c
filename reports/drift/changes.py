"""What a feature that is seen more or less often means: the kind of change, its effect, and words.

The effects are oasdiff's for responses (https://www.oasdiff.com, "breaking changes"), extended by
those of a staged stream, which OpenAPI cannot describe. docs/drift.md shows the table to users.
"""

from __future__ import annotations

from dataclasses import dataclass

from soundstage.observed.documented import Stance
from soundstage.observed.facts import OTHER, UNKNOWN
from soundstage.reports.drift.features import Feature

BREAKING, WARNING, INFO = "breaking", "warning", "info"
_LONGEST = 80


@dataclass(frozen=True, slots=True)
class FeatureChange:
    """`kind` and `effect` of a change, `detail` (what tells it from others of its kind at the same
    place, for its fingerprint), and what it is in words.
    """

    kind: str
    effect: str
    detail: str
    text: str


def change(feature: Feature, *, more: bool) -> FeatureChange | None:
    """What it means that a feature is seen `more` often than before, or less; None where that is
    nothing by itself (one value is rarer because another came up).
    """
    kind = feature.kind.partition(".")[0]
    described = _DESCRIBED[kind](feature, more)
    if described is None:
        return None
    name, effect, text = described
    return FeatureChange(name, effect, feature.detail if kind not in _UNTOLD else "", text)


_Described = tuple[str, str, str] | None


def place(feature: Feature) -> str:
    """Where it is, in words: `stream_url of streaming_ready`."""
    where = feature.path[1:].replace("/", ".")
    where = where if len(where) <= _LONGEST else where[: _LONGEST - 1] + "…"
    return f"{where} of {feature.stage or 'the result'}"


def _broken(feature: Feature) -> str:
    """The effect of what the contract rules out, or has nothing to say about."""
    if feature.said.stance is Stance.ALLOWED:
        return INFO
    return BREAKING if feature.said.firm else WARNING


def _field(feature: Feature, more: bool) -> _Described:
    where, silent = place(feature), feature.said.stance is Stance.SILENT
    if not more:
        required = feature.said.stance is Stance.REQUIRED
        effect = BREAKING if required or feature.was == "always" else WARNING
        if feature.seen.candidate:
            return "field.rarer", WARNING if effect is BREAKING else INFO, f"{where} is rarer"
        return "field.gone", effect, f"{where} is gone"
    if feature.seen.base:
        return "field.commoner", INFO, f"{where} is more frequent"
    new = "is new, and not documented" if silent else "is there now, as documented"
    return "field.new", INFO, f"{where} {new}"


def _always(feature: Feature, more: bool) -> _Described:
    where, seen = place(feature), feature.seen
    if more:
        full = seen.candidate == seen.candidate_n
        text = f"{where} is always there now" if full else f"{where} is more frequent"
        return "field.always" if full else "field.commoner", INFO, text
    if seen.base == seen.base_n:
        allowed = feature.said.stance is Stance.ALLOWED and feature.detail == "documented"
        effect = WARNING if allowed else BREAKING
        return "field.optional", effect, f"{where} is no longer always there"
    return "field.rarer", WARNING, f"{where} is rarer"


def _type(feature: Feature, more: bool) -> _Described:
    where, name = place(feature), feature.detail
    if not more:
        if feature.seen.candidate:
            return None
        return "type.narrowed", INFO, f"{where} is never of type {name} any more"
    if name == "null":
        return "type.nullable", _broken(feature), f"{where} can be null"
    was = f", was {feature.was}" if feature.was else ""
    return "type.changed", _broken(feature), f"{where} can be of type {name}{was}"


def _value(feature: Feature, more: bool) -> _Described:
    where, value = place(feature), feature.detail
    if value.startswith("#"):
        value = f"a value that is not documented ({value})"
    if value == "many":
        value = "one of many values"
    if not more:
        gone = not feature.seen.candidate
        return ("enum.shrunk", INFO, f"{where} is never {value} any more") if gone else None
    if feature.seen.base:
        return None
    silent = feature.said.stance is Stance.SILENT
    return "enum.grown", WARNING if silent else _broken(feature), f"{where} can be {value}"


def _format(feature: Feature, more: bool) -> _Described:
    if not more:
        return None
    effect = WARNING if feature.said.stance is Stance.SILENT else _broken(feature)
    text = f"{place(feature)} can be {_CLASSES.get(feature.detail, feature.detail)}"
    was = ", ".join(_CLASSES.get(name, name) for name in feature.was.split(", ") if name)
    return "format.changed", effect, f"{text}, was {was}" if was else text


_CLASSES = {
    "uri": "a URL", "uuid": "a UUID", "date-time": "a date with time", "date": "a date",
    "digits": "digits", "hex": "hexadecimal digits", "token": "a word", "text": "any text",
    "empty": "empty",
}  # fmt: skip


def _size(feature: Feature, more: bool) -> _Described:
    if not more:
        return None
    was = f", had {feature.was}" if feature.was else ""
    many = "more than 100" if feature.detail == "more" else feature.detail
    return "array.size", _broken(feature), f"{place(feature)} can have {many} items{was}"


def _items(feature: Feature, more: bool) -> _Described:
    return None  # that a list is empty or not is no change of its shape


def _rule(feature: Feature, more: bool) -> _Described:
    effect = _broken(feature)
    return ("rule.broken", effect, f"broken now: {feature.was}") if more else None


def _range(feature: Feature, more: bool) -> _Described:
    kind, _, sort = feature.kind.partition(".")
    what = "is" if kind == "number" else "has a length of"
    text = f"{place(feature)} {what} {feature.detail}"
    text += f", was {feature.was}" if feature.was else ""
    if sort == "moved":
        return "range.moved", INFO, text
    return ("range.outside", _broken(feature), text) if more else None


def _stage(feature: Feature, more: bool) -> _Described:
    name, seen = feature.detail, feature.seen
    if name.startswith(UNKNOWN):
        if not more or seen.base:
            return None
        named = f"“{name[1:]}”" if name != UNKNOWN else "without a name that could be told"
        return "stage.added", _broken(feature), f"there is a stage {named}, not documented"
    required = feature.said.stance is Stance.REQUIRED
    if not more:
        text = f"the stage {name} is {'rarer' if seen.candidate else 'gone'}"
        effect = (BREAKING if feature.said.firm else WARNING) if required else WARNING
        if seen.candidate:
            return "stage.rarer", effect if required else INFO, text
        return "stage.gone", effect, text
    if seen.base:
        return "stage.commoner", INFO, f"the stage {name} is more frequent"
    return "stage.added", INFO, f"the stage {name} comes now, as documented"


def _times(feature: Feature, more: bool) -> _Described:
    if not more:
        return None
    was = f", was {feature.was}" if feature.was else ""
    return "stage.times", _broken(feature), f"{feature.stage} comes {feature.detail} times{was}"


def _order(feature: Feature, more: bool) -> _Described:
    if not more:
        return None
    text = f"{feature.stage} comes before {feature.detail}"
    return "stage.reordered", _broken(feature), text


def _last(feature: Feature, more: bool) -> _Described:
    if not more:
        return None
    was = f", did with {feature.was}" if feature.was else ""
    return "stage.last", _broken(feature), f"streams end with {feature.detail}{was}"


def _track(feature: Feature, more: bool) -> _Described:
    of = f" of {feature.stage}" if feature.stage else ""
    if feature.detail == OTHER:
        if not more:
            return None
        return "track.added", _broken(feature), f"a track{of} that is not documented"
    if more:
        return None
    state = "rarer" if feature.seen.candidate else "lost"
    return f"track.{state}", _broken(feature), f"track {feature.detail}{of} is {state}"


def _index(feature: Feature, more: bool) -> _Described:
    if not more:
        return None
    _, _, sort = feature.kind.partition(".")
    was = f", was {feature.was}" if feature.was else ""
    detail = "something else" if feature.detail == OTHER else feature.detail
    if sort == "start":
        return "index.base", _broken(feature), f"the index starts at {detail}{was}"
    return "index.step", _broken(feature), f"the index goes on by {detail}{was}"


def _framing(feature: Feature, more: bool) -> _Described:
    if not more:
        return None
    return "framing.changed", _broken(feature), f"streams are framed as {feature.detail}"


_DESCRIBED = {
    "always": _always, "field": _field, "format": _format, "framing": _framing, "index": _index,
    "items": _items, "last": _last, "length": _range, "number": _range, "order": _order,
    "rule": _rule, "size": _size, "stage": _stage, "times": _times, "track": _track,
    "type": _type, "value": _value,
}  # fmt: skip
#: Sorts of features of which a place has but one, or whose detail is a figure of this run.
_UNTOLD = frozenset({"field", "always", "number", "length", "size", "times", "index", "last"})
