"""Fits a profile to recorded streams: the median and log-sigma of the delay before each stage's
chunks, how many chunks stages have, and the shares of failures and refusals.

Numbers in, a profile's JSON data out: reading run bundles is the command's business.
"""

from __future__ import annotations

import math
from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from statistics import median
from typing import Any, Final, Literal, NamedTuple

from soundstage.contract import Contract

#: A chunk that comes this soon after another was read together with it.
_TOGETHER_S: Final = 0.0002
#: The sigma of delays that are all alike; anything less cannot be told from 0 out of some dozens.
_LEAST_SIGMA: Final = 0.005
#: The largest sigma that a profile may have.
_MOST_SIGMA: Final = 5.0
#: With fewer delays than this that were seen by themselves, sums of them tell of their spread too.
_FEW: Final = 20
#: Where a normal distribution stands one sigma below and above its middle.
_LOW, _HIGH = 0.1587, 0.8413
#: So many different numbers of chunks are told apart.
_MOST_NUMBERS: Final = 50
#: The key of the delay before the first chunk, whatever its stage.
_FIRST: Final = ""


class StageTimes(NamedTuple):
    """The chunks of a stage (on one track) in one stream: when the first and the last came, in
    seconds since its start, and how many there were.
    """

    stage: str
    first: float
    last: float
    many: int


@dataclass(frozen=True, slots=True)
class RecordedStream:
    """One recorded stream. `end` says whether it came to its own end, ended in the stage of
    failure, or was cut off after `ended` seconds by something that is not the generation's doing.
    """

    api: str
    seen: tuple[StageTimes, ...]
    end: Literal["whole", "failed", "cut"]
    ended: float


@dataclass(slots=True)
class RecordedApi:
    """All that was recorded of one API version. `requests` counts those that could have become a
    generation, `refused` those that got an error instead, by its name.
    """

    streams: list[RecordedStream] = field(default_factory=list)
    requests: int = 0
    refused: Counter[str] = field(default_factory=Counter)


def fit(recordings: Mapping[str, RecordedApi], contracts: Mapping[str, Contract]) -> dict[str, Any]:
    """The words `default` and `apis` of a profile (`profile.schema.json`), and in `fitted` from
    how many delays each was fitted.

    Raises ValueError if there is no stream with a chunk in it.
    """
    apis: dict[str, Any] = {}
    used: dict[str, Any] = {}
    medians: list[float] = []
    for api, recording in sorted(recordings.items()):
        streams = [each for each in recording.streams if each.seen]
        if not streams:
            continue
        delays = _delays(streams)
        medians += [each.median for key, each in delays.items() if key != _FIRST]
        ends = Counter(each.end for each in streams)
        apis[api] = {
            "first": _told(delays.pop(_FIRST)),
            "stages": {stage: _told(each) for stage, each in sorted(delays.items())},
            "chunks": _numbers(streams, contracts[api]),
            "failures": _failures(streams, contracts[api]),
            "refusals": {
                name: round(count / recording.requests, 6)
                for name, count in sorted(recording.refused.items())
                if count
            },
        }
        used[api] = {
            "streams": len(streams),
            **{end: ends[end] for end in ("whole", "failed", "cut")},
            "delays": {stage: each.n for stage, each in sorted(delays.items())},
        }
    if not apis:
        raise ValueError("no stream with a chunk in it")
    typical = median(medians) if medians else 0.0
    return {"default": {"median": round(typical, 6)}, "apis": apis, "fitted": {"apis": used}}


def _told(delay: _FittedDelay) -> dict[str, float]:
    if delay.median <= _TOGETHER_S:
        return {"constant": 0.0}
    if delay.sigma <= _LEAST_SIGMA:
        return {"constant": round(delay.median, 6)}
    return {"median": round(delay.median, 6), "sigma": round(delay.sigma, 4)}


# --- numbers of chunks, failures ------------------------------------------------------------------


