"""The gate of a session of pytest: opened from what its options and soundstage.toml ask for, or
handed over by whoever runs the checks.
"""

from __future__ import annotations

import os
import shlex
import sys
from contextlib import ExitStack
from pathlib import Path

import pytest

from soundstage import pytest_words
from soundstage.arguments import at_most, between, count, from_one, shown_of_another
from soundstage.config import Config, find_config
from soundstage.contract import Contract, load
from soundstage.errors import SoundstageError
from soundstage.exchange import destination
from soundstage.exchange.patience import LONGEST_TIMEOUT_S
from soundstage.exchange.spawn import EMULATOR
from soundstage.gate.contract_check import (
    EXPLORED,
    MOST_AT_ONCE,
    MOST_EXPLORED,
    CheckOptions,
    open_gate,
)
from soundstage.gate.gate import ContractGate
from soundstage.gate.rule_outcomes import Beside
from soundstage.output import outgoing, visible
from soundstage.process import contract_folders
from soundstage.target_options import apis_of

GATE = pytest.StashKey[ContractGate]()
BESIDE = pytest.StashKey[Beside]()
_TIMEOUT = "--contract-timeout"
_PARALLEL = "--contract-parallel"
STACK = pytest.StashKey[ExitStack]()
BUNDLE = pytest.StashKey[Path]()
_SETTINGS = pytest.StashKey[Config]()
_seconds = between(0.1, LONGEST_TIMEOUT_S)
#: Options of pytest that spread tests over processes, each of which would have a purse and a bundle
#: of its own: destination, and how they are written.
_SPREADING = {
    "numprocesses": "-n",
    "tx": "--tx",
    "forked": "--forked",
    "workers": "--workers",
    "tests_per_worker": "--tests-per-worker",
    "looponfail": "--looponfail",
}


def add_options(parser: pytest.Parser) -> None:
    """Add the options of contract checks to pytest's own."""
    group = parser.getgroup("soundstage", "Soundstage contract checks")
    group.addoption("--target", metavar="URL", help="base URL of the API, or: emulator")
    group.addoption("--api", action="append", help="API version to check (default: all)")
    text = "add the contracts in this folder (repeatable; also $SOUNDSTAGE_SCHEMAS)"
    group.addoption(contract_folders.OPTION, action="append", metavar="DIR", help=text)
    group.addoption("--budget", type=count, help="billable requests that may be sent")
    group.addoption("--key-file", help="file with the API key (default: $SOUNDVERSE_API_KEY)")
    group.addoption("--out", help="folder of the run bundle (default: one below runs/)")
    text = (
        f"at most so many explored requests an endpoint (default: {EXPLORED} where they are free)"
    )
    group.addoption("--explore", type=at_most(MOST_EXPLORED), help=text)
    text = "billable requests that may be made up"
    group.addoption("--explore-budget", type=count, help=text)
    text = "requests of contract checks that are under way at once"
    group.addoption(_PARALLEL, type=from_one(MOST_AT_ONCE), help=text)
    # `--timeout` is that of the plugin pytest-timeout, for each test.
    group.addoption(_TIMEOUT, type=_seconds, help="seconds for all that contract checks send")
    group.addoption("--contract-strict", action="store_true", help="warnings fail, too")


def contracts_of(config: pytest.Config) -> list[Contract]:
    """The contracts that a session asks for. Raises pytest.UsageError for one that there is not."""
    if GATE in config.stash:
        return list(config.stash[GATE].contracts.values())
    try:
        return [load(api) for api in apis_of(config.getoption("--api"), _settings(config))]
    except SoundstageError as error:
        raise pytest.UsageError(visible.alone(error)) from error


def gate_of(config: pytest.Config) -> ContractGate:
    """The gate of a session, opened when it is first asked for. Ends pytest where it cannot be."""
    if GATE in config.stash:
        return config.stash[GATE]
    stack = ExitStack()
    target, settings = _target(config), _settings(config)
    key_file = config.getoption("--key-file") or settings.target.key_file
    budget = config.getoption("--budget")
    assert target is not None  # who comes here has looked
    try:
        if target != EMULATOR and not _named_by_hand(config):
            of_pytest = config.getoption("--target") is not None
            named_by = config.inipath or "a file of pytest's" if of_pytest else settings.path
            destination.confirm(
                target, named_by or "", option="--target", key_file=key_file, stderr=None
            )
        options = CheckOptions(
            target=target,
            apis=tuple(each.api for each in contracts_of(config)),
            budget=budget if budget is not None else settings.target.budget,
            explore_budget=config.getoption("--explore-budget"),
            at_once=config.getoption(_PARALLEL),
            key_file=key_file,
            ca_file=settings.target.ca_file,
            out=config.getoption("--out"),
            strict=config.getoption("--contract-strict"),
            command=shlex.join(["pytest", *shown_of_another(sys.argv[1:])]),
            config=settings,
            timeout_s=config.getoption(_TIMEOUT),
            timeout_option=_TIMEOUT,
        )
        gate = stack.enter_context(open_gate(options))
    except SoundstageError as error:
        stack.close()
        pytest.exit(visible.alone(outgoing.text(str(error))), returncode=error.exit_code)
    config.stash[STACK] = stack
    config.stash[GATE] = gate
    config.stash[BESIDE] = Beside()
    if (say := pytest_words.printer(config)) is not None:
        for warning in gate.session.warnings:
            say(f"contract checks: {warning}")
    return gate


def _named_by_hand(config: pytest.Config) -> bool:
    """Whether the user named the target, and not a file of the folder (`addopts`)."""
    words = [*map(str, config.invocation_params.args)]
    words += shlex.split(os.environ.get("PYTEST_ADDOPTS", ""))
    return destination.says(words, "--target")


def has_target(config: pytest.Config) -> bool:
    """Whether a session has anything to check."""
    return GATE in config.stash or _target(config) is not None


def _target(config: pytest.Config) -> str | None:
    """What `--target` says, or soundstage.toml: but not to several processes, see `spread`."""
    asked: str | None = config.getoption("--target")
    if asked is not None or hasattr(config, "workerinput") or spread(config) is not None:
        return asked
    return _settings(config).target.url


def _settings(config: pytest.Config) -> Config:
    """soundstage.toml, read where checks ask for it and not for any session of pytest."""
    if _SETTINGS not in config.stash:
        try:
            config.stash[_SETTINGS] = find_config()
        except SoundstageError as error:
            raise pytest.UsageError(visible.alone(outgoing.text(str(error)))) from error
    return config.stash[_SETTINGS]


def spread(config: pytest.Config) -> str | None:
    """The option that spreads this session over processes; None if it runs in this one."""
    if hasattr(config, "workerinput"):
        return "-n"
    return next(
        (flag for name, flag in _SPREADING.items() if getattr(config.option, name, None)), None
    )
