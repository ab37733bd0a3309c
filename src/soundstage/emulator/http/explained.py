"""Says with a refusal why it came: in a header, and in its body where the contract leaves room.

A body that the documentation prints is sent to the letter. Where it prints none, the body that the
emulator makes up goes on with the reason, at the text that the contract names (`explained_at`).
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from typing import Any, Final

import orjson
from starlette.types import Scope, Send

from soundstage.contract import Contract
from soundstage.contract.json_schema.field_path import FieldPath
from soundstage.emulator.http.asgi import respond
from soundstage.emulator.http.journal import ENTRY, JournalEntry
from soundstage.emulator.http.replies import Headers, Reply
from soundstage.output import visible
from soundstage.output.cutting import cut

#: Says why a request was refused, for people.
REFUSED_HEADER: Final = b"soundstage-refused"
#: The longest reason, in characters.
LONGEST: Final = 2_000
_OWN: Final = FieldPath(("detail",))


def explained(
    contracts: Iterable[Contract], answer: Reply, why: str, *, in_body: bool = True
) -> Reply:
    """A refusal with its reason; `contracts` are those of which one may have its body."""
    if not why:
        return answer
    why = visible.line(cut(why, LONGEST))
    said = (REFUSED_HEADER, why.encode("ascii", "backslashreplace"))
    headers: Headers = [*answer.headers, said]
    body = _body(contracts, answer.body, why) if in_body else answer.body
    return replace(answer, body=body, headers=headers)


async def refuse(
    scope: Scope,
    send: Send,
    contracts: Iterable[Contract],
    answer: Reply,
    reason: str,
    why: str,
    *,
    problems: Sequence[Mapping[str, str]] = (),
    in_body: bool = True,
) -> None:
    """Send a refusal with its reason, and enter both into the journal: `reason` is the name of the
    error.
    """
    entry: JournalEntry | None = scope.get(ENTRY)
    if entry is not None:
        entry.refused(reason, why, problems)
    await respond(scope, send, explained(contracts, answer, why, in_body=in_body))


def _body(contracts: Iterable[Contract], raw: bytes, why: str) -> bytes:
    try:
        body: Any = orjson.loads(raw)
    except orjson.JSONDecodeError:
        return raw
    known = [
        error for contract in contracts for error in contract.errors.known if error.body == body
    ]
    if any(error.printed for error in known):
        return raw
    # What no contract knows is the emulator's own.
    place = known[0].explained_at if known else _OWN
    text = None if place is None else place.of(body)
    if place is None or not isinstance(text, str):
        return raw
    return orjson.dumps(place.put(body, f"{text.rstrip('. ')}: {why}"))
