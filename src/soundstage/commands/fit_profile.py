"""Makes a profile of the emulator out of a run bundle, for `soundstage emulate --profile-from`.

Rows in, a profile's JSON data out: of each stage the median and the log-sigma of the delay before
its chunks, how many chunks it has, and the shares of failures and refusals. Serves nothing.
"""

from __future__ import annotations

import json
import math
from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from statistics import median
from typing import TYPE_CHECKING, Any, Final, NamedTuple

from soundstage.errors import NoDataError, UsageError
from soundstage.output import visible
from soundstage.output.written_files import put

if TYPE_CHECKING:
    from soundstage.contract import Contract
    from soundstage.results.arrivals.exchange_sample import SampledExchange
    from soundstage.results.columns import Columns, RowKind

#: What the reason of a row begins with whose answer was a documented error: its name follows.
_DOCUMENTED: Final = "api."
#: Statuses by which a service says that it has no room: nothing was wrong with these requests.
_TOO_MANY, _SERVER_ERRORS = 429, 500
#: Nobody waits longer than a day for a song (seconds); profiles know no longer delay either.
_LONGEST_S: Final = 86_400.0
#: Streams of an endpoint that are looked at, at least.
_STREAMS: Final = 20_000
#: A chunk that comes this soon after another was read together with it.
_TOGETHER_S: Final = 0.0002
#: Less sigma than the first cannot be told from delays that are all alike; a profile may have the
#: second at most.
_LEAST_SIGMA, _MOST_SIGMA = 0.005, 5.0
#: Where a normal distribution stands one sigma below and above its middle.
_LOW, _HIGH = 0.1587, 0.8413
#: The largest number of chunks that a profile may give a stage.
_MOST_CHUNKS: Final = 9_999
#: With fewer delays than this that were seen by themselves, means tell of their sigma too.
_FEW: Final = 20
#: The mean of several delays counts as so many, at most.
_MOST_ALIKE: Final = 100
#: How a stream ended: by itself, with the stage of failure, or by nothing of the API's doing.
_ENDS: Final = ("whole", "failed", "cut")
#: With more streams than this cut the delays that were recorded are too short to go by.
_MANY_CUT: Final = 0.05


def fitted_profile(folder: Path) -> dict[str, Any]:
    """The JSON data of a profile that goes as the run in `folder` went.

    Raises UsageError for what is no bundle, or holds API versions that there is no contract of,
    NoDataError where no stream was recorded.
    """
    from soundstage import __version__
    from soundstage.contract import available, load
    from soundstage.results.bundle import Bundle
    from soundstage.results.intake import take_in

    bundle = Bundle.open(folder)
    run, target = bundle.run, bundle.run["target"]
    left_out: Counter[str] = Counter()
    recorded: dict[str, Columns] = {}
    for (api, endpoint), columns in take_in(bundle, sample=_STREAMS).columns.items():
        if api not in available():
            raise UsageError(f"{folder}: API version {api!r}: there is no contract of it here")
        known = load(api).endpoints.get(endpoint)
        if known is None or known.kind != "stream":
            left_out["not a stream"] += sum(number for _, number in columns.kinds())
        elif api in recorded:
            recorded[api].merge(columns)
        else:
            recorded[api] = columns
    # An emulator in a hurry: its profile is told in the times of life, as all profiles are.
    speed = target.get("speed") or 1.0
    apis: dict[str, Any] = {}
    used: dict[str, Any] = {}
    for api, columns in sorted(recorded.items()):
        if course := _course(columns, load(api), speed, left_out):
            apis[api], used[api] = course
    if not apis:
        raise NoDataError(f"{folder}: nothing to fit a profile from: no stream with a chunk in it")
    streams = sum(each["streams"] for each in used.values())
    of = "the live API" if target["kind"] == "live" else f"a target of the kind {target['kind']}"
    origin = visible.line(f"Run {run['id']} of {run['created'].partition('T')[0]}.")
    medians = [_median(delay) for course in apis.values() for delay in course["stages"].values()]
    return {
        "description": f"Fitted to {streams} streams of {of}. {origin}",
        "default": {"median": median(medians or [0.0])},
        "stages": {},
        "apis": apis,
        "fitted": {
            "run": run["id"],
            "created": run["created"],
            "kind": target["kind"],
            **{name: target[name] for name in ("profile", "speed") if target.get(name) is not None},
            "complete": bundle.complete,
            "soundstage": __version__,
            "left_out": {reason: many for reason, many in sorted(left_out.items()) if many},
            "apis": used,
        },
    }


def write(data: Mapping[str, Any], path: Path) -> None:
    """Write a profile's file; raises SoundstageError where it cannot."""
    put(path, visible.in_json(json.dumps(data, indent=2, ensure_ascii=False)) + "\n")


