"""What was received, and what came of it: the newest requests, for people who debug a client."""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass
from itertools import islice, takewhile
from typing import Any, Final

from soundstage.output.cutting import beginning, cut, head

#: Where a request's scope has its entry.
ENTRY: Final = "soundstage.entry"

#: How many entries are kept.
KEPT: Final = 10_000
#: How much of a body is kept, in bytes.
BODY_KEPT: Final = 4096
_PATH_KEPT: Final = 2048
_WHY_KEPT: Final = 1000


@dataclass(slots=True, eq=False)
class JournalEntry:
    """One request. `account` is the digest of its key, None where it had none that is accepted;
    `status` None while nothing was answered yet. `chunks` and `seconds` are how many chunks were
    sent and how long the answer took, None while it is under way. Of a refusal `reason` is the name
    of the error, `why` says it in words, and `problems` are the fields that are wrong, each with
    `field` (a JSON pointer), `expected` and `found`. `fault`: what was put into the answer.
    """

    id: int
    time: float
    method: str
    path: str
    api: str | None = None
    endpoint: str | None = None
    account: str | None = None
    body: bytes = b""
    body_bytes: int = 0
    status: int | None = None
    reason: str | None = None
    why: str | None = None
    problems: tuple[Mapping[str, str], ...] = ()
    fault: str | None = None
    message_id: str | None = None
    chunks: int | None = None
    seconds: float | None = None

    def received(self, body: bytes) -> None:
        """Note the body, as much of it as is kept."""
        self.body, self.body_bytes = beginning(body, BODY_KEPT), len(body)

    def refused(self, reason: str, why: str, problems: Iterable[Mapping[str, str]] = ()) -> None:
        """Note why it was refused, as much of it as is kept."""
        self.reason, self.why = reason, cut(why, _WHY_KEPT)
        self.problems = tuple(problems)

    @property
    def failed(self) -> bool:
        """Whether it was refused, or answered with an error."""
        return self.status is not None and self.status >= 400

    def meets(self, filters: dict[str, Any]) -> bool:
        """Whether it has all these values. A path that ends in `*` stands for all that begin so."""
        for name, value in filters.items():
            mine = getattr(self, name)
            if name == "path" and value.endswith("*"):
                if not mine.startswith(value[:-1]):
                    return False
            elif mine != value:
                return False
        return True


class Journal:
    """The newest `KEPT` entries."""

    def __init__(self) -> None:
        self._entries: deque[JournalEntry] = deque(maxlen=KEPT)
        self._last_id = 0

    def begin(self, method: str, path: str) -> JournalEntry:
        """Enter a request that has come in. Its id is the moment, in nanoseconds since 1970, so
        that ids go on growing when an emulator is started again.
        """
        now = time.time_ns()
        self._last_id = max(now, self._last_id + 1)
        entry = JournalEntry(self._last_id, now / 1e9, method, head(path, _PATH_KEPT, end=""))
        self._entries.append(entry)
        return entry

    def read(
        self, filters: dict[str, Any], since: int = 0, limit: int = 100
    ) -> list[dict[str, Any]]:
        """The newest entries that have all these values (`JournalEntry.meets`), in the order in
        which they came; `since` is the id after which they begin.
        """
        since_then = takewhile(lambda entry: entry.id > since, reversed(self._entries))
        found = (entry for entry in since_then if entry.meets(filters))
        return [_shown(entry) for entry in reversed(list(islice(found, limit)))]

    def clear(self) -> None:
        """Forget all entries."""
        self._entries.clear()


def _shown(entry: JournalEntry) -> dict[str, Any]:
    row = asdict(entry)
    # The id is more than the 53 bits that other readers of JSON keep of a number.
    row["id"] = str(entry.id)
    row["body"] = entry.body.decode("utf-8", "replace")
    row["body_cut"] = entry.body_bytes > BODY_KEPT
    return row
