"""Requests that are sent again with the key that they were sent with before, where a contract names
a header for one (`idempotency_key`): they get the same answer, and are charged for no second time.
"""

from __future__ import annotations

import hashlib
from collections import OrderedDict
from typing import Final, NamedTuple

from starlette.types import Scope

from soundstage.emulator.accounts.accounts import Account
from soundstage.emulator.generations.factory import SongEndpoint
from soundstage.emulator.http.asgi import header

#: So many keys are remembered, the newest, and so many bytes of one tell it.
_MOST: Final = 100_000
_LONGEST: Final = 1_000

_Known = tuple[str, str, str, bytes]


class Repeated(NamedTuple):
    """A request that came before: the `course` that it took, and whether its body is the `same`."""

    course: bytes
    same: bool


class Repeats:
    """The keys that requests came with, by account and endpoint."""

    def __init__(self) -> None:
        self._kept: OrderedDict[_Known, tuple[bytes, bytes]] = OrderedDict()

    def clear(self) -> None:
        """Forget all of them."""
        self._kept.clear()

    def of(
        self, place: SongEndpoint, account: Account, scope: Scope, raw: bytes
    ) -> Repeated | None:
        """What is known of a request with this key; None for one that has none, or a new one."""
        known = _key(place, account, scope)
        kept = self._kept.get(known) if known is not None else None
        return None if kept is None else Repeated(kept[0], kept[1] == _digest(raw))

    def keep(
        self, place: SongEndpoint, account: Account, scope: Scope, raw: bytes, course: bytes
    ) -> None:
        """Remember a request that was let in, if it has a key."""
        known = _key(place, account, scope)
        if known is None:
            return
        self._kept[known] = course, _digest(raw)
        if len(self._kept) > _MOST:
            self._kept.popitem(last=False)


def _key(place: SongEndpoint, account: Account, scope: Scope) -> _Known | None:
    name = place.endpoint.idempotency_key
    if name is None:
        return None
    value = header(scope["headers"], name.lower().encode())
    if not value:
        return None
    return account.name, place.contract.api, place.endpoint.name, value[:_LONGEST]


def _digest(raw: bytes) -> bytes:
    return hashlib.blake2b(raw, digest_size=16).digest()
