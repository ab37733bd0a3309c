"""Faults of the songs that an answer tells of: the answer itself is as it should be, and no
contract forbids them. Only who listens to the song while it is made notices.
"""

from __future__ import annotations

import random
from collections.abc import Iterator
from typing import Final

from soundstage.contract import Contract
from soundstage.contract.roles import assets_of
from soundstage.generation.faults.fault import Fault
from soundstage.generation.faults.script import FaultSubject, Script, untouched

_STREAMED: Final = "stream_url"
#: The second half comes at this share of the pace at which it is played: slow enough for gaps that
#: are longer than a machine is late, at a hundred times the speed of life, too.
SECOND_HALF: Final = 1 / 12


def of_songs(contract: Contract) -> Iterator[Fault]:
    """The faults of songs that can be heard while they are made: of the first stream that makes
    some.
    """
    for endpoint in contract.of_kind("stream"):
        if any(each.role == _STREAMED for each in assets_of(contract, endpoint.name).values()):
            yield Fault(
                "wire/slow_song",
                "wire",
                endpoint.name,
                frozenset(),
                "error",
                "from half on, a song that is heard while it is made comes slower than it is heard",
                _slow,
                verdict="conforms",
                kind="any",
            )
            return


def _slow(told: FaultSubject, rng: random.Random) -> Script | None:
    del rng
    return Script(untouched(told.answer), second_half=SECOND_HALF)
