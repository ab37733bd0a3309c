"""What is tested: where it is, what kind of thing it is, and the key to it.

A run says in its headline whether it spoke to the live API or to an emulator, because a green run
against an emulator proves nothing about the API.
"""

from __future__ import annotations

import os
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, Final
from urllib.parse import urlsplit

import orjson

from soundstage.errors import TargetError, UsageError
from soundstage.exchange.budget import is_loopback
from soundstage.output.outgoing import KEY_VARIABLE
from soundstage.output.redact import Redactor
from soundstage.untrusted.strange_files import read_named
from soundstage.wire.end import EndKind
from soundstage.wire.transport import Limits, Request, Transport

_LARGEST_KEY_FILE = 64 * 2**10
#: What is no name of a file: a word of letters and digits, without a dot or a slash.
_LIKE_A_KEY = re.compile(r"(?=.*[0-9])[A-Za-z0-9_+=-]{16,}")
#: Where an emulator says that it is one.
HEALTH: Final = "/_emulator/health"
#: What the question whether a target is an emulator may take at most: seconds in all, and bytes.
_ASKED_S = 2.0
_ANSWER_BYTES = 64 * 2**10
#: How it ends where nobody is there to be asked anything. Whatever else comes, or does not come in
#: time, only means that it is no emulator.
_NOBODY = (EndKind.REFUSED, EndKind.UNREACHABLE, EndKind.TLS)
#: What an emulator says of itself, and of which kind each is.
_ABOUT: dict[str, tuple[type, ...]] = {
    "profile": (str,),
    "speed": (int, float),
    "seed": (int, str),
    "charges": (int,),
    "takes_no_time": (bool,),
    "work": (dict,),
    "asked": (dict,),
    "charged": (dict,),
}


@dataclass(frozen=True, slots=True)
class Target:
    """`url` is the base that the documented paths are appended to. `kind` is "emulator", "live"
    or "local" (something else on this machine); `about` is what an emulator says of itself.
    `rehearsal`: it is treated as if it were the live API, and is not. The key is never shown, not
    even by repr.
    """

    url: str
    kind: str = "local"
    key: str | None = field(default=None, repr=False)
    headers: tuple[tuple[str, str], ...] = field(default=(), repr=False)
    about: Mapping[str, Any] = field(default_factory=dict)
    rehearsal: bool = False

    @property
    def as_live(self) -> bool:
        """Whether it is the live API, as far as can be told, or treated as it is."""
        return self.kind == "live" or self.rehearsal

    @property
    def second_s(self) -> float:
        """How long what takes a second at the API takes here, in seconds: emulators may be faster,
        up to one that takes no time.
        """
        if self.about.get("takes_no_time"):
            return 0.0
        return 1.0 / max(1.0, float(self.about.get("speed", 1.0)))

    def work_s(self, api: str) -> float | None:
        """How long all stages of an API version that take time take here, in seconds, as far as an
        emulator says so: 0 where its profile says how long the whole takes, and not how long its
        stages do.
        """
        said = self.about.get("work", {}).get(api)
        known = isinstance(said, int | float) and not isinstance(said, bool)
        return float(said) if known else None

    def to_json(self) -> dict[str, Any]:
        """The `target` of run.json."""
        return {
            "url": self.url,
            "kind": self.kind,
            **({"rehearsal": True} if self.rehearsal else {}),
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
            key = read_named(Path(key_file), most=_LARGEST_KEY_FILE).decode().strip()
        except FileNotFoundError as error:
            if _LIKE_A_KEY.fullmatch(key_file):
                raise UsageError(
                    "--key-file: there is no such file; it takes the name of a file, not the key"
                ) from None
            raise UsageError(f"--key-file {key_file}: no such file") from error
        except OSError as error:
            raise UsageError(f"--key-file {key_file}: {error.strerror or error}") from error
        except ValueError as error:
            raise UsageError(f"--key-file {key_file}: {error}") from error
        except UsageError as error:
            raise UsageError(f"--key-file {error}") from error
        if not key:
            raise UsageError(f"--key-file {key_file}: the file is empty")
    if not key:
        return None
    if not (key.isascii() and key.isprintable()) or " " in key:
        raise UsageError(f"{place}: a key is one word of printable ASCII")
    return key


def find(url: str, transport: Transport, *, live_hosts: Iterable[str] = ()) -> Target:
    """Look what answers at `url`. One GET that costs nothing and carries no key, of 2 s and 64 KiB
    at the most; not sent to `live_hosts`, which are live by definition.

    Raises UsageError for a URL that is none, TargetError if nobody is there.
    """
    target = at(url)
    base = target.url
    if (urlsplit(base).hostname or "") in live_hosts:
        return target
    with _brief(transport).open(Request("GET", base + HEALTH)) as response:
        body = b"".join(read.data for read in response.reads())
        end = response.end
    if end is not None and end.kind in _NOBODY:
        raise TargetError(f"{base} does not answer: {end.message}")
    whole = end is not None and end.fault_of is None
    about = about_emulator(body) if response.status == 200 and whole else None
    return target if about is None else replace(target, kind="emulator", about=about)


def at(url: str) -> Target:
    """A base URL as a target, before anybody has looked what answers there. Raises UsageError for a
    URL that is none.
    """
    base = url.rstrip("/")
    shown = Redactor().url(url)
    try:
        parts = urlsplit(base)
    except ValueError as error:
        raise UsageError(f"--target {shown}: not a URL: {error}") from error
    if parts.scheme not in ("http", "https") or not parts.hostname:
        raise UsageError(f"--target {shown}: not an http(s) URL; try http://127.0.0.1:8000")
    if parts.username is not None or parts.query or parts.fragment:
        raise UsageError("--target: a base URL has no user, query or fragment")
    return Target(base, "local" if is_loopback(base) else "live")


def _brief(transport: Transport) -> Transport:
    """The same way to the target, with bounds for this one question."""
    limits = Limits(
        connect_s=_ASKED_S,
        idle_s=_ASKED_S,
        total_s=_ASKED_S,
        body_bytes=_ANSWER_BYTES,
        redirects=0,
    )
    settings = replace(
        transport.settings, limits=limits, keep_alive=False, watched=False, wakeups=None
    )
    return Transport(settings)


def about_emulator(body: bytes) -> dict[str, Any] | None:
    """What an emulator says of itself, as far as it is well said; None if it is none."""
    try:
        said = orjson.loads(body)
    except orjson.JSONDecodeError:
        return None
    if not isinstance(said, dict) or said.get("emulator") != "soundstage":
        return None
    return {
        name: said[name]
        for name, kinds in _ABOUT.items()
        if isinstance(said.get(name), kinds) and isinstance(said[name], bool) is (kinds == (bool,))
    }