def told(data: Mapping[str, Any]) -> str:
    """What was fitted, as lines for a person: a stage a line, medians in seconds."""
    fitted = data["fitted"]
    lines = [data["description"]]
    if fitted["kind"] != "live":
        lines.append("This says nothing about the live API: the run was not against it.")
    for api, course in data["apis"].items():
        used = fitted["apis"][api]
        counted = ", ".join(f"{used[end]} {end}" for end in _ENDS)
        lines.append(f"{api}: {used['streams']} streams ({counted})")
        if used["cut"] > _MANY_CUT * used["streams"]:
            lines.append(
                "  many were cut: what they waited for is missing, so delays are too short"
            )
        for stage, delay in course["stages"].items():
            spread = f"  sigma {delay['sigma']:.2f}" if "sigma" in delay else ""
            many = used["delays"][stage]
            lines.append(f"  {stage:<20}{_median(delay):9.3f} s{spread}  n={many}")
        for word in ("failures", "refusals"):
            lines += [f"  {word} {name:<20}{share:8.1%}" for name, share in course[word].items()]
    return visible.lines(lines)


def _course(
    columns: Columns, contract: Contract, speed: float, left_out: Counter[str]
) -> tuple[dict[str, Any], dict[str, Any]] | None:
    """How generations at an endpoint go, in the words of a profile, and how many streams and delays
    that rests on; None without a stream. What tells nothing is counted in `left_out`.
    """
    requests = 0
    refused: Counter[str] = Counter()
    for kind, number in columns.kinds():
        error = _no_room(kind, contract) if kind.outcome == "refused" else None
        if kind.probe or kind.warmup:
            left_out["a probe" if kind.probe else "warm-up"] += number
        elif kind.outcome == "dropped":
            left_out["never sent"] += number
        elif kind.outcome == "refused" and error is None:
            left_out["refused for a reason of its own"] += number
        else:
            requests += number
            if error is not None:
                refused[error] += number
    streams = [_recorded(each, contract, speed) for each in columns.sample.exchanges()]
    known = [stream for stream in streams if stream.moments]
    left_out["of times that cannot be"] += len(streams) - len(known)
    if not known:
        return None
    ends = Counter(stream.end for stream in known)
    delays = _delays(known)
    course = {
        "first": _lognormal([(stream.moments[0].time, 1) for stream in known]).to_json(),
        "stages": {stage: delay.to_json() for stage, delay in sorted(delays.items())},
        "chunks": _numbers(known, contract),
        "failures": _failures(known, contract),
        "refusals": {name: round(many / requests, 6) for name, many in sorted(refused.items())},
    }
    return course, {
        "streams": len(known),
        **{end: ends[end] for end in _ENDS},
        "delays": {stage: delay.n for stage, delay in sorted(delays.items())},
    }


def _no_room(kind: RowKind, contract: Contract) -> str | None:
    """The error by which the service refused a request that was all right; None if it was not."""
    status = kind.status or 0
    if status != _TOO_MANY and status < _SERVER_ERRORS:
        return None
    known, reason = contract.errors.known, kind.reason or ""
    name = reason.removeprefix(_DOCUMENTED)
    if reason.startswith(_DOCUMENTED) and any(error.name == name for error in known):
        return name
    return next((error.name for error in known if error.status == status), None)


# --- streams --------------------------------------------------------------------------------------


class _Moment(NamedTuple):
    """When the first or the last chunk of a stage (on one track) came. So many `chunks` it stands
    for: a row keeps no times of those between, which came before `ends`, nobody knows when.
    """

    time: float
    stage: str
    chunks: int
    ends: float


class _RecordedStream(NamedTuple):
    """One stream: its moments in order, in seconds since its start; the numbers of chunks of each
    stage, by track; and its end (`_ENDS`).
    """

    moments: list[_Moment]
    numbers: Mapping[str, list[int]]
    end: str


def _recorded(exchange: SampledExchange, contract: Contract, speed: float) -> _RecordedStream:
    """The stream of an exchange, in the times of life; without a moment where its times cannot be,
    or tell of no stage of the contract.
    """
    stages = contract.protocol.by_name
    moments: list[_Moment] = []
    numbers: dict[str, list[int]] = defaultdict(list)
    for label, (begin, end, many) in exchange.stages.items():
        stage, first, last, number = label.partition("#")[0], begin * speed, end * speed, int(many)
        if not 0 <= first <= last <= _LONGEST_S:
            moments.clear()
            break
        if stage in stages:
            numbers[stage].append(number)
            moments.append(_Moment(first, stage, 1, last if number > 2 else first))
            if number > 1:
                moments.append(_Moment(last, stage, number - 1, last))
    how = "whole" if exchange.well else "cut"
    failed = any(stages[stage].failure for stage in numbers)
    return _RecordedStream(sorted(moments), numbers, "failed" if failed else how)


