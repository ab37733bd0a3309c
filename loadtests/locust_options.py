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
from soundstage.errors import UsageError
from soundstage.exchange import destination
from soundstage.loadtests import arrivals
from soundstage.loadtests.loadrun import LoadOptions
from soundstage.loadtests.scenario import STREAM, Part, Scenario
from soundstage.results.bundle import new_folder


def add_options(parser: ArgumentParser, **_: Any) -> None:
    """Our options beside Locust's. The key is read from SOUNDVERSE_API_KEY or a file."""
    group = parser.add_argument_group("Soundstage")
    add = group.add_argument
    apis = ", ".join(available())
    add("--soundstage-api", default="", metavar="APIS", help=f"of {apis} (default: all)")
    add("--soundstage-endpoint", default="stream", help="stream, sync, or both with a comma")
    text = "arrivals a second, an open loop (default: users in a closed loop)"
    add("--soundstage-rate", type=between(0, 1_000_000), default=0.0, help=text)
    add("--soundstage-arrivals", choices=arrivals.PROCESSES, default="poisson")
    add("--soundstage-slo", default="", metavar="SLOS", help="objectives, split by semicolons")
    add(
        "--soundstage-corpus", default="", metavar="FILE", help="prompts: .txt, .jsonl, .json, .csv"
    )
    add("--soundstage-max-in-flight", type=count, default=0, help="0: no limit")
    add("--soundstage-seed", type=whole, default=0)
    add(
        "--soundstage-warmup",
        type=between(0, 1e7),
        default=0.0,
        help="seconds left out of the figures",
    )
    text = "seconds to wait for what is in flight when the test is stopped"
    add("--soundstage-drain", type=between(0, 1e7), default=30.0, help=text)
    text = "play the streams of so many percent of the songs while they are made; count stalls"
    add("--soundstage-probe-playback", type=between(0, 100), default=0.0, metavar="P", help=text)
    add("--soundstage-budget", type=whole, default=-1, help="billable requests (-1: none named)")
    add("--soundstage-key-file", default="", help="file with the API key")
    text = "soundstage.toml with severities and waivers (default: if it is here)"
    add("--soundstage-config", default="", metavar="FILE", help=text)
    add("--soundstage-out", default="", help="folder for run bundles (default: runs)")


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
    """What the options ask for. Raises UsageError if that cannot be."""
    given: Any = environment.parsed_options
    rate = rate_of(environment)
    if not environment.host:
        raise UsageError("--host is needed: the base URL of the API or an emulator")
    if not isinstance(environment.runner, WorkerRunner) and not _named_by_hand():
        destination.confirm(
            environment.host,
            "a file of Locust's",
            option="--host",
            key_file=given.soundstage_key_file or None,
            stderr=None,
        )
    folder = new_folder("load", Path(given.soundstage_out or "runs"))
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
        corpus=given.soundstage_corpus or None,
        slos=tuple(filter(None, (text.strip() for text in given.soundstage_slo.split(";")))),
        warmup_s=given.soundstage_warmup,
        drain_s=given.soundstage_drain,
        max_in_flight=given.soundstage_max_in_flight or None,
    )
    return LoadOptions(
        target=environment.host,
        scenario=scenario,
        budget=given.soundstage_budget if given.soundstage_budget >= 0 else None,
        key_file=given.soundstage_key_file or None,
        out=str(folder),
        command=shlex.join([os.path.basename(sys.argv[0]), *shown_of_another(sys.argv[1:])]),
        parameters=tuple(parameters.items()),
        probe_playback=probed,
        config=_config(environment),
    )


def _named_by_hand() -> bool:
    """Whether the user named a host, and not only a `locust.conf` of the folder: a worker's host is
    what its master says.
    """
    return destination.says(sys.argv[1:], "-H", "--host") or bool(os.environ.get("LOCUST_HOST"))


def _config(environment: Environment) -> Config:
    """Severities and waivers. Those of the master hold: a worker's folder says nothing."""
    if isinstance(environment.runner, WorkerRunner):
        return Config()
    given: Any = environment.parsed_options
    return find_config(given.soundstage_config or None)


def _words(text: str) -> tuple[str, ...]:
    return tuple(word.strip() for word in text.split(",") if word.strip())
