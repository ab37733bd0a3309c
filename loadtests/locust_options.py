"""Our options beside Locust's own, and what they ask for."""

from __future__ import annotations

import math
import os
import shlex
import sys
from argparse import ArgumentParser
from collections.abc import Callable
from pathlib import Path
from typing import Any

from locust.env import Environment
from locust.runners import WorkerRunner

from soundstage.arguments import between, count, shown_of_another, whole
from soundstage.config import Config, find_config
from soundstage.contract import available
from soundstage.errors import SoundstageError
from soundstage.loadtests.run.load_run import LoadOptions
from soundstage.loadtests.schedule import arrivals
from soundstage.loadtests.schedule.scenario import STREAM, Part, Scenario
from soundstage.loadtests.web.start_terms import remember, target_of, terms_of
from soundstage.output import visible
from soundstage.results.bundle import new_folder


def add_options(parser: ArgumentParser, **_: Any) -> None:
    """Our options beside Locust's. The key is read from SOUNDVERSE_API_KEY or a file. The web UI
    listens on this machine unless somebody says otherwise; its form has what a test may differ in.
    """
    parser.set_defaults(web_host="127.0.0.1", master_bind_host=None)
    remember(parser)
    group = parser.add_argument_group("Soundstage")
    try:
        available()
    except SoundstageError as error:
        # Locust would go on without our options, after a traceback.
        parser.exit(error.exit_code, f"locust: {visible.line(error)}\n")
    _of_a_test(_in_the_form(group.add_argument))
    _of_the_start(group.add_argument)


def _in_the_form(add: Callable[..., Any]) -> Callable[..., Any]:
    """An `add_argument` for what the web UI shows. Locust marks its own in this way; what is added
    to a group of options it does not mark, and so does not show.
    """

    def adding(*names: str, **facts: Any) -> Any:
        action = add(*names, **facts)
        action.include_in_web_ui = True
        action.is_secret = action.is_required = action.is_multiple = False
        return action

    return adding


def _of_a_test(add: Callable[..., Any]) -> None:
    """What may be another from test to test."""
    apis = ", ".join(available())
    add("--soundstage-api", default="", metavar="APIS", help=f"of {apis} (default: all)")
    add("--soundstage-endpoint", default="stream", help="stream, sync, or both with a comma")
    text = "arrivals a second, an open loop (default: users in a closed loop)"
    add("--soundstage-rate", type=between(0, 1_000_000), default=0.0, help=text)
    add("--soundstage-arrivals", choices=arrivals.PROCESSES, default="poisson")
    add("--soundstage-slo", default="", metavar="SLOS", help="objectives, split by semicolons")
    add("--soundstage-max-in-flight", type=count, default=0, help="0: no limit")
    add("--soundstage-seed", type=whole, default=0)
    text = "seconds left out of the figures"
    add("--soundstage-warmup", type=between(0, 1e7), default=0.0, help=text)
    text = "seconds to wait for what is in flight when the test is stopped"
    add("--soundstage-drain", type=between(0, 1e7), default=30.0, help=text)
    text = "play the streams of so many percent of the songs while they are made; count stalls"
    add("--soundstage-probe-playback", type=between(0, 100), default=0.0, metavar="P", help=text)


def _of_the_start(add: Callable[..., Any]) -> None:
    """What a process keeps from its start (`start_terms`), or is about the web UI itself."""
    text = "prompts: .txt, .jsonl, .json, .csv"
    add("--soundstage-corpus", default="", metavar="FILE", help=text)
    text = "billable requests of all tests together (-1: none named)"
    add("--soundstage-budget", type=whole, default=-1, help=text)
    add("--soundstage-key-file", default="", help="file with the API key")
    text = "soundstage.toml with severities and waivers (default: if it is here)"
    add("--soundstage-config", default="", metavar="FILE", help=text)
    add("--soundstage-out", default="", help="folder for run bundles (default: runs)")
    text = "a name by which the web UI may be called, as through a proxy (repeatable, with commas)"
    add(
        "--soundstage-web-allow-host",
        action="append",
        default=None,
        metavar="NAME",
        env_var="SOUNDSTAGE_WEB_ALLOW_HOST",
        help=text,
    )


def rate_of(environment: Environment) -> float:
    """Arrivals a second of an open loop; 0 for a closed one."""
    return float(getattr(environment.parsed_options, "soundstage_rate", 0.0) or 0.0)


def schedule_of(
    environment: Environment, options: LoadOptions
) -> Callable[[], arrivals.Schedule] | None:
    """The schedule of an open loop, which has no end; None for a closed one."""
    rate = rate_of(environment)
    if rate <= 0:
        return None
    process = environment.parsed_options.soundstage_arrivals  # type: ignore[union-attr]

    def schedule() -> arrivals.Schedule:
        steady = arrivals.steady(rate, math.inf)
        return arrivals.schedule(steady, process, options.scenario.seed)

    return schedule


def options_of(environment: Environment) -> LoadOptions:
    """What the options ask for, but for the budget, which is the purse's. Raises UsageError if that
    cannot be.
    """
    given: Any = environment.parsed_options
    rate = rate_of(environment)
    terms, target = terms_of(environment), target_of(environment)
    folder = new_folder("load", Path(terms.out or "runs"))
    parameters = {
        "loop": "open" if rate > 0 else "closed",
        "rate": rate or None,
        "arrivals": given.soundstage_arrivals if rate > 0 else None,
        "users": None if rate > 0 else given.num_users,
        "max_in_flight": given.soundstage_max_in_flight or None,
        "drain_s": given.soundstage_drain,
        "warmup_s": given.soundstage_warmup,
    }
    probed = min(1.0, max(0.0, given.soundstage_probe_playback / 100))
    if probed:
        parameters["probe_playback"] = probed
    apis = _words(given.soundstage_api) or ("",)
    kinds = _words(given.soundstage_endpoint) or (STREAM,)
    scenario = Scenario(
        parts=tuple(Part(api, kind) for kind in kinds for api in apis),
        seed=given.soundstage_seed,
        corpus=_corpus(environment),
        slos=tuple(filter(None, (text.strip() for text in given.soundstage_slo.split(";")))),
        warmup_s=given.soundstage_warmup,
        drain_s=given.soundstage_drain,
        max_in_flight=given.soundstage_max_in_flight or None,
    )
    return LoadOptions(
        target=target,
        scenario=scenario,
        key_file=terms.key_file,
        out=str(folder),
        command=shlex.join([os.path.basename(sys.argv[0]), *shown_of_another(sys.argv[1:])]),
        parameters=tuple(parameters.items()),
        probe_playback=probed,
        config=_config(environment),
    )


def _config(environment: Environment) -> Config:
    """Severities and waivers. Those of the master hold: a worker's folder says nothing."""
    if isinstance(environment.runner, WorkerRunner):
        return Config()
    return find_config(terms_of(environment).config)


def _corpus(environment: Environment) -> str | None:
    """The file of prompts: on a worker without one of its own, that of its master."""
    own = terms_of(environment).corpus
    if own is None and isinstance(environment.runner, WorkerRunner):
        return getattr(environment.parsed_options, "soundstage_corpus", None) or None
    return own


def _words(text: str) -> tuple[str, ...]:
    return tuple(word.strip() for word in text.split(",") if word.strip())
