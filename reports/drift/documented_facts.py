"""What the contract says about a fact, whether it was seen or not: required, allowed, ruled out, or
nothing. Pure; `observed/documented` says it of places.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import replace
from functools import cache
from math import inf

from soundstage.conformance.violations import Severity
from soundstage.contract import Contract
from soundstage.contract.grounds import Grounds
from soundstage.contract.protocol import Endpoint, Protocol
from soundstage.observed.documented import ALLOWED, SILENT, Said, Stance, documented
from soundstage.observed.facts import UNKNOWN, Fact

#: Facets of places that something can be said about; what else is kept of a place serves others.
_OF_PLACES = frozenset({"field", "always", "type", "value", "format", "size"})
#: Details that are named, the stance to those, and the grounds for it.
Named = tuple[Collection[str], Stance, Grounds]


@cache
def named(contract: Contract, endpoint: str) -> Mapping[tuple[str, str], Named]:
    """What the contract says about streams, by facet and stage: which details it names, that those
    are required or allowed, and on which grounds. All others of the facet it rules out.
    """
    told = contract.endpoints[endpoint]
    protocol, framings = told.protocol or contract.protocol, told.framings
    ending = {stage.name for stage in protocol.stages if stage.ends}
    page: dict[tuple[str, str], Named] = {}
    if framings:
        page["framing", ""] = framings, Stance.ALLOWED, told.grounds
    if protocol.ending and not protocol.sampled:
        page["last", ""] = ending, Stance.ALLOWED, protocol.ending[0].grounds
    if (index := protocol.index) is not None:
        page["index.start", ""] = ({str(index.start)}, Stance.ALLOWED, index.grounds)
        page["index.step", ""] = ({str(index.step)}, Stance.ALLOWED, index.grounds)
    tracks = protocol.tracks
    values = [str(value) for value in tracks.values] if tracks is not None else []
    if tracks is not None:
        page["track", ""] = (values, Stance.REQUIRED, tracks.grounds)
    for stage in protocol.stages if not protocol.sampled else ():
        if not stage.failure:  # how often songs fail is no matter of the contract
            wanted = Stance.REQUIRED if stage.times[0] else Stance.ALLOWED
            page["ended", stage.name] = ([""], wanted, stage.grounds)
            if tracks is not None and stage.per_track:
                page["track", stage.name] = (values, wanted, tracks.grounds)
    return page


def said_of(contract: Contract, endpoint: Endpoint, fact: Fact) -> Said | None:
    """What the contract says about a fact; None of what it can say nothing about."""
    facet, stage, detail, path = fact
    if path:
        if stage.startswith(UNKNOWN) or facet not in _OF_PLACES:
            return None
        about = documented(contract, endpoint.name, stage).get(path)
        items = facet in ("field", "always") and path.endswith("/*")
        return SILENT if about is None else ALLOWED if items else about.said(facet, detail)
    protocol = endpoint.protocol
    if protocol is None:
        return None
    known = protocol.by_name.get(stage)
    if facet == "rule":
        rule = contract.rules.rules.get(f"{contract.api}/{endpoint.name}/{detail}")
        if rule is None or rule.severity == Severity.INFO:
            return None
        return Said(Stance.FORBIDDEN, rule.severity == Severity.ERROR, rule.source)
    if facet == "stage" and known is None:
        grounds = protocol.ending[0].grounds if protocol.ending else endpoint.grounds
        return replace(Said.by(grounds, Stance.FORBIDDEN), source="")
    if facet == "times" and not protocol.sampled and known is not None and not known.failure:
        (least, most), times = known.times, float(detail) if detail.isdecimal() else inf
        good = least <= times <= (inf if most is None else most)
        stance = Stance.ALLOWED if good else Stance.FORBIDDEN
        return None if known.times == (0, None) else Said.by(known.grounds, stance)
    if (facet, stage) not in (page := named(contract, endpoint.name)):
        return None
    details, stance, grounds = page[facet, stage]
    if detail not in details and facet == "track" and stage:
        return None  # told of the stream
    return Said.by(grounds, stance if detail in details else Stance.FORBIDDEN)


@cache
def before(protocol: Protocol) -> Mapping[str, frozenset[str]]:
    """For each stage those that must have come before it, directly or not."""
    stages = protocol.stages
    found: dict[str, frozenset[str]] = {stage.name: frozenset() for stage in stages}
    for _ in stages:  # each round follows one more step
        for stage in stages:
            groups = [
                frozenset.intersection(*(found[n] | {n} for n in group if n in found))
                for group in stage.after
                if any(name in found for name in group)
            ]
            found[stage.name] = frozenset[str]().union(*groups) - {stage.name}
    return found
