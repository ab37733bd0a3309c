"""Fits a profile to what was recorded: delays and numbers of chunks by stage, failures, refusals.

A recording tells of each stage when its first and last chunk came and how many there were, not
when each came. So where chunks between are unknown, their times are drawn, given all that is known
and the delays as fitted so far, and the delays are fitted again: stochastic expectation
maximisation (Celeux and Diebolt 1985). A delay that was cut off, because the exchange ended
before the next chunk, is drawn from what is left of its distribution in the same way.

Numbers in, a profile's JSON data out: reading run bundles is the command's business.
"""

from __future__ import annotations

import math
import random
from bisect import bisect_left
from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from statistics import NormalDist, fmean, median
from typing import Any, Final, Literal, NamedTuple

from soundstage.contract import Contract

#: A chunk that comes this soon after another was read together with it.
_TOGETHER_S: Final = 0.0002
#: The sigma of delays that are all alike; anything less cannot be told from 0 by this method.
_LEAST_SIGMA: Final = 0.005
#: Delays are cut off at so many robust standard deviations before sigma is fitted, so that one
#: stall, or chunks that were read together, do not stand for the rest.
_CUT_OFF: Final = 4.0
_SWEEPS, _BURN_IN = 100, 50
#: Streams are taken at random until they hold so many chunks whose time is unknown.
_MOST_HIDDEN: Final = 2_500
_MOST_STREAMS: Final = 5_000
#: So many different numbers of chunks are told apart.
_MOST_NUMBERS: Final = 50
_NORMAL: Final = NormalDist()
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


@dataclass(frozen=True, slots=True)
class RecordedApi:
    """All that was recorded of one API version. `requests` counts those that could have become a
    generation, `refused` those that got an error instead, by its name.
    """

    streams: list[RecordedStream] = field(default_factory=list)
    requests: int = 0
    refused: Mapping[str, int] = field(default_factory=dict)


@dataclass(slots=True)
class _FittedDelay:
    """A lognormal as fitted so far, and what it was fitted from."""

    median: float
    sigma: float
    n: int = 0

    def log_density(self, gap: float) -> float:
        """Of a delay of `gap` seconds, up to a constant."""
        log_gap = math.log(max(gap, _TOGETHER_S))
        z = (log_gap - math.log(self.median)) / self.sigma
        return -0.5 * z * z - log_gap - math.log(self.sigma)

    def survival(self, gap: float) -> float:
        """The share of delays that are longer."""
        z = (math.log(max(gap, _TOGETHER_S)) - math.log(self.median)) / self.sigma
        return 0.5 * math.erfc(z / math.sqrt(2))

    def longer_than(self, gap: float, rng: random.Random) -> float:
        """A delay that is longer than `gap`; `gap` itself where that is next to impossible."""
        left = self.survival(gap) * (1.0 - rng.random())
        if left < 1e-12:
            return gap
        return max(gap, self.median * math.exp(-self.sigma * _NORMAL.inv_cdf(left)))


def fit(
    recordings: Mapping[str, RecordedApi], contracts: Mapping[str, Contract], seed: int = 0
) -> dict[str, Any]:
    """The words `default` and `apis` of a profile (`profile.schema.json`), and in `fitted` from
    how many delays each was fitted. The same recordings and seed give the same data.

    Raises ValueError if there is no stream with a chunk in it.
    """
    apis: dict[str, Any] = {}
    used: dict[str, Any] = {}
    medians: list[float] = []
    for api, recording in sorted(recordings.items()):
        streams = [each for each in recording.streams if each.seen]
        if not streams:
            continue
        delays = _delays(_sample(streams, random.Random(f"{seed}/{api}")), f"{seed}/{api}/times")
        medians += [each.median for key, each in delays.items() if key != _FIRST]
        failed = Counter(each.end for each in streams)
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
            "whole": failed["whole"],
            "failed": failed["failed"],
            "cut": failed["cut"],
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
    return {"median": round(delay.median, 6), "sigma": round(min(delay.sigma, 5.0), 4)}


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


class _TimedChunk(NamedTuple):
    """A chunk at its time; a hidden one may move between `low` and `high`."""

    time: float
    stage: str
    low: float = 0.0
    high: float = 0.0


@dataclass(slots=True)
class _FittedStream:
    """The chunks of a stream in order of their times, known and drawn ones."""

    chunks: list[_TimedChunk]
    cut_after: float | None

    def key(self, place: int) -> str:
        """Which delay stands before the chunk at this place."""
        return self.chunks[place].stage if place else _FIRST

    def gap(self, place: int) -> float:
        """The delay before the chunk at this place, in seconds."""
        before = self.chunks[place - 1].time if place else 0.0
        return self.chunks[place].time - before


