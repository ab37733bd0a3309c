"""Faults of what is seen of a job from one look at its state to the next."""

from __future__ import annotations

import random
from collections.abc import Callable, Iterator

from soundstage.contract import Contract
from soundstage.generation.faults.fault import Chunks, Fault
from soundstage.generation.faults.legality import stream_rule

_Change = Callable[[Chunks, random.Random], Chunks | None]


def of_looks(contract: Contract, samples: list[Chunks]) -> Iterator[Fault]:
    """States that go back, and last ones that do not stay; `samples` are looks at whole jobs."""
    protocol = contract.protocol
    found: list[tuple[str, str, str, str, _Change]] = []
    for later in protocol.stages:
        for earlier in sorted(protocol.before(later.name)):
            if later.name in protocol.before(earlier):
                continue  # they come in turn
            last = later.ends is not None
            name = f"look/{later.name}-{earlier}/" + ("changed" if last else "backwards")
            code, rule = ("job.changed", "terminal/stays") if last else ("job.backwards", "forward")
            says = f"after the state {later.name} comes {earlier} again"
            found.append((name, code, rule, says, _again(later.name, earlier)))
    for name, code, rule, says, apply in found:
        if any(apply(each, random.Random(0)) is not None for each in samples):
            severity = stream_rule(contract, rule)
            yield Fault(name, "payloads", "stream", frozenset({code}), severity, says, apply)


def _again(later: str, earlier: str) -> _Change:
    """A look at the earlier state once more, after one at the later."""

    def apply(chunks: Chunks, rng: random.Random) -> Chunks | None:
        first = [each for each in chunks if each[0].stage == earlier]
        places = [n for n, each in enumerate(chunks) if each[0].stage == later]
        if not first or not places:
            return None
        at = rng.choice(places) + 1
        return [*chunks[:at], rng.choice(first), *chunks[at:]]

    return apply
