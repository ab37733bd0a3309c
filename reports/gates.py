"""The gates of a comparison: which quantiles and rates decide, and what each of them says.

    [API[.ENDPOINT].]MILESTONE.pN      v6.stream.streaming_ready.p95   complete.p50
    [API[.ENDPOINT].]error_rate        v6.error_rate   stream.timeout_rate

Gates are named before the runs are looked at, and there are few of them: k gates are each held at
the level 1 - alpha/k, so that all of them together cry wolf in at most alpha of the comparisons
(Bonferroni). A quantile passes if it is surely not slower by more than the margin; a rate that
nobody named only *guards*: it fails if it surely rose by more than its own margin, and decides
nothing otherwise.
"""

from __future__ import annotations

import difflib
import math
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from soundstage.errors import UsageError
from soundstage.reports import ratio
from soundstage.reports.arms import Place, Series
from soundstage.reports.ratio import Estimate, Noise, Ratio
from soundstage.reports.wording import milestone_label, plain
from soundstage.results.quantiles import needed, rate_interval

#: Gates if none are named: of each group the first milestone that the endpoint has, at each order.
DEFAULT_MILESTONES = (("streaming_ready", "audio"), ("complete",))
DEFAULT_ORDERS = (0.5, 0.95)
DEFAULT_RATE = "error_rate"

#: Defaults of the command: a quantile may be this much slower, a rate this many points higher.
MARGIN = 0.10
RATE_MARGIN = 0.01
ALPHA = 0.05

_RATES = ("error_rate", "timeout_rate")
_QUANTILE = re.compile(r"(?P<path>[\w.→-]+)\.p(?P<order>[0-9]{1,2}(?:\.[0-9]{1,3})?)")
_LONGEST = 200
GATE_LIMIT = 100


@dataclass(frozen=True, slots=True)
class Pairing:
    """An endpoint on both sides. `api` is what to call the version: `v6`, or `v5→v6` where the
    two differ. `milestones` are those that both have.
    """

    api: str
    endpoint: str
    base: Place
    candidate: Place
    milestones: tuple[str, ...]


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
        """`v6.stream.streaming_ready.p95`"""
        tail = "" if self.order is None else f".p{self.order * 100:g}"
        return f"{self.pairing.api}.{self.pairing.endpoint}.{self.what}{tail}"

    @property
    def label(self) -> str:
        """`v6 stream TTSR p95`"""
        where = f"{plain(self.pairing.api, 40)} {plain(self.pairing.endpoint, 20)}"
        if self.order is None:
            return f"{where} {self.what.replace('_', ' ')}"
        return f"{where} {milestone_label(self.what)} p{self.order * 100:g}"


@dataclass(frozen=True, slots=True)
class Need:
    """What would decide an inconclusive gate: `count` more `unit`s an arm than there are, or
    nothing sensible (`count` None), for the reason in `text`.
    """

    unit: str
    count: int | None
    text: str


@dataclass(frozen=True, slots=True)
class Outcome:
    """What a gate says. `base` and `candidate` are quantiles in seconds (shares for a rate) with
    their intervals, over `n_base` and `n_candidate` exchanges; `change` is the ratio (the
    difference of shares for a rate). `level`: of every interval here. `method`: "samples",
    "pairs" or "runs", what the interval's spread is taken from. `faster`: surely not slower.
    """

    gate: Gate
    verdict: str
    base: Estimate
    candidate: Estimate
    n_base: int
    n_candidate: int
    change: Ratio
    level: float
    margin: float
    method: str
    need: Need | None = None

    @property
    def faster(self) -> bool:
        """Whether the candidate is surely better, by however little."""
        return self.change.high < (0.0 if self.gate.order is None else 1.0)


