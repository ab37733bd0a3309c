"""What was observed, held against the documentation: what the API does that the page does not say,
what the page says that the API never did, and what the page should be changed to.

Values in, values out; `docs_page` writes them down.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from soundstage.contract import Contract
from soundstage.observed.documented import Documented, Stance, documented
from soundstage.observed.facts import OTHER, RESULT, UNKNOWN, Facts, Observed
from soundstage.reports.drift.drift import fingerprint
from soundstage.reports.drift.features import Feature, features

#: The API does otherwise than the page says; does what the page does not mention; never did what
#: the page says.
CONTRADICTED, UNDOCUMENTED, UNSEEN = "contradicted", "undocumented", "unseen"
EFFECTS = {CONTRADICTED: "breaking", UNDOCUMENTED: "warning", UNSEEN: "info"}
#: From so many exchanges on, an optional field that was always there is worth a word.
_ENOUGH = 20
_CONFIDENCE = 0.95


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
        return {
            "sort": self.sort,
            "kind": self.kind,
            "effect": self.effect,
            "api": self.api,
            "endpoint": self.endpoint,
            "stage": self.stage,
            "path": self.path,
            "name": self.name,
            "documented": self.documented,
            "observed": self.observed,
            "change": self.change,
            "exchanges": list(self.exchanges),
            "source": self.source,
            "fingerprint": self.fingerprint,
        }


def against(observed: Observed, contract: Contract) -> list[Difference]:
    """Where what was observed and the contract differ: the gravest first, then by stage."""
    found = []
    seen = observed.apis.get(contract.api, {})
    for name, endpoint in contract.endpoints.items():
        if name not in seen:
            continue
        side = seen[name]
        # Both sides alike: every feature then says how often it was seen, and nothing changed.
        for feature in features(contract, endpoint, side, side):
            if feature.seen.candidate_n:
                found += list(_differences(contract, name, feature, side))
    order = (CONTRADICTED, UNDOCUMENTED, UNSEEN)
    unique = {each.fingerprint: each for each in reversed(found)}
    return sorted(
        unique.values(),
        key=lambda d: (d.endpoint, d.stage or "", order.index(d.sort), d.path, d.kind, d.name),
    )


def _differences(
    contract: Contract, endpoint: str, feature: Feature, side: Facts
) -> Iterator[Difference]:
    said, kind = feature.said, feature.kind
    k, n = feature.seen.candidate, feature.seen.candidate_n
    known = documented(contract, endpoint, feature.stage or RESULT)
    about = known.get(feature.path)
    texts: tuple[str, str, str, str] | None = None
    if said.stance is Stance.FORBIDDEN and k:
        texts = (CONTRADICTED, *_contradicted(feature, about))
    elif said.stance is Stance.REQUIRED and k < n:
        texts = (CONTRADICTED, *_missing(feature))
    elif said.stance is Stance.ALLOWED and not k:
        unseen = _unseen(feature, about)
        texts = (UNSEEN, *unseen) if unseen else None
    elif (
        kind in ("always", "field", "items") and k and about is None and not _inside(feature, known)
    ):
        texts = (UNDOCUMENTED, *_undocumented(feature, side))
    elif kind == "always" and k and about is not None and not about.listed:
        text = f"documented for other stages; {_times(k, n, 'always ')}there"
        change = "list it for this stage"
        texts = (UNDOCUMENTED, "not listed for this stage", text, change)
    elif kind == "always" and said.stance is Stance.ALLOWED and k == n >= _ENOUGH:
        texts = (
            UNSEEN,
            "optional",
            f"always there, in {n} exchanges",
            "say that it is always there",
        )
    if texts is None:
        return
    sort, says, was, what = texts
    effect = EFFECTS[sort] if says != "optional" else "info"
    if sort == CONTRADICTED and not said.firm:
        effect = "warning"
    if kind == "stage" and sort == CONTRADICTED and feature.detail.startswith(UNKNOWN):
        sort = UNDOCUMENTED
    name = _name(feature)
    yield Difference(
        sort=sort,
        kind=kind,
        effect=effect,
        api=contract.api,
        endpoint=endpoint,
        stage=feature.stage,
        path=feature.path,
        name=name,
        documented=says,
        observed=was,
        change=what,
        exchanges=(k, n),
        source=said.source or (about.source if about is not None else ""),
        fingerprint=fingerprint(
            contract.api, endpoint, feature.stage, feature.path, "docs", sort, kind, feature.detail
        ),
    )


def _inside(feature: Feature, known: Mapping[str, Documented]) -> bool:
    """Whether it lies inside something undocumented, which is named itself."""
    return feature.path.rpartition("/")[0] not in known


def _name(feature: Feature) -> str:
    if feature.path:
        return feature.path[1:].replace("/", ".")
    return {
        "stage": "stage", "times": "how often", "order": "order", "track": "tracks",
        "index.start": "first index", "index.step": "next index", "last": "last stage",
        "framing": "framing", "rule": "across chunks",
    }.get(feature.kind, feature.kind)  # fmt: skip


def _times(k: int, n: int, how: str = "") -> str:
    return f"{how}in {k} of {n} exchange{'' if n == 1 else 's'}"


def _contradicted(feature: Feature, about: Documented | None) -> tuple[str, str, str]:
    k, n = feature.seen.candidate, feature.seen.candidate_n
    detail, kind = feature.detail, feature.kind.partition(".")[0]
    counted = _times(k, n)
    match kind:
        case "type":
            types = " or ".join(about.types()) if about is not None else ""
            return types, f"{detail} {counted}", f"say that it can be of type {detail}"
        case "value":
            printed = ", ".join(_shown(value) for value in about.constants()) if about else ""
            value = "one of many values" if detail == "many" else detail
            return printed, f"{value} {counted}", f"print {value} among its values"
        case "format":
            title = str(about.schema.get("title", "a pattern")) if about is not None else ""
            return title, f"{detail} {counted}", f"say that it can be {detail}"
        case "size":
            title = str(about.schema.get("title", "")) if about is not None else ""
            return title, f"{detail} items {counted}", f"say that it can have {detail} items"
        case "number" | "length":
            title = str(about.schema.get("title", "")) if about is not None else ""
            return title, f"{detail}, in {n} exchanges", "widen the documented range"
        case "stage":
            named = f"“{detail[1:]}”" if detail != UNKNOWN else "of no name that could be told"
            return "not mentioned", f"a stage {named} {counted}", "describe this stage"
        case "times":
            return (
                "another number",
                f"{detail} times {counted}",
                f"say that it can come {detail} times",
            )
        case "rule":
            return feature.was, f"otherwise {counted}", "say when that does not hold"
        case "order":
            text = f"{feature.stage} before {detail} {counted}"
            return f"{detail} before {feature.stage}", text, "say that either may come first"
        case "track":
            return "no other track", f"another track {counted}", "name the other tracks"
        case "index":
            what = "another number" if detail == OTHER else detail
            verb = "starts at" if feature.kind == "index.start" else "goes on by"
            return "another number", f"{verb} {what} {counted}", f"say that it {verb} {what}"
        case "last":
            return "another stage", f"{detail} is last {counted}", f"say that {detail} can be last"
        case _:
            return "another framing", f"{detail} {counted}", f"name {detail} as a framing"


def _missing(feature: Feature) -> tuple[str, str, str]:
    k, n = feature.seen.candidate, feature.seen.candidate_n
    match feature.kind:
        case "field" | "always":
            if not k and feature.kind == "field":
                return (
                    "always there",
                    f"never seen, in {n} exchanges",
                    "remove it, or say when it comes",
                )
            return "always there", _times(k, n, "complete "), "say that it is optional"
        case "stage":
            change = "say that it is optional" if k else "remove the stage"
            return "always comes", _times(k, n), change
        case _:
            of = f" of {feature.stage}" if feature.stage else ""
            return f"track {feature.detail}{of} always comes", _times(k, n), "say when it comes"


def _unseen(feature: Feature, about: Documented | None) -> tuple[str, str, str] | None:
    n, detail = feature.seen.candidate_n, feature.detail
    share = 100 * (1 - (1 - _CONFIDENCE) ** (1 / n))
    never = f"never seen, in {n} exchange{'' if n == 1 else 's'} (so in fewer than {share:.2g}%)"
    match feature.kind:
        case "field" | "always":
            listed = about is not None and about.listed
            return ("optional", never, "remove it, or say when it comes") if listed else None
        case "type":
            return f"can be {detail}", never, f"say when it is {detail}"
        case "value":
            return f"can be {detail}", never, f"remove {detail}, or say when it comes"
        case "stage":
            return "may come", never, "say when it comes"
        case "framing":
            return f"may be framed as {detail}", never, f"remove {detail}, or say when it is used"
        case _:
            return None


def _undocumented(feature: Feature, side: Facts) -> tuple[str, str, str]:
    k, n = feature.seen.candidate, feature.seen.candidate_n
    types = side.details("type", feature.stage or RESULT, feature.path)
    formats = side.details("format", feature.stage or RESULT, feature.path)
    kinds = " or ".join(types) or "anything"
    if set(types) <= {"string", "null"} and len(formats) == 1:
        (name,) = formats
        kinds += "" if name in ("text", "token", "empty") else f" ({name})"
    if feature.kind == "items":
        return "items are not described", f"{kinds}, {_times(k, n)}", f"describe them: {kinds}"
    often = "always there" if k == n else "optional"
    return "not mentioned", f"{kinds}, {_times(k, n)}", f"document it: {kinds}, {often}"


def _shown(value: Any) -> str:
    if value is None or isinstance(value, bool):
        return {None: "null", True: "true", False: "false"}[value]
    return f'"{value}"' if isinstance(value, str) else str(value)
