"""What is tested: where it is, what kind of thing it is, and the key to it.

A run says in its headline whether it spoke to the live API or to an emulator, because a green run
against an emulator proves nothing about the API.
"""

from __future__ import annotations

import os
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import orjson

from soundstage.errors import TargetError, UsageError
from soundstage.exchange.budget import is_loopback
from soundstage.wire.transport import Request, Transport

KEY_VARIABLE = "SOUNDVERSE_API_KEY"
_HEALTH = "/_emulator/health"


@dataclass(frozen=True, slots=True)
class Target:
    """`url` is the base that the documented paths are appended to. `kind` is "emulator", "live"
    or "local" (something else on this machine); `about` is what an emulator says of itself.
    The key is never shown, not even by repr.
    """

    url: str
    kind: str = "local"
    key: str | None = field(default=None, repr=False)
    headers: tuple[tuple[str, str], ...] = field(default=(), repr=False)
    about: Mapping[str, Any] = field(default_factory=dict)

    def to_json(self) -> dict[str, Any]:
        """The `target` of run.json."""
        return {
            "url": self.url,
            "kind": self.kind,
            "profile": self.about.get("profile"),
            "speed": self.about.get("speed"),
            "seed": self.about.get("seed"),
        }


def read_key(key_file: str | None, environ: Mapping[str, str] = os.environ) -> str | None:
    """The API key from a file, else from SOUNDVERSE_API_KEY; None if neither is there.

    Raises UsageError for a file that cannot be read or is empty, and for a key that no header can
    carry. The key is never part of the message.
    """
    if key_file is None:
        key, place = environ.get(KEY_VARIABLE, "").strip(), KEY_VARIABLE
    else:
        place = key_file
        try:
            key = Path(key_file).read_text("utf-8").strip()
        except (OSError, UnicodeDecodeError) as error:
            raise UsageError(f"--key-file {key_file}: {error}") from error
        if not key:
            raise UsageError(f"--key-file {key_file}: the file is empty")
    if not key:
        return None
    if not (key.isascii() and key.isprintable()) or " " in key:
        raise UsageError(f"{place}: a key is one word of printable ASCII")
    return key


def find(url: str, transport: Transport, *, live_hosts: Iterable[str] = ()) -> Target:
    """Look what answers at `url`. One GET that costs nothing; not sent to `live_hosts`, which are
    live by definition.

    Raises UsageError for a URL that is none, TargetError if nothing answers there.
    """
    base = url.rstrip("/")
    parts = urlsplit(base)
    if parts.scheme not in ("http", "https") or not parts.hostname:
        raise UsageError(f"--target {url}: not an http(s) URL; try http://127.0.0.1:8000")
    if parts.username is not None or parts.query or parts.fragment:
        raise UsageError("--target: a base URL has no user, query or fragment")
    target = Target(base, "local" if is_loopback(base) else "live")
    if parts.hostname in live_hosts:
        return target
    with transport.open(Request("GET", base + _HEALTH)) as response:
        body = b"".join(read.data for read in response.reads())
        end = response.end
    if response.status is None:
        why = end.message if end is not None else "no answer"
        raise TargetError(f"{base} does not answer: {why}")
    try:
        about = orjson.loads(body) if response.status == 200 else {}
    except orjson.JSONDecodeError:
        about = {}
    if isinstance(about, dict) and about.get("emulator") == "soundstage":
        return replace(target, kind="emulator", about=about)
    return target