def _sample(streams: list[RecordedStream], rng: random.Random) -> list[_FittedStream]:
    """Streams taken at random, their unknown chunks spread evenly to begin with."""
    chosen, hidden = [], 0
    for stream in rng.sample(streams, len(streams)):
        chunks, unknown = [], 0
        for stage, first, last, many in stream.seen:
            chunks.append(_TimedChunk(first, stage))
            if many > 1:
                chunks.append(_TimedChunk(last, stage))
            # One stream shows no more of them than all together may.
            many = min(many, max(2, 2 + _MOST_HIDDEN - unknown))
            unknown += max(0, many - 2)
            for number in range(1, many - 1):
                time = first + (last - first) * number / (many - 1)
                chunks.append(_TimedChunk(time, stage, first, last))
            hidden += max(0, many - 2)
        chunks.sort(key=lambda chunk: chunk.time)
        cut_after = max(0.0, stream.ended - chunks[-1].time) if stream.end == "cut" else None
        chosen.append(_FittedStream(chunks, cut_after))
        if hidden >= _MOST_HIDDEN or len(chosen) >= _MOST_STREAMS:
            break
    return chosen


def _delays(streams: list[_FittedStream], seed: str) -> dict[str, _FittedDelay]:
    """The delay before a chunk by its stage; `_FIRST`: before the first."""
    rng = random.Random(seed)
    fitted = _fitted(streams, {}, rng)
    hidden = any(chunk.high > chunk.low for stream in streams for chunk in stream.chunks)
    if not hidden and all(stream.cut_after is None for stream in streams):
        return fitted  # everything is known, so nothing is left to draw
    kept: dict[str, list[_FittedDelay]] = defaultdict(list)
    for sweep in range(_SWEEPS):
        for stream in streams:
            _move_hidden(stream, fitted, rng)
        fitted = _fitted(streams, fitted, rng)
        if sweep >= _BURN_IN:
            for key, each in fitted.items():
                kept[key].append(each)
    return {
        key: _FittedDelay(
            math.exp(fmean(math.log(max(each.median, 1e-9)) for each in draws)),
            fmean(each.sigma for each in draws),
            draws[-1].n,
        )
        for key, draws in kept.items()
    }


def _fitted(
    streams: list[_FittedStream], known: Mapping[str, _FittedDelay], rng: random.Random
) -> dict[str, _FittedDelay]:
    """Each delay from the times as they stand, and from those that were cut off."""
    gaps: dict[str, list[float]] = defaultdict(list)
    follows: dict[str, Counter[str]] = defaultdict(Counter)
    for stream in streams:
        for place in range(len(stream.chunks)):
            gaps[stream.key(place)].append(stream.gap(place))
            if place:
                follows[stream.chunks[place - 1].stage][stream.chunks[place].stage] += 1
    counted = {key: len(each) for key, each in gaps.items()}
    for stream in streams if known else ():
        if stream.cut_after is None:
            continue
        # Which stage was due nobody saw: one that follows elsewhere, by how likely it is to have
        # taken so long already.
        choices = [
            (stage, count * known[stage].survival(stream.cut_after))
            for stage, count in follows[stream.chunks[-1].stage].items()
            if stage in known
        ]
        if sum(weight for _, weight in choices) > 0:
            stages, weights = zip(*choices, strict=True)
            stage = rng.choices(stages, weights)[0]
            gaps[stage].append(known[stage].longer_than(stream.cut_after, rng))
    return {key: _lognormal(each, counted[key]) for key, each in gaps.items()}


def _lognormal(gaps: list[float], n: int) -> _FittedDelay:
    """The median as it is; sigma by maximum likelihood about it, without what is far outside."""
    logs = sorted(math.log(max(gap, _TOGETHER_S)) for gap in gaps)
    middle = median(logs)
    size = len(logs)
    robust = (logs[min(size - 1, int(0.8413 * size))] - logs[int(0.1587 * size)]) / 2
    reach = _CUT_OFF * max(robust, _LEAST_SIGMA)
    within = (min(max(each - middle, -reach), reach) for each in logs)
    sigma = math.sqrt(fmean(each * each for each in within))
    return _FittedDelay(math.exp(middle), max(sigma, _LEAST_SIGMA), n)


def _move_hidden(
    stream: _FittedStream, delays: Mapping[str, _FittedDelay], rng: random.Random
) -> None:
    """One Metropolis step for each chunk whose time is unknown: half the time anywhere between
    the first and the last of its stage, half the time near to where it is.
    """
    chunks = stream.chunks
    for place in range(1, len(chunks) - 1):
        chunk = chunks[place]
        if chunk.high <= chunk.low:
            continue
        if rng.random() < 0.5:
            time = rng.uniform(chunk.low, chunk.high)
        else:
            time = chunk.time + rng.gauss(0.0, 0.5 * delays[chunk.stage].median)
            if not chunk.low < time < chunk.high:
                continue
        del chunks[place]
        to = bisect_left(chunks, time, key=lambda each: each.time)
        to = min(max(to, 1), len(chunks) - 1)
        gain = _where(chunks, to, time, chunk.stage, delays) - _where(
            chunks, place, chunk.time, chunk.stage, delays
        )
        if gain >= 0 or rng.random() < math.exp(gain):
            chunks.insert(to, chunk._replace(time=time))
        else:
            chunks.insert(place, chunk)


def _where(
    chunks: list[_TimedChunk],
    place: int,
    time: float,
    stage: str,
    delays: Mapping[str, _FittedDelay],
) -> float:
    """How much more likely the stream gets if a chunk of `stage` is put in at `place`."""
    before, after = chunks[place - 1].time, chunks[place]
    return (
        delays[stage].log_density(time - before)
        + delays[after.stage].log_density(after.time - time)
        - delays[after.stage].log_density(after.time - before)
    )
