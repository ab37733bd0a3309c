"""How often Python looks for rubbish in cycles, where it takes long and finds nothing."""

from __future__ import annotations

import gc
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Final

#: New objects between two looks at the young ones, and looks between two at older ones. All that
#: open streams hold is looked at each time, in vain: at Python's defaults that takes a tenth of a
#: chunk's time, and a look at all of ten thousand streams keeps everything waiting for long.
_THRESHOLDS: Final = (50_000, 20, 100)
_put_off = False


@contextmanager
def seldom() -> Iterator[None]:
    """For a process that holds thousands of streams: what is there at the beginning is not looked
    at, and what comes then is seldom. (Exchanges leave nothing to find: one that is over is gone
    with its last reference.)
    """
    before = gc.get_threshold()
    gc.collect()
    gc.freeze()
    gc.set_threshold(*_THRESHOLDS)
    try:
        yield
    finally:
        gc.set_threshold(*before)


@contextmanager
def uncollected() -> Iterator[None]:
    """Nobody looks meanwhile: for what makes a great many objects and leaves none in cycles. Each
    look goes through all that is new, or through everything: a tenth of the time in which libraries
    are imported, a fifth of that in which a million rows are read.
    """
    collecting = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if collecting:
            gc.enable()


def put_off() -> None:
    """Nobody looks until `resume`: a program begins, and of what it imports nothing is rubbish. To
    look for some takes a twentieth of a short command's time.
    """
    global _put_off
    _put_off = gc.isenabled()
    gc.disable()


def resume() -> None:
    """What has been loaded since `put_off` is not looked at again, and from now on all else is, as
    before. Does nothing where none of that was asked for.
    """
    global _put_off
    if _put_off:
        _put_off = False
        gc.freeze()
        gc.enable()
