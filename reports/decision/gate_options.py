"""The options that say which gates decide, how strictly, and at how many looks: those of `compare`
and of `load --against`. Imports nothing that takes long.
"""

from __future__ import annotations

import argparse

from soundstage.arguments import count
from soundstage.reports.decision.gates import ALPHA, MARGIN, RATE_MARGIN
from soundstage.target_options import TakesOptions


def share(text: str) -> float:
    """A share of `10%` or `0.1`, above 0."""
    words = text.strip()
    try:
        value = float(words.removesuffix("%")) / (100 if words.endswith("%") else 1)
    except ValueError:
        value = -1.0
    if not 0 < value <= 10:
        raise argparse.ArgumentTypeError(f"{text!r} is no share; try 10% or 0.1")
    return value


def level(text: str) -> float:
    """A chance of `5%` or `0.05`, below one half."""
    value = share(text)
    if value >= 0.5:
        raise argparse.ArgumentTypeError(f"{text!r}: less than a half")
    return value


def add_gate_options(options: TakesOptions) -> None:
    """Add those that say what is held against what."""
    add = options.add_argument
    text = "[API[.ENDPOINT].]MILESTONE.pN, error_rate or timeout_rate (repeatable; default: p50 and"
    text += " p95 of each headline milestone of the contract)"
    add("--gate", action="append", default=[], metavar="GATE", help=text)
    for name, kind, default, text in (
        ("--margin", share, MARGIN, "a quantile may be so much slower"),
        ("--rate-margin", share, RATE_MARGIN, "a rate may be so many points higher"),
        ("--alpha", level, ALPHA, "chance of a false alarm over all gates"),
    ):
        text += f" (default {default * 100:g}%%)"
        add(name, type=kind, default=default, metavar="SHARE", help=text)


def add_look_options(options: TakesOptions, *, looks: str, most: str) -> None:
    """Add those that say when gates are looked at; `looks` and `most` say what they do there."""
    add = options.add_argument
    add("--looks", type=count, metavar="N", help=looks)
    add("--most", type=count, metavar="N", help=most)
    text = "when a gate has failed, go on until every gate is decided"
    add("--every-gate", action="store_true", help=text)
