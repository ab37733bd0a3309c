"""Opens a contract check: the target (an emulator if asked for), the session, the bundle, the gate.

Also the facts that every run bundle begins with, whatever the run does.
"""

from __future__ import annotations

import os
import platform
import sys
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from importlib.metadata import version
from pathlib import Path
from typing import Any

from soundstage import __version__
from soundstage.assets import decoder_process
from soundstage.config import Config
from soundstage.contract import Contract, load
from soundstage.doctor.preflight import preflight
from soundstage.exchange.session import TIMEOUT_S, Session, open_session
from soundstage.exchange.spawn import EMULATOR, spawned_emulator
from soundstage.gate.gate import ContractGate
from soundstage.gate.milestone_facts import milestone_facts
from soundstage.gate.progress import Progress
from soundstage.gate.sender import Sender
from soundstage.proof.one_conforming import refuse_unkept
from soundstage.results.bundle import BundleWriter, new_folder

#: The time for all that a check sends where nobody says another, in seconds.
_TIMEOUT_S = 3_600.0
#: An endpoint is explored with at most so many requests where that is free and nobody says how
#: many; more than the second would not come to an end that anybody sees.
EXPLORED, MOST_EXPLORED = 20, 10_000
#: More requests at once than that are load.
MOST_AT_ONCE = 64
#: How the emulator of a check is run: fast, as nobody measures it here.
_EMULATOR_ARGUMENTS = ("--profile", "instant")


@dataclass(frozen=True, slots=True)
class CheckOptions:
    """What a contract check was asked to do. `target` is a base URL or "emulator"; `out` the
    folder of the bundle, None for a new one below runs/; `command` stands in the bundle. `only`
    selects rules, as pytest's `-k` does; None: all. `timeout_s`: the time for all that is sent
    (None: see `timeout_of`), and the option that it is given by. `at_once`: how many
    requests are under way together; None: see `ContractGate`.
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
    at_once: int | None = None


@dataclass(frozen=True, slots=True)
class CheckedTarget:
    """The target of a check, and the options of its emulator where one was started for it."""

    session: Session
    started_with: list[str] | None

    def may_be_paid(self, options: CheckOptions) -> bool:
        """Whether a check of it may cost money, and has a budget to do so."""
        budget = self.session.budget
        return not budget.free and bool(budget.left or options.explore_budget)


@contextmanager
def open_gate(options: CheckOptions, progress: Progress | None = None) -> Iterator[ContractGate]:
    """A gate that is ready to check, and tells `progress` what it does. Raises SoundstageError
    before anything billable is sent.
    """
    with open_target(options) as target, begun_gate(options, target, progress) as gate:
        yield gate


@contextmanager
def open_target(
    options: CheckOptions, *, meanwhile: Callable[[], object] | None = None
) -> Iterator[CheckedTarget]:
    """The target of a check, ready to be asked; nothing is begun yet. Raises SoundstageError where
    there is none, or nothing could be measured. `meanwhile` is called while an emulator of ours
    gets ready.
    """
    contracts = [load(api) for api in options.apis]
    refuse_unkept(options.apis)
    with ExitStack() as stack:
        url, started = options.target, None
        if url == EMULATOR:
            started = list(options.emulator_arguments)
            url = stack.enter_context(spawned_emulator(started, options.apis, meanwhile=meanwhile))
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
        session.warnings += preflight(session, contracts)
        stack.callback(decoder_process.SHARED.close)
        session.client.keep_chunks = True
        yield CheckedTarget(session, started)


@contextmanager
def begun_gate(
    options: CheckOptions, target: CheckedTarget, progress: Progress | None = None
) -> Iterator[ContractGate]:
    """A gate whose bundle has begun. Sends nothing."""
    session, contracts = target.session, [load(api) for api in options.apis]
    with ExitStack() as stack:
        folder = Path(options.out) if options.out else new_folder("check")
        facts = run_facts(
            session,
            "check",
            options.command,
            contracts,
            seed=options.seed,
            started_with=target.started_with,
        )
        bundle = stack.enter_context(BundleWriter.create(folder, facts, patient=True))
        sender = Sender(
            session,
            bundle,
            strict=options.strict,
            config=options.config,
            explore_budget=options.explore_budget,
            timeout_s=timeout_of(options),
            timeout_option=options.timeout_option,
            progress=progress,
        )
        stack.enter_context(sender.patience)
        yield ContractGate(sender, contracts, seed=options.seed, at_once=options.at_once)


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
    started_with: Iterable[str] | None = None,
) -> dict[str, Any]:
    """What run.json says before the run begins. `packages` are further distributions
    whose versions matter to the run; `started_with`: the options of the emulator that was started
    for the run, None where the target was there before.
    """
    target = session.target.to_json()
    if started_with is not None:
        target["started_with"] = [session.redactor.text(each) for each in started_with]
    return {
        "kind": kind,
        "command": session.redactor.text(command),
        "target": target,
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
