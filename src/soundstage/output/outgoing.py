"""The gate for all that leaves this process: what is on its way to a disk, a terminal, a page, a
metric or another process goes through here, and leaves its secrets behind.

One register for the whole process: whoever learns a secret hides it, whoever writes asks. Knows
nothing of where things go. Private values belong to one exchange and are taken out there
(`exchange.exchange`); they are never registered here.
"""

from __future__ import annotations

import json
import re
import threading
from collections.abc import Iterable, Mapping
from typing import Any, Final
from urllib.parse import unquote, urlsplit

from soundstage.output.redact import Redactor

#: What is shorter stands in good text, too, and cannot be told from it.
SHORTEST: Final = 8
#: The environment variable with the API key.
KEY_VARIABLE: Final = "SOUNDVERSE_API_KEY"
#: Environment variables with URLs that may hold a user's name and password.
_PROXIES: Final = (
    "https_proxy",
    "HTTPS_PROXY",
    "http_proxy",
    "HTTP_PROXY",
    "all_proxy",
    "ALL_PROXY",
)
#: A key has a digit, or two capitals in a row, or more letters in a row than a word; an ordinary
#: word has none of these.
_NO_WORD: Final = re.compile("[0-9]|[A-Z]{2}|[A-Za-z]{16}")

_lock: Final = threading.Lock()
_secrets: dict[str, None] = {}
_words: set[str] = set()
_redactor: Redactor | None = None
_over_logs = False


def hide(secrets: Iterable[str | None], *, words: Iterable[str] = ()) -> None:
    """From now on nothing leaves with one of `secrets` in it. None and what has fewer than eight
    characters is ignored. `words`: names and values that stay as they are (those of contracts);
    a secret that is one of them is ignored, too.
    """
    global _redactor
    with _lock:
        _words.update(words)
        new = {each.strip(): None for each in secrets if each and len(each.strip()) >= SHORTEST}
        new = {each: None for each in new if each not in _words}
        if new.keys() <= _secrets.keys() and not words:
            return
        _secrets.update(new)
        if _secrets:
            _redactor = Redactor(_secrets, keep_private=True, words=_words)


def hide_environment(environ: Mapping[str, str]) -> None:
    """Hide what an environment holds, used or not: the API key, unless it looks like a word (who
    knows the contracts decides then), and the user and password of proxies.
    """
    key = environ.get(KEY_VARIABLE, "")
    hide([key] if _NO_WORD.search(key) else ())
    hide(secret for name in _PROXIES for secret in in_url(environ.get(name, "")))


def in_url(url: str) -> list[str]:
    """The secrets in a URL's user information: the pair and the password, as they are written and
    as they are meant. A name alone is one, too: tokens are given so.
    """
    try:
        parts = urlsplit(url if "://" in url else f"//{url}")
        given = parts.netloc.rpartition("@")[0]
    except ValueError:
        given = url.rpartition("@")[0].rpartition("/")[2]
    if not given:
        return []
    name, colon, password = given.partition(":")
    pieces = [given, password] if colon else [name]
    return list(dict.fromkeys([*pieces, *map(unquote, pieces)]))


def known() -> list[str]:
    """The secrets that are hidden; for whoever makes a redactor of his own, and for nobody else."""
    return list(_secrets)


def may_hold(data: bytes) -> bool:
    """Whether bytes hold a secret in any coding."""
    return _redactor is not None and _redactor.may_hold(data)


def text(text: str) -> str:
    """`text` without secrets; the same object if there are none."""
    return text if _redactor is None else _redactor.text(text)


def data(data: bytes) -> bytes:
    """Bytes (UTF-8, or nearly) without secrets; the same object if there are none."""
    return data if _redactor is None else _redactor.data(data)


def part(text: str, start: int, end: int) -> str:
    """What stands in `text` from `start` to `end`, without secrets, also such as begin before or
    end behind it; at most as long. For `cutting.py`, which all others ask.
    """
    return text[start:end] if _redactor is None else _redactor.part(text, start, end)


def beginning(data: bytes, most: int) -> bytes:
    """The first `most` bytes, in the same way."""
    return data[:most] if _redactor is None else _redactor.beginning(data, most)


def document(value: Any, words: Iterable[str] = ()) -> Any:
    """A JSON value without secrets in its texts and names, at any depth; the same object if there
    are none. Numbers stay. `words`: what its format fixes; it stays as well.
    """
    redactor = _redactor
    if redactor is None or not redactor.may_hold(_as_bytes(value)):
        return value
    return redactor.knowing(words).document(value)


def over_logs() -> None:
    """From now on the records of `logging` are without secrets, with their tracebacks."""
    global _over_logs
    if _over_logs:
        return
    _over_logs = True
    import logging

    make, formatter = logging.getLogRecordFactory(), logging.Formatter()

    def record(*args: Any, **kwargs: Any) -> logging.LogRecord:
        made = make(*args, **kwargs)
        if _redactor is None:
            return made
        if made.exc_info and not made.exc_text:
            made.exc_text = text(formatter.formatException(made.exc_info))
        try:
            said = made.getMessage()
        except Exception:  # noqa: BLE001 - whoever shows it complains
            return made
        if (kept := text(said)) is not said:
            made.msg, made.args = kept, None
        return made

    logging.setLogRecordFactory(record)


def _as_bytes(value: Any) -> bytes:
    return json.dumps(value, ensure_ascii=False, default=str).encode("utf-8", "surrogatepass")
