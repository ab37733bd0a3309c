"""Where the time of a stream goes: its whole length, shared out among its stages.

A row tells of each stage its first and last arrival and how many there were, no more. Between two
neighbouring ones of these moments

- the stages that are *under way* (their first chunk has come, their last has not) share the time
  in proportion to how often their chunks come, `(count - 1) / (last - first)`;
- if none is under way, the time belongs to the stage whose moment ends it: it was waited for.

So the shares of one exchange add up to the time of its last chunk, and a stage that got slower
shows in its own share instead of in all that follow. `spent` takes the tracks of a stage together;
`spent_until` shares out the time to a milestone alone, and keeps tracks apart.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from soundstage.results.exchange_sample import ExchangeSample

Floats = npt.NDArray[np.float64]

#: The sample (`results.exchange_sample`) of whole exchanges of an endpoint that are shared out.
SAMPLE = 20_000
#: Stages told apart; a hostile API could send any number of names.
STAGE_LIMIT = 40
_PIECE = 10_000


def spent(sample: ExchangeSample) -> dict[str, Floats]:
    """By stage, the seconds that it took in each exchange of a sample (0 where it did not come), in
    the order in which stages come on average.
    """
    tables = list(sample.tables())
    names: dict[str, int] = {}
    for labels, _ in tables:
        for label in labels:
            name = label.partition("#")[0]
            if name not in names and len(names) < STAGE_LIMIT:
                names[name] = len(names)
    if not names:
        return {}
    shape = len(sample), len(names)
    first, last, count = np.full(shape, np.inf), np.full(shape, -np.inf), np.zeros(shape)
    begin = 0
    for labels, stages in tables:
        rows = slice(begin, begin + len(stages))
        begin += len(stages)
        for at, label in enumerate(labels):
            number = names.get(label.partition("#")[0])
            if number is not None:
                np.minimum(first[rows, number], stages[:, at, 0], out=first[rows, number])
                np.maximum(last[rows, number], stages[:, at, 1], out=last[rows, number])
                count[rows, number] += stages[:, at, 2]
    came = count > 0
    mean = np.where(came, first, 0.0).sum(axis=0) / came.sum(axis=0)
    # In pieces: what is needed meanwhile takes ten times the memory of the result.
    pieces = [slice(at, at + _PIECE) for at in range(0, len(sample), _PIECE)]
    table = np.concatenate([shared(first[at], last[at], count[at]) for at in pieces])
    order = sorted(names, key=lambda name: float(mean[names[name]]))
    return {name: np.ascontiguousarray(table[:, names[name]]) for name in order}


#: Parts of the time to a milestone that belong to no stage.
LATE, REST = "(before it was sent)", "(after the last stage)"


@dataclass(frozen=True, slots=True)
class SharedTime:
    """The time to a milestone of some exchanges. `times`: seconds from the intended start, sorted;
    `parts`: by stage as rows name it (`final#1`: of a track), in the order in which stages come,
    the seconds of it in each of these exchanges. The parts of an exchange add up to its time.
    """

    times: Floats
    parts: dict[str, Floats]


def spent_until(sample: ExchangeSample, milestone: str) -> SharedTime:
    """How the exchanges of a sample that reached a milestone spent the time to it: each stage, and
    `LATE` and `REST`, what went by before the request was sent and after the last stage.
    """
    tables = list(sample.until(milestone))
    names = list(dict.fromkeys(label for labels, *_ in tables for label in labels))[:STAGE_LIMIT]
    begun = dict.fromkeys(names, 0.0)
    came = dict.fromkeys(names, 0)
    parts: dict[str, list[Floats]] = {name: [] for name in (LATE, *names, REST)}
    whole: list[Floats] = []
    for labels, stages, at, late in tables:
        columns = [place for place, label in enumerate(labels) if label in begun]
        pieces = [stages[begin : begin + _PIECE, columns] for begin in range(0, len(at), _PIECE)]
        ends = (at[begin : begin + _PIECE] for begin in range(0, len(at), _PIECE))
        table = np.concatenate(
            [_until(piece, end) for piece, end in zip(pieces, ends, strict=True)]
        )
        known = {labels[place]: number for number, place in enumerate(columns)}
        for name in names:
            found = table[:, known[name]] if name in known else np.zeros(len(at))
            parts[name].append(found)
        for label, number in known.items():
            begun[label] += float(stages[:, columns[number], 0].sum())
            came[label] += len(at)
        parts[LATE].append(late)
        parts[REST].append(np.maximum(at - table.sum(axis=1), 0.0))
        whole.append(at + late)
    times = np.concatenate([np.empty(0), *whole])
    order = np.argsort(times, kind="stable")
    ordered = [LATE, *sorted(names, key=lambda name: begun[name] / max(1, came[name])), REST]
    return SharedTime(
        times[order],
        {name: np.concatenate([np.empty(0), *parts[name]])[order] for name in ordered},
    )


def _until(stages: Floats, until: Floats) -> Floats:
    """Seconds of each stage up to a moment of each exchange."""
    return shared(stages[:, :, 0], stages[:, :, 1], stages[:, :, 2], until)


def shared(first: Floats, last: Floats, count: Floats, until: Floats | None = None) -> Floats:
    """Seconds of each stage (columns) in each exchange (rows).

    `first` and `last` are seconds since the start, `count` how many chunks; a stage that did not
    come has count 0. The result of a row adds up to the largest `last` in it, or to the last of
    these moments before `until` (seconds, of each row) and what was under way from there to it.
    """
    came = count > 0
    first = np.where(came, first, 0.0)
    last = np.where(came, np.maximum(last, first), 0.0)
    length = last - first
    with np.errstate(divide="ignore", invalid="ignore"):
        often = np.where(length > 0, np.maximum(count - 1, 1) / length, 0.0)
    if until is not None:
        came &= first <= until[:, None]
        often *= came
        first, last = (np.where(came, np.minimum(at, until[:, None]), 0.0) for at in (first, last))
    stages = first.shape[1]
    # Each stage has two moments; absent ones lie at 0, where no time passes.
    moments = np.concatenate([first, last], axis=1)
    order = np.argsort(moments, axis=1, kind="stable")
    ordered = np.take_along_axis(moments, order, axis=1)
    spent = np.zeros_like(first)
    before = np.zeros(len(first))
    lines = np.arange(len(first))
    for step in range(2 * stages):
        now = ordered[:, step]
        passed = now - before
        under_way = np.where((first <= before[:, None]) & (last >= now[:, None]) & came, often, 0.0)
        whole = under_way.sum(axis=1)
        alone = whole <= 0
        with np.errstate(divide="ignore", invalid="ignore"):
            spent += np.where(alone[:, None], 0.0, under_way / whole[:, None]) * passed[:, None]
        spent[lines[alone], order[alone, step] % stages] += passed[alone]
        before = now
    return spent
