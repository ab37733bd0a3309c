"""Arrival times that were recorded: a file of seconds, one a line, or the arrivals of a bundle."""

from __future__ import annotations

import math
import os
from pathlib import Path

from soundstage.errors import UsageError
from soundstage.output.cutting import head
from soundstage.results.bundle import Bundle

#: More arrivals than this are held against nobody's memory.
MOST = 5_000_000
_LARGEST = 256 * 2**20
#: And no line is longer than this, in characters.
_LONGEST = 65_536


def read_moments(path: Path) -> list[float]:
    """The moments in a file, or those at which the requests of a run bundle were due: seconds,
    never falling, whatever their order was. Blank lines and those that begin with # say nothing.

    Raises UsageError with file, line and reason if it cannot be read as such, or holds none.
    """
    moments = _of_bundle(path) if os.path.isdir(path) else _of_file(path)
    if not moments:
        raise UsageError(f"{path}: no arrivals in it")
    return sorted(moments)


def _of_bundle(path: Path) -> list[float]:
    """Those of every request that was due, dropped ones too, counted from the run's beginning."""
    moments = []
    for row in Bundle.open(path).exchanges():
        if not row.get("probe"):
            moments.append(max(0.0, row["intended_ns"] / 1e9))
            _bounded(path, len(moments))
    return moments


def _of_file(path: Path) -> list[float]:
    moments: list[float] = []
    try:
        if path.stat().st_size > _LARGEST:
            raise UsageError(f"{path}: larger than {_LARGEST // 2**20} MiB")
        with path.open(encoding="utf-8-sig") as lines:
            for number, line in enumerate(iter(lambda: lines.readline(_LONGEST), ""), start=1):
                text = line.strip()
                if text and not text.startswith("#"):
                    moments.append(_moment(path, number, text))
                    _bounded(path, len(moments))
    except OSError as error:
        raise UsageError(f"{path}: cannot read: {error.strerror}") from error
    except UnicodeDecodeError as error:
        raise UsageError(f"{path}: not UTF-8: {error}") from error
    return moments


def _moment(path: Path, number: int, text: str) -> float:
    try:
        moment = float(text)
    except ValueError:
        moment = math.nan
    if not 0 <= moment < math.inf:
        raise UsageError(
            f"{path}:{number}: {head(text, 60)!r} is no moment: seconds since the beginning, "
            "one a line"
        )
    return moment


def _bounded(path: Path, many: int) -> None:
    if many > MOST:
        raise UsageError(f"{path}: more than {MOST:,} arrivals")
