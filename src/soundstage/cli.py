"""The command line: finds the command, runs it, and turns what goes wrong into an exit code.

Statically imports no command, and nothing that commands are made of: one is imported when it is
called, so that `soundstage lint` starts without Locust, SciPy or Hypothesis.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator
from contextlib import suppress
from importlib import import_module
from typing import Any, TextIO

from soundstage.errors import SoundstageError, UsageError, environment_reason, refused
from soundstage.exit_codes import ExitCode, with_report
from soundstage.near_names import did_you_mean, sayable
from soundstage.output import outgoing, streams
from soundstage.process import contract_folders, lifeline, rubbish, signals

#: Each module has HELP, `parser()`, `parse_args(argv)` and `run(args, stdout, stderr)`, which gives
#: the exit code.
COMMANDS: dict[str, tuple[str, str]] = {
    "init": ("soundstage.commands.init", "begin: write settings, a scenario and a workflow"),
    "demo": ("soundstage.commands.demo", "show everything once, against the emulator"),
    "doctor": ("soundstage.commands.doctor", "find out, for free, why a target cannot be measured"),
    "emulate": ("soundstage.commands.emulate", "run the emulator of the API"),
    "check": ("soundstage.commands.check", "check a target against the contract"),
    "lint": ("soundstage.commands.lint", "check saved responses against the contract"),
    "record": ("soundstage.commands.record", "save the answers of a target as transcripts"),
    "load": ("soundstage.loadtests.cli", "run a load test"),
    "report": ("soundstage.reports.cli", "turn a run bundle into HTML, JUnit and Markdown"),
    "show": ("soundstage.commands.show", "show an exchange of a run, chunk by chunk"),
    "runs": ("soundstage.commands.runs", "list, tag, pin and prune the runs there have been"),
    "compare": ("soundstage.reports.compare.cli", "compare two runs: what got worse"),
    "faults": ("soundstage.commands.faults", "prove that every kind of fault is caught"),
    "schema": ("soundstage.commands.schema", "print a contract, or the schema of a file"),
    "explain": ("soundstage.commands.explain", "explain a rule or a violation code"),
    "completion": ("soundstage.commands.completion", "print a script for completion in a shell"),
}

#: Commands that load large libraries in C.
_NATIVE = frozenset({"check", "load", "compare", "report", "faults"})
#: Options that every command takes.
_COMMON = (contract_folders.OPTION, lifeline.OPTION)
#: What ended threads that nobody waits for.
_lost: list[BaseException] = []


def usage() -> str:
    """The text of `soundstage --help`."""
    width = max(map(len, COMMANDS))
    commands = "\n".join(f"  {name:<{width}}  {text}" for name, (_, text) in COMMANDS.items())
    return f"""usage: soundstage COMMAND [options]

Contract tests and load benchmarks for a staged song-generation API.

commands:
{commands}

options:
  -h, --help     show this
  -V, --version  show the version

options of every command, before it or after it:
  --schemas DIR  add the contracts in this folder (repeatable; also SOUNDSTAGE_SCHEMAS)
  {lifeline.OPTION}    stop when standard input ends: for programs that start this one

`soundstage COMMAND --help` shows the options of one, with examples.

