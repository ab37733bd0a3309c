"""What a load run sends: a mixture of endpoints, each request with a body of its own.

Request `number` is a function of the seed and that number alone, so that workers that take every
n-th arrival send together just what one process would have sent.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Iterable
from fractions import Fraction
from random import Random
from typing import Any

from soundstage.assets.playback import STREAMED
from soundstage.contract import Contract, load
from soundstage.contract.json_schema import patterns
from soundstage.contract.protocol import Endpoint
from soundstage.contract.roles import assets_of
from soundstage.errors import UsageError
from soundstage.exchange.client import Call
from soundstage.exchange.requests import request_body
from soundstage.loadtests.schedule.corpus import Corpus, distinct, read_corpus
from soundstage.loadtests.schedule.scenario import Part, endpoint_of
from soundstage.results.listening.listened import FIRST_SOUND

#: The scenario that rows of a load run carry.
SCENARIO = "load"
#: The kinds of endpoint that make songs.
KINDS = ("stream", "sync")
#: Milestones that every endpoint has, and those that every stream has.
_OF_ALL, _OF_STREAMS = ("accepted",), ("first_chunk",)
#: Weights are taken as whole parts of at most so many requests.
_LONGEST_TURN = 10_000


class Traffic:
    """Calls to the endpoints of a mixture, in turn. The same seed gives the same requests.

    `corpus` is a file of what to ask for, None for prompts that are made up and never repeat.
    Worker `which` of `of` sends every `of`-th request; `number` is that of its next one.

    Raises UsageError if there is no such version, it has no such endpoint, or the corpus is wrong.
    """

    def __init__(
        self,
        parts: Iterable[Part],
        seed: int,
        *,
        corpus: str | None = None,
        which: int = 0,
        of: int = 1,
        scenario: str = SCENARIO,
    ) -> None:
        weights: dict[tuple[str, str], float] = {}
        found: dict[tuple[str, str], tuple[Contract, Endpoint]] = {}
        for part in parts:
            contract = load(part.api)
            endpoint = endpoint_of(contract, part.endpoint)
            key = (contract.api, endpoint.name)
            found[key] = (contract, endpoint)
            weights[key] = weights.get(key, 0.0) + part.weight
        self.places = list(found.values())
        self.contracts = list({contract.api: contract for contract, _ in self.places}.values())
        self.scenario = scenario
        self.corpus: Corpus | None = None if corpus is None else read_corpus(corpus, self.places)
        self._turns = turns(list(weights.values()))
        self._seed = seed
        self.number, self._of = which, of
        self._marked = [self._takes_marks(*place) for place in self.places]

    def call(self, number: int, intended_ns: int | None = None) -> Call:
        """Request `number` of the run, from 0, due at `intended_ns` (monotonic; None: whenever
        it starts).
        """
        place = self._turns[number % len(self._turns)]
        contract, endpoint = self.places[place]
        body = self._body(place, number)
        return Call(contract, endpoint, body, scenario=self.scenario, intended_ns=intended_ns)

    def next_number(self) -> int:
        """The number of the next request of this worker, which is thereby taken."""
        number = self.number
        self.number += self._of
        return number

    def place(self, number: int) -> tuple[str, str]:
        """The (api, endpoint) that request `number` goes to."""
        contract, endpoint = self.places[self._turns[number % len(self._turns)]]
        return contract.api, endpoint.name

    def planned(self, first: int, until: int) -> Counter[tuple[str, str]]:
        """How many of the requests from number `first` to before `until` go to each place."""
        whole, rest = divmod(max(0, until - first), len(self._turns))
        counted: Counter[tuple[str, str]] = Counter()
        if whole:
            for number in range(len(self._turns)):
                counted[self.place(number)] += whole
        for number in range(until - rest, until):
            counted[self.place(number)] += 1
        return counted

    def facts(self) -> dict[str, Any]:
        """What run.json says of it."""
        parts = Counter(self._turns)
        return {
            "mixture": {
                f"{contract.api}.{endpoint.name}": parts[number] / len(self._turns)
                for number, (contract, endpoint) in enumerate(self.places)
            },
            "corpus": None if self.corpus is None else self.corpus.facts(),
        }

    def _body(self, place: int, number: int) -> dict[str, Any]:
        contract, endpoint = self.places[place]
        body = request_body(contract, endpoint, Random(f"traffic/{self._seed}/{number}"))
        if self.corpus is not None:
            return {**body, **self.corpus.fields(endpoint, number)}
        return distinct(endpoint, body, number) if self._marked[place] else body

    def _takes_marks(self, contract: Contract, endpoint: Endpoint) -> bool:
        """Whether a prompt may say which take it is: a schema may allow certain prompts only."""
        body = request_body(contract, endpoint, Random(0))
        validator = patterns.validator(endpoint.request or {})
        return validator.is_valid(distinct(endpoint, body, _LONGEST_TURN))


def turns(weights: list[float]) -> tuple[int, ...]:
    """Whose turn it is, over and over, so that each gets requests in proportion to its weight and
    they mix as evenly as they can: at each turn the one that is furthest behind its share.
    """
    shares = [Fraction(weight).limit_denominator(1000) for weight in weights]
    scale = math.lcm(*(share.denominator for share in shares))
    parts = [int(share * scale) for share in shares]
    common = math.gcd(*parts)
    parts = [part // common for part in parts]
    total = sum(parts)
    if min(parts) == 0 or total > _LONGEST_TURN:
        raise UsageError(f"weights {', '.join(f'{w:g}' for w in weights)}: too far apart to mix")
    credit = [0] * len(parts)
    order = []
    for _ in range(total):
        credit = [each + part for each, part in zip(credit, parts, strict=True)]
        best = max(range(len(parts)), key=lambda number: credit[number])
        credit[best] -= total
        order.append(best)
    return tuple(order)


def catalogue(traffic: Traffic, probed: float = 0.0) -> dict[tuple[str, str], list[str]]:
    """The milestones of each (api, endpoint) that is loaded: what objectives may name. `probed`:
    the share of songs that is listened to.
    """
    found = {}
    for contract, endpoint in traffic.places:
        if (course := contract.course_of(endpoint)) is not None:
            names = [each.name for stage in course.stages for each in stage.milestones]
            of_streams = _OF_STREAMS if endpoint.kind == "stream" else ()
            of_it = list(dict.fromkeys([*_OF_ALL, *of_streams, *names]))
        else:
            of_it = [*_OF_ALL, "complete"]
        by_listening = [FIRST_SOUND] if probed and is_playable(contract, endpoint) else []
        found[contract.api, endpoint.name] = [*of_it, *by_listening]
    return found


def playable(traffic: Traffic) -> set[tuple[str, str]]:
    """Each (api, endpoint) that is loaded whose songs can be played while they are made."""
    return {
        (contract.api, endpoint.name)
        for contract, endpoint in traffic.places
        if is_playable(contract, endpoint)
    }


def is_playable(contract: Contract, endpoint: Endpoint, *or_else: str) -> bool:
    """Whether the songs of an endpoint can be played while they are made, or a stream points to
    them in another of these roles.
    """
    roles = {STREAMED, *or_else}
    return endpoint.kind == "stream" and any(
        each.role in roles for each in assets_of(contract, endpoint.name).values()
    )
