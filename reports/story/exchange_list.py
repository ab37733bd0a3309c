"""The exchanges of a bundle that are worth a look: those that broke a rule, then those that failed,
that nobody could judge, whose bytes were kept, and the rest.
"""

from __future__ import annotations

import heapq
import re
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any, Final

from soundstage.errors import UsageError
from soundstage.near_names import did_you_mean

#: More rows are never listed, nor more ids looked through for one that was meant.
MOST: Final = 10_000
_NAMED: Final = re.compile(r"[A-Za-z._-]*0*([1-9][0-9]*)")
_FEW: Final = 5

Row = Mapping[str, Any]
#: What an exchange is listed as, the most urgent first.
STANDINGS: Final = ("violates", "failed", "inconclusive", "kept", "conforms")


@dataclass(frozen=True, slots=True)
class ListFilter:
    """Which exchanges are meant; what is None or False asks for nothing. `code`: of this violation
    code, or of one below it (`stage` is every `stage.…`).
    """

    failed: bool = False
    api: str | None = None
    endpoint: str | None = None
    code: str | None = None

    def takes(self, row: Row) -> bool:
        """Whether a row is meant."""
        if self.failed and standing(row) not in STANDINGS[:3]:
            return False
        if self.api not in (None, row["api"]) or self.endpoint not in (None, row["endpoint"]):
            return False
        code = self.code
        return code is None or any(each == code or each.startswith(f"{code}.") for each in _of(row))


@dataclass(slots=True)
class ListedExchanges:
    """The rows to show, the most urgent first, of `total` that were meant, by how they stand."""

    rows: list[Row] = field(default_factory=list)
    total: int = 0
    standings: Counter[str] = field(default_factory=Counter)


def standing(row: Row) -> str:
    """One of `STANDINGS`. A request that was made to be refused has not failed if it was."""
    if row["verdict"] == "violates":
        return "violates"
    if row["outcome"] != "ok" and not row.get("probe"):
        return "failed"
    if row["verdict"] == "inconclusive":
        return "inconclusive"
    return "kept" if row.get("transcript") else "conforms"


def listed(rows: Iterable[Row], wanted: ListFilter, limit: int) -> ListedExchanges:
    """The first `limit` of the rows that are meant, by urgency and then in order."""
    found = ListedExchanges()

    def ranked() -> Iterator[tuple[int, int, Row]]:
        for row in rows:
            if wanted.takes(row):
                how = standing(row)
                found.standings[how] += 1
                found.total += 1
                yield STANDINGS.index(how), found.total, row

    found.rows = [row for _, _, row in heapq.nsmallest(min(limit, MOST), ranked())]
    return found


def meant(rows: Iterable[Row], text: str, bundle: str) -> Row:
    """The row that a word names: an id, the beginning of one, its number, or the name of its
    transcript's file. Raises UsageError where there is none, or several.
    """
    name = text.rpartition("/")[2].removesuffix(".ndjson")
    number = _NAMED.fullmatch(name)
    begins: list[Row] = []
    numbered: list[Row] = []
    ids: list[str] = []
    for row in rows:
        own = row["id"]
        kept = str(row.get("transcript") or "").rpartition("/")[2].removesuffix(".ndjson")
        if name in (own, kept):
            return row
        if own.startswith(name) and len(begins) <= _FEW:
            begins.append(row)
        if number is not None and (its := _NAMED.fullmatch(own)) and its[1] == number[1]:
            numbered.append(row)
        if len(ids) < MOST:
            ids.append(own)
    for found in (begins, numbered):
        if len(found) == 1:
            return found[0]
        if found:
            some = ", ".join(row["id"] for row in found[:_FEW])
            more = " and more" if len(found) > _FEW else ""
            raise UsageError(f"{text}: several exchanges begin so: {some}{more}; say all of it")
    hint = did_you_mean(name, ids)
    raise UsageError(
        f"{text}: no exchange of {bundle} is called so{hint} "
        f"(`soundstage show {bundle}` lists them)"
    )


def _of(row: Row) -> Iterable[str]:
    codes: Mapping[str, int] = row["codes"]
    return codes
