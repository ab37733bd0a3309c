"""What the reference says of a command: usage, options, examples, exit codes, environment, from
its parser.
"""

from __future__ import annotations

import argparse
import os
import re
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from unittest.mock import patch

from markdown_words import code, escaped, fenced, item, sentence, table

from soundstage import cli
from soundstage.exit_codes import ExitCode

_ENVIRONMENT = Path(__file__).parents[1] / "reference/environment.md"
_CODES = re.compile(r"^exit codes: (.*?)\.?(?=\n\n|\n[A-Z]|\Z)", re.MULTILINE | re.DOTALL)
_EXAMPLES = re.compile(r"^examples:\n(.*?)(?=\n\n|\Z)", re.MULTILINE | re.DOTALL)
#: Defaults that are none.
_UNSAID = (None, argparse.SUPPRESS, False, [], (), "")
#: What every exit code means.
MEANINGS = {
    ExitCode.PASS: "pass",
    ExitCode.BROKEN: "contract broken",
    ExitCode.USAGE: "wrong usage or configuration",
    ExitCode.SLOW: "too slow: an SLO missed, or a regression",
    ExitCode.INCONCLUSIVE: "inconclusive",
    ExitCode.NO_DATA: "no data",
    ExitCode.ENVIRONMENT: "target or environment failed",
    ExitCode.BUG: "our bug",
    ExitCode.INTERRUPTED: "stopped by SIGINT (Ctrl-C)",
    ExitCode.TERMINATED: "stopped by SIGTERM",
    ExitCode.HANGUP: "stopped by SIGHUP (the terminal was closed)",
}


@cache
def _parsers() -> dict[str, argparse.ArgumentParser]:
    return dict(cli.parsers())


def of_command(name: str) -> str:
    """All that the parser of a command says."""
    parser = _parsers()[name]
    epilog = parser.epilog or ""
    lines = ["## Usage", "", *_usage(parser), *escaped_lines(parser.description or ""), ""]
    lines += ["## Options", "", *_options(parser, "###")]
    for action, each in _actions(parser):
        lines += [f"### {name} {action}", "", *_usage(each), sentence(each.description or ""), ""]
        lines += _options(each, None)
    lines += [
        "All commands take [`--schemas`](index.md#options-of-every-command) and "
        "[`--until-eof`](index.md#options-of-every-command) as well.",
        "",
    ]
    if examples := _EXAMPLES.search(epilog):
        lines += ["## Examples", "", *fenced(_dedented(examples[1]))]
    rest = _CODES.sub("", _EXAMPLES.sub("", epilog)).strip()
    if rest:
        lines += ["## More", "", *_prose(rest)]
    lines += ["## Exit codes", "", *_exit_codes(epilog), "## Environment", "", *_environment(name)]
    return "\n".join(lines)


def of_all() -> str:
    """Every command with what it does."""
    rows = [(f"[`{name}`]({name}.md)", escaped(text)) for name, (_, text) in cli.COMMANDS.items()]
    return "\n".join(table(("command", "what it does"), rows, "plain"))


def of_exit_codes() -> str:
    """Every exit code."""
    rows = [(str(int(each)), MEANINGS[each]) for each in ExitCode]
    return "\n".join(table(("code", "meaning"), rows, "plain"))


def escaped_lines(text: str) -> list[str]:
    return [escaped(line) for line in text.splitlines()]


def _actions(parser: argparse.ArgumentParser) -> Iterator[tuple[str, argparse.ArgumentParser]]:
    for action in parser._actions:
        if isinstance(action, argparse._SubParsersAction):
            yield from action.choices.items()


def _usage(parser: argparse.ArgumentParser) -> list[str]:
    with patch.dict(os.environ, {"COLUMNS": "80", "NO_COLOR": "1"}):
        return fenced(parser.format_usage().removeprefix("usage: ").replace("\n" + " " * 7, "\n"))


def _options(parser: argparse.ArgumentParser, heading: str | None) -> list[str]:
    lines = [f"```{{program}} {parser.prog}", "```", ""]
    for group in parser._action_groups:
        shown = [
            action
            for action in group._group_actions
            if action.help != argparse.SUPPRESS
            and not isinstance(action, argparse._SubParsersAction | argparse._HelpAction)
        ]
        if not shown:
            continue
        if heading is not None:
            lines += [f"{heading} {sentence(group.title or '').rstrip('.')}", ""]
        lines += [*escaped_lines(group.description or ""), ""]
        for action in shown:
            lines += option(parser, action)
    return lines


def option(parser: argparse.ArgumentParser, action: argparse.Action) -> list[str]:
    """One option, as the directive `option` of Sphinx."""
    formatter = parser._get_formatter()
    says = formatter._expand_help(action) if action.help else ""
    value = ""
    if action.nargs != 0:
        value = formatter._format_args(action, action.dest.upper())
    names = action.option_strings or [value.strip("[]. ").split()[0]]
    title = ", ".join(f"{name} {value}".strip() if action.option_strings else name for name in names)
    # What begins with a value of the option stays as it is.
    begins = re.split(r"[^a-z]", says)[0]
    facts = [escaped(says if begins in (action.choices or ("", "v")) else sentence(says))]
    if action.choices and len(list(action.choices)) > 1:
        facts.append(f"One of {', '.join(code(each) for each in action.choices)}.")
    if action.default not in _UNSAID and "default" not in says.lower():
        facts.append(f"Default: {code(action.default)}.")
    if isinstance(action, argparse._AppendAction) and "repeatable" not in says:
        facts.append("May be given several times.")
    return item("option", title, [" ".join(filter(None, facts))])


def _dedented(text: str) -> str:
    return "\n".join(line.removeprefix("  ") for line in text.splitlines())


def _prose(text: str) -> list[str]:
    """Paragraphs of a help; of one with lines set in, these as they stand."""
    lines: list[str] = []
    for paragraph in re.split(r"\n\n+", text):
        before, _, indented = paragraph.partition("\n  ")
        if paragraph.startswith("  "):
            before, indented = "", paragraph
        lines += [*escaped_lines(before), ""]
        if indented:
            block = re.split(r"\n(?! )", "  " + indented, maxsplit=1)
            lines += fenced(_dedented(block[0]))
            lines += [*escaped_lines("".join(block[1:])), ""]
    return lines


def _exit_codes(epilog: str) -> list[str]:
    found = _CODES.search(epilog)
    said = " ".join(found[1].split()) if found else ""
    rows = []
    for number, text in re.findall(r"(?:^|, )(\d+) (.*?)(?=, \d+ |$)", said):
        rows.append((number, escaped(text)))
    known = {number for number, _ in rows}
    rows += [
        (str(int(each)), MEANINGS[each])
        for each in ExitCode
        if each >= ExitCode.BUG and str(int(each)) not in known
    ]
    link = "Which of several is given: [exit codes](../exit-codes.md)."
    return [*table(("code", "meaning"), rows, "plain"), link, ""]


def _environment(name: str) -> list[str]:
    """The rows of environment.md that speak of a command."""
    rows = []
    for line in _ENVIRONMENT.read_text("utf-8").splitlines():
        cells = [cell.strip() for cell in line.strip("|").split("|")]
        if line.startswith("| `") and (cells[1] == "all" or f"`{name}`" in cells[1]):
            rows.append((cells[0], re.sub(r"\]\((?=[a-z])", "](../", cells[2])))
    return table(("variable", "what it does"), rows)
