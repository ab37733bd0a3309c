"""Looks for a secret in everything that a command left behind, by undoing codings: none of the
harness's own redaction is used here.
"""

from __future__ import annotations

import base64
import gzip
import html
import json
import re
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import quote, unquote_to_bytes

_WORD = re.compile(rb"[A-Za-z0-9+/_-]{8,}")
#: A longer line is looked at plainly, and not through any pile of codings.
_PAGE = 100_000
_HEX = re.compile(rb"(?:[0-9A-Fa-f]{2}){6,}")
_JSON = re.compile(rb"\\u([0-9A-Fa-f]{4})|\\([\"\\/])")


def forms(secret: str) -> dict[str, str]:
    """Ways to write a secret, by name."""
    raw = secret.encode()
    coded = "".join(f"%{each:02x}" for each in raw)
    html_coded = "".join(f"&#{each};" if at % 2 else f"&#x{each:X};" for at, each in enumerate(raw))
    return {
        "plain": secret,
        "percent": coded,
        "percent in capitals": coded.upper(),
        "percent, every third": "".join(
            f"%{ord(each):02X}" if at % 3 == 1 else each for at, each in enumerate(secret)
        ),
        "percent twice": quote(coded),
        "base64": base64.b64encode(raw).decode(),
        "base64, one byte later": base64.b64encode(b"u" + raw + b"x").decode(),
        "base64 for URLs, two bytes later": base64.urlsafe_b64encode(b"u:" + raw).decode(),
        "base64 in percent": quote("".join(f"%{b:02x}" for b in base64.b64encode(raw))),
        "json": "".join(f"\\u{ord(each):04x}" for each in secret),
        "json in capitals, every other": "".join(
            f"\\u{ord(each):04X}" if at % 2 else each for at, each in enumerate(secret)
        ),
        "html": html_coded,
        "html without semicolons": "".join(f"&#{each}" for each in raw),
        "html in html": html.escape(html_coded),
        "percent in html": coded.replace("%", "&#37;"),
        "hexadecimal": raw.hex(),
        "hexadecimal in capitals": raw.hex().upper(),
    }


def stands_in(data: bytes, secret: str) -> bool:
    """Whether a secret stands in bytes, in whatever coding, or most of its beginning."""
    raw = secret.encode()
    wanted = (raw, raw[:12]) if len(raw) > 16 else (raw,)
    return any(each in level for level in _levels(data) for each in wanted)


def _levels(data: bytes, depth: int = 0) -> Iterator[bytes]:
    yield data
    if len(data) > _PAGE and depth:
        return  # a page of Locust's own, a megabyte of its program in a line
    for word in _WORD.findall(data):
        for offset in range(4):
            part = word[offset:].translate(bytes.maketrans(b"-_", b"+/"))
            yield base64.b64decode(part[: len(part) // 4 * 4])
    for word in _HEX.findall(data):
        yield bytes.fromhex(word.decode())
    if depth < 5:
        text = data.decode("utf-8", "surrogateescape")
        for plain in (
            unquote_to_bytes(data),
            html.unescape(text).encode("utf-8", "surrogateescape"),
            _JSON.sub(_character, data),
            data.replace(b"~1", b"/").replace(b"~0", b"~"),
        ):
            if plain != data:
                yield from _levels(plain, depth + 1)


def _character(escape: re.Match[bytes]) -> bytes:
    if escape[1] is None:
        return escape[2]
    return chr(int(escape[1], 16)).encode("utf-8", "surrogatepass")


def written_below(folder: Path) -> Iterator[tuple[str, bytes]]:
    """Every name and every content below a folder, unpacked; of transcripts also the raw bytes."""
    for path in sorted(folder.rglob("*")):
        name = str(path.relative_to(folder))
        yield f"name of {name}", name.encode()
        if not path.is_file():
            continue
        data = path.read_bytes()
        if data[:2] == b"\x1f\x8b":
            data = gzip.decompress(data)
        for number, line in enumerate(data.split(b"\n"), start=1):
            yield f"{name}:{number}", line
            if line.startswith(b'{"t":'):
                yield f"{name}:{number} raw", base64.b64decode(json.loads(line).get("raw", ""))


def leaks(folder: Path, said: str, *secrets: str) -> list[str]:
    """The places where a secret stands: in files below `folder`, in their names, in what was `said`
    on standard output and error.
    """
    pieces = [
        *written_below(folder),
        *((f"said: {line}", line.encode()) for line in said.split("\n")),
    ]
    return [
        f"{where}: {data[:1500]!r}"
        for where, data in pieces
        for secret in secrets
        if stands_in(data, secret)
    ]
