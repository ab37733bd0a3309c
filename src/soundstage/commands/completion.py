"""`soundstage completion`: a script that completes the command line in a shell.

The script is made of the parsers of all commands, once: a shell that completes starts no Python.
"""

from __future__ import annotations

import argparse
import re
from collections.abc import Iterable
from importlib import import_module
from typing import Any, Final, TextIO

from soundstage import cli
from soundstage.arguments import Parser
from soundstage.commands.completed_words import at, names_of_runs, words
from soundstage.conformance.codes import codes
from soundstage.contract import Contract, load_sound
from soundstage.emulator.pace.profiles import profiles
from soundstage.exit_codes import ExitCode
from soundstage.generation.faults.catalogue import catalogue, wire_faults
from soundstage.output.written_files import print_document
from soundstage.process import contract_folders

HELP = "print a script that completes this command line in a shell"

_EXAMPLES: Final = """examples:
  soundstage completion bash > ~/.local/share/bash-completion/completions/soundstage
  soundstage completion zsh > ~/.zsh/completions/_soundstage      a folder of your fpath
  soundstage completion fish > ~/.config/fish/completions/soundstage.fish
  source <(soundstage completion bash)          in this shell only; zsh: after compinit
  soundstage completion tcsh > ~/.soundstage.csh                  then: source ~/.soundstage.csh

Commands, options, files, folders, runs and pins, and the names of API versions, faults, profiles,
scenarios and codes are completed. The script knows the names that there are when it is printed:
print it again after an update, or where --schemas adds a contract.

exit codes: 0 printed, 2 wrong usage
"""
_SHELLS: Final = ("bash", "zsh", "fish", "tcsh")
#: What the metavars of our options say of their values.
_FILES: Final = frozenset({"FILE", "FILE.json", "FILE.toml", "PEM", "PLACE", "CERT KEY"})
_RUNS: Final = frozenset({"BUNDLE", "RUNS", "RUN", "LIVE EMULATED", "FILE|BUNDLE"})


def parser() -> Parser:
    """The options of `soundstage completion`, before anything is parsed."""
    options = Parser(
        prog="soundstage completion",
        description="Print a script that completes the command line of soundstage in a shell.",
        epilog=_EXAMPLES,
    )
    options.add_argument("shell", choices=_SHELLS, metavar="SHELL", help=", ".join(_SHELLS))
    return options


def parse_args(argv: list[str]) -> argparse.Namespace:
    return parser().parse_args(argv)


def run(args: argparse.Namespace, stdout: TextIO, stderr: TextIO) -> int:
    """Print the script; 0."""
    import shtab

    del stderr
    print_document(shtab.complete(_whole(), args.shell) + "\n", stdout)
    return ExitCode.PASS


def _whole() -> argparse.ArgumentParser:
    """The parser of all commands, whose actions say what completes their values."""
    whole = argparse.ArgumentParser(prog="soundstage", description="Contract tests and load runs.")
    whole.add_argument("-V", "--version", action="version", version="", help="show the version")
    commands = whole.add_subparsers(dest="command", metavar="COMMAND")
    known = _known_names()
    for name, own in cli.parsers():
        text = cli.COMMANDS[name][1]
        made = commands.add_parser(
            name, help=text, description=text, parents=[own], add_help=False, allow_abbrev=False
        )
        made.add_argument(
            contract_folders.OPTION, metavar="DIR", help="add the contracts in this folder"
        )
        _complete(made, name, known)
    return whole


def _complete(parser: argparse.ArgumentParser, command: str, known: dict[str, Any]) -> None:
    """Say of each action of a parser, and of its subcommands, what completes its values."""
    import shtab

    for action in parser._actions:
        if isinstance(action.choices, dict):
            for each in action.choices.values():
                _complete(each, command, known)
            continue
        metavar = action.metavar or action.dest
        said = " ".join(metavar) if isinstance(metavar, tuple) else metavar
        found: Any = None
        for place in (*action.option_strings, action.dest):
            found = found or known.get(f"{command} {place}") or known.get(place)
        if found is None and said in _FILES:
            found = shtab.FILE
        elif found is None and said in _RUNS:
            found = known["runs"]
        elif found is None and said == "DIR":
            found = shtab.DIRECTORY
        if found is not None and action.nargs != 0 and not action.choices:
            action.complete = found  # type: ignore[attr-defined]
        # A colon would end it in the script of zsh.
        action.metavar = re.sub(r"[^\w|.-]+", " ", said).strip()


def _known_names() -> dict[str, Any]:
    """What completes a value, by the option or the place that it is for, after the name of its
    command where that matters.
    """
    ready = import_module("soundstage.loadtests.schedule.scenario_file").ready
    contracts = list(load_sound()[0].values())
    apis = words("apis", (each.api for each in contracts))
    faults = words("faults", _faults(contracts))
    return {
        "runs": names_of_runs(),
        "--api": apis,
        "--target": words("target", ["emulator"]),
        "--fault": faults,
        "faults --only": faults,
        "--profile": at("profiles", profiles(), "*.json"),
        "--scenario": at("scenarios", ready(), "*.toml"),
        "lint files": "file",
        "explain name": words("codes", codes()),
    }


def _faults(contracts: Iterable[Contract]) -> Iterable[str]:
    return dict.fromkeys(
        fault.name
        for contract in contracts
        for fault in (*catalogue(contract), *wire_faults(contract))
    )
