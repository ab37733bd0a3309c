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
#: What any command may end with, beside the codes that its help tells of.
_ANY = (
    ((ExitCode.BUG,), "our bug"),
    ((ExitCode.INTERRUPTED, ExitCode.TERMINATED, ExitCode.HANGUP), "stopped by a signal"),
)


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
    both = (f"[`{option}`](index.md#options-of-every-command)" for option in cli._COMMON)
    lines += [f"All commands take {' and '.join(both)} as well.", ""]
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
        value = formatter._format_args(action, _metavar(action))
    names = action.option_strings or [value.strip("[]. ").split()[0]]
    title = ", ".join(
        f"{name} {value}".strip() if action.option_strings else name for name in names
    )
    says = re.sub(r"^\((.*)\)$", r"\1", says)
    # What begins with a value of the option, or the name of an API, stays as it is.
    begins = re.split(r"[^a-z0-9]", says)[0]
    facts = [
        escaped(sentence(says, capital=begins.isalpha() and begins not in (action.choices or ())))
    ]
    if action.choices and len(list(action.choices)) > 1:
        facts.append(f"One of {', '.join(code(each) for each in action.choices)}.")
    if action.default not in _UNSAID and "default" not in says.lower():
        facts.append(f"Default: {code(action.default)}.")
    if isinstance(action, argparse._AppendAction) and "repeatable" not in says:
        facts.append("May be given several times.")
    return item("option", title, [" ".join(filter(None, facts))])


def _metavar(action: argparse.Action) -> str:
    """What stands for its value where it names nothing itself, as argparse has it."""
    return action.dest.upper() if action.option_strings else action.dest


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
    told = re.findall(r"(?:^|, )(\d+) (.*?)(?=, \d+ |$)", said)
    rows = [(number, escaped(text)) for number, text in told]
    known = {number for number, _ in rows}
    for codes, text in _ANY:
        if left := [str(int(each)) for each in codes if str(int(each)) not in known]:
            rows.append((", ".join(left), text))
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
