"""Service level objectives: their grammar, and what they mean for the endpoints of a run.

    [API[.ENDPOINT].]MILESTONE.pN<SECONDSs     v6.complete.p95<90s   complete.p99<=2m
    [API[.ENDPOINT].]violations[(CODE)]==N     violations==0   v6.violations(field.missing)<=2
    [API[.ENDPOINT].]OUTCOME_rate<N%           error_rate<1%   v5.timeout_rate<0.1%   ok_rate>=99%
    [API[.ENDPOINT].]goodput(CONDITION, …)>=N% goodput(complete<=2m, no_violation)>=99%
    [API[.ENDPOINT].]continuity>=N%            continuity>=99%: goodput(continuous)>=99%, for short

Times count from the intended start. A quantile or a goodput is judged for each endpoint that has
the milestones it names; a count or a rate over all endpoints that it speaks of. Values only:
`verdicts.py` holds rows against them.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Collection, Iterable, Mapping
from dataclasses import dataclass, replace
from typing import NoReturn

from soundstage.errors import UsageError
from soundstage.near_names import did_you_mean
from soundstage.output.cutting import head
from soundstage.results.listening.listened import BY_LISTENING, CONTINUITY

#: (api, endpoint) -> the milestones that it promises.
Catalogue = Mapping[tuple[str, str], Collection[str]]

#: What a rate may count, by the word before `_rate`: outcomes of rows, and three more.
ERROR, OK, VIOLATION = "error", "ok", "violation"
OUTCOMES = ("failed", "refused", "timeout", "transport")
RATES = (ERROR, OK, VIOLATION, *OUTCOMES)
#: What a goodput may ask beside milestones.
NO_VIOLATION, CONTINUOUS = "no_violation", "continuous"
WORDS = (OK, NO_VIOLATION, CONTINUOUS)
#: Words that were said before, and what they mean now.
_BEFORE = {"playable": CONTINUOUS}

_UNITS = {"ms": 0.001, "s": 1.0, "m": 60.0}
_TIME = r"(?P<number>[0-9]+(?:\.[0-9]+)?)(?P<unit>ms|s|m)"
_SHARE = r"(?P<number>[0-9]+(?:\.[0-9]+)?)%"
_SCOPE = r"(?:(?P<scope>[\w.-]+)\.)?"
_QUANTILE = re.compile(rf"(?P<path>[\w.-]+)\.p(?P<order>[0-9]+(?:\.[0-9]+)?)(?P<op><=?){_TIME}")
_COUNT = re.compile(
    rf"{_SCOPE}violations(?:\((?P<code>[\w.-]+)\))?(?P<op>==|<=?)(?P<number>[0-9]+)"
)
_RATE = re.compile(rf"{_SCOPE}(?P<what>[a-z]+)_rate(?P<op>==|<=?|>=?){_SHARE}")
_GOODPUT = re.compile(rf"{_SCOPE}goodput\((?P<conditions>[^()]*)\)(?P<op>>=?){_SHARE}")
_CONTINUITY = re.compile(rf"{_SCOPE}{CONTINUITY}(?P<op>==|<=?|>=?){_SHARE}")
_CONDITION = re.compile(rf"(?P<milestone>[\w-]+)(?P<op><=?){_TIME}")
_LONGEST = 300
_MANY = 15

_OPERATORS: dict[str, Callable[[float, float], bool]] = {
    "<": lambda value, bound: value < bound,
    "<=": lambda value, bound: value <= bound,
    ">": lambda value, bound: value > bound,
    ">=": lambda value, bound: value >= bound,
    "==": lambda value, bound: value == bound,
}
_EXAMPLES = "v6.complete.p95<90s, violations==0, error_rate<1%, goodput(complete<=2m)>=99%"


@dataclass(frozen=True, slots=True)
class Within:
    """A condition: the milestone is reached within `seconds` of the intended start."""

    milestone: str
    op: str
    seconds: float

    def holds(self, time: float) -> bool:
        """Whether a time in seconds (+inf: never) is within it."""
        return _OPERATORS[self.op](time, self.seconds)


@dataclass(frozen=True, slots=True)
class Slo:
    """One objective. `kind`: "quantile", "count", "rate" or "goodput"; `bound` is in seconds, a
    number of violations, or a share from 0 to 1. Of the others each kind has its own: a quantile
    `order` (0.95) and one of `within`; a count `what` as a code or ""; a rate `what` as one of
    `RATES`; a goodput `within` and `words`.
    """

    text: str
    kind: str
    op: str
    bound: float
    api: str | None = None
    endpoint: str | None = None
    order: float = 0.0
    what: str = ""
    within: tuple[Within, ...] = ()
    words: tuple[str, ...] = ()

    def met_by(self, value: float) -> bool:
        """Whether a measured value is as asked."""
        return _OPERATORS[self.op](value, self.bound)

    @property
    def unit(self) -> str:
        """Of `bound` and of what is measured: "s", "violations" or "share"."""
        return {"quantile": "s", "count": "violations"}.get(self.kind, "share")

    @property
    def by_listening(self) -> bool:
        """Whether only who listens to songs can tell (`listened`)."""
        named = (each.milestone for each in self.within)
        return CONTINUOUS in self.words or not BY_LISTENING.isdisjoint(named)


@dataclass(frozen=True, slots=True)
class Objective:
    """An objective for certain endpoints, (api, endpoint) each, that are judged together."""

    slo: Slo
    places: frozenset[tuple[str, str]]
    api: str | None
    endpoint: str | None


def parse(text: str) -> Slo:
    """The objective that a text states. Raises UsageError that says what would be understood."""
    plain = re.sub(r"\s+", "", text)
    if len(plain) <= _LONGEST:
        for pattern, read in (
            (_GOODPUT, _goodput),
            (_CONTINUITY, _continuity),
            (_COUNT, _count),
            (_RATE, _rate),
            (_QUANTILE, _quantile),
        ):
            match = pattern.fullmatch(plain)
            if match is not None:
                return read(text.strip(), match)
    hint = ""
    if re.search(r"\.p[0-9.]+<=?[0-9.]+$", plain):
        hint = " (the time needs a unit: s, ms or m)"
    elif re.search(r"rate[<>=]+[0-9.]+$|\)[<>=]+[0-9.]+$", plain):
        hint = " (the share needs a %)"
    raise UsageError(f"SLO {head(text, 100)!r}: not understood{hint}; try {_EXAMPLES}")


def resolve(
    texts: Iterable[str],
    catalogue: Catalogue,
    codes: Collection[str] = (),
    playable: Collection[tuple[str, str]] | None = None,
) -> list[Objective]:
    """What objectives mean for a run with these endpoints. `codes`: those of violations.
    `playable`: the endpoints whose songs can be played while they are made; None for any.

    Raises UsageError for a text that is not understood, and for an API, endpoint, milestone or
    code that there is not, with those that there are.
    """
    return [found for text in texts for found in _resolved(parse(text), catalogue, codes, playable)]


def _resolved(
    slo: Slo,
    catalogue: Catalogue,
    codes: Collection[str],
    playable: Collection[tuple[str, str]] | None,
) -> list[Objective]:
    slo = _scoped(slo, catalogue)
    places = _places(slo, catalogue)
    if slo.kind == "count" and slo.what and codes:
        groups = {code.rpartition(".")[0] for code in codes} - {""}
        if slo.what not in codes and slo.what not in groups:
            _no(slo, "violation code", slo.what, [*codes, *groups])
    if slo.kind in ("count", "rate"):
        return [Objective(slo, frozenset(places), slo.api, slo.endpoint)]
    wanted = {each.milestone for each in slo.within}
    fitting = [place for place in places if wanted <= set(catalogue[place])]
    if not fitting:
        known = list(dict.fromkeys(name for place in places for name in catalogue[place]))
        missing = next((name for name in sorted(wanted) if name not in known), None)
        where = ", ".join(" ".join(place) for place in places)
        if missing is not None:
            _no(slo, f"milestone of {where}", missing, known)
        together = ", ".join(sorted(wanted))
        raise UsageError(f"SLO {slo.text!r}: no endpoint of this run has all of {together}")
    if slo.by_listening and playable is not None:
        fitting = [place for place in fitting if place in playable]
        if not fitting:
            raise UsageError(
                f"SLO {slo.text!r}: nothing in this run can be played while it is made"
            )
    return [Objective(slo, frozenset([place]), *place) for place in fitting]


def _scoped(slo: Slo, catalogue: Catalogue) -> Slo:
    """The objective with its scope taken apart where the name of an API of this run ends: names
    may hold dots. Raises UsageError for one that means two things.
    """
    if slo.api is None:
        return slo
    scope = ".".join(filter(None, (slo.api, slo.endpoint)))
    apis = list(dict.fromkeys(api for api, _ in catalogue))
    exact = [place for place in catalogue if scope == ".".join(place)]
    if scope in apis and exact:
        raise UsageError(f"SLO {slo.text!r}: {scope!r} is an API of this run and an endpoint")
    if exact:
        return replace(slo, api=exact[0][0], endpoint=exact[0][1])
    api = max((each for each in apis if f"{scope}.".startswith(f"{each}.")), key=len, default=None)
    if api is None:
        return slo
    return replace(slo, api=api, endpoint=scope[len(api) + 1 :] or None)


def _places(slo: Slo, catalogue: Catalogue) -> list[tuple[str, str]]:
    apis = list(dict.fromkeys(api for api, _ in catalogue))
    if slo.api is not None and slo.api not in apis:
        _no(slo, "API in this run", slo.api, apis)
    places = [place for place in catalogue if slo.api in (None, place[0])]
    if slo.endpoint is not None:
        names = [endpoint for _, endpoint in places]
        if slo.endpoint not in names:
            _no(slo, f"endpoint of {slo.api} in this run", slo.endpoint, names)
        places = [place for place in places if place[1] == slo.endpoint]
    return places


def _no(slo: Slo, what: str, given: str, known: Iterable[str]) -> NoReturn:
    there = sorted(set(known))
    meant = did_you_mean(given, there)
    # There are dozens of codes: whoever has misspelt one need not read them all.
    listed = "" if meant and len(there) > _MANY else f"; there are {', '.join(there)}"
    raise UsageError(f"SLO {slo.text!r}: no {what} is called {given!r}{listed}{meant}")


def _quantile(text: str, match: re.Match[str]) -> Slo:
    order = float(match["order"]) / 100
    if not 0 < order < 1:
        raise UsageError(f"SLO {text!r}: p{match['order']} is no quantile; try p50, p95 or p99.9")
    scope, _, milestone = match["path"].rpartition(".")
    seconds = _seconds(match)
    within = (Within(milestone, match["op"], seconds),)
    return Slo(
        text, "quantile", match["op"], seconds, *_scope(text, scope), order=order, within=within
    )


def _count(text: str, match: re.Match[str]) -> Slo:
    bound, what = float(match["number"]), match["code"] or ""
    return Slo(text, "count", match["op"], bound, *_scope(text, match["scope"]), what=what)


def _rate(text: str, match: re.Match[str]) -> Slo:
    what, bound, op = match["what"], _share(text, match), match["op"]
    if what not in RATES:
        names = ", ".join(f"{name}_rate" for name in RATES) + did_you_mean(what, RATES)
        raise UsageError(f"SLO {text!r}: no rate is called {what}_rate; there are {names}")
    wanted, best = (">", 1.0) if what == OK else ("<", 0.0)
    if op == "==" and bound == best:
        op = f"{wanted}="
    if not op.startswith(wanted) or (op == wanted and bound == best):
        raise UsageError(
            f"SLO {text!r}: {what}_rate takes {wanted} or {wanted}=, and == {best:.0%} at the best"
        )
    return Slo(text, "rate", op, bound, *_scope(text, match["scope"]), what=what)


def _goodput(text: str, match: re.Match[str]) -> Slo:
    within, words = [], []
    for condition in filter(None, match["conditions"].split(",")):
        if (word := _BEFORE.get(condition, condition)) in WORDS:
            words.append(word)
            continue
        found = _CONDITION.fullmatch(condition)
        if found is None:
            known = ", ".join(WORDS)
            raise UsageError(
                f"SLO {text!r}: {condition!r} is no condition; use MILESTONE<=SECONDSs, {known}"
            )
        within.append(Within(found["milestone"], found["op"], _seconds(found)))
    if not within and not words:
        raise UsageError(f"SLO {text!r}: goodput of what? try goodput(complete<=2m)>=99%")
    return Slo(
        text,
        "goodput",
        match["op"],
        _share(text, match),
        *_scope(text, match["scope"]),
        within=tuple(within),
        words=tuple(words),
    )


def _continuity(text: str, match: re.Match[str]) -> Slo:
    bound, op = _share(text, match), match["op"]
    if op == "==" and bound == 1:
        op = ">="
    if not op.startswith(">") or (op == ">" and bound == 1):
        raise UsageError(f"SLO {text!r}: {CONTINUITY} takes > or >=, and == 100% at the best")
    scope = _scope(text, match["scope"])
    return Slo(text, "goodput", op, bound, *scope, words=(CONTINUOUS,))


def _scope(text: str, scope: str | None) -> tuple[str | None, str | None]:
    if not scope:
        return None, None
    api, _, endpoint = scope.partition(".")
    if not api or scope.endswith("."):
        raise UsageError(f"SLO {text!r}: {scope!r} is not API or API.ENDPOINT")
    return api, endpoint or None


def _seconds(match: re.Match[str]) -> float:
    return float(match["number"]) * _UNITS[match["unit"]]


def _share(text: str, match: re.Match[str]) -> float:
    share = float(match["number"]) / 100
    if not 0 <= share <= 1:
        raise UsageError(f"SLO {text!r}: {match['number']}% is no share")
    return share
