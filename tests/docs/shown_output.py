"""Whether a command printed what a page shows beneath it, and how that differs."""

from __future__ import annotations

import difflib
import functools
import re
from collections.abc import Sequence

_NUMBER = re.compile(r"\d+(?:[.,:]\d+)*(?:e-?\d+)?")
_RUN_ID = re.compile(r"\d{4}-\d\d-\d\dT\d\d-\d\d-\d\d-[a-z]+-[0-9a-f]{4}\b")
#: What is said of work under way where there is no terminal, which draws it in place and takes it
#: away: left out, unless the page shows it.
_UNDER_WAY = re.compile(
    r"soundstage [\w ]+: (.* …|the emulator listens on .*|\d[\d:]*( of \d+)? (s|min)\b.* · .*)"
)


def compared(shown: Sequence[str], output: str, numbers_vary: bool = False) -> str:
    """How what was printed differs from what a page shows, as a diff; "" if it does not."""
    printed = [line.rstrip() for line in output.splitlines()]
    wanted = [line.rstrip() for line in shown]
    if not any(map(_UNDER_WAY.fullmatch, wanted)):
        printed = [line for line in printed if not _UNDER_WAY.fullmatch(line)]
    if _matches(wanted, printed, numbers_vary):
        return ""
    # Lines that mean the same are shown as the same.
    near = [
        next((line for line in printed if _line_matches(each, line, numbers_vary)), each)
        if each != "…"
        else each
        for each in wanted
    ]
    return "\n".join(difflib.unified_diff(near, printed, "the page", "printed", lineterm=""))


def _matches(wanted: list[str], printed: list[str], numbers_vary: bool) -> bool:
    """Whether lines are as wanted, where `…` alone stands for any number of them."""
    parts: list[list[str]] = [[]]
    for line in wanted:
        if line.strip() == "…":
            parts.append([])
        else:
            parts[-1].append(line)
    first, *others = parts

    def at(place: int, part: list[str]) -> bool:
        lines = printed[place : place + len(part)]
        return len(lines) == len(part) and all(
            _line_matches(*pair, numbers_vary) for pair in zip(part, lines, strict=True)
        )

    if not others:
        return len(first) == len(printed) and at(0, first)
    if not at(0, first):
        return False
    place, last = len(first), others.pop()
    for part in others:
        while not at(place, part):
            place += 1
            if place > len(printed):
                return False
        place += len(part)
    return len(printed) - len(last) >= place and at(len(printed) - len(last), last)


def _line_matches(wanted: str, line: str, numbers_vary: bool) -> bool:
    if numbers_vary:
        wanted, line = _without_numbers(wanted), _without_numbers(line)
    return _pattern(wanted).fullmatch(line) is not None


@functools.lru_cache(4096)
def _pattern(wanted: str) -> re.Pattern[str]:
    return re.compile(".*?".join(map(re.escape, wanted.split("…"))))


@functools.lru_cache(4096)
def _without_numbers(line: str) -> str:
    """The line with one sign for each number, with its unit of time, and no columns."""
    line = _NUMBER.sub("#", _RUN_ID.sub("#", line))
    line = re.sub(r"# +(µs|ms|s|min)\b", "# s", line)
    return re.sub(r"\s+", " ", line.replace("# to # s", "# s to # s"))
