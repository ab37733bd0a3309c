"""How each kind of feature is told: what kind of drift it is to see it more or less often, with
which effect and in which words; and what the page should say where it has it otherwise.

The effects are oasdiff's for responses (https://www.oasdiff.com, "breaking changes"), extended by
those of a staged stream, which OpenAPI cannot describe. docs/drift.md shows the table to users.
"""

from __future__ import annotations

from typing import NamedTuple

from soundstage.observed.documented import Stance
from soundstage.observed.facts import MANY, OTHER, UNKNOWN
from soundstage.reports.drift.features import Feature

BREAKING, WARNING, INFO = "breaking", "warning", "info"
_LONGEST = 80


class KindWords(NamedTuple):
    """A kind of feature. `drift` and `text`: what it is that it is seen more often than before;
    `was` stands before what was seen then. Of the page: what the feature is called (`name`, if it
    has no place of its own), what the page `says`, what was `seen` against it, and what to `write`.
    """

    drift: str
    text: str
    was: str = ""
    name: str = ""
    says: str = ""
    seen: str = ""
    write: str = ""


# fmt: off
KINDS = {
    "framing": KindWords(
        "framing.changed", "streams are framed as {shown}", "",
        "framing", "another framing", "{detail} {counted}", "name {detail} as a framing"),
    "index.start": KindWords(
        "index.base", "the index starts at {shown}", ", was ",
        "first index", "another number", "starts at {detail} {counted}",
        "say that it starts at {detail}"),
    "index.step": KindWords(
        "index.step", "the index goes on by {shown}", ", was ",
        "next index", "another number", "goes on by {detail} {counted}",
        "say that it goes on by {detail}"),
    "last": KindWords(
        "stage.last", "streams end with {shown}", ", did with ",
        "last stage", "another stage", "{detail} is last {counted}",
        "say that {detail} can be last"),
    "order": KindWords(
        "stage.reordered", "{stage} comes before {shown}", "",
        "order", "{detail} before {stage}", "{stage} before {detail} {counted}",
        "say that either may come first"),
    "rule": KindWords(
        "rule.broken", "broken now: {was}", "",
        "across chunks", "{was}", "otherwise {counted}", "say when that does not hold"),
    "stage": KindWords(
        "stage.added", "there is a stage {shown}, not documented", "",
        "stage", "not mentioned", "a stage {shown} {counted}", "describe this stage"),
    "times": KindWords(
        "stage.times", "{stage} comes {shown} times", ", was ",
        "how often", "another number", "{detail} times {counted}",
        "say that it can come {detail} times"),
    "track": KindWords(
        "track.added", "a track{of} that is not documented", "",
        "tracks", "no other track", "another track {counted}", "name the other tracks"),
    "type": KindWords(
        "type.changed", "{place} can be of type {shown}", ", was ",
        "", "{documented}", "{detail} {counted}", "say that it can be of type {detail}"),
    "value": KindWords(
        "enum.grown", "{place} can be {shown}", "",
        "", "{documented}", "{detail} {counted}", "print {detail} among its values"),
    "format": KindWords(
        "format.changed", "{place} can be {shown}", ", was ",
        "", "{documented}", "{detail} {counted}", "say that it can be {detail}"),
    "size": KindWords(
        "array.size", "{place} can have {shown} items", ", had ",
        "", "{documented}", "{detail} items {counted}", "say that it can have {detail} items"),
    "number.limit": KindWords(
        "range.outside", "{place} is {shown}", ", was ",
        "", "{documented}", "{detail}, in {n} exchanges", "widen the documented range"),
    "length.limit": KindWords(
        "range.outside", "{place} has a length of {shown}", ", was ",
        "", "{documented}", "{detail}, in {n} exchanges", "widen the documented range"),
    "number.moved": KindWords("range.moved", "{place} is {shown}", ", was "),
    "length.moved": KindWords("range.moved", "{place} has a length of {shown}", ", was "),
}
#: What it is that one of these is never seen any more. Of other kinds it is nothing by itself.
_GONE = {
    "type": ("type.narrowed", "{place} is never of type {shown} any more"),
    "value": ("enum.shrunk", "{place} is never {shown} any more"),
}
_CLASSES = {
    "uri": "a URL", "uuid": "a UUID", "date-time": "a date with time", "date": "a date",
    "digits": "digits", "hex": "hexadecimal digits", "token": "a word", "text": "any text",
    "empty": "empty",
}
# fmt: on
#: Kinds of which a place has but one, or whose detail is a figure of this run: it tells a finding
#: from no other of its place.
_UNTOLD = frozenset({"field", "always", "number", "length", "size", "times", "index", "last"})


class FeatureChange(NamedTuple):
    """`kind` and `effect` of a change, and what it is in words."""

    kind: str
    effect: str
    text: str


