"""The gates of a comparison: which quantiles and rates decide. What each says: `gate_outcomes`.

    [API[.ENDPOINT].]MILESTONE.pN      v6.stream.complete.p95   complete.p50
    [API[.ENDPOINT].]error_rate        v6.error_rate   stream.timeout_rate   v6.continuity

Gates are named before the runs are looked at, and there are few of them: k gates are each held at
the level 1 - alpha/k, so that all of them together cry wolf in at most alpha of the comparisons
(Bonferroni). A quantile passes if it is surely not slower by more than the margin; a rate that
nobody named only *guards*: it fails if it surely rose by more than its own margin, and decides
nothing otherwise. Gates that nobody names are those of the headline milestones of a contract.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from soundstage.errors import UsageError
from soundstage.near_names import did_you_mean
from soundstage.reports.words import milestone_label, place_words, plain
from soundstage.results.listening.listened import CONTINUITY
from soundstage.results.milestone_names import MilestoneNames

if TYPE_CHECKING:  # the command's help names the defaults below, and starts without numpy
    from soundstage.reports.decision.interval import Noise

#: Gates if none are named: each headline milestone at each of these orders, and this rate.
DEFAULT_ORDERS = (0.5, 0.95)
DEFAULT_RATE = "error_rate"

#: Defaults of the command: a quantile may be this much slower, a rate this many points higher.
MARGIN = 0.10
RATE_MARGIN = 0.01
ALPHA = 0.05

#: Of looks: the first, and the most songs an arm, where nobody says another number.
FIRST, MOST = 40, 1000

TIMEOUT_RATE = "timeout_rate"
#: The share of songs that are not heard without a gap. It rises as continuity falls.
GAP_RATE = "gap_rate"
_RATES = (DEFAULT_RATE, TIMEOUT_RATE, GAP_RATE)
#: Other words for a rate.
_ALSO = {CONTINUITY: GAP_RATE}
_QUANTILE = re.compile(r"(?P<path>[\w.-]+)\.p(?P<order>[0-9]{1,2}(?:\.[0-9]{1,3})?)")
_LONGEST = 200
GATE_LIMIT = 100


@dataclass(frozen=True, slots=True)
class Pairing:
    """An endpoint that both arms have, the milestones that both have of it, what they are called,
    and whether both were listened to.
    """

    api: str
    endpoint: str
    milestones: tuple[str, ...]
    names: MilestoneNames = field(default_factory=MilestoneNames, compare=False)
    heard: bool = False

    @property
    def headline(self) -> tuple[str, ...]:
        """Those that a run is known by; all, where nobody says which."""
        return tuple(name for name in self.names.headline if name in self.milestones) or (
            self.milestones
        )

    def label(self, milestone: str) -> str:
        """How reports call a milestone of it."""
        return milestone_label(self.names, milestone)

    @property
    def place(self) -> tuple[str, str]:
        """Its key in the series of a run."""
        return self.api, self.endpoint

    @property
    def words(self) -> str:
        """`v6 stream`"""
        return place_words(self.api, self.endpoint)


@dataclass(frozen=True, slots=True)
class Gate:
    """One quantile of one milestone of one endpoint (`order` in (0, 1)), or one of its rates
    (`order` None, `what` the rate). `guard`: it may fail, but decides nothing otherwise.
    """

    pairing: Pairing
    what: str
    order: float | None
    guard: bool = False

    @property
    def name(self) -> str:
        """`v6.stream.complete.p95`"""
        tail = "" if self.order is None else f".p{self.order * 100:g}"
        return f"{self.pairing.api}.{self.pairing.endpoint}.{self.what}{tail}"

    @property
    def label(self) -> str:
        """`v6 stream TTC p95`"""
        if self.order is None:
            return f"{self.pairing.words} {self.what.replace('_', ' ')}"
        return f"{self.pairing.words} {self.pairing.label(self.what)} p{self.order * 100:g}"


@dataclass(frozen=True, slots=True)
class Rules:
    """How gates are judged: margins, the chance `alpha` of a false alarm over all gates, `paired`
    runs, and by gate name the noise between runs that a calibration measured.
    """

    margin: float = MARGIN
    rate_margin: float = RATE_MARGIN
    alpha: float = ALPHA
    paired: bool = False
    noise: Mapping[str, Noise] = field(default_factory=dict)


def default_gates(pairings: Iterable[Pairing]) -> list[Gate]:
    """The gates of a comparison for which none were named."""
    gates = []
    for pairing in pairings:
        gates += [
            Gate(pairing, name, order) for name in pairing.headline for order in DEFAULT_ORDERS
        ]
        gates += _guards(pairing)
    return gates


def _guards(pairing: Pairing) -> list[Gate]:
    rates = (DEFAULT_RATE, GAP_RATE) if pairing.heard else (DEFAULT_RATE,)
    return [Gate(pairing, rate, None, guard=True) for rate in rates]


def named_gates(texts: Iterable[str], pairings: Sequence[Pairing]) -> list[Gate]:
    """The gates that these texts name, and the guards beside them. A text without version or
    endpoint means every one that has the milestone.

    Raises UsageError for a text that names none, with what there is.
    """
    gates: dict[str, Gate] = {}
    for text in texts:
        found = _parsed(text, pairings)
        if not found:
            raise UsageError(_unknown(text, pairings))
        gates.update((gate.name, gate) for gate in found)
    for pairing in pairings:
        for guard in _guards(pairing):
            gates.setdefault(guard.name, guard)
    if len(gates) > GATE_LIMIT:
        raise UsageError(f"{len(gates)} gates: name a few, each makes the others weaker")
    return list(gates.values())


def _parsed(text: str, pairings: Sequence[Pairing]) -> list[Gate]:
    if len(text) > _LONGEST:
        return []
    *scope, last = text.split(".")
    if (last := _ALSO.get(last, last)) in _RATES:
        fitting = (one for one in pairings if one.heard or last != GAP_RATE)
        return [Gate(one, last, None) for one in fitting if _covers(scope, one)]
    match = _QUANTILE.fullmatch(text)
    if match is None:
        return []
    *scope, milestone = match["path"].split(".")
    order = float(match["order"]) / 100
    if not 0 < order < 1:
        return []
    return [
        Gate(one, milestone, order)
        for one in pairings
        if _covers(scope, one) and milestone in one.milestones
    ]


def _covers(scope: Sequence[str], pairing: Pairing) -> bool:
    """Whether `api`, `endpoint`, `api.endpoint` or nothing at all means this endpoint. The name of
    a version may hold a dot.
    """
    words = ".".join(scope)
    names = ("", pairing.api, pairing.endpoint, f"{pairing.api}.{pairing.endpoint}")
    return words in names


def _unknown(text: str, pairings: Sequence[Pairing]) -> str:
    known = [gate.name for gate in default_gates(pairings)]
    every = sorted(
        {f"{one.api}.{one.endpoint}.{name}.p50" for one in pairings for name in one.milestones}
    )
    hint = plain(did_you_mean(text, every + known), 200)
    milestones = sorted({name for one in pairings for name in one.milestones})
    if text.rpartition(".")[2] in (CONTINUITY, GAP_RATE) and not any(p.heard for p in pairings):
        hint = ": songs were not listened to in both runs (--probe-playback)"
    return (
        f"--gate {plain(text, 80)}: no such gate{hint}; a gate is "
        f"[API[.ENDPOINT].]MILESTONE.pN or {' or '.join(_RATES)}, "
        f"say {known[0] if known else 'complete.p95'}; both runs have "
        f"{', '.join(map(plain, milestones)) or 'no milestones'}"
    )
