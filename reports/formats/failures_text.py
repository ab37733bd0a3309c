"""Why exchanges failed, in lines for a terminal."""

from __future__ import annotations

import shlex
from typing import TextIO

from soundstage.output.streams import say
from soundstage.reports.run.failures import Failure, Failures
from soundstage.reports.run.findings import Report
from soundstage.reports.run.wall_clock import ZONE, WallClock, wall_clock
from soundstage.reports.words import percent, place_words, plural

#: Kinds that a terminal shows; the page has more of them.
_SHOWN = 10


def print_failures(report: Report, failed: Failures, stdout: TextIO) -> None:
    """A line for each kind of failure: how many, where, when, and one to look at."""
    if failed.total:
        many = f"{failed.total:,} of {plural(failed.of, 'exchange')}"
        say(f"failures: {many} ({percent(failed.total, failed.of)}), times in {ZONE}", stdout)
    elif failed.kinds:
        say(f"failures: none; times in {ZONE}", stdout)
    shown, clock = failed.kinds[:_SHOWN], wall_clock(report.run)
    places = [place_words(each.api, each.endpoint) for each in shown]
    names = [_name(each) for each in shown]
    for each, place, name in zip(shown, places, names, strict=True):
        columns = f"{place:<{max(map(len, places))}}  {name:<{max(map(len, names))}}"
        say(f"  {each.count:>6,} {each.share:>6}  {columns}  {_when(each, clock)}", stdout)
    more = failed.more + len(failed.kinds) - len(shown)
    if more:
        say(f"  and {plural(more, 'more kind')}", stdout)
    if failed.unknown:
        say(f"  {failed.unknown:,} of these were cut by Soundstage: not known, no failure", stdout)
    if failed.warmup:
        say(f"  {plural(failed.warmup, 'exchange')} failed during the warm-up", stdout)
    if failed.example:
        place = shlex.quote(report.folder or report.run["id"])
        say(f"  to read one chunk by chunk: soundstage show {place} {failed.example}", stdout)


def _name(each: Failure) -> str:
    return f"{each.title} ({each.reason})" if each.reason else each.title


def _when(each: Failure, clock: WallClock) -> str:
    first = f"{clock.at(each.first)} ({each.first:,.1f} s)"
    if each.count == 1:
        return f"at {first}, {each.example}"
    return f"{first} to {clock.at(each.last)} ({each.last:,.1f} s), {each.example}"