def change(feature: Feature, *, more: bool) -> FeatureChange | None:
    """What it means that a feature is seen `more` often than before, or less; None where that is
    nothing by itself (one value is rarer because another came up).
    """
    kind, seen = feature.kind, feature.seen
    if kind == "items":
        return None  # that a list is empty or not is no change of its shape
    if kind in ("field", "always"):
        return _presence(feature, more)
    documented = feature.said.stance is not Stance.FORBIDDEN
    if kind == "stage" and documented:
        return _stage(feature, more)
    if kind == "track" and documented:
        state = "rarer" if seen.candidate else "lost"
        text = told("track {detail}{of} is ", feature) + state
        return None if more else FeatureChange(f"track.{state}", effect(feature), text)
    if not more:
        name, text = _GONE.get(kind, ("", ""))
        return (
            None if seen.candidate or not name else FeatureChange(name, INFO, told(text, feature))
        )
    if kind in ("value", "stage") and seen.base:
        return None
    if (kind, feature.detail) == ("type", "null"):
        return FeatureChange("type.nullable", effect(feature), told("{place} can be null", feature))
    row = KINDS[kind]
    was = row.was + _was(feature) if row.was and feature.was else ""
    return FeatureChange(row.drift, effect(feature), told(row.text, feature) + was)


def told_apart_by(feature: Feature) -> str:
    """What tells a change from others of its kind at the same place, for its fingerprint."""
    return "" if feature.kind.partition(".")[0] in _UNTOLD else feature.detail


def effect(feature: Feature) -> str:
    """The effect of what the contract rules out, or has nothing to say about."""
    said, kind = feature.said, feature.kind
    if said.stance is Stance.ALLOWED or kind.endswith(".moved"):
        return INFO
    guessed = said.stance is Stance.SILENT and kind in ("value", "format")
    return BREAKING if said.firm and not guessed else WARNING


def _presence(feature: Feature, more: bool) -> FeatureChange:
    """Of a field, or (`always`) of its being there without exception."""
    seen, stance, always = feature.seen, feature.said.stance, feature.kind == "always"
    where = told("{place}", feature)
    if more and always and seen.candidate == seen.candidate_n:
        return FeatureChange("field.always", INFO, f"{where} is always there now")
    if more and (always or seen.base):
        return FeatureChange("field.commoner", INFO, f"{where} is more frequent")
    if more:
        silent = stance is Stance.SILENT
        new = "is new, and not documented" if silent else "is there now, as documented"
        return FeatureChange("field.new", INFO, f"{where} {new}")
    if always and seen.base == seen.base_n:
        optional = stance is Stance.ALLOWED and feature.detail == "documented"
        text = f"{where} is no longer always there"
        return FeatureChange("field.optional", WARNING if optional else BREAKING, text)
    if always:
        return FeatureChange("field.rarer", WARNING, f"{where} is rarer")
    grave = stance is Stance.REQUIRED or feature.was == "always"
    if seen.candidate:
        return FeatureChange("field.rarer", WARNING if grave else INFO, f"{where} is rarer")
    return FeatureChange("field.gone", BREAKING if grave else WARNING, f"{where} is gone")


def _stage(feature: Feature, more: bool) -> FeatureChange:
    """Of a stage that the contract has."""
    seen, name = feature.seen, f"the stage {feature.detail}"
    if more and seen.base:
        return FeatureChange("stage.commoner", INFO, f"{name} is more frequent")
    if more:
        return FeatureChange("stage.added", INFO, f"{name} comes now, as documented")
    required = feature.said.stance is Stance.REQUIRED
    if seen.candidate:
        return FeatureChange("stage.rarer", effect(feature), f"{name} is rarer")
    return FeatureChange("stage.gone", effect(feature) if required else WARNING, f"{name} is gone")


def told(text: str, feature: Feature, **more: str) -> str:
    """A text with what it names of the feature."""
    where = feature.path[1:].replace("/", ".")
    where = where if len(where) <= _LONGEST else where[: _LONGEST - 1] + "…"
    return text.format(
        place=f"{where} of {feature.stage or 'the result'}",
        stage=feature.stage,
        of=f" of {feature.stage}" if feature.stage else "",
        detail=feature.detail,
        shown=_shown(feature),
        was=feature.was,
        **more,
    )


def _shown(feature: Feature) -> str:
    """The detail of a feature, as drift tells it."""
    kind, detail = feature.kind, feature.detail
    match kind:
        case "format":
            return _CLASSES.get(detail, detail)
        case "size":
            return "more than 100" if detail == "more" else detail
        case "stage":
            named = detail.removeprefix(UNKNOWN)
            return f"“{named}”" if named else "without a name that could be told"
        case "value" if detail == MANY:
            return "one of many values"
        case "value" if detail.startswith("#"):
            return f"a value that is not documented ({detail})"
        case "index.start" | "index.step" if detail == OTHER:
            return "something else"
    return detail


def _was(feature: Feature) -> str:
    if feature.kind != "format":
        return feature.was
    return ", ".join(_CLASSES.get(name, name) for name in feature.was.split(", ") if name)