def _numbers(streams: Iterable[_RecordedStream], contract: Contract) -> dict[str, dict[str, int]]:
    """How many chunks the stages had whose number the contract leaves open, over whole streams."""
    found: dict[str, Counter[int]] = defaultdict(Counter)
    for stream in streams:
        for stage in contract.protocol.stages if stream.end == "whole" else ():
            least, most = stage.times
            if stage.failure or least == most:
                continue
            # What the contract does not allow is not to be played back.
            least, most = max(least, int(stage.charges)), most or _MOST_CHUNKS
            numbers = stream.numbers.get(stage.name, [0])
            found[stage.name].update(min(max(number, least), most) for number in numbers)
    return {
        stage: {str(number): weight for number, weight in sorted(counts.items())}
        for stage, counts in sorted(found.items())
    }


def _failures(streams: Iterable[_RecordedStream], contract: Contract) -> dict[str, float]:
    """The share of generations that failed after a stage. Those that were cut count for nothing:
    how they would have ended nobody knows.
    """
    stages = contract.protocol.by_name
    ended = [stream for stream in streams if stream.end != "cut"]
    after: Counter[str] = Counter()
    for stream in ended:
        good = [each.stage for each in stream.moments if not stages[each.stage].failure]
        if stream.end == "failed" and good:
            after[good[-1]] += 1
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

    def to_json(self) -> dict[str, float]:
        """The delay in the words of a profile."""
        if self.median <= _TOGETHER_S:
            return {"constant": 0.0}
        if self.sigma <= _LEAST_SIGMA:
            return {"constant": round(self.median, 6)}
        return {"median": round(self.median, 6), "sigma": round(self.sigma, 4)}


def _median(delay: Mapping[str, float]) -> float:
    return delay.get("median", delay.get("constant", 0.0))


def _delays(streams: Iterable[_RecordedStream]) -> dict[str, _FittedDelay]:
    """The delay before a chunk by its stage, the first chunk of each stream apart."""
    stretches = [each for stream in streams for each in _stretches(stream.moments)]
    gaps: dict[str, list[tuple[float, int]]] = defaultdict(list)
    for seconds, chunks in stretches:
        if chunks.total() == 1:
            gaps[next(iter(chunks))].append((seconds, 1))
    alone = {stage: _lognormal(each) for stage, each in gaps.items()}
    for seconds, chunks in stretches:
        if chunks.total() > 1:
            # It tells of the stage with the most chunks in it, once the others have taken what is
            # theirs on average. Where nothing is known of those they count as alike.
            ((stage, _),) = chunks.most_common(1)
            known = {each: n for each, n in chunks.items() if each != stage and each in alone}
            rest = seconds - sum(n * alone[each].mean for each, n in known.items())
            many = chunks.total() - sum(known.values())
            gaps[stage].append((max(rest, 0.0) / many, many))
    spread = {stage: each.sigma for stage, each in alone.items() if each.n >= _FEW}
    return {stage: _lognormal(each, spread.get(stage)) for stage, each in gaps.items()}


def _stretches(moments: Sequence[_Moment]) -> Iterator[tuple[float, Counter[str]]]:
    """The time of a stream from its first chunk on, in seconds, and the chunks that came in it: one
    at a time, but where a stage has chunks of which nobody knows when they came.
    """
    began, until, chunks = moments[0].time, moments[0].ends, Counter[str]()
    for moment in moments[1:]:
        chunks[moment.stage] += moment.chunks
        if moment.time >= until:
            yield moment.time - began, chunks
            began, chunks = moment.time, Counter()
        until = max(until, moment.ends)


def _lognormal(gaps: Sequence[tuple[float, int]], sigma: float | None = None) -> _FittedDelay:
    """From delays in seconds, each the mean of so many: by quantiles of their logarithms, so that
    one stall, or chunks that were read together, do not stand for all. `sigma`: if it is known.

    The delays of a stage are taken to be alike, and not to depend on each other. The logarithm of
    the mean of n lognormal delays is nearly normal, with a variance of log(1 + (exp(sigma^2) - 1) /
    n), about sigma^2 / n (Fenton 1960): so median and sigma of one delay follow from means as well.
    """
    import numpy as np

    many = np.array([min(number, _MOST_ALIKE) for _, number in gaps])
    logs = np.log(np.maximum([seconds for seconds, _ in gaps], _TOGETHER_S))
    if sigma is None:
        spread = (logs - np.median(np.repeat(logs, many))) * np.sqrt(many)
        low, middle, high = np.quantile(np.repeat(spread, many), (_LOW, 0.5, _HIGH))
        # A busy machine reads chunks together: gaps near 0, which stretch the lower half only.
        # Where that is the wider one, the upper half tells.
        sigma = min(float(high - middle), float(high - low) / 2, _MOST_SIGMA)
    of_one = logs + (np.log1p(math.expm1(sigma**2) / many) - sigma**2) / 2
    middle = float(np.median(np.repeat(of_one, many)))
    return _FittedDelay(math.exp(middle), sigma, sum(number for _, number in gaps))
