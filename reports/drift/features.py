"""What can differ between two sides that were observed: features, each with the exchanges that
showed it on either side and with what the contract says about it.

Every comparison, of two runs or of a run with its contract, walks these and adds nothing of its
own. Pure.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from soundstage.conformance.violations import Severity
from soundstage.contract import Contract
from soundstage.contract.protocol import Endpoint
from soundstage.observed.key_tally import KeyTally
from soundstage.observed.observation import OTHER, UNKNOWN, EndpointSeen, StageSeen
from soundstage.reports.drift.documented import ALLOWED, Said, Stance, before, firm
from soundstage.reports.drift.feature import Feature
from soundstage.reports.drift.place_features import of_places
from soundstage.reports.drift.presence import Presence

_NO_STAGE = StageSeen()


def features(
    contract: Contract, endpoint: Endpoint, base: EndpointSeen, candidate: EndpointSeen
) -> Iterator[Feature]:
    """All features of an endpoint, those of the protocol first."""
    if endpoint.kind == "stream":
        yield from _of_stream(contract, endpoint, base, candidate)
    for name in sorted({*base.stages, *candidate.stages}):
        mine, theirs = base.stages.get(name, _NO_STAGE), candidate.stages.get(name, _NO_STAGE)
        if name.startswith(UNKNOWN):
            continue
        yield from of_places(contract, endpoint, name, mine, theirs)


# ------------------------------------------------------------------ the protocol


def _of_stream(
    contract: Contract, endpoint: Endpoint, base: EndpointSeen, candidate: EndpointSeen
) -> Iterator[Feature]:
    whole = base.whole, candidate.whole
    every = base.exchanges, candidate.exchanges
    for name in sorted({*endpoint.framings, *base.framings, *candidate.framings}):
        said = _said(name in endpoint.framings, endpoint.grounds)
        yield _tallied("framing", name, said, base.framings, candidate.framings, every)
    protocol = contract.protocol
    if protocol.tracks is not None:
        is_firm = firm(protocol.tracks.grounds)
        source = protocol.tracks.grounds.source
        for value in map(str, protocol.tracks.values):
            said = Said(Stance.REQUIRED, is_firm, source)
            yield _tallied("track", value, said, base.tracks, candidate.tracks, whole)
        said = Said(Stance.FORBIDDEN, is_firm, source)
        yield _tallied("track", OTHER, said, base.tracks, candidate.tracks, whole)
    if protocol.index is not None:
        for kind, due in (("start", protocol.index.start), ("step", protocol.index.step)):
            mine, theirs = getattr(base, f"{kind}s"), getattr(candidate, f"{kind}s")
            for value in sorted({*mine, *theirs}):
                said = _said(value == str(due), protocol.index.grounds)
                was = ", ".join(sorted(mine))
                yield _tallied(f"index.{kind}", value, said, mine, theirs, every, was)
    ending = {stage.name for stage in protocol.stages if stage.ends}
    for name in sorted({*base.last, *candidate.last}):
        said = _said(name in ending, protocol.ending[0].grounds)
        was = ", ".join(sorted(base.last))
        yield _tallied("last", name, said, base.last, candidate.last, whole, was)
    for path in sorted({*base.broken, *candidate.broken}):
        rule = contract.rules.rules.get(f"{contract.api}/{endpoint.name}/{path}")
        if rule is not None and rule.severity != Severity.INFO:
            said = Said(Stance.FORBIDDEN, rule.severity == Severity.ERROR, rule.source)
            yield _tallied("rule", path, said, base.broken, candidate.broken, every, rule.text)
    for name in sorted({*protocol.by_name, *base.stages, *candidate.stages}):
        yield from _of_stage(contract, name, base, candidate)
    yield from _of_order(contract, base, candidate)


def _tallied(
    kind: str,
    key: str,
    said: Said,
    base: KeyTally,
    candidate: KeyTally,
    of: tuple[int, int],
    was: str = "",
    stage: str | None = None,
) -> Feature:
    seen = Presence(base.exchanges(key), of[0], candidate.exchanges(key), of[1])
    return Feature(kind, stage, "", key, said, seen, was)


def _said(good: bool, grounds: Any) -> Said:
    stance = Stance.ALLOWED if good else Stance.FORBIDDEN
    return Said(stance, firm(grounds), grounds.source)


def _of_stage(
    contract: Contract, name: str, base: EndpointSeen, candidate: EndpointSeen
) -> Iterator[Feature]:
    mine, theirs = base.stages.get(name, _NO_STAGE), candidate.stages.get(name, _NO_STAGE)
    known = contract.protocol.by_name.get(name)
    if known is None:
        said = Said(Stance.FORBIDDEN, firm(contract.protocol.ending[0].grounds))
        seen = Presence(mine.exchanges, base.exchanges, theirs.exchanges, candidate.exchanges)
        yield Feature("stage", name, "", name, said, seen)
        return
    if known.failure:
        return  # how often songs fail is no matter of the contract
    least, most = known.times
    stance = Stance.REQUIRED if least else Stance.ALLOWED
    said = Said(stance, firm(known.grounds), known.grounds.source)
    seen = Presence(mine.whole, base.whole, theirs.whole, candidate.whole)
    yield Feature("stage", name, "", name, said, seen)
    whole = (mine.whole, theirs.whole)
    if (least, most) != (0, None):
        for key in sorted({*mine.times, *theirs.times}):
            times = int(key) if key.isdigit() else None
            good = times is not None and times >= least and (most is None or times <= most)
            good = good or (times is None and most is None)
            said = _said(good, known.grounds)
            was = ", ".join(sorted(mine.times))
            yield _tallied("times", key, said, mine.times, theirs.times, whole, was, name)
    if known.per_track and contract.protocol.tracks is not None:
        tracks = contract.protocol.tracks
        for value in map(str, tracks.values):
            stance = Stance.REQUIRED if least else Stance.ALLOWED
            said = Said(stance, firm(tracks.grounds), tracks.grounds.source)
            yield _tallied("track", value, said, mine.tracks, theirs.tracks, whole, stage=name)


def _of_order(contract: Contract, base: EndpointSeen, candidate: EndpointSeen) -> Iterator[Feature]:
    """One feature for each pair of stages: that they came in the order in which they should not
    (or, where the contract leaves it open, did not in most of the base).
    """
    must = before(contract)
    names = sorted(
        name
        for name in {*base.stages, *candidate.stages}
        if name in must and not contract.protocol.by_name[name].failure
    )
    for first in names:
        for second in names:
            if first >= second:
                continue
            if second in must[first]:
                wrong, stage = (first, second), contract.protocol.by_name[first]
                said = Said(Stance.FORBIDDEN, firm(stage.grounds), stage.grounds.source)
            elif first in must[second]:
                wrong, stage = (second, first), contract.protocol.by_name[second]
                said = Said(Stance.FORBIDDEN, firm(stage.grounds), stage.grounds.source)
            else:
                usual = base.order.exchanges(f"{first}>{second}") >= base.order.exchanges(
                    f"{second}>{first}"
                )
                wrong = (second, first) if usual else (first, second)
                said = ALLOWED
            key, back = f"{wrong[0]}>{wrong[1]}", f"{wrong[1]}>{wrong[0]}"
            counts = []
            for side in (base, candidate):
                k, other = side.order.exchanges(key), side.order.exchanges(back)
                both = min(side.stages.get(n, _NO_STAGE).exchanges for n in wrong)
                counts += [k, min(k + other, both)]
            yield Feature("order", wrong[0], "", wrong[1], said, Presence(*counts))
