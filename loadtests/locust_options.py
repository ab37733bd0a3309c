"""Our options beside Locust's own, and what they ask for."""

from __future__ import annotations

import math
import re
import shlex
import sys
from argparse import ArgumentParser
from collections.abc import Callable, Mapping
from pathlib import Path
from types import SimpleNamespace
from typing import Any

from locust.env import Environment
from locust.runners import WorkerRunner

from soundstage.arguments import between, count, shown_of_another, whole
from soundstage.config import Config, find_config
from soundstage.contract import available
from soundstage.errors import SoundstageError, UsageError
from soundstage.loadtests.load_options import address
from soundstage.loadtests.merged_options import check
from soundstage.loadtests.run.asked_load import LoadOptions
from soundstage.loadtests.schedule import arrivals
from soundstage.loadtests.schedule.scenario import STREAM, Part, Scenario, spread
from soundstage.loadtests.web.start_terms import remember, target_of, terms_of
from soundstage.output import visible
from soundstage.proof.one_conforming import refuse_unkept
from soundstage.results.bundle import new_folder
from soundstage.results.listening.listened import LONGEST_BUFFER_S, START_BUFFER_S


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
    """What may be another from test to test: what is sent, when, and what is asked of it."""
    apis = ", ".join(available())
    text = f"versions to load, with commas: {apis} (default: all)"
    add("--soundstage-api", default="", metavar="APIS", help=text)
    text = "stream, sync, or both with a comma (default: stream)"
    add("--soundstage-endpoint", default="stream", metavar="KINDS", help=text)
    text = "arrivals a second, whatever is in flight (default 0: users, who wait for their songs)"
    rate = between(0, 1_000_000)
    add("--soundstage-rate", type=rate, default=0.0, metavar="R", help=text)
    text = "how arrivals of a rate are spaced (default: poisson)"
    add("--soundstage-arrivals", choices=arrivals.PROCESSES, default="poisson", help=text)
    text = (
        "drop arrivals of a rate beyond N exchanges in flight, and count them (default 0: no limit)"
    )
    add("--soundstage-max-in-flight", type=count, default=0, metavar="N", help=text)
    seconds = between(0, 10_000_000)
    text = "leave requests of the first seconds out of the figures (default 0)"
    add("--soundstage-warmup", type=seconds, default=0.0, metavar="SECONDS", help=text)
    text = "seconds to wait for what is in flight when the test is stopped (default 30)"
    add("--soundstage-drain", type=seconds, default=30.0, metavar="SECONDS", help=text)
    text = "objectives, with semicolons: v6.complete.p95<90s; violations==0"
    add("--soundstage-slo", default="", metavar="SLOS", help=text)
    text = "of arrivals and requests: the same seed makes the same (default 0)"
    add("--soundstage-seed", type=whole, default=0, metavar="N", help=text)
    text = "listen to so many of a hundred songs while they are made: gaps, continuity (default 0)"
    percent = between(0, 100)
    add("--soundstage-probe-playback", type=percent, default=0.0, metavar="P", help=text)
    text = "seconds of music that a listener waits for before playing (default 2)"
    buffer = between(0, LONGEST_BUFFER_S)
    add(
        "--soundstage-start-buffer",
        type=buffer,
        default=START_BUFFER_S,
        metavar="SECONDS",
        help=text,
    )