@dataclass(frozen=True, slots=True)
class Rules:
    """How gates are judged: margins, the chance `alpha` of a false alarm over all gates, `paired`
    runs, and by gate name the noise between runs that a calibration measured.
    """

    margin: float = MARGIN
    rate_margin: float = RATE_MARGIN
    alpha: float = ALPHA
    paired: bool = False
    noise: Mapping[str, Noise] | None = None


def default_gates(pairings: Iterable[Pairing]) -> list[Gate]:
    """The gates of a comparison for which none were named."""
    gates = []
    for pairing in pairings:
        for group in DEFAULT_MILESTONES:
            name = next((each for each in group if each in pairing.milestones), None)
            if name is not None:
                gates += [Gate(pairing, name, order) for order in DEFAULT_ORDERS]
        gates.append(Gate(pairing, DEFAULT_RATE, None, guard=True))
    return gates


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
        guard = Gate(pairing, DEFAULT_RATE, None, guard=True)
        gates.setdefault(guard.name, guard)
    if len(gates) > GATE_LIMIT:
        raise UsageError(f"{len(gates)} gates: name a few, each makes the others weaker")
    return list(gates.values())


def _parsed(text: str, pairings: Sequence[Pairing]) -> list[Gate]:
    if len(text) > _LONGEST:
        return []
    *scope, last = text.split(".")
    if last in _RATES:
        return [Gate(one, last, None) for one in pairings if _covers(scope, one)]
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
    near = difflib.get_close_matches(text, every + known, n=1)
    hint = f"did you mean {near[0]}? " if near else ""
    milestones = sorted({name for one in pairings for name in one.milestones})
    return (
        f"--gate {plain(text, 80)}: no such gate; {hint}A gate is "
        f"[API[.ENDPOINT].]MILESTONE.pN or {' or '.join(_RATES)}, "
        f"say {known[0] if known else 'complete.p95'}; both runs have "
        f"{', '.join(map(plain, milestones)) or 'no milestones'}"
    )


def judge(
    gates: Sequence[Gate],
    base: Mapping[Place, Sequence[Series]],
    candidate: Mapping[Place, Sequence[Series]],
    rules: Rules,
) -> list[Outcome]:
    """What each gate says of the two arms, given as the series of their runs by place."""
    level = 1 - rules.alpha / max(1, len(gates))
    return [
        (_quantile if gate.order is not None else _rate)(
            gate, base[gate.pairing.base], candidate[gate.pairing.candidate], level, rules
        )
        for gate in gates
    ]


def _quantile(
    gate: Gate, base: Sequence[Series], candidate: Sequence[Series], level: float, rules: Rules
) -> Outcome:
    q, margin = gate.order or 0.5, rules.margin
    arms = [[run.times[gate.what] for run in arm] for arm in (base, candidate)]
    if len(base) == len(candidate) == 1:
        method, noise = "samples", (rules.noise or {}).get(gate.name)
        one, other = arms[0][0], arms[1][0]
        estimates = [ratio.estimate(arm[0], q, level) for arm in arms]
        bounds = ratio.of_samples(one, other, q, level, noise)
    else:
        paired = rules.paired
        method = "pairs" if paired else "runs"
        estimates = [ratio.estimate_of_runs(arm, q, level) for arm in arms]
        bounds = ratio.of_runs(arms[0], arms[1], q, level, paired=paired)
    said = ratio.verdict(bounds[1], bounds[2], margin)
    fewest = min(len(run) for arm in arms for run in arm)
    need = None
    if method != "samples" and fewest < math.ceil(round(1 / (1 - q), 6)):
        # The quantile of so few is their greatest value, whatever it estimates.
        said = "inconclusive"
        count = needed(q, level) - fewest
        need = Need("exchange", count, f"each run needs at least {count:,} more exchanges")
    elif said == "inconclusive":
        need = _need(arms, gate, level, rules, method)
    d, low, high = (math.nan if math.isnan(each) else _exp(each) for each in bounds)
    return Outcome(
        gate=gate,
        verdict=said,
        base=estimates[0],
        candidate=estimates[1],
        n_base=sum(map(len, arms[0])),
        n_candidate=sum(map(len, arms[1])),
        change=Ratio(d, low, high),
        level=level,
        margin=margin,
        method=method,
        need=need,
    )


