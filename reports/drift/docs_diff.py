"""What was observed, held against the documentation: what the API does that the page does not say,
what the page says that the API never did, and what the page should be changed to; as values, and
as people read them: text for a terminal, Markdown.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import asdict, dataclass, replace
from itertools import groupby
from typing import Any, NamedTuple

from soundstage.contract import Contract
from soundstage.observed.documented import Documented, Places, Stance, documented
from soundstage.observed.facts import MANY, OTHER, RESULT, UNKNOWN, Facts, Observed
from soundstage.output import visible
from soundstage.reports.drift.drift import fingerprint
from soundstage.reports.drift.features import Feature, features
from soundstage.reports.drift.kinds import KINDS, told
from soundstage.reports.formats.markdown import code, escaped
from soundstage.reports.words import plain

#: The API does otherwise than the page says; does what the page does not mention; never did what
#: the page says.
CONTRADICTED, UNDOCUMENTED, UNSEEN = "contradicted", "undocumented", "unseen"
EFFECTS = {CONTRADICTED: "breaking", UNDOCUMENTED: "warning", UNSEEN: "info"}
#: From so many exchanges on, an optional field that was always there is worth a word.
_ENOUGH = 20
_CONFIDENCE = 0.95
_LISTED_ELSEWHERE = "not listed for this stage"


@dataclass(frozen=True, slots=True)
class Difference:
    """One place where the page and the API differ. `sort` is one of the three above; `stage` is
    None for the endpoint as a whole; `name` is what it is about (a field, a stage, …), and the
    three texts say what the page says, what was seen (with counts), and what to write.
    """

    sort: str
    kind: str
    effect: str
    api: str
    endpoint: str
    stage: str | None
    path: str
    name: str
    documented: str
    observed: str
    change: str
    exchanges: tuple[int, int]
    source: str
    fingerprint: str

    def to_json(self) -> dict[str, Any]:
        """The difference as JSON."""
        return asdict(self)


class _Texts(NamedTuple):
    """Of which sort a difference is, what the page says, what was seen, and what to write."""

    sort: str
    says: str
    seen: str
    write: str


def against(observed: Observed, contract: Contract) -> list[Difference]:
    """Where what was observed and the contract differ: the gravest first, then by stage."""
    found = []
    for name, facts in observed.apis.get(contract.api, {}).items():
        if name not in contract.endpoints:
            continue
        # Both sides alike: every feature then says how often it was seen, and nothing changed.
        for feature in features(contract, contract.endpoints[name], facts, facts):
            known = documented(contract, name, feature.stage or RESULT)
            texts = _texts(feature, known, facts) if feature.seen.candidate_n else None
            if texts is not None:
                found.append(_difference(contract.api, name, feature, known, texts))
    order = (CONTRADICTED, UNDOCUMENTED, UNSEEN)
    unique = {each.fingerprint: each for each in reversed(found)}
    return sorted(
        unique.values(),
        key=lambda d: (d.endpoint, d.stage or "", order.index(d.sort), d.path, d.kind, d.name),
    )


def _texts(feature: Feature, known: Places, facts: Facts) -> _Texts | None:
    """How the page and the API differ in a feature; None if they do not."""
    stance, kind, about = feature.said.stance, feature.kind, known.get(feature.path)
    k, n = feature.seen.candidate, feature.seen.candidate_n
    if stance is Stance.FORBIDDEN and k:
        return _contradicted(feature, about)
    if stance is Stance.REQUIRED and k < n:
        return _missing(feature)
    if stance is Stance.ALLOWED and not k:
        return _unseen(feature, about)
    if kind not in ("always", "field", "items") or not k:
        return None
    if about is None:
        # What lies inside something undocumented is not named beside it.
        outermost = feature.path.rpartition("/")[0] in known
        return _undocumented(feature, facts) if outermost else None
    if kind == "always" and not about.listed:
        seen = f"documented for other stages; {_counted(feature, 'always ')}there"
        return _Texts(UNDOCUMENTED, _LISTED_ELSEWHERE, seen, "list it for this stage")
    if kind == "always" and stance is Stance.ALLOWED and k == n >= _ENOUGH:
        seen = f"always there, in {n} exchanges"
        return _Texts(UNSEEN, "optional", seen, "say that it is always there")
    return None


def _difference(
    api: str, endpoint: str, feature: Feature, known: Places, texts: _Texts
) -> Difference:
    sort, said, about = texts.sort, feature.said, known.get(feature.path)
    effect = EFFECTS[sort] if sort != CONTRADICTED or said.firm else "warning"
    if feature.kind == "stage" and sort == CONTRADICTED and feature.detail.startswith(UNKNOWN):
        sort = UNDOCUMENTED
    mark = ("docs", sort, feature.kind, feature.detail)
    row = KINDS.get(feature.kind)
    return Difference(
        sort=sort,
        kind=feature.kind,
        effect=effect,
        api=api,
        endpoint=endpoint,
        stage=feature.stage,
        path=feature.path,
        name=feature.path[1:].replace("/", ".") or (row.name if row else feature.kind),
        documented=texts.says,
        observed=texts.seen,
        change=texts.write,
        exchanges=(feature.seen.candidate, feature.seen.candidate_n),
        source=said.source or (about.source if about is not None else ""),
        fingerprint=fingerprint(api, endpoint, feature.stage, feature.path, *mark),
    )


def _counted(feature: Feature, how: str = "") -> str:
    k, n = feature.seen.candidate, feature.seen.candidate_n
    return f"{how}in {k} of {n} exchange{'' if n == 1 else 's'}"


def _contradicted(feature: Feature, about: Documented | None) -> _Texts:
    row = KINDS[feature.kind]
    if feature.kind == "value" and feature.detail == MANY:
        feature = replace(feature, detail="one of many values")
    elif feature.kind.startswith("index.") and feature.detail == OTHER:
        feature = replace(feature, detail="another number")
    more = {
        "documented": _documented(feature.kind, about) if about is not None else "",
        "counted": _counted(feature),
        "n": str(feature.seen.candidate_n),
    }
    says, seen, write = (told(each, feature, **more) for each in (row.says, row.seen, row.write))
    return _Texts(CONTRADICTED, says, seen, write)


def _documented(kind: str, about: Documented) -> str:
    if kind == "type":
        return " or ".join(about.types())
    if kind == "value":
        return ", ".join(json.dumps(value, ensure_ascii=False) for value in about.constants())
    return str(about.schema.get("title", "a pattern" if kind == "format" else ""))


def _missing(feature: Feature) -> _Texts:
    k, n = feature.seen.candidate, feature.seen.candidate_n
    says, seen, write = "always there", _counted(feature), "say when it comes"
    if feature.kind == "field" and not k:
        seen, write = f"never seen, in {n} exchanges", "remove it, or say when it comes"
    elif feature.kind in ("field", "always"):
        seen, write = _counted(feature, "complete "), "say that it is optional"
    elif feature.kind == "stage":
        says, write = "always comes", "say that it is optional" if k else "remove the stage"
    else:
        says = told("track {detail}{of} always comes", feature)
    return _Texts(CONTRADICTED, says, seen, write)


#: What the page allows and was never seen: what the page says, and what to write.
_NEVER = {
    "field": ("optional", "remove it, or say when it comes"),
    "always": ("optional", "remove it, or say when it comes"),
    "type": ("can be {detail}", "say when it is {detail}"),
    "value": ("can be {detail}", "remove {detail}, or say when it comes"),
    "stage": ("may come", "say when it comes"),
    "framing": ("may be framed as {detail}", "remove {detail}, or say when it is used"),
}


def _unseen(feature: Feature, about: Documented | None) -> _Texts | None:
    listed = about is not None and about.listed
    if feature.kind not in _NEVER or (feature.kind in ("field", "always") and not listed):
        return None
    n = feature.seen.candidate_n
    share = 100 * (1 - (1 - _CONFIDENCE) ** (1 / n))
    never = f"never seen, in {n} exchange{'' if n == 1 else 's'} (so in fewer than {share:.2g}%)"
    says, write = (told(each, feature) for each in _NEVER[feature.kind])
    return _Texts(UNSEEN, says, never, write)


def _undocumented(feature: Feature, facts: Facts) -> _Texts:
    place = (feature.stage or RESULT, feature.path)
    types, classes = facts.details("type", *place), list(facts.details("format", *place))
    kinds = " or ".join(types) or "anything"
    if set(types) <= {"string", "null"} and len(classes) == 1:
        kinds += "" if classes[0] in ("text", "token", "empty") else f" ({classes[0]})"
    seen = f"{kinds}, {_counted(feature)}"
    if feature.kind == "items":
        write = f"describe them: {kinds}"
        return _Texts(UNDOCUMENTED, "items are not described", seen, write)
    often = "always there" if feature.seen.candidate == feature.seen.candidate_n else "optional"
    return _Texts(UNDOCUMENTED, "not mentioned", seen, f"document it: {kinds}, {often}")


# ------------------------------------------------------------------ as people read them


def text(contract: Contract, observed: Observed, differences: list[Difference]) -> str:
    """The differences, to read on a terminal."""
    lines = [_summary(contract, observed, differences)]
    for heading, group in _groups(differences):
        lines += ["", plain(heading)]
        for each in group:
            lines.append(f"  {each.sort:<12}  {plain(each.name)}: {plain(each.observed)}")
            lines.append(f"  {'':<12}  the page: {plain(each.documented)}; {plain(each.change)}")
    return visible.lines(lines) + "\n"


def markdown(contract: Contract, observed: Observed, differences: list[Difference]) -> str:
    """The differences as Markdown: what to change on the page, a table for each stage."""
    lines = [f"# {escaped(contract.title)}: what the documentation should say", ""]
    lines += [escaped(_summary(contract, observed, differences)), ""]
    for heading, group in _groups(differences):
        lines += [f"## {escaped(heading)}", ""]
        lines += ["| what | documented | observed | change to make |", "|---|---|---|---|"]
        for each in group:
            cells = (code(each.name), *map(escaped, (each.documented, each.observed, each.change)))
            lines.append(f"| {' | '.join(cells)} |")
        lines.append("")
    return visible.in_markup("\n".join(lines).rstrip() + "\n")


def _groups(differences: list[Difference]) -> Iterator[tuple[str, list[Difference]]]:
    """The differences of each stage, with its heading."""
    for (endpoint, stage), group in groupby(differences, lambda each: (each.endpoint, each.stage)):
        yield f"{endpoint}, stage {stage}" if stage else endpoint, list(group)


def _summary(contract: Contract, observed: Observed, differences: list[Difference]) -> str:
    many = Observed({contract.api: observed.apis.get(contract.api, {})}).exchanges
    counts = {sort: sum(d.sort == sort for d in differences) for sort in EFFECTS}
    said = ", ".join(f"{number} {sort}" for sort, number in counts.items())
    return (
        f"{contract.api}: {many} exchange{'' if many == 1 else 's'} held against the page: {said}"
    )
