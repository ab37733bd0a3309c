"""Why exchanges failed: by endpoint, status and reason, how many, when, and one to look at.

A failed exchange counts once. Of what the harness itself cut (`censored`, `cut`) nobody knows how
it would have ended: it is told, and is no failure. Warm-up is left out, and counted.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Mapping
from dataclasses import dataclass, replace

import numpy as np

from soundstage.reports.run.failure_reasons import reason_words, short_reason, status_words
from soundstage.reports.run.timeline import Timeline, in_slices
from soundstage.reports.words import percent, plain, plural
from soundstage.results.columns import CUT_SHORT, Columns
from soundstage.results.failure_tally import FailureCount, FailureKind

#: Kinds that a report shows, that a chart tells apart, and that a sentence names.
SHOWN, DRAWN, _NAMED = 20, 5, 4


@dataclass(frozen=True, slots=True)
class Failure:
    """The failures of one kind at an endpoint: what it is called (`title`: `502 Bad Gateway`),
    `status` and `why` in words (`why` may be ""), and `reason`, the code that stands in the rows.
    `of` is how many exchanges the endpoint had, `first` and `last` when the kind was seen, in
    seconds into the run; `example` is the id of an exchange, `transcript` its path in the bundle,
    if it is there. `known`: not cut by the harness.
    """

    api: str
    endpoint: str
    outcome: str
    http_status: int | None
    status: str
    reason: str
    why: str
    title: str
    count: int
    of: int
    first: float
    last: float
    example: str
    transcript: str | None
    known: bool

    @property
    def share(self) -> str:
        """`4.8%`, of the endpoint's exchanges."""
        return percent(self.count, self.of)


@dataclass(frozen=True, slots=True)
class Failures:
    """All of them: `kinds` are the most frequent first (at most `SHOWN`, `more` kinds are left out
    with `more_exchanges`), `total` those that failed of `of`, `unknown` those that were cut,
    `warmup` those that failed before the measured window. `slices` has, for each kind of a chart,
    how many there were in each slice of the timeline.
    """

    kinds: tuple[Failure, ...]
    total: int
    of: int
    unknown: int
    warmup: int
    more: int
    more_exchanges: int
    slices: Mapping[str, tuple[int, ...]]

    @property
    def sentence(self) -> str:
        """`44 of 290 exchanges failed (15.2%): 21 × 502 Bad Gateway, …`; "" where none did."""
        if not self.total:
            return ""
        named: Counter[str] = Counter()
        for each in self.kinds:
            if each.known:
                named[each.title] += each.count
        first = named.most_common(_NAMED)
        words = [f"{number:,} × {title}" for title, number in first]
        if rest := self.total - sum(number for _, number in first):
            words.append(f"{rest:,} others")
        many = f"{self.total:,} of {plural(self.of, 'exchange')}"
        return f"{many} failed ({percent(self.total, self.of)}): {', '.join(words)}"

    @property
    def example(self) -> str:
        """The id of an exchange of which there is something to see; "" where there is none."""
        return next((each.example for each in self.kinds if each.transcript is not None), "")

    def kept(self, transcripts: Collection[str]) -> Failures:
        """The same, without paths of transcripts that are not there."""
        return replace(
            self,
            kinds=tuple(
                each if each.transcript in transcripts else replace(each, transcript=None)
                for each in self.kinds
            ),
        )


def failures(columns: Mapping[tuple[str, str], Columns], line: Timeline | None) -> Failures | None:
    """The failures of a run, from the columns of its endpoints; None where nothing failed."""
    found: list[Failure] = []
    total_of = warmup = 0
    drawn: dict[str, list[np.ndarray]] = {}
    for (api, endpoint), group in sorted(columns.items()):
        of = sum(number for kind, number in group.kinds() if not kind.warmup)
        total_of += of
        for kind, tally in group.failures:
            if kind.warmup:
                warmup += tally.count if kind.outcome not in CUT_SHORT else 0
            else:
                found.append(_failure(api, endpoint, kind, tally, of))
            if kind.outcome not in CUT_SHORT:
                name = short_reason(kind.outcome, kind.status, kind.reason)
                drawn.setdefault(name, []).append(tally.when())
    if not (found or warmup):
        return None
    # What is called alike stands together, whichever endpoint it met.
    alike: Counter[str] = Counter()
    for each in found:
        alike[each.title] += each.count
    found.sort(key=lambda one: (not one.known, -alike[one.title], one.title, -one.count))
    left = found[SHOWN:]
    return Failures(
        kinds=tuple(found[:SHOWN]),
        total=sum(each.count for each in found if each.known),
        of=total_of,
        unknown=sum(each.count for each in found if not each.known),
        warmup=warmup,
        more=len(left),
        more_exchanges=sum(each.count for each in left),
        slices={} if line is None else _slices(drawn, line),
    )


def _failure(api: str, endpoint: str, kind: FailureKind, tally: FailureCount, of: int) -> Failure:
    when = tally.when()
    return Failure(
        api=api,
        endpoint=endpoint,
        outcome=plain(kind.outcome, 20),
        http_status=kind.status,
        status=status_words(kind.status),
        reason=plain(kind.reason, 120),
        why=reason_words(kind.status, kind.reason),
        title=short_reason(kind.outcome, kind.status, kind.reason),
        count=tally.count,
        of=of,
        first=float(when.min()),
        last=float(when.max()),
        example=plain(tally.example, 80),
        transcript=tally.transcript,
        known=kind.outcome not in CUT_SHORT,
    )


def _slices(drawn: Mapping[str, list[np.ndarray]], line: Timeline) -> Mapping[str, tuple[int, ...]]:
    """How many there were of each kind in each slice; kinds beyond `DRAWN` are one."""
    most = sorted(drawn, key=lambda name: -sum(map(len, drawn[name])))
    groups = {name: drawn[name] for name in most[:DRAWN]}
    if rest := [part for name in most[DRAWN:] for part in drawn[name]]:
        groups["others"] = rest
    slices = len(line.asked)
    return {
        name: in_slices(np.concatenate(parts), line.width, slices) for name, parts in groups.items()
    }