exit codes: 0 pass, 1 contract broken, 2 wrong usage, 3 too slow, 4 inconclusive, 5 no data,
6 target or environment failed, 70 our bug, 130 interrupted, 143 terminated, 129 terminal closed
"""


def parsers() -> Iterator[tuple[str, Any]]:
    """Every command's name and the argparse parser of its options, `Parser`, which nothing has
    been parsed by: for who makes something of all options (completion, pages of reference).
    Imports all commands.
    """
    for name, (module, _) in COMMANDS.items():
        yield name, import_module(module).parser()


def main(argv: list[str] | None = None) -> int:
    """Run one command; returns its exit code (docs/reference/exit-codes.md). Without `argv` this
    is the program itself, which signals may stop and whose standard streams may go away.
    """
    if argv is not None:
        return _main(_command_first(argv))
    argv = _command_first(sys.argv[1:])
    code = _program(argv)
    if _loads_libraries(argv):
        from soundstage.process import native_exit

        if native_exit.guarded():
            native_exit.leave(code)
    return code


def _loads_libraries(argv: list[str]) -> bool:
    return bool(argv) and argv[0] in _NATIVE


def _program(argv: list[str]) -> int:
    code: int = ExitCode.BUG
    rubbish.put_off()  # until the command begins (`run`)
    try:
        signals.install()
        import_module("soundstage.commands.checking.isolation").move_in()
        if _loads_libraries(argv):
            from soundstage.process import native_exit

            native_exit.guard()
        standard = streams.guard()
        try:
            code = _main(argv)
        except SystemExit as ended:
            code = _code_of(ended)
        if _lost:
            code = with_report(code, _failed("", _lost[0], sys.stderr))
        if (why := standard.finish()) is not None:
            _say(sys.stderr, f"soundstage: standard output could not be written: {why}")
            code = with_report(code, ExitCode.ENVIRONMENT)
    except KeyboardInterrupt:
        code = signals.code()
    except MemoryError:
        code = ExitCode.ENVIRONMENT
    finally:
        signals.over()
    return int(code)


def _code_of(ended: SystemExit) -> int:
    """The argument parser ends with 0 or 2. Who else wants to end the program gives no verdict."""
    if ended.code in (None, ExitCode.PASS, ExitCode.USAGE):
        return int(ended.code or 0)
    _say(sys.stderr, f"soundstage: this is our bug, please report it: SystemExit: {ended.code}")
    return ExitCode.BUG


def _main(arguments: list[str]) -> int:
    if not arguments or arguments[0] in ("-h", "--help", "help"):
        sys.stdout.write(usage())
        return ExitCode.PASS if arguments else ExitCode.USAGE
    if arguments[0] in ("-V", "--version"):
        from soundstage import __version__

        sys.stdout.write(f"soundstage {__version__}\n")
        return ExitCode.PASS
    name = arguments[0]
    if name not in COMMANDS:
        _say(sys.stderr, f"soundstage: {_no_command(name)}")
        return ExitCode.USAGE
    return run(name, arguments[1:], sys.stdout, sys.stderr)


def _no_command(name: str) -> str:
    if name.startswith("-"):
        option = name.partition("=")[0]
        near = did_you_mean(option, ("--version", "--help", *_COMMON))
        return f"options stand behind the command: soundstage COMMAND {sayable(option)} …{near}"
    near = did_you_mean(name, COMMANDS)
    said = f"no command is called {name if near else sayable(name)!r}"
    return said + (near or f"; there are {', '.join(COMMANDS)}")


def run(name: str, argv: list[str], stdout: TextIO, stderr: TextIO) -> int:
    """Run the command `name` with its own arguments, and give its exit code. Nothing gets out
    but SystemExit from the argument parser.
    """
    try:
        stdout, stderr = streams.screen(stdout), streams.screen(stderr)
        outgoing.hide_environment(os.environ)
        argv = _taken(argv)
        command = import_module(COMMANDS[name][0])
        args = command.parse_args(argv)
        rubbish.resume()
        if "threading" in sys.modules:
            import threading

            threading.excepthook = _in_a_thread
        code: int = command.run(args, stdout, stderr)
        stdout.flush()
        return int(code)
    except SystemExit:
        raise
    except BaseException as error:  # noqa: BLE001 - the last resort
        return _failed(name, error, stderr)


def _failed(name: str, error: BaseException, stderr: TextIO) -> int:
    """Say in one line what ended a command; its exit code."""
    stopped = signals.heard() is not None
    if isinstance(error, SoundstageError):
        _say(stderr, f"{_who(name)}: {error}")
        if stopped:
            return signals.code()
        # A file that is there and cannot be read is no misuse.
        wrong = isinstance(error, UsageError) and refused(error.__cause__)
        return ExitCode.ENVIRONMENT if wrong else int(error.exit_code)
    if (why := environment_reason(error)) is not None:
        _say(stderr, f"{_who(name)}: {why}")
        return signals.code() if stopped else ExitCode.ENVIRONMENT
    if stopped or isinstance(error, KeyboardInterrupt):
        # Libraries make other exceptions of an interruption.
        _say(stderr, f"{_who(name)}: {signals.words()}")
        return signals.code()
    if os.environ.get("SOUNDSTAGE_TRACEBACK"):
        import traceback

        traceback.print_exception(error, file=stderr)
    what = f"{type(error).__name__}: {error}"
    _say(stderr, f"{_who(name)}: this is our bug, please report it: {what}")
    _say(stderr, "set SOUNDSTAGE_TRACEBACK=1 and run it again for the traceback")
    return ExitCode.BUG


def _who(name: str) -> str:
    return f"soundstage {name}".rstrip()


def _in_a_thread(ended: Any) -> None:
    if isinstance(ended.exc_value, Exception | MemoryError):
        _lost.append(ended.exc_value)


def _say(stderr: TextIO, text: str) -> None:
    with suppress(OSError, ValueError):
        streams.say(text, streams.screen(stderr), flush=True)


def _common(words: list[str]) -> tuple[list[str], list[str]]:
    """The options of every command that stand at the beginning of these words, and the rest."""
    many = 0
    while many < len(words):
        if words[many] == contract_folders.OPTION:
            many += 2
        elif words[many] == lifeline.OPTION or words[many].startswith(
            f"{contract_folders.OPTION}="
        ):
            many += 1
        else:
            break
    return words[:many], words[many:]


def _command_first(words: list[str]) -> list[str]:
    """The arguments with those options behind the command that stand before it."""
    before, rest = _common(words)
    return [*rest[:1], *before, *rest[1:]] if rest else []


def _taken(argv: list[str]) -> list[str]:
    """Take the options of every command out of the arguments, and do what they ask for."""
    kept: list[str] = []
    folders: list[str] = []
    rest = argv
    while rest:
        common, rest = _common(rest)
        words = iter(common)
        for word in words:
            if word == lifeline.OPTION:
                lifeline.hold()
            elif word == contract_folders.OPTION:
                folders.append(next(words, ""))
            else:
                folders.append(word.partition("=")[2])
        # What stands behind a "--" is nobody's option.
        many = len(rest) if rest[:1] == ["--"] else 1
        kept, rest = [*kept, *rest[:many]], rest[many:]
    contract_folders.add(folders)
    return kept
