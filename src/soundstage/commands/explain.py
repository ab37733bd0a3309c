"""`soundstage explain`: what a rule asks, or what a violation code means."""

from __future__ import annotations

import argparse
import difflib
from typing import TextIO

from soundstage.commands.printing import forgive_encoding, json_line
from soundstage.conformance.codes import CODES
from soundstage.contract import load_all
from soundstage.errors import UsageError

HELP = "explain a rule or a violation code"

_EXAMPLES = """examples:
  soundstage explain stage.order
  soundstage explain v6/stream/order/uploading/after/completed
  soundstage explain            # lists every code
  soundstage explain v6/stream  # lists the rules below a path
"""


def parse_args(argv: list[str]) -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        prog="soundstage explain",
        description="Explain a rule of a contract or a violation code.",
        epilog=_EXAMPLES,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("name", nargs="?", help="a code, a rule id, or the beginning of one")
    parser.add_argument("--format", choices=("text", "json"), default="text")
    return parser.parse_args(argv)


def run(args: argparse.Namespace, stdout: TextIO, stderr: TextIO) -> int:
    forgive_encoding(stdout)
    rows = _rows(args.name)
    if not rows:
        raise UsageError(f"no rule or code is called {args.name!r}{_nearest(args.name)}")
    for row in rows:
        if args.format == "json":
            print(json_line(row, stdout), file=stdout)
        elif len(rows) == 1:
            for name, value in row.items():
                if value:
                    print(f"{name + ':':<10} {value}", file=stdout)
        else:
            first, text = row.get("code") or row["rule"], row.get("meaning") or row["asks"]
            print(f"{first}\n    {text}", file=stdout)
    return 0


def _rows(name: str | None) -> list[dict[str, str]]:
    codes = [
        {"code": code.code, "meaning": code.meaning, "hint": code.hint} for code in CODES.values()
    ]
    if name is None:
        return codes
    if exact := [row for row in codes if row["code"] == name]:
        return exact
    if family := [row for row in codes if row["code"].startswith(name.rstrip(".") + ".")]:
        return family
    rules = [
        {
            "rule": rule.id,
            "asks": rule.text,
            "severity": rule.severity,
            "basis": rule.basis,
            "source": rule.source,
        }
        for contract in load_all().values()
        for rule in contract.rules
    ]
    if exact := [row for row in rules if row["rule"] == name]:
        return exact
    return [row for row in rules if row["rule"].startswith(name.rstrip("/") + "/")]


def _nearest(name: str) -> str:
    known = [*CODES, *(rule.id for contract in load_all().values() for rule in contract.rules)]
    near = difflib.get_close_matches(name, known, n=1)
    return f"; did you mean {near[0]}?" if near else "; `soundstage explain` lists the codes"
