"""`soundstage explain`: what a rule asks, or what a violation code means."""

from __future__ import annotations

import argparse
import re
from collections.abc import Iterator
from typing import Any, Final, TextIO

from soundstage.arguments import Parser
from soundstage.conformance.codes import Code, codes, codes_of, rules_of
from soundstage.contract import Contract, load_sound
from soundstage.contract.rules import Rule
from soundstage.errors import UsageError
from soundstage.near_names import did_you_mean
from soundstage.output import visible
from soundstage.output.streams import json_line, say
from soundstage.output.written_files import print_document

HELP = "explain a rule or a violation code"

_EXAMPLES = """examples:
  soundstage explain stage.order
  soundstage explain v6/stream/order/uploading/after/completed
  soundstage explain            # lists every code
  soundstage explain v6/stream  # lists the rules below a path
  soundstage explain --format markdown  # as docs/reference/violations.md has them

exit codes: 0 explained, 2 no rule or code is called so
"""
#: How many rules of each API are shown for a code, where people read.
_SHOWN: Final = 3
_ACTIVE: Final = re.compile(r"[<`\[\]@|]|:(?=//)|w(?=ww\.)", re.IGNORECASE)


def parser() -> Parser:
    """The options of `soundstage explain`, before anything is parsed."""
    options = Parser(
        prog="soundstage explain",
        description="Explain a rule of a contract or a violation code.",
        epilog=_EXAMPLES,
    )
    options.add_argument("name", nargs="?", help="a code, a rule id, or the beginning of one")
    text = "markdown shows codes only"
    options.add_argument(
        "--format", choices=("text", "json", "markdown"), default="text", help=text
    )
    return options


def parse_args(argv: list[str]) -> argparse.Namespace:
    return parser().parse_args(argv)


def run(args: argparse.Namespace, stdout: TextIO, stderr: TextIO) -> int:
    sound, broken = load_sound()
    contracts = list(sound.values())
    chosen = _codes(args.name)
    rules = [] if chosen else _rules(contracts, args.name)
    for api, error in broken.items():
        if f"{args.name}/".startswith(f"{api}/"):
            raise error
        if not rules:
            say(f"soundstage explain: without {api}: {error}", stderr)
    if not chosen and not rules:
        raise UsageError(f"no rule or code is called {args.name!r}{_nearest(contracts, args.name)}")
    if args.format == "markdown":
        if not chosen:
            raise UsageError("--format markdown shows codes, not rules")
        print_document(markdown(chosen, contracts) + "\n", stdout)
    elif args.format == "json":
        for row in (
            *(_code_row(code, contracts) for code in chosen),
            *(_rule_row(contract, rule) for contract, rule in rules),
        ):
            say(json_line(row, stdout), stdout)
    elif len(chosen) == 1:
        _print_code(chosen[0], contracts, stdout)
    elif len(rules) == 1:
        row = _rule_row(*rules[0])
        for name, value in row.items():
            text = ", ".join(value) if isinstance(value, list) else value
            say(f"{name + ':':<10} {text}", stdout)
    else:
        for code in chosen:
            say(code.code, stdout)
            say(f"    {code.meaning}", stdout)
        for _, rule in rules:
            say(rule.id, stdout)
            say(f"    {rule.text}", stdout)
    return 0


def markdown(chosen: list[Code], contracts: list[Contract]) -> str:
    """Codes as a page shows them: a heading for each family, a part for each code."""
    lines: list[str] = []
    family = ""
    for code in chosen:
        if code.family != family:
            family = code.family
            lines += [f"## {family}", ""]
        lines += [f"### `{code.code}`", "", code.meaning, ""]
        lines += ["```text", *code.example.strip().splitlines(), "```", ""]
        lines += [f"- **Usual cause:** {code.cause}", f"- **What to do:** {code.hint}"]
        for contract, rules in _of_contracts(code, contracts):
            shown = "; ".join(
                f"`{_unticked(rule.id)}` ({rule.basis}, {rule.severity}: {_quoted(rule.source)})"
                for rule in rules[:_SHOWN]
            )
            lines.append(f"- **Rules of {contract.api}:** {shown}{_more(rules, '; and {} more')}")
        lines.append("")
    return visible.in_markup("\n".join(lines).rstrip())


def _unticked(text: str) -> str:
    """Text for a code span, which a backtick would end."""
    return visible.line(text).replace("`", "'")


def _quoted(text: str) -> str:
    """What a contract says, as Markdown takes literally: no element, image or link of it."""
    return _ACTIVE.sub(lambda found: f"&#{ord(found[0])};", visible.line(text))


def _print_code(code: Code, contracts: list[Contract], stdout: TextIO) -> None:
    rows = {
        "code": code.code,
        "meaning": code.meaning,
        "example": code.example.strip(),
        "cause": code.cause,
        "hint": code.hint,
    }
    for name, value in rows.items():
        label = name + ":"
        for part in value.split("\n"):
            say(f"{label:<10} {part}" if part else "", stdout)
            label = ""
    first = True
    for _, rules in _of_contracts(code, contracts):
        for rule in rules[:_SHOWN]:
            label = "rules:" if first else ""
            say(f"{label:<10} {rule.id}", stdout)
            say(f"{'':<10}     {rule.severity}, {rule.basis}: {rule.source}", stdout)
            first = False
        if more := _more(rules, "and {} more"):
            say(f"{'':<10} {more}", stdout)


def _more(rules: list[Rule], text: str) -> str:
    """How many rules are not shown, in words; "" if all are."""
    return text.format(len(rules) - _SHOWN) if len(rules) > _SHOWN else ""


def _of_contracts(code: Code, contracts: list[Contract]) -> Iterator[tuple[Contract, list[Rule]]]:
    """The contracts with rules that can give a code, and those rules."""
    for contract in contracts:
        if rules := rules_of(contract, code.code):
            yield contract, rules


def _codes(name: str | None) -> list[Code]:
    table = codes()
    if name is None:
        return list(table.values())
    if name in table:
        return [table[name]]
    return [code for code in table.values() if code.code.startswith(name.rstrip(".") + ".")]


def _rules(contracts: list[Contract], name: str) -> list[tuple[Contract, Rule]]:
    rules = [(contract, rule) for contract in contracts for rule in contract.rules]
    if exact := [row for row in rules if row[1].id == name]:
        return exact
    return [row for row in rules if row[1].id.startswith(name.rstrip("/") + "/")]


def _code_row(code: Code, contracts: list[Contract]) -> dict[str, Any]:
    return {
        "code": code.code,
        "meaning": code.meaning,
        "example": code.example.strip(),
        "cause": code.cause,
        "hint": code.hint,
        "rules": [
            {
                "rule": rule.id,
                "severity": rule.severity,
                "basis": rule.basis,
                "source": rule.source,
            }
            for _, rules in _of_contracts(code, contracts)
            for rule in rules
        ],
    }


def _rule_row(contract: Contract, rule: Rule) -> dict[str, Any]:
    return {
        "rule": rule.id,
        "asks": rule.text,
        "severity": rule.severity,
        "basis": rule.basis,
        "source": rule.source,
        "codes": list(codes_of(contract, rule)),
    }


def _nearest(contracts: list[Contract], name: str) -> str:
    known = [*codes(), *(rule.id for contract in contracts for rule in contract.rules)]
    return did_you_mean(name, known) or "; `soundstage explain` lists the codes"
