"""Which keys are fit for use: such that they can be told from everything else that is recorded."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Final

from soundstage.contract.vocabulary import is_word
from soundstage.errors import UsageError
from soundstage.exchange.budget import is_loopback

_SHORTEST: Final = 8


def doubts_about(key: str, place: str, url: str, words: Iterable[str]) -> tuple[str, ...]:
    """What speaks against a key that was found at `place`, for a target on this machine at `url`.

    A key that is short, or a word of the contract, stands in good answers too: it stays where it
    does, and so it is not kept out of bundles. Raises UsageError where the target is another
    machine. The key is never part of a message.
    """
    if len(key) < _SHORTEST:
        what = f"has fewer than {_SHORTEST} characters"
    elif is_word(key, words):
        what = "is a word of the contract"
    else:
        return ()
    doubt = f"{place}: the key {what}, and cannot be told from other text in what is recorded"
    if is_loopback(url):
        return (doubt,)
    raise UsageError(f"{doubt}; only a target on this machine may have such a key")
