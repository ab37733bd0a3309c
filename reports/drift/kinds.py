"""How each kind of feature is told: what kind of drift it is to see it more or less often, with
which effect and in which words; and what the page should say where it has it otherwise.

The effects are oasdiff's for responses (https://www.oasdiff.com, "breaking changes"), extended by
those of a staged stream, which OpenAPI cannot describe. docs/reference/drift.md shows the table to
users.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import NamedTuple

from soundstage.observed.documented import Stance
from soundstage.observed.facts import MANY, OTHER, UNKNOWN
from soundstage.output.cutting import head
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
    says: str = "{documented}"
    seen: str = "{detail} {counted}"
    write: str = "say that it can be {detail}"


# fmt: off
KINDS = {
    "framing": KindWords(
        "framing.changed", "streams are framed as {shown}", "",
        "framing", "another framing", write="name {detail} as a framing"),
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
        write="say that it can be of type {detail}"),
    "value": KindWords(
        "enum.grown", "{place} can be {shown}", write="print {detail} among its values"),
    "format": KindWords("format.changed", "{place} can be {shown}", ", was "),
    "size": KindWords(
        "array.size", "{place} can have {shown} items", ", had ",
        seen="{detail} items {counted}", write="say that it can have {detail} items"),
    "number.limit": KindWords(
        "range.outside", "{place} is {shown}", ", was ",
        seen="{detail}, in {n} exchanges", write="widen the documented range"),
    "length.limit": KindWords(
        "range.outside", "{place} has a length of {shown}", ", was ",
        seen="{detail}, in {n} exchanges", write="widen the documented range"),
    "number.moved": KindWords("range.moved", "{place} is {shown}", ", was "),
    "length.moved": KindWords("range.moved", "{place} has a length of {shown}", ", was "),
}
#: Where the effect is what the contract says of the feature.
PAGE = "page"
#: What else can happen to a feature: the kind of drift, its effect (or two: where it was promised,
#: by the page or by what was always so, and where not), and what it is in words.
CHANGES: Mapping[tuple[str, str], tuple[str, str | tuple[str, str], str]] = {
    ("field", "new"): ("field.new", INFO, "{place} is {new}"),
    ("field", "more"): ("field.commoner", INFO, "{place} is more frequent"),
    ("field", "less"): ("field.rarer", (WARNING, INFO), "{place} is rarer"),
    ("field", "gone"): ("field.gone", (BREAKING, WARNING), "{place} is gone"),
    ("always", "new"): ("field.always", INFO, "{place} is always there now"),
    ("always", "more"): ("field.commoner", INFO, "{place} is more frequent"),
    ("always", "less"): ("field.rarer", WARNING, "{place} is rarer"),
    ("always", "gone"):
        ("field.optional", (BREAKING, WARNING), "{place} is no longer always there"),
    ("stage", "new"): ("stage.added", INFO, "the stage {stage} comes now, as documented"),
    ("stage", "more"): ("stage.commoner", INFO, "the stage {stage} is more frequent"),
    ("stage", "less"): ("stage.rarer", (PAGE, INFO), "the stage {stage} is rarer"),
    ("stage", "gone"): ("stage.gone", (PAGE, WARNING), "the stage {stage} is gone"),
    ("track", "less"): ("track.rarer", PAGE, "track {detail}{of} is rarer"),
    ("track", "gone"): ("track.lost", PAGE, "track {detail}{of} is lost"),
    ("type", "gone"): ("type.narrowed", INFO, "{place} is never of type {shown} any more"),
    ("value", "gone"): ("enum.shrunk", INFO, "{place} is never {shown} any more"),
    ("null", "new"): ("type.nullable", PAGE, "{place} can be null"),
    ("null", "more"): ("type.nullable", PAGE, "{place} can be null"),
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
    nothing by itself (one value is rarer because another came up, a list is empty).
    """
    kind, happened = feature.kind, _happened(feature, more)
    if more and (kind, feature.detail) == ("type", "null"):
        kind = "null"
    # A stage or a track that the contract has is told by CHANGES alone, any other by KINDS.
    either, ruled_out = kind in ("stage", "track"), feature.said.stance is Stance.FORBIDDEN
    if (kind, happened) in CHANGES and not (either and ruled_out):
        name, effects, text = CHANGES[kind, happened]
        found = effects if isinstance(effects, str) else effects[not _promised(feature)]
        found = effect(feature) if found is PAGE else found
        return FeatureChange(name, found, told(text, feature))
    if not more or kind not in KINDS or (either and not ruled_out):
        return None
    if kind in ("value", "stage") and feature.seen.base:
        return None
    words = KINDS[kind]
    was = words.was + _was(feature) if words.was and feature.was else ""
    return FeatureChange(words.drift, effect(feature), told(words.text, feature) + was)


def _happened(feature: Feature, more: bool) -> str:
    """Whether something is new, gone, or seen more or less often. Of what is always so, the
    exchanges count that are without it.
    """
    base, base_n, candidate, candidate_n = feature.seen
    if feature.kind == "always":
        base, candidate = candidate_n - candidate, base_n - base
    return ("more" if base else "new") if more else ("less" if candidate else "gone")


def _promised(feature: Feature) -> bool:
    """Whether clients could count on it."""
    stance = feature.said.stance
    if feature.kind == "always":
        return not (stance is Stance.ALLOWED and feature.detail == "documented")
    return stance is Stance.REQUIRED or feature.was == "always"


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


def told(text: str, feature: Feature, **more: str) -> str:
    """A text with what it names of the feature."""
    where = feature.path[1:].replace("/", ".")
    where = head(where, _LONGEST)
    silent = feature.said.stance is Stance.SILENT
    return text.format(
        place=f"{where} of {feature.stage or 'the result'}",
        stage=feature.stage,
        of=f" of {feature.stage}" if feature.stage else "",
        detail=feature.detail,
        shown=_shown(feature),
        was=feature.was,
        new="new, and not documented" if silent else "there now, as documented",
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
