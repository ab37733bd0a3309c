"""The two runs of a comparison with a target that is asked in pairs: how the base is asked, and
whether the two are comparable, before either is begun.
"""

from __future__ import annotations

import argparse
import secrets
from collections.abc import Callable, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

from soundstage.exchange.spawn import EMULATOR
from soundstage.loadtests.against.asked_comparison import AskedComparison, check_comparable
from soundstage.loadtests.run.asked_load import LoadOptions
from soundstage.loadtests.run.run_setup import facts_of
from soundstage.reports.decision.arms import Arm, run_before_it_begins
from soundstage.results.layout import free_folder, new_folder


def base_options(
    args: argparse.Namespace, options: LoadOptions, start: Callable[[list[str]], str]
) -> LoadOptions:
    """How the base is asked: as the target is, where nothing else is said. `start` starts an
    emulator with these options, and gives its URL.
    """
    started_with = None
    url = args.against
    if url == EMULATOR:
        started_with = tuple(args.against_args)
        url = start(args.against_args)
    return replace(
        options,
        target=url,
        budget=args.against_budget,
        budget_option="--against-budget",
        key_file=args.against_key_file or options.key_file,
        out=None,
        started_with=started_with,
    )


def as_pair(
    asked: AskedComparison, options: LoadOptions, beside: LoadOptions
) -> tuple[LoadOptions, LoadOptions]:
    """Both with folders and the marks of a pair; the first refuses to begin where it is not
    comparable with the other. Raises what keeps the base from beginning.
    """
    pair = secrets.token_hex(6)
    folder = Path(options.out) if options.out else new_folder("load")
    base_folder = folder.with_name(f"{folder.name}-base")
    free_folder(base_folder)
    beside = replace(beside, out=str(base_folder), pair={"id": pair, "arm": "base"})
    facts = facts_of(beside)
    base = Arm((run_before_it_begins({**facts, "id": "the base"}, asked.expected),))

    def check(candidate: Mapping[str, Any]) -> None:
        check_comparable(base, candidate, asked.expected, asked.allow)

    candidate = replace(
        options, out=str(folder), pair={"id": pair, "arm": "candidate"}, check=check
    )
    return candidate, beside
