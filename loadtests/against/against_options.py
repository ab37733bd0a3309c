"""The options of `soundstage load --against`. Imports nothing that takes long."""

from __future__ import annotations

import argparse

from soundstage.arguments import base_url, count, words
from soundstage.exchange.spawn import EMULATOR
from soundstage.reports.decision.gate_options import add_gate_options, add_look_options

#: Options that mean nothing without --against, by their name in the namespace.
_OF_COMPARISON = (
    ("gate", "--gate"),
    ("allow", "--allow"),
    ("against_args", "--against-args"),
    ("against_budget", "--against-budget"),
    ("against_key_file", "--against-key-file"),
    ("most", "--most"),
    ("every_gate", "--every-gate"),
    ("pause_at_looks", "--pause-at-looks"),
)


def add_against_options(parser: argparse.ArgumentParser) -> None:
    """Add the group of them."""
    group = parser.add_argument_group(
        "comparison",
        "Send songs until every gate against a baseline is decided, or one has failed: gates are\n"
        "looked at a few times that are named in advance, and what is in flight then is drained.\n"
        "--rate says the pace; there is no --duration.",
    )
    add = group.add_argument
    text = "a run (folder, id, pin, latest), or a URL that is asked in turn with the target; "
    text += f"`{EMULATOR}` starts one (free)"
    add("--against", type=base_url, metavar="BASELINE", help=text)
    add_gate_options(group)
    add_look_options(
        group,
        looks="look N times (default: each 1.4 times as late as the one before); without "
        "--against: stop at the first of N looks that decides every --slo",
        most="songs an arm at the most (default 1000)",
    )
    text = "send no song while a look waits for those that it needs: none is in flight then, and "
    text += "the load has gaps"
    add("--pause-at-looks", action="store_true", help=text)
    text = "compare in spite of these reasons, parted by commas (repeatable)"
    add("--allow", action="append", default=[], metavar="REASON", help=text)
    text = f"options for --against {EMULATOR}"
    add("--against-args", type=words, default="", metavar="ARGS", help=text)
    text = "billable requests that may be sent to a baseline that is a URL"
    add("--against-budget", type=count, metavar="N", help=text)
    text = "file with the API key of a baseline that is a URL (default: that of the target)"
    add("--against-key-file", metavar="FILE", help=text)


def agree(args: argparse.Namespace, parser: argparse.ArgumentParser) -> None:
    """Refuse what does not go together."""
    args.allow = frozenset(word for text in args.allow for word in text.split(",") if word)
    if args.against is None:
        for name, option in _OF_COMPARISON:
            if getattr(args, name):
                parser.error(f"{option} is for --against BASELINE")
        if args.looks is not None:
            if args.find_capacity:
                parser.error("--looks: the trials of --find-capacity stop by themselves")
            if args.users is not None:
                parser.error("--looks takes songs by their schedule: --rate, not --users")
            if args.abort_on_hopeless:
                parser.error("--looks or --abort-on-hopeless: each takes the level for itself")
        return
    for name, option in (
        ("users", "--users"),
        ("replay", "--replay"),
        ("duration", "--duration"),
        ("find_capacity", "--find-capacity"),
        ("abort_on_hopeless", "--abort-on-hopeless"),
    ):
        if getattr(args, name):
            why = "a comparison sends songs at one --rate until it is decided; --most ends it"
            parser.error(f"{option} does not go with --against: {why}")
    if args.pause_at_looks and args.processes > 1:
        parser.error("--pause-at-looks takes one process: no --processes")
    if is_live(args.against) and args.processes > 1:
        parser.error("--against a URL takes one process, which sends in pairs: no --processes")
    if not is_live(args.against) and (args.against_budget is not None or args.against_key_file):
        parser.error("--against-budget and --against-key-file are for a baseline that is a URL")
    if args.against_args and args.against != EMULATOR:
        parser.error(f"--against-args is for --against {EMULATOR}")


def is_live(baseline: str) -> bool:
    """Whether a baseline is a target that is asked, and no run that is there."""
    return baseline == EMULATOR or baseline.lower().startswith(("http://", "https://"))
