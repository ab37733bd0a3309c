"""Contract drift: what changed between two sets of runs in what the API sends, times apart.

    observed_of(bundles)                    -> Observed   what a set of run bundles saw
    drift(base, candidate, contracts)       -> [Finding]  what changed, the worst first
    waived(findings, config, today)         -> [Finding]  known findings get the verdict "known"
    broken(findings)                        -> bool       whether a gate fails (exit code 1)

Values in, values out; nothing here draws or prints. Two versions of the same API are compared
stage by stage; an API that only one side saw is left out, so v5 is never held against v6.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass, replace
from datetime import date
from pathlib import Path
from typing import Any

from soundstage.config import Config
from soundstage.contract import Contract
from soundstage.errors import NoDataError
from soundstage.observed.documented import Stance
from soundstage.observed.facts import Observed
from soundstage.reports.drift.features import Feature, features
from soundstage.reports.drift.kinds import BREAKING, INFO, WARNING, change, told_apart_by
from soundstage.reports.drift.presence import LEVEL, fisher, level_of_each, needed, significant
from soundstage.results.bundle import OBSERVED, Bundle

#: Effects, the worst first.
EFFECTS = (BREAKING, WARNING, INFO)
#: Where the contract is silent, a difference of this much of the exchanges is worth a word even
#: if it is not proved.
WORTH_A_WORD = 0.5
#: What goes without saying where a type changed.
_WITH_TYPES = frozenset({"type.narrowed", "enum.grown", "enum.shrunk", "range.outside"})
_VERDICTS = ("drift", "inconclusive", "known")


@dataclass(frozen=True, slots=True)
class DriftEvidence:
    """How often something was seen: in `base` of `base_n` exchanges, and in `candidate` of
    `candidate_n`. `p` is that of an exact test, None where the contract itself decides; `text`
    says it in words ("in 0 of 412 exchanges, was in 404 of 412 (98%)").
    """

    base: int
    base_n: int
    candidate: int
    candidate_n: int
    p: float | None
    text: str

    def to_json(self) -> dict[str, Any]:
        """The counts as JSON."""
        return {
            "base": [self.base, self.base_n],
            "candidate": [self.candidate, self.candidate_n],
            "p": self.p,
            "text": self.text,
        }


@dataclass(frozen=True, slots=True)
class DriftFinding:
    """One thing that changed.

    `kind` names the change (`field.gone`, `stage.reordered`, … docs/reference/drift.md lists all).
    `effect`: "breaking", "warning" or "info", as oasdiff classes changes of responses.
    `verdict`: "drift" (there is enough evidence), "inconclusive" (too few exchanges: `needs` says
    about how many more of the candidate would decide if it goes on like this, None if no number
    would as the base has too few), or "known" (waived: `waiver` says by what). `stage` is None
    where the endpoint as a whole is meant; `path` is a JSON pointer with `*` for any item, "" for
    the whole chunk. `fingerprint`: 12 hex digits of kind and place, never of counts, so that the
    same finding keeps it in every comparison. `source`: the place on the page, "" where there is
    none. Strings from the API in `text` are short, but not escaped.
    """

    kind: str
    effect: str
    verdict: str
    api: str
    endpoint: str
    stage: str | None
    path: str
    text: str
    evidence: DriftEvidence
    fingerprint: str
    needs: int | None = None
    waiver: str | None = None
    source: str = ""

    def to_json(self) -> dict[str, Any]:
        """The finding as JSON."""
        return {**asdict(self), "evidence": self.evidence.to_json()}


def observed_of(bundles: Iterable[Path]) -> Observed:
    """What the runs in these bundles saw, put together.

    Raises NoDataError for a bundle without `observed.json` (a run that was killed, or is older
    than the file), UsageError for one that cannot be read.
    """
    whole = Observed()
    for path in bundles:
        document = Bundle.open(path).observed()
        if document is None:
            raise NoDataError(
                f"{path}: no {OBSERVED}: the run did not come to its end; "
                "its transcripts can be read with `soundstage schema --observed`"
            )
        whole.merge(Observed.of(document))
    return whole


def drift(
    base: Observed,
    candidate: Observed,
    contracts: Mapping[str, Contract],
    *,
    level: float = LEVEL,
) -> list[DriftFinding]:
    """What changed from `base` to `candidate`, the worst first.

    `contracts` by API version; one that is not there is left out. `level` is the chance of a false
    finding in the whole comparison, where evidence is statistical: that of Fisher's exact test on
    exchanges, shared out over the tests that could err. What the contract requires or forbids
    needs no statistics: one exchange that breaks it, on a side where the other has none, is drift.
    """
    found = [
        (api, name, feature)
        for api, contract in contracts.items()
        for name, endpoint in contract.endpoints.items()
        if name in base.apis.get(api, {}) and name in candidate.apis.get(api, {})
        for feature in features(contract, endpoint, base.apis[api][name], candidate.apis[api][name])
        if feature.seen.base_n and feature.seen.candidate_n
    ]
    # A range can always miss another by chance, so each that has moved counts as a test: its table
    # is all of one side against none of the other, whose p is the share of orderings that are so.
    each = level_of_each([feature.seen for _, _, feature in found], level)
    findings = [
        finding
        for api, name, feature in found
        if (finding := _finding(api, name, feature, each)) is not None
    ]
    return sorted(_without_echoes(findings), key=_weight)


def waived(findings: Iterable[DriftFinding], config: Config, today: date) -> list[DriftFinding]:
    """The findings, of which those that a waiver holds for get the verdict "known"."""
    marked = []
    for finding in findings:
        holding = [w for w in config.waivers_of_drift(finding.fingerprint) if w.holds(today)]
        if holding:
            finding = replace(finding, verdict="known", waiver=holding[0].describe())
        marked.append(finding)
    return sorted(marked, key=_weight)


def broken(findings: Iterable[DriftFinding]) -> bool:
    """Whether there is breaking drift that is proved and not waived."""
    return any(each.effect == BREAKING and each.verdict == "drift" for each in findings)


def fingerprint(api: str, endpoint: str, stage: str | None, path: str, *what: str) -> str:
    """Twelve hex digits that stay the same for the same finding in every comparison."""
    text = "\0".join((api, endpoint, stage or "", path, *what))
    return hashlib.sha256(text.encode(errors="replace")).hexdigest()[:12]


def _weight(finding: DriftFinding) -> tuple[Any, ...]:
    f = finding
    grave = (_VERDICTS.index(f.verdict), EFFECTS.index(f.effect))
    return (*grave, f.api, f.endpoint, f.stage or "", f.path, f.kind, f.text)


def _finding(api: str, endpoint: str, feature: Feature, level: float) -> DriftFinding | None:
    seen, stance = feature.seen, feature.said.stance
    was, now = seen.shares
    what = change(feature, more=now > was) if was != now else None
    if what is None:
        return None
    required = stance is Stance.REQUIRED
    worse = (stance is Stance.FORBIDDEN and now > was) or (required and now < was)
    # Where the contract allows both, few exchanges hint at nothing.
    telling = stance is Stance.SILENT and (what.effect != INFO or what.kind == "field.new")
    verdict, needs = "drift", None
    if worse and seen.base == (seen.base_n if required else 0):
        p = None  # the contract decides
    elif not significant(p := fisher(seen), level):
        if abs(now - was) < WORTH_A_WORD or not (worse or telling):
            return None
        verdict, needs = "inconclusive", needed(seen, level)
    place = (api, endpoint, feature.stage, feature.path)
    return DriftFinding(
        what.kind,
        what.effect,
        verdict,
        *place,
        what.text,
        DriftEvidence(*seen, p, _in_words(feature, p)),
        fingerprint(*place, what.kind, told_apart_by(feature)),
        needs=needs,
        source=feature.said.source,
    )


def _in_words(feature: Feature, p: float | None) -> str:
    k, n, now, of = feature.seen
    exchanges = f"{of} exchange{'' if of == 1 else 's'}"
    if feature.kind.endswith((".moved", ".limit")):
        was = f", was {feature.was}" if feature.was else ""
        words = f"{feature.detail} in {exchanges}{was} in {n}"
    else:
        complete = "complete " if feature.kind == "always" else ""
        words = f"{complete}in {now} of {exchanges}, was in {k} of {n} ({100 * k / n:.3g}%)"
    return f"{words}; p = {p:.2g}" if p is not None else words


def _without_echoes(findings: list[DriftFinding]) -> list[DriftFinding]:
    """Leave out what only follows from something graver: that each stage lost the track that the
    stream lost, that values changed with their type, what one moved stage does to the order of
    others; and all but the most frequent where several findings are the same one.
    """

    def place(f: DriftFinding) -> tuple[Any, ...]:
        return (f.api, f.endpoint, f.path and (f.stage, f.path))

    def track(f: DriftFinding) -> tuple[Any, ...]:
        return (f.api, f.endpoint, f.text.replace(f" of {f.stage}", ""))

    lost = {track(f) for f in findings if f.kind.startswith("track.") and f.stage is None}
    retyped = {place(f) for f in findings if f.kind in ("type.changed", "type.nullable")}
    upset = {place(f) for f in findings if f.kind == "stage.reordered" and f.effect == BREAKING}
    kept: dict[str, DriftFinding] = {}
    for f in sorted(findings, key=lambda each: -each.evidence.candidate):
        echo = (
            (f.kind.startswith("track.") and f.stage is not None and track(f) in lost)
            or (f.kind == "stage.reordered" and f.effect == INFO and place(f) in upset)
            or (f.kind in _WITH_TYPES and place(f) in retyped)
        )
        if not echo:
            kept.setdefault(f.fingerprint, f)
    return list(kept.values())
