"""What a feature that is seen more or less often means: the kind of change, its effect, and words.

The effects are oasdiff's for responses (https://www.oasdiff.com, "breaking changes"), extended by
those of a staged stream, which OpenAPI cannot describe. docs/drift.md shows the table to users.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Final, NamedTuple

from soundstage.observed.facts import OTHER, UNKNOWN
from soundstage.reports.drift.documented import Stance
from soundstage.reports.drift.features import Feature

BREAKING, WARNING, INFO = "breaking", "warning", "info"
_LONGEST: Final = 80


@dataclass(frozen=True, slots=True)
class FeatureChange:
    """`kind` and `effect` of a change, `detail` (what tells it from others of its kind at the same
    place, for its fingerprint), and what it is in words.
    """

    kind: str
    effect: str
    detail: str
    text: str


class _Meaning(NamedTuple):
    kind: str
    effect: str
    text: str


def change(feature: Feature, *, more: bool) -> FeatureChange | None:
    """What it means that a feature is seen `more` often than before, or less; None where that is
    nothing by itself (one value is rarer because another came up).
    """
    meaning = _GRADED[feature.kind](feature, more) if feature.kind in _GRADED else None
    if more and feature.kind in _RULED:
        kind, text = _RULED[feature.kind]
        meaning = _Meaning(kind, _broken(feature), text.format(**_words(feature)))
    if meaning is None:
        return None
    detail = "" if feature.kind.partition(".")[0] in _UNTOLD else feature.detail
    return FeatureChange(meaning.kind, meaning.effect, detail, meaning.text)


#: What breaks where the contract rules it out, and is no matter where it allows it; being seen less
#: often means nothing.
_RULED: Final[Mapping[str, tuple[str, str]]] = {
    "framing": ("framing.changed", "streams are framed as {detail}"),
    "index.start": ("index.base", "the index starts at {number}{was}"),
    "index.step": ("index.step", "the index goes on by {number}{was}"),
    "last": ("stage.last", "streams end with {detail}{did}"),
    "length.limit": ("range.outside", "{place} has a length of {detail}{was}"),
    "number.limit": ("range.outside", "{place} is {detail}{was}"),
    "order": ("stage.reordered", "{stage} comes before {detail}"),
    "rule": ("rule.broken", "broken now: {rule}"),
    "size": ("array.size", "{place} can have {many} items{had}"),
    "times": ("stage.times", "{stage} comes {detail} times{was}"),
}
#: Sorts of features of which a place has but one, or whose detail is a figure of this run.
_UNTOLD: Final = frozenset(
    {"field", "always", "number", "length", "size", "times", "index", "last"}
)
_CLASSES: Final = {
    "uri": "a URL", "uuid": "a UUID", "date-time": "a date with time", "date": "a date",
    "digits": "digits", "hex": "hexadecimal digits", "token": "a word", "text": "any text",
    "empty": "empty",
}  # fmt: skip


def place(feature: Feature) -> str:
    """Where it is, in words: `stream_url of streaming_ready`."""
    where = feature.path[1:].replace("/", ".")
    where = where if len(where) <= _LONGEST else where[: _LONGEST - 1] + "…"
    return f"{where} of {feature.stage or 'the result'}"


def _words(feature: Feature) -> dict[str, str]:
    detail, was = feature.detail, feature.was
    return {
        "detail": detail,
        "stage": str(feature.stage),
        "place": place(feature),
        "rule": was,
        "number": "something else" if detail == OTHER else detail,
        "many": "more than 100" if detail == "more" else detail,
        "was": f", was {was}" if was else "",
        "had": f", had {was}" if was else "",
        "did": f", did with {was}" if was else "",
    }


def _broken(feature: Feature) -> str:
    """The effect of what the contract rules out, or has nothing to say about."""
    if feature.said.stance is Stance.ALLOWED:
        return INFO
    return BREAKING if feature.said.firm else WARNING


def _field(feature: Feature, more: bool) -> _Meaning:
    where, silent = place(feature), feature.said.stance is Stance.SILENT
    if not more:
        required = feature.said.stance is Stance.REQUIRED
        effect = BREAKING if required or feature.was == "always" else WARNING
        if feature.seen.candidate:
            effect = WARNING if effect is BREAKING else INFO
            return _Meaning("field.rarer", effect, f"{where} is rarer")
        return _Meaning("field.gone", effect, f"{where} is gone")
    if feature.seen.base:
        return _Meaning("field.commoner", INFO, f"{where} is more frequent")
    new = "is new, and not documented" if silent else "is there now, as documented"
    return _Meaning("field.new", INFO, f"{where} {new}")


def _always(feature: Feature, more: bool) -> _Meaning:
    where, seen = place(feature), feature.seen
    if more and seen.candidate == seen.candidate_n:
        return _Meaning("field.always", INFO, f"{where} is always there now")
    if more:
        return _Meaning("field.commoner", INFO, f"{where} is more frequent")
    if seen.base == seen.base_n:
        allowed = feature.said.stance is Stance.ALLOWED and feature.detail == "documented"
        effect = WARNING if allowed else BREAKING
        return _Meaning("field.optional", effect, f"{where} is no longer always there")
    return _Meaning("field.rarer", WARNING, f"{where} is rarer")


def _type(feature: Feature, more: bool) -> _Meaning | None:
    where, name = place(feature), feature.detail
    if not more:
        gone = not feature.seen.candidate
        text = f"{where} is never of type {name} any more"
        return _Meaning("type.narrowed", INFO, text) if gone else None
    if name == "null":
        return _Meaning("type.nullable", _broken(feature), f"{where} can be null")
    was = f", was {feature.was}" if feature.was else ""
    return _Meaning("type.changed", _broken(feature), f"{where} can be of type {name}{was}")


def _value(feature: Feature, more: bool) -> _Meaning | None:
    where, value = place(feature), feature.detail
    if value.startswith("#"):
        value = f"a value that is not documented ({value})"
    if value == "many":
        value = "one of many values"
    if not more:
        gone = not feature.seen.candidate
        return _Meaning("enum.shrunk", INFO, f"{where} is never {value} any more") if gone else None
    if feature.seen.base:
        return None
    effect = WARNING if feature.said.stance is Stance.SILENT else _broken(feature)
    return _Meaning("enum.grown", effect, f"{where} can be {value}")


def _format(feature: Feature, more: bool) -> _Meaning | None:
    if not more:
        return None
    effect = WARNING if feature.said.stance is Stance.SILENT else _broken(feature)
    text = f"{place(feature)} can be {_CLASSES.get(feature.detail, feature.detail)}"
    was = ", ".join(_CLASSES.get(name, name) for name in feature.was.split(", ") if name)
    return _Meaning("format.changed", effect, f"{text}, was {was}" if was else text)


def _moved(feature: Feature, more: bool) -> _Meaning:
    what = "is" if feature.kind.startswith("number") else "has a length of"
    words = _words(feature)
    text = f"{words['place']} {what} {words['detail']}{words['was']}"
    return _Meaning("range.moved", INFO, text)


def _stage(feature: Feature, more: bool) -> _Meaning | None:
    name, seen = feature.detail, feature.seen
    if name.startswith(UNKNOWN):
        if not more or seen.base:
            return None
        named = f"“{name[1:]}”" if name != UNKNOWN else "without a name that could be told"
        text = f"there is a stage {named}, not documented"
        return _Meaning("stage.added", _broken(feature), text)
    required = feature.said.stance is Stance.REQUIRED
    if not more:
        effect = (BREAKING if feature.said.firm else WARNING) if required else WARNING
        if seen.candidate:
            effect = effect if required else INFO
            return _Meaning("stage.rarer", effect, f"the stage {name} is rarer")
        return _Meaning("stage.gone", effect, f"the stage {name} is gone")
    if seen.base:
        return _Meaning("stage.commoner", INFO, f"the stage {name} is more frequent")
    return _Meaning("stage.added", INFO, f"the stage {name} comes now, as documented")


def _track(feature: Feature, more: bool) -> _Meaning | None:
    of = f" of {feature.stage}" if feature.stage else ""
    if (feature.detail == OTHER) is not more:
        return None
    if more:
        return _Meaning("track.added", _broken(feature), f"a track{of} that is not documented")
    state = "rarer" if feature.seen.candidate else "lost"
    text = f"track {feature.detail}{of} is {state}"
    return _Meaning(f"track.{state}", _broken(feature), text)


_GRADED: Final[Mapping[str, Callable[[Feature, bool], _Meaning | None]]] = {
    "always": _always, "field": _field, "format": _format, "length.moved": _moved,
    "number.moved": _moved, "stage": _stage, "track": _track, "type": _type, "value": _value,
}  # fmt: skip
