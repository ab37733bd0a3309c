"""Opens a contract check: the target (an emulator if asked for), the session, the bundle, the gate.

Also the facts that every run bundle begins with, whatever the run does.
"""

from __future__ import annotations

import os
import platform
import sys
from collections.abc import Iterable, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from importlib.metadata import version
from pathlib import Path
from typing import Any

from soundstage import __version__
from soundstage.assets import decoder_process
from soundstage.config import Config
from soundstage.contract import Contract, load
from soundstage.exchange.session import TIMEOUT_S, Session, open_session
from soundstage.exchange.spawn import EMULATOR, spawned_emulator
from soundstage.gate.gate import ContractGate
from soundstage.gate.milestone_facts import milestone_facts
from soundstage.proof.one_conforming import refuse_unkept
from soundstage.results.bundle import BundleWriter, new_folder

#: The time for all that a check sends where nobody says another, in seconds.
_TIMEOUT_S = 3_600.0
#: How the emulator of a check is run: fast, as nobody measures it here.
_EMULATOR_ARGUMENTS = ("--profile", "instant")


@dataclass(frozen=True, slots=True)
class CheckOptions:
    """What a contract check was asked to do. `target` is a base URL or "emulator"; `out` the
    folder of the bundle, None for a new one below runs/; `command` stands in the bundle. `only`
    selects rules, as pytest's `-k` does; None: all. `timeout_s`: the time for all that is sent
    (None: see `timeout_of`), and the option that it is given by.
    """

    target: str
    apis: tuple[str, ...]
    budget: int | None = None
    explore_budget: int | None = None
    key_file: str | None = None
    out: str | None = None
    strict: bool = False
    seed: int = 0
    command: str = ""
    headers: tuple[tuple[str, str], ...] = ()
    ca_file: str | None = None
    client_cert: tuple[str, str] | None = None
    insecure: bool = False
    keep_private: bool = False
    treat_as_live: bool = False
    config: Config = field(default_factory=Config)
    emulator_arguments: tuple[str, ...] = _EMULATOR_ARGUMENTS
    only: str | None = None
    timeout_s: float | None = None
    timeout_option: str = "--timeout"


@contextmanager
def open_gate(options: CheckOptions) -> Iterator[ContractGate]:
    """A gate that is ready to check. Raises SoundstageError before anything billable is sent."""
    contracts = [load(api) for api in options.apis]
    refuse_unkept(options.apis)
    with ExitStack() as stack:
        url = options.target
        if url == EMULATOR:
            arguments = list(options.emulator_arguments)
            url = stack.enter_context(spawned_emulator(arguments, options.apis))
        session = open_session(
            url,
            key_file=options.key_file,
            budget=options.budget,
            headers=options.headers,
            ca_file=options.ca_file,
            client_cert=options.client_cert,
            insecure=options.insecure,
            keep_private=options.keep_private,
            treat_as_live=options.treat_as_live,
        )
        stack.callback(session.close)
        stack.callback(decoder_process.SHARED.close)
        session.client.keep_chunks = True
        folder = Path(options.out) if options.out else new_folder("check")
        facts = run_facts(session, "check", options.command, contracts, seed=options.seed)
        bundle = stack.enter_context(BundleWriter.create(folder, facts, patient=True))
        gate = ContractGate(
            session,
            contracts,
            bundle,
            seed=options.seed,
            strict=options.strict,
            config=options.config,
            explore_budget=options.explore_budget,
            timeout_s=timeout_of(options),
            timeout_option=options.timeout_option,
        )
        stack.enter_context(gate.patience)
        yield gate


def timeout_of(options: CheckOptions) -> float:
    """The time for all that a check sends, in seconds: what was asked for, else what is configured,
    else an hour, and a song's longest time more for each that the exploration may pay for.
    """
    asked = options.timeout_s or options.config.target.timeout
    return asked or _TIMEOUT_S + TIMEOUT_S * (options.explore_budget or 0)


def run_facts(
    session: Session,
    kind: str,
    command: str,
    contracts: Iterable[Contract],
    *,
    seed: int | None = None,
    parameters: Mapping[str, Any] | None = None,
    packages: Iterable[str] = (),
) -> dict[str, Any]:
    """What run.json says before the run begins. `packages` are further distributions
    whose versions matter to the run.
    """
    return {
        "kind": kind,
        "command": session.redactor.text(command),
        "target": session.target.to_json(),
        "contracts": {
            contract.api: {
                "title": contract.title,
                "sha256": contract.sha256,
                "kinds": {each.name: each.kind for each in contract.endpoints.values()},
                **milestone_facts(contract),
            }
            for contract in contracts
        },
        "versions": {
            "soundstage": __version__,
            "python": platform.python_version(),
            **{name: version(name) for name in packages},
        },
        "seed": seed,
        "machine": {
            "system": f"{platform.system()} {platform.machine()}",
            "cpus": os.cpu_count() or 1,
            "python": sys.version.split()[0],
        },
        "parameters": dict(parameters or {}),
        "budget": {"limit": session.budget.limit, "spent": 0},
        "clock": {"source": "kernel", "stepped": False},
    }
