"""The generations that can be looked up, by any of the workers.

A generation lives as an object in the worker that tells it, and as a row of the shared database
for everybody else: from the row it is restored when somebody asks, also when the worker that told
it is gone. The newest are remembered, and all that still run.
"""

from __future__ import annotations

import time
from collections import OrderedDict
from collections.abc import Iterator, Mapping
from typing import Any, Final

import orjson

from soundstage.contract import Contract
from soundstage.emulator.generations import Generation
from soundstage.emulator.state import State

#: Beyond this many, or so many bytes of rows, the oldest that have ended are forgotten: a song has
#: some 6 KB, but as much as somebody sends of lyrics.
REMEMBERED: Final = 10_000
REMEMBERED_BYTES: Final = 256 * 2**20
#: Bytes of chunks that are being told, all together: there is no room for more.
TOLD_BYTES: Final = 256 * 2**20
_PRUNED_AFTER: Final = 500
_PRUNED_AFTER_BYTES: Final = 16 * 2**20
#: Restored generations that are kept at hand: whoever plays a song asks for it often.
_AT_HAND: Final = 64


class Store:
    """Generations by message id."""

    def __init__(
        self,
        state: State,
        contracts: Mapping[str, Contract],
        remembered: int = REMEMBERED,
        remembered_bytes: int = REMEMBERED_BYTES,
        told_bytes: int = TOLD_BYTES,
    ) -> None:
        self._run = state.run
        self._contracts = contracts
        self._remembered = remembered
        self._remembered_bytes = remembered_bytes
        self._most_told_bytes = told_bytes
        self._added = self._added_bytes = self._told_bytes = 0
        self._told: dict[int, Generation] = {}
        self._at_hand: OrderedDict[int, Generation] = OrderedDict()

    def has_room(self, generation: Generation) -> bool:
        """Whether one more can be told beside those that are."""
        return self._told_bytes + _size(generation) <= self._most_told_bytes

    def add(
        self, row: int, generation: Generation, number: int, endpoint: str, account: str
    ) -> None:
        """Keep a generation that is about to be told, in a row that nobody has. Within the caller's
        transaction, so that it is there if and only if its price is held.
        """
        steps = [tuple(step) for step in generation.steps]
        course = orjson.dumps({"steps": steps, "schedule": generation.schedule})
        facts = orjson.dumps(generation.record())
        self._run(
            "INSERT OR REPLACE INTO generations (id, message_id, number, api, endpoint, account,"
            " time, started, ends, last, course, facts)"
            " VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)",
            (
                row,
                generation.story.message_id,
                number,
                generation.contract.api,
                endpoint,
                account,
                time.time(),
                generation.started,
                generation.end,
                generation.steps[-1].stage if generation.steps else "",
                course,
                facts,
            ),
        )
        self._told[row] = generation
        self._told_bytes += _size(generation)
        self._added += 1
        self._added_bytes += len(course) + len(facts)

    def leave(self, row: int) -> None:
        """Nobody is told of a generation any more: let go of the object."""
        if (generation := self._told.pop(row, None)) is not None:
            self._told_bytes -= _size(generation)

    def get(self, message_id: str) -> Generation | None:
        """A generation, told by this worker or by another; None if there is none."""
        found = self._run(
            "SELECT id FROM generations WHERE message_id = ?", (message_id,)
        ).fetchone()
        if found is None:
            return None
        row = found[0]
        near = self._told.get(row) or self._at_hand.get(row)
        return near if near is not None else self._restored(row)

    def _restored(self, row: int) -> Generation | None:
        query = "SELECT api, started, course, facts FROM generations WHERE id = ?"
        found = self._run(query, (row,)).fetchone()
        contract = None if found is None else self._contracts.get(found[0])
        if contract is None:
            return None
        course = orjson.loads(found[2])
        generation = Generation.from_record(
            contract, orjson.loads(found[3]), course["steps"], course["schedule"], found[1]
        )
        self._at_hand[row] = generation
        if len(self._at_hand) > _AT_HAND:
            self._at_hand.popitem(last=False)
        return generation

    def prune(self, now: float) -> None:
        """Forget the oldest that have ended, if there are too many. To be called now and then: it
        looks only when many were added.
        """
        if self._added >= _PRUNED_AFTER:
            self._added = 0
            last = self._run(
                "SELECT ends FROM generations ORDER BY ends DESC LIMIT 1 OFFSET ?",
                (self._remembered,),
            ).fetchone()
            if last is not None:
                self._run("DELETE FROM generations WHERE ends <= ?", (min(last[0], now),))
        if self._added_bytes >= _PRUNED_AFTER_BYTES:
            self._added_bytes = 0
            last = self._run(_TOO_LARGE, (self._remembered_bytes,)).fetchone()
            if last is not None:
                self._run("DELETE FROM generations WHERE ends <= ?", (min(last[0], now),))

    def clear(self) -> None:
        """Forget the objects too, once the rows are gone."""
        self._told.clear()
        self._told_bytes = 0
        self._at_hand.clear()

    def __len__(self) -> int:
        return int(self._run("SELECT COUNT(*) FROM generations").fetchone()[0])

    # --- looking around ---------------------------------------------------------------------------

    def ended(self, now: float) -> dict[str, int]:
        """How many have ended, by the stage of their last chunk."""
        query = "SELECT last, COUNT(*) FROM generations WHERE ends <= ? GROUP BY last ORDER BY last"
        return dict(self._run(query, (now,)).fetchall())

    def running(self, now: float, after: int, many: int) -> list[tuple[int, str]]:
        """The rows of up to so many that still run, from after a row on, with the stage of each:
        `queued` before its first chunk.
        """
        query = (
            "SELECT id, started, course FROM generations WHERE ends > ? AND id > ?"
            " ORDER BY id LIMIT ?"
        )
        return [
            (row, _stage(orjson.loads(course), started, now))
            for row, started, course in self._run(query, (now, after, many))
        ]

    def latest(self, limit: int, **only: str) -> Iterator[tuple[Mapping[str, Any], Generation]]:
        """The newest generations first, each with the facts of its row; `only` may name the value
        of `api`, `endpoint` or `account`.
        """
        names = ("id", "number", "api", "endpoint", "account", "time")
        where = " AND ".join(["1 = 1", *(f"{name} = ?" for name in only)])
        query = f"SELECT {', '.join(names)} FROM generations WHERE {where} ORDER BY id DESC LIMIT ?"
        for values in self._run(query, (*only.values(), limit)).fetchall():
            facts = dict(zip(names, values, strict=True))
            row = facts["id"]
            near = self._told.get(row) or self._at_hand.get(row) or self._restored(row)
            if near is not None:
                yield facts, near


#: The newest of those that are too much, from the newest on.
_TOO_LARGE: Final = """
SELECT ends FROM (
    SELECT ends, SUM(length(course) + length(facts)) OVER (ORDER BY ends DESC, id DESC) AS bytes
    FROM generations
) WHERE bytes > ? ORDER BY ends DESC LIMIT 1
"""


def _size(generation: Generation) -> int:
    return sum(map(len, generation.chunks))


def _stage(course: Mapping[str, Any], started: float, now: float) -> str:
    stage = "queued"
    for step, due in zip(course["steps"], course["schedule"], strict=True):
        if started + due > now:
            break
        stage = step[0]
    return str(stage)
