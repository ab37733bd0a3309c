"""What `soundstage load` was asked for: options, a scenario and soundstage.toml put together.

An option wins over the scenario, the scenario over the configuration. Nothing here sends or loads
Locust.
"""

from __future__ import annotations

import argparse
from dataclasses import replace
from pathlib import Path
from typing import Any

from soundstage.config import Config
from soundstage.contract import load
from soundstage.errors import UsageError
from soundstage.exchange.spawn import FREE_HERE, is_free
from soundstage.loadtests.schedule import arrivals
from soundstage.loadtests.schedule.recorded_arrivals import read_moments
from soundstage.loadtests.schedule.scenario import STREAM, Part, Scenario, endpoint_of, span, spread
from soundstage.loadtests.schedule.scenario_file import find_scenario
from soundstage.loadtests.schedule.traffic_option import parts_of
from soundstage.output import visible
from soundstage.results import slo
from soundstage.target_options import apis_of

_RATE = 5.0
_SECONDS = 30.0


def scenario_of(args: argparse.Namespace, config: Config) -> Scenario:
    """The scenario to run. Raises UsageError if it cannot be read or does not fit the options."""
    base = find_scenario(args.scenario) if args.scenario else Scenario()
    found = _timed(base, args)
    changes: dict[str, Any] = {
        "process": args.arrivals,
        "warmup_s": args.warmup,
        "drain_s": args.drain,
        "timeout_s": args.timeout,
        "idle_timeout_s": args.idle_timeout,
        "max_in_flight": args.max_in_flight,
        "seed": args.seed,
        "corpus": args.corpus,
        "slos": tuple(args.slo) or None,
        "abort_on_hopeless": args.abort_on_hopeless or None,
    }
    found = replace(found, **{name: new for name, new in changes.items() if new is not None})
    if found.users is not None and found.max_in_flight is not None:
        raise UsageError("--max-in-flight is for an open loop: N users have at most N in flight")
    found = replace(found, parts=_parts(found, args, config))
    found.warmed()  # says what is wrong with a warm-up
    try:
        check(found, args.probe_playback)
    except UsageError as error:
        raise UsageError(f"{args.scenario}: {error}" if args.scenario else str(error)) from error
    return found


def check(scenario: Scenario, probed: float = 1.0) -> None:
    """Raises UsageError for what could not be sent, or objectives that nothing would be held
    against: before anybody is asked for money. `probed`: the share of songs that is played.
    """
    from soundstage.conformance.codes import codes
    from soundstage.loadtests.schedule.traffic import Traffic, catalogue, playable

    traffic = Traffic(scenario.parts, scenario.seed, corpus=scenario.corpus)
    for objective in slo.resolve(
        scenario.slos, catalogue(traffic, probed), list(codes()), playable(traffic)
    ):
        if objective.slo.by_listening and probed < 1:
            raise UsageError(
                f"SLO {objective.slo.text!r}: what is heard is known only if somebody listens to "
                "all songs: --probe-playback 100"
            )


def _timed(base: Scenario, args: argparse.Namespace) -> Scenario:
    """The scenario with the load that options ask for instead of its own."""
    if args.find_capacity and base.users is not None:
        # A search is an open loop at rates of its own choice, whatever the scenario's load is.
        base = replace(base, users=None, phases=tuple(arrivals.steady(_RATE, base.seconds)))
    if args.users is not None:
        seconds = args.duration or base.length or _SECONDS
        return replace(base, users=args.users, seconds=seconds, phases=(), max_in_flight=None)
    if args.replay is not None:
        phases = arrivals.replay(read_moments(Path(args.replay)))
        return replace(base, phases=tuple(phases), users=None)
    if args.rate is not None or not args.scenario:
        seconds = args.duration or base.length or _SECONDS
        phases = arrivals.steady(args.rate or _RATE, seconds)
        return replace(base, phases=tuple(phases), users=None)
    return base if args.duration is None else base.over(args.duration)


def _parts(found: Scenario, args: argparse.Namespace, config: Config) -> tuple[Part, ...]:
    """The mixture, every part with its API."""
    apis = apis_of(args.api, config)
    if args.traffic:
        return tuple(parts_of(args.traffic))
    if not found.parts or args.endpoint:
        kinds = args.endpoint or (STREAM,)
        return spread((Part("", kind) for kind in kinds), apis)
    # The mixture of a scenario, less the versions that were not asked for.
    whole = spread(found.parts, apis)
    kept = tuple(part for part in whole if not args.api or part.api in args.api)
    if not kept:
        raise UsageError(f"--api {', '.join(args.api)}: the scenario loads none of it")
    return kept


def parameters(scenario: Scenario) -> dict[str, Any]:
    """What run.json says of how the load was asked for; runs that agree in it are comparable."""
    open_loop = scenario.users is None
    rates = {getattr(each, end, None) for each in scenario.phases for end in ("start", "end")}
    return {
        "scenario": scenario.name,
        "loop": "open" if open_loop else "closed",
        "rate": rates.pop() if len(rates) == 1 else None,
        "phases": scenario.words(),
        "arrivals": scenario.process if open_loop else None,
        "users": scenario.users,
        "duration_s": scenario.length,
        "warmup_s": scenario.warmup_s,
        "drain_s": scenario.drain_s,
        "timeout_s": scenario.timeout_s,
        "idle_timeout_s": scenario.idle_timeout_s,
        "max_in_flight": scenario.max_in_flight,
        "apis": list(dict.fromkeys(part.api for part in scenario.parts)),
        "endpoints": list(dict.fromkeys(part.endpoint for part in scenario.parts)),
        "slos": list(scenario.slos),
    }


def planned(target: str, scenario: Scenario, budget: int | None) -> str:
    """What would be sent, how long it takes and what it may cost, in words."""
    many = _requests(scenario)
    lines = [how_much(scenario)]
    places = [_place(part) for part in scenario.parts]
    lines.append(f"to {', '.join(f'{place} (weight {weight:g})' for place, weight, _ in places)}")
    billed = sum(weight for _, weight, cost in places if cost)
    whole = sum(weight for _, weight, _ in places)
    if many is None:
        cost = "each request is billable, and how many there are depends on the target"
    else:
        cost = f"about {round(many * billed / whole)} billable requests (generations)"
    limit = "no budget" if budget is None else f"a budget of {budget}"
    if budget is not None and many is not None and budget < round(many * billed / whole):
        limit += ", which is less: the run ends when it is spent"
    if is_free(target):
        limit += f": {FREE_HERE}"
    lines.append(f"{cost}; {limit}")
    first, *rest = lines
    return visible.lines([f"{target}: {first}", *(f"  {each}" for each in rest)])


def how_much(scenario: Scenario) -> str:
    """What would be sent, and how long it takes, in words."""
    length = scenario.length + (scenario.warmup_s if _has_warmup_before(scenario) else 0.0)
    if (many := _requests(scenario)) is None:
        return f"{scenario.users} users, one request after another, for {span(length)}"
    return f"{', then '.join(scenario.words())}: about {many} requests in {span(length)}"


def _requests(scenario: Scenario) -> int | None:
    """About how many requests are sent; None where that depends on the target."""
    return None if scenario.users is not None else round(arrivals.expected(scenario.warmed()))


def _has_warmup_before(scenario: Scenario) -> bool:
    replayed = scenario.phases and isinstance(scenario.phases[0], arrivals.RecordedArrivals)
    return not replayed


def _place(part: Part) -> tuple[str, float, bool]:
    endpoint = endpoint_of(load(part.api), part.endpoint)
    return f"{part.api} {endpoint.name}", part.weight, endpoint.billed