def _numbers(streams: Iterable[RecordedStream], contract: Contract) -> dict[str, dict[str, int]]:
    """How many chunks the stages had whose number the contract leaves open, over whole streams."""
    found: dict[str, Counter[int]] = defaultdict(Counter)
    for stream in streams:
        if stream.end != "whole":
            continue
        counts: dict[str, list[int]] = defaultdict(list)
        for seen in stream.seen:
            counts[seen.stage].append(seen.many)
        for stage in contract.protocol.stages:
            least, most = stage.times
            if stage.failure or least == most:
                continue
            least = max(1, least) if stage.charges else least
            for count in counts.get(stage.name, [0]):
                # What the contract does not allow is not to be played back.
                legal = max(count, least) if most is None else min(max(count, least), most)
                found[stage.name][min(legal, 9999)] += 1
    return {
        stage: {str(number): weight for number, weight in sorted(_few(counts).items())}
        for stage, counts in sorted(found.items())
    }


def _few(counts: Counter[int]) -> Mapping[int, int]:
    if len(counts) <= _MOST_NUMBERS:
        return counts
    values = sorted(counts.elements())
    size = len(values)
    return Counter(values[(2 * n + 1) * size // (2 * _MOST_NUMBERS)] for n in range(_MOST_NUMBERS))


def _failures(streams: Sequence[RecordedStream], contract: Contract) -> dict[str, float]:
    """The share of generations that failed after a stage. Those that were cut count for nothing:
    how they would have ended nobody knows.
    """
    ended = [stream for stream in streams if stream.end != "cut"]
    after: Counter[str] = Counter()
    for stream in ended:
        good = [s for s in stream.seen if not contract.protocol.by_name[s.stage].failure]
        if stream.end == "failed" and good:
            after[max(good, key=lambda seen: seen.last).stage] += 1
    return {stage: round(count / len(ended), 6) for stage, count in sorted(after.items())}


# --- delays ---------------------------------------------------------------------------------------


class _FittedDelay(NamedTuple):
    """A lognormal delay, and how many delays it was fitted from."""

    median: float
    sigma: float
    n: int

    @property
    def mean(self) -> float:
        return self.median * math.exp(self.sigma**2 / 2)


class _Gap(NamedTuple):
    """The logarithm of a delay, which counts for so many; `whole` unless it was cut off."""

    log: float
    weight: float = 1.0
    whole: bool = True


class _Stretch(NamedTuple):
    """The time in which these chunks came, nobody knows when exactly but the last."""

    seconds: float
    chunks: Counter[str]


def _log(seconds: float) -> float:
    return math.log(max(seconds, _TOGETHER_S))


def _delays(streams: Sequence[RecordedStream]) -> dict[str, _FittedDelay]:
    """The delay before a chunk by its stage; `_FIRST`: before the first."""
    gaps: dict[str, list[_Gap]] = defaultdict(list)
    follows: dict[str, Counter[str]] = defaultdict(Counter)
    stretches: list[_Stretch] = []
    for stream in streams:
        _split(stream, gaps, stretches, follows)
    for stream in streams:
        if stream.end == "cut":
            last = max(stream.seen, key=lambda seen: seen.last)
            lasted = max(0.0, stream.ended - last.last)
            due = follows[last.stage]
            # Which stage was due nobody saw: each one that follows elsewhere, by how often.
            for stage, count in due.items():
                gaps[stage].append(_Gap(_log(lasted), count / due.total(), whole=False))
    found = {key: _lognormal(each) for key, each in gaps.items() if any(g.whole for g in each)}
    # A stretch tells of the stage that has the most chunks in it, once the others have taken what
    # is theirs on average. Where nothing is known of those they count as alike.
    sums: dict[str, list[tuple[float, int]]] = defaultdict(list)
    for stretch in stretches:
        ((carrier, _),) = stretch.chunks.most_common(1)
        others = {stage: n for stage, n in stretch.chunks.items() if stage != carrier}
        known = {stage: n for stage, n in others.items() if stage in found}
        rest = stretch.seconds - sum(n * found[stage].mean for stage, n in known.items())
        many = stretch.chunks.total() - sum(known.values())
        sums[carrier].append((max(rest, 0.0) / many, many))
    for stage, each in sums.items():
        found[stage] = _with_sums(found.get(stage), gaps[stage], each)
    return found


def _split(
    stream: RecordedStream,
    gaps: dict[str, list[_Gap]],
    stretches: list[_Stretch],
    follows: dict[str, Counter[str]],
) -> None:
    """Sort the time of a stream into delays that were seen, and stretches with hidden chunks.

    A row of a load run keeps of each stage when its first and its last chunk came and how many
    there were. Between two moments that are known lies one delay, unless a stage of more than two
    chunks is under way, of which some may lie between.
    """
    moments = []
    for seen in stream.seen:
        hidden = max(0, seen.many - 2)
        moments.append((seen.first, seen.stage, 0, seen.last if hidden else 0.0))
        if seen.many > 1:
            moments.append((seen.last, seen.stage, hidden, 0.0))
            follows[seen.stage][seen.stage] += hidden
    moments.sort()
    before, last = 0.0, _FIRST
    began, chunks, until = 0.0, Counter[str](), 0.0
    for time, stage, hidden, ends in moments:
        if last == _FIRST:
            gaps[_FIRST].append(_Gap(_log(time)))
        else:
            follows[last][stage] += 1
            if time <= until:
                if not chunks:
                    began = before
                chunks[stage] += 1 + hidden
            else:
                gaps[stage].append(_Gap(_log(time - before)))
        until = max(until, ends)
        if chunks and time >= until:
            stretches.append(_Stretch(time - began, chunks))
            chunks = Counter()
        before, last = time, stage


def _lognormal(gaps: Sequence[_Gap]) -> _FittedDelay:
    """By quantiles, so that one stall, or chunks that were read together, do not stand for all."""
    low, middle, high = _quantiles(gaps, (_LOW, 0.5, _HIGH))
    # A busy machine reads chunks together: gaps near 0, which stretch the lower half only. Where
    # that is the wider one, the upper half tells.
    sigma = min(high - middle, (high - low) / 2) if high < math.inf else middle - low
    n = sum(each.whole for each in gaps)
    return _FittedDelay(math.exp(middle), min(sigma, _MOST_SIGMA), n)


def _with_sums(
    seen: _FittedDelay | None, gaps: Sequence[_Gap], sums: Sequence[tuple[float, int]]
) -> _FittedDelay:
    """With means of several delays (seconds, of how many): the assumption is that the delays of a
    stage are alike and do not depend on each other, the first of them neither.

    The logarithm of a sum of lognormal delays is nearly normal, with a variance of log(1 +
    (exp(sigma^2) - 1) / n) (Fenton 1960), so that median and sigma of one delay follow from it.
    """
    logs = [(_log(mean), many) for mean, many in sums]
    if seen is not None and seen.n >= _FEW:
        sigma = seen.sigma
    else:
        middle = median(log for log, _ in logs)
        sigma = _lognormal([_Gap((log - middle) * math.sqrt(many)) for log, many in logs]).sigma
    of_one = math.expm1(sigma**2)
    singles = [_Gap(log + (math.log1p(of_one / many) - sigma**2) / 2, many) for log, many in logs]
    (middle,) = _quantiles([*gaps, *singles], (0.5,))
    n = sum(many for _, many in sums) + (seen.n if seen is not None else 0)
    return _FittedDelay(math.exp(middle), sigma, n)


def _quantiles(gaps: Sequence[_Gap], shares: Sequence[float]) -> list[float]:
    """Of the logarithms of delays, those that were cut off counted as longer (Kaplan and Meier
    1958). Infinite where so many were cut off that it is not known, but never the median: it is
    the longest delay then.
    """
    ordered = sorted((each.log, not each.whole, each.weight) for each in gaps)
    left = sum(weight for _, _, weight in ordered)
    survive = 1.0
    steps = []
    for value, cut, weight in ordered:
        if not cut:
            survive *= max(0.0, 1 - weight / left)
            steps.append((1 - survive, value))
        left -= weight
    found = []
    for share in shares:
        beyond = [value for reached, value in steps if reached > share + 1e-9]
        found.append(beyond[0] if beyond else steps[-1][1] if share <= 0.5 else math.inf)
    return found
