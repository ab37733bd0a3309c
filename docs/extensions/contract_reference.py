"""What the reference says of contracts: violation codes, and the rules of each API version."""

from __future__ import annotations

from itertools import groupby

from markdown_words import code, escaped, item

from soundstage.commands import explain
from soundstage.conformance.codes import codes, codes_of
from soundstage.contract import load, load_all
from soundstage.contract.rules import Rule

_PAGE = "../violations.md"


def of_codes() -> str:
    """What `soundstage explain --format markdown` prints."""
    return explain.markdown(list(codes().values()), list(load_all().values())) + "\n"


def of_rules(api: str) -> str:
    """The rules of an API version, by endpoint and by what they are about."""
    contract = load(api)
    lines = [f"{len(contract.rules)} rules.", ""]
    for endpoint, of_endpoint in groupby(contract.rules, lambda rule: _part(rule, 1)):
        lines += [f"## {endpoint}", ""]
        for about, rules in groupby(of_endpoint, lambda rule: _part(rule, 2)):
            lines += [f"### {endpoint}: {about}", ""]
            for rule in rules:
                given = ", ".join(
                    f"[{code(each)}]({_PAGE}#{each.replace('.', '')})"
                    for each in codes_of(contract, rule)
                )
                facts = f"{rule.severity}, {rule.basis}: {escaped(rule.source)}"
                lines += item("rule", rule.id, [escaped(rule.text), "", f"{facts}. Gives {given}."])
    return "\n".join(lines)


def _part(rule: Rule, number: int) -> str:
    return rule.id.split("/")[number]
