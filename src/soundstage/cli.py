"""The command line: finds the command, runs it, and turns what goes wrong into an exit code.

Statically imports nothing of ours but errors: a command is imported when it is called, so that
`soundstage lint` starts without Locust, SciPy or Hypothesis.
"""

from __future__ import annotations

import os
import sys
from importlib import import_module
from typing import TextIO

from soundstage.errors import SoundstageError, UsageError

#: Each module has HELP, `parse_args(argv)` and `run(args, stdout, stderr) -> exit code`.
COMMANDS: dict[str, tuple[str, str]] = {
    "demo": ("soundstage.commands.demo", "show everything once, against the emulator"),
    "emulate": ("soundstage.commands.emulate", "run the emulator of the API"),
    "check": ("soundstage.commands.check", "check a target against the contract"),
    "lint": ("soundstage.commands.lint", "check saved responses against the contract"),
    "record": ("soundstage.commands.record", "save the answers of a target as transcripts"),
    "load": ("soundstage.loadtests.cli", "run a load test"),
    "report": ("soundstage.reports.cli", "turn a run bundle into HTML, JUnit and Markdown"),
    "runs": ("soundstage.commands.runs", "list, tag, pin and prune the runs there have been"),
    "compare": ("soundstage.reports.compare_cli", "compare two runs: what got worse"),
    "faults": ("soundstage.commands.faults", "prove that every kind of fault is caught"),
    "schema": ("soundstage.commands.schema", "print a contract: OpenAPI, JSON Schema, diagram"),
    "explain": ("soundstage.commands.explain", "explain a rule or a violation code"),
}

INTERRUPTED = 130
_SCHEMAS = "SOUNDSTAGE_SCHEMAS"
OUR_BUG = 70


def usage() -> str:
    """The text of `soundstage --help`."""
    width = max(map(len, COMMANDS))
    commands = "\n".join(f"  {name:<{width}}  {text}" for name, (_, text) in COMMANDS.items())
    return f"""usage: soundstage COMMAND [options]

Contract tests and load benchmarks for a staged song-generation API.

commands:
{commands}

options of every command:
  --schemas DIR  add the contracts in this folder (repeatable; also SOUNDSTAGE_SCHEMAS)

`soundstage COMMAND --help` shows the options of one, with examples.

exit codes: 0 pass, 1 contract broken, 2 wrong usage, 3 too slow, 4 inconclusive, 5 no data,
6 target or environment failed, 70 our bug, 130 interrupted
"""


def main(argv: list[str] | None = None) -> int:
    """Run one command; returns its exit code (README, "Exit codes")."""
    if argv is None:
        import_module("soundstage.commands.house").move_in()
    arguments = sys.argv[1:] if argv is None else argv
    if not arguments or arguments[0] in ("-h", "--help", "help"):
        sys.stdout.write(usage())
        return 0 if arguments else 2
    if arguments[0] in ("-V", "--version"):
        from soundstage import __version__

        sys.stdout.write(f"soundstage {__version__}\n")
        return 0
    name = arguments[0]
    if name not in COMMANDS:
        known = ", ".join(COMMANDS)
        sys.stderr.write(f"soundstage: no command is called {name!r}; there are {known}\n")
        return 2
    return run(name, arguments[1:], sys.stdout, sys.stderr)


def run(name: str, argv: list[str], stdout: TextIO, stderr: TextIO) -> int:
    """Run the command `name` with its own arguments, and give its exit code. Nothing gets out
    but SystemExit from the argument parser.
    """
    try:
        argv = _add_schemas(argv)
        command = import_module(COMMANDS[name][0])
        code: int = command.run(command.parse_args(argv), stdout, stderr)
        stdout.flush()
        return code
    except SoundstageError as error:
        print(f"soundstage {name}: {error}", file=stderr)
        return error.exit_code
    except KeyboardInterrupt:
        print(f"soundstage {name}: interrupted", file=stderr)
        return INTERRUPTED
    except BrokenPipeError:
        # The reader went away (`| head`); keep Python from complaining about it at exit.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 0
    except Exception as error:  # the last resort; it says that it is our bug
        if os.environ.get("SOUNDSTAGE_TRACEBACK"):
            raise
        print(
            f"soundstage {name}: this is our bug, please report it: "
            f"{type(error).__name__}: {error}\n"
            "set SOUNDSTAGE_TRACEBACK=1 and run it again for the traceback",
            file=stderr,
        )
        return OUR_BUG


def _add_schemas(argv: list[str]) -> list[str]:
    """Take `--schemas DIR` out of the arguments and put it where every process of this run finds
    it: contracts are read by the command, by its workers and by an emulator that it starts.
    """
    kept, folders = [], []
    words = iter(argv)
    for word in words:
        if word == "--schemas":
            folders.append(next(words, ""))
        elif word.startswith("--schemas="):
            folders.append(word.removeprefix("--schemas="))
        else:
            kept.append(word)
    for folder in folders:
        if not os.path.isdir(folder):
            raise UsageError(f"--schemas {folder}: no such folder")
    if folders:
        before = os.environ.get(_SCHEMAS)
        absolute = [os.path.abspath(folder) for folder in folders]
        os.environ[_SCHEMAS] = os.pathsep.join([*absolute, *([before] if before else [])])
    return kept
