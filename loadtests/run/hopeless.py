"""When a run may stop early because an objective can no longer be met, for a sound reason.

Two reasons count. *Certain*: even if everything that is still to come did well, the share that
did would be too small for a pass (or a count is exceeded, which nothing undoes). *Shown*: the
objective is missed, by evidence that stays sound however often one looks at it. The usual
interval does not: looked at after each exchange it cries wolf sooner or later.

That evidence is a mixture of likelihood ratios against the boundary share q, over all smaller
shares with equal weight: the integral of (p/q)^k ((1-p)/(1-q))^(n-k) over 0 < p < q, divided by
q. If the true share is q or more, it is a nonnegative supermartingale that starts at 1, so it ever
reaches 1/alpha with a probability of alpha at most (Ville 1939; Robbins 1970, Annals of
Mathematical Statistics 41(5), on mixtures).

That holds for exchanges that do not depend on each other; those that queue behind one another do,
and a hiccup of a second spoils many at once. So evidence counts only once enough have come.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from soundstage.results.objective_tally import ObjectiveTally
from soundstage.results.verdicts import least_for_pass, required, thresholds

#: Of all runs whose objective is met, at most this share is stopped by evidence.
ALPHA = 0.01
#: Evidence counts from so many exchanges on.
LEAST = 100


@dataclass(frozen=True, slots=True)
class Hopeless:
    """Why an objective can no longer be met. `missed`: that is also shown, not only that a pass
    is out of reach.
    """

    slo: str
    reason: str
    missed: bool


def hopeless(tally: ObjectiveTally, planned: int | None, least: int = LEAST) -> Hopeless | None:
    """Why the objective of a tally can no longer be met; None while it can.

    `planned`: how many exchanges the run will have counted for it at its end, None if nobody
    knows. `least`: from how many on evidence counts. An objective that so few exchanges could
    never show to be met is not given up.
    """
    slo = tally.objective.slo
    if slo.kind == "count":
        if slo.met_by(tally.events):
            return None
        return Hopeless(slo.text, f"{tally.events} violations so far", True)
    share, n, best = required(slo), tally.n, tally.good + tally.unknown
    if planned is not None and planned >= n:
        needs, misses = thresholds(share, planned)
        left = planned - n
        if needs <= planned and best + left < needs:
            reason = (
                f"{n - best} of {n} did not meet it: even if the {left} to come all did, "
                f"{best + left} of {planned} would, and it takes {needs}"
            )
            return Hopeless(slo.text, reason, best + left < misses)
    if 0 < share < 1 and n >= least and evidence(share, n, best) >= math.log(1 / ALPHA):
        reason = f"{n - best} of {n} did not meet it, which shows that it is missed"
        return Hopeless(slo.text, f"{reason} (at {ALPHA:.0%}, however often one looks)", True)
    return None


def evidence(share: float, n: int, good: int) -> float:
    """The logarithm of the evidence that fewer than `share` of the exchanges do well, from `good`
    of `n` that did: -inf to inf, 0 for none.
    """
    if n == 0:
        return 0.0
    from scipy.special import betainc, betaln

    below = float(betainc(good + 1, n - good + 1, share))
    if below == 0.0:
        return -math.inf
    whole = float(betaln(good + 1, n - good + 1)) + math.log(below) - math.log(share)
    return whole - good * math.log(share) - (n - good) * math.log1p(-share)


def first(
    tallies: list[ObjectiveTally], planned: Mapping[tuple[str, str], int] | None
) -> tuple[ObjectiveTally, Hopeless] | None:
    """The first objective that can no longer be met. `planned`: exchanges by (api, endpoint)."""
    for tally in tallies:
        whole = None
        if planned is not None:
            whole = sum(planned.get(place, 0) for place in tally.objective.places)
        found = hopeless(tally, whole)
        if found is not None:
            return tally, found
    return None


def out_of_reach(
    tallies: Iterable[ObjectiveTally], planned: Mapping[tuple[str, str], int]
) -> list[str]:
    """The objectives that so few exchanges, by (api, endpoint), can never show to be met, in
    words.
    """
    found = []
    for tally in tallies:
        of_it = tally.objective
        many = sum(planned.get(place, 0) for place in of_it.places)
        least = least_for_pass(required(of_it.slo))
        if of_it.slo.kind != "count" and many < least:
            where = f" at {of_it.api} {of_it.endpoint}" if of_it.endpoint else ""
            found.append(
                f"SLO {of_it.slo.text}{where} is inconclusive at best: it takes {least} "
                f"exchanges, and {many} are planned"
            )
    return found