def _of_the_start(add: Callable[..., Any]) -> None:
    """What a process keeps from its start (`start_terms`), or is about how it is looked at."""
    text = "billable requests of all tests together (default: none; any number to this machine)"
    add("--soundstage-budget", type=whole, default=-1, metavar="N", help=text)
    text = "file with the API key (default: SOUNDVERSE_API_KEY)"
    add("--soundstage-key-file", default="", metavar="FILE", help=text)
    text = "folder for run bundles (default: runs)"
    add("--soundstage-out", default="", metavar="DIR", help=text)
    text = "prompts, one a line; .jsonl, .json, .csv: fields by role (default: made up)"
    add("--soundstage-corpus", default="", metavar="FILE", help=text)
    text = "soundstage.toml with severities and waivers (default: if it is here)"
    add("--soundstage-config", default="", metavar="FILE", help=text)
    text = "serve Prometheus metrics of the tests (HOST default 127.0.0.1: this machine only)"
    add("--soundstage-metrics-port", type=address, metavar="[HOST:]PORT", help=text)
    text = "a name by which the web UI may be called, as through a proxy (repeatable, with commas)"
    add(
        "--soundstage-web-allow-host",
        action="append",
        default=None,
        metavar="NAME",
        env_var="SOUNDSTAGE_WEB_ALLOW_HOST",
        help=text,
    )
    text = "show Locust's options and these: its own --help comes before it reads a locustfile"
    add("--soundstage-help", action="help", help=text)


#: Options as messages name them that are called otherwise here.
_RENAMED = re.compile(
    r"(?<![\w-])--(api|budget|config|corpus|endpoint|key-file|max-in-flight|metrics-port|out"
    r"|probe-playback|rate|slo|start-buffer|target|warmup)(?![\w-])"
)


def in_our_words(error: SoundstageError) -> str:
    """What is wrong, in one line, with options by the names that they have with Locust."""

    def renamed(found: re.Match[str]) -> str:
        return "--host" if found[1] == "target" else f"--soundstage-{found[1]}"

    return visible.line(_RENAMED.sub(renamed, str(error)))


def rate_of(environment: Environment) -> float:
    """Arrivals a second of an open loop; 0 for a closed one."""
    return float(getattr(environment.parsed_options, "soundstage_rate", 0.0) or 0.0)


def options_of(environment: Environment, changed: Mapping[str, Any] | None = None) -> LoadOptions:
    """What the options ask for, `changed` by a form of the web UI; but for the budget, which is the
    purse's. Raises UsageError if that cannot be.
    """
    changed = changed or {}
    given = SimpleNamespace(**{**vars(environment.parsed_options), **changed})
    rate = given.soundstage_rate
    terms, target = terms_of(environment), target_of(environment, changed.get("host"))
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
        parameters["start_buffer_s"] = given.soundstage_start_buffer
    apis = _words(given.soundstage_api) or ("",)
    kinds = _words(given.soundstage_endpoint) or (STREAM,)
    scenario = Scenario(
        # It has no end: Locust says when a test stops.
        phases=tuple(arrivals.steady(rate, math.inf)) if rate > 0 else (),
        process=given.soundstage_arrivals,
        parts=spread((Part(api, kind) for kind in kinds for api in apis), available()),
        seed=given.soundstage_seed,
        corpus=_corpus(environment),
        slos=tuple(filter(None, (text.strip() for text in given.soundstage_slo.split(";")))),
        warmup_s=given.soundstage_warmup,
        drain_s=given.soundstage_drain,
        max_in_flight=given.soundstage_max_in_flight or None,
    )
    if scenario.max_in_flight is not None and not scenario.phases:
        raise UsageError("--max-in-flight is for --rate: N users have at most N in flight")
    if not isinstance(environment.runner, WorkerRunner):
        refuse_unkept(part.api for part in scenario.parts)
        check(scenario, probed)
    return LoadOptions(
        target=target,
        scenario=scenario,
        key_file=terms.key_file,
        out=str(folder),
        command=shlex.join([_program(sys.argv[0]), *shown_of_another(sys.argv[1:])]),
        parameters=tuple(parameters.items()),
        probe_playback=probed,
        start_buffer_s=given.soundstage_start_buffer,
        config=_config(environment),
    )


def _program(path: str) -> str:
    """The name of the program that runs, `locust` also as `python -m locust`."""
    called = Path(path)
    return called.parent.name if called.name == "__main__.py" else called.name


def schedule_of(options: LoadOptions) -> Callable[[], arrivals.Schedule] | None:
    """The schedule of an open loop, which has no end; None for a closed one."""
    return options.scenario.schedule if options.scenario.phases else None


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
