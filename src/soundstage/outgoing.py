"""Secrets of this process, and what leaves it without them."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from soundstage.wire.redact import Redactor

_secrets: set[str] = set()
_words: set[str] = set()
_redactor: Redactor | None = None


def hide(secrets: Iterable[str], *, words: Iterable[str] = ()) -> None:
    """Keep these out of all that leaves this process from now on; `words` stay all the same."""
    global _redactor
    _secrets.update(secrets)
    _words.update(words)
    _redactor = Redactor(_secrets, keep_private=True, words=_words)


def text(text: str) -> str:
    """The text without secrets; the same object where there are none."""
    return text if _redactor is None else _redactor.text(text)


def data(data: bytes) -> bytes:
    """The same for bytes."""
    return data if _redactor is None else _redactor.data(data)


def document(value: Any) -> Any:
    """The same for a JSON value."""
    return value if _redactor is None else _redactor.body(value)