def _need(
    arms: Sequence[Sequence[ratio.Floats]], gate: Gate, level: float, rules: Rules, method: str
) -> Need:
    q, margin = gate.order or 0.5, rules.margin
    if method == "samples":
        noise = (rules.noise or {}).get(gate.name)
        have = min(len(arms[0][0]), len(arms[1][0]))
        total = ratio.samples_needed(arms[0][0], arms[1][0], q, level, margin, noise)
        if total is None:
            text = "the change is too near the margin for more exchanges to tell: repeat the runs"
            if noise is not None:
                text = "runs differ too much for one an arm to tell: repeat the runs"
            return Need("run", None, text)
        more = max(1, total - have)
        text = f"about {_round(more):,} more exchanges an arm would decide, or several runs"
        return Need("exchange", more, text)
    unit = "pair of runs" if method == "pairs" else "run"
    total = ratio.runs_needed(arms[0], arms[1], q, level, margin, paired=method == "pairs")
    if total is None:
        text = "the change is too near the margin, or the runs too unlike, for more runs to tell"
        return Need(unit, None, text)
    more = total - max(len(arms[0]), len(arms[1]))
    many = {"pairs": f"{more} more pairs of runs", "runs": f"{more} more runs an arm"}[method]
    return Need(unit, more, f"about {many} would decide")


def _rate(
    gate: Gate, base: Sequence[Series], candidate: Sequence[Series], level: float, rules: Rules
) -> Outcome:
    def counted(arm: Sequence[Series]) -> list[tuple[int, int]]:
        timeouts = gate.what == _RATES[1]
        return [(run.timeouts if timeouts else run.errors, run.n) for run in arm]

    shares = [counted(arm) for arm in (base, candidate)]
    sums = [(sum(k for k, _ in arm), sum(n for _, n in arm)) for arm in shares]
    estimates = [Estimate(k / n if n else 0.0, *rate_interval(k, n, level)) for k, n in sums]
    d, low, high = ratio.rate_change_of_runs(shares[0], shares[1], level, paired=rules.paired)
    margin = rules.rate_margin
    said = "fail" if low > margin else "pass" if high < margin else "inconclusive"
    need = None
    if said == "inconclusive" and gate.guard:
        said = "pass"
    elif said == "inconclusive":
        need = _rate_need(sums, level, margin)
    method = "samples" if len(base) == len(candidate) == 1 else "runs"
    return Outcome(
        gate=gate,
        verdict=said,
        base=estimates[0],
        candidate=estimates[1],
        n_base=sums[0][1],
        n_candidate=sums[1][1],
        change=Ratio(d, low, high),
        level=level,
        margin=margin,
        method=method,
        need=need,
    )


def _rate_need(sums: Sequence[tuple[int, int]], level: float, margin: float) -> Need:
    have = min(n for _, n in sums)

    def decided(factor: float) -> bool:
        grown = [(round(k * factor), round(n * factor)) for k, n in sums]
        _, low, high = ratio.rate_change(grown[0], grown[1], level)
        return low > margin or high < margin

    factor = ratio.least(decided, 1.0, ratio.MOST_FACTOR) if have else None
    if factor is None:
        return Need("exchange", None, "the change is too near the margin for more to tell")
    more = max(1, math.ceil(have * factor) - have)
    return Need("exchange", more, f"about {_round(more):,} more exchanges an arm would decide")


def _round(number: int) -> int:
    """Two digits are all that an extrapolation is worth; always up."""
    if number < 100:
        return number
    unit: int = 10 ** (len(str(number)) - 2)
    return math.ceil(number / unit) * unit


def _exp(value: float) -> float:
    return math.inf if value > 700 else math.exp(value)
