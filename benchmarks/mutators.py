"""Damage for inputs: bytes, JSON values and whole folders, each near a valid one; and a key planted
in every coding that it could come back in. The same source of chance gives the same damage.
"""

from __future__ import annotations

import base64
import contextlib
import gzip
import html
import json
import os
import random
import re
import struct
import zlib
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, Final
from urllib.parse import quote

#: A mutant is never longer: what is tested is damage, not size.
LONGEST: Final = 2 * 2**20

#: Values that readers trip over: limits of numbers, of Unicode and of nesting, words of formats.
ODD_VALUES: Final[tuple[Any, ...]] = (
    None, True, False, 0, -1, 1, 1.0, 7, 0.1, 0.5, -0.5, -0.0, 1e-300, 1e15, 1e300, 1e308,
    float("nan"), float("inf"), 2**31, 2**53, 2**53 + 1, 2**63 - 1, 2**63, 2**64, -(2**63),
    10**400, "", " ", "x", "\0",
    "\r\n", "\ud800", "\u2028", "\u202e", "\x9b31m", "\x1b]0;x\x07", "\U0001f3b5",
    "x" * 20_000, "nan", "null", "1e999", "-1", "²", "9" * 400, "9" * 5_000, "0" * 64,
    "\x1b[2J", "../../../../etc/passwd", "/dev/zero",
    "/dev/stdin", "/etc/passwd", "a/../../b", "transcripts/../run.json", "latest",
    "file:///etc/passwd", "http://127.0.0.1:1/", "https://user:secret@example.invalid/?q=1#f",
    "::error::x", "##vso[task.setvariable]x", "##teamcity[x]", "<script>x</script>", "]]>", "|a|b|",
    "=cmd|' /C calc'!A0", "{{7*7}}", "${7*7}", "%s%n", "(a+)+$", "[", "^(?=a)", "\\",
    "2026-13-45T99:99:99Z", "0001-01-01T00:00:00Z", "9999-12-31T23:59:59.999999999Z",
    "2026-01-01", "v6", "v7", "v6/stream", "stream", "data: x\n\n",
    [], {}, [[]], {"": ""}, {"": None}, {"x": {}}, {"v6": 1}, {"rule": None}, [None], [0, 0],
    [1, 2, 3], ["a"] * 300, {"a": {"b": {"c": []}}}, {"$ref": "#"},
    {"__proto__": 1}, [1, "1", 1.0, True],
)  # fmt: skip
#: Bytes that text does not expect.
_ODD_BYTES: Final = (
    b"\xff", b"\xfe\xff", b"\xef\xbb\xbf", b"\0", b"\0" * 64, b"\r", b"\n", b"\n\n", b"\x1b[2J",
    b"NaN", b"-Infinity", b"1e400", b'\\ud800"', b'"a":1,"a":2,', b"//", b",", b"[[[[", b"}}}}",
    b"data:", b"event: x\n", b":\n", b"\xe2\x80\xa8", b"HTTP/1.1 200 OK\r\n\r\n",
    b"\x1f\x8b\x08\x00", b"PK\x03\x04", b"BZh9", b"\xfd7zXZ\x00",
)  # fmt: skip
#: Numbers that a length may lie by.
_LIES: Final = (0, 1, 0x7F, 0x80, 0xFF, 0x7FFF, 0xFFFF, 0x7FFFFFFF, 0x80000000, 0xFFFFFFFF)
_PACKED: Final = b"\x1f\x8b"
_DEEP: Final = (1, 3, 40, 300, 1500)

OfBytes = Callable[[bytes, random.Random], bytes]
OfJson = Callable[[Any, random.Random], Any]


# --- bytes ----------------------------------------------------------------------------------------


def flip(raw: bytes, rng: random.Random) -> bytes:
    """One byte is another."""
    if not raw:
        return raw
    at = rng.randrange(len(raw))
    return raw[:at] + bytes([rng.randrange(256)]) + raw[at + 1 :]


def cut(raw: bytes, rng: random.Random) -> bytes:
    """Less of it: the end is lost, or the beginning, or a part in between."""
    one, other = sorted(rng.randrange(len(raw) + 1) for _ in range(2))
    return rng.choice((raw[:one], raw[:other], raw[one:], raw[:one] + raw[other:]))


def splice(raw: bytes, rng: random.Random) -> bytes:
    """A part of it once more, somewhere else."""
    at = rng.randrange(len(raw) + 1)
    one, other = sorted(rng.randrange(len(raw) + 1) for _ in range(2))
    return raw[:at] + raw[one:other] + raw[at:]


def insert(raw: bytes, rng: random.Random) -> bytes:
    """Bytes that are not expected there."""
    at = rng.randrange(len(raw) + 1)
    return raw[:at] + rng.choice(_ODD_BYTES) + raw[at:]


def lines_moved(raw: bytes, rng: random.Random) -> bytes:
    """Two lines change places, or one comes twice or never."""
    lines = raw.split(b"\n")
    one, other = rng.randrange(len(lines)), rng.randrange(len(lines))
    kind = rng.randrange(3)
    if kind == 0:
        lines[one], lines[other] = lines[other], lines[one]
    elif kind == 1:
        lines.insert(other, lines[one])
    else:
        del lines[one]
    return b"\n".join(lines)


def flip_head(raw: bytes, rng: random.Random) -> bytes:
    """One byte at the beginning, where formats say what they are, is another."""
    return flip(raw[:64], rng) + raw[64:]


def lie(raw: bytes, rng: random.Random) -> bytes:
    """A number somewhere, as likely as not in the head, is one that a length may lie by."""
    number, form = rng.choice(_LIES), rng.choice(("<I", ">I", "<H", ">H", "B"))
    told = struct.pack(form, number & (2 ** (8 * struct.calcsize(form)) - 1))
    at = rng.randrange(max(1, min(len(raw), rng.choice((40, 200, 2**20)))))
    return raw[:at] + told + raw[at + len(told) :]


OF_TEXT: Final[tuple[OfBytes, ...]] = (flip, flip, flip, cut, splice, insert, lines_moved)
OF_BINARY: Final[tuple[OfBytes, ...]] = (flip, flip_head, cut, splice, lie, lie)


def damaged(
    raw: bytes,
    rng: random.Random,
    times: int | None = None,
    changes: tuple[OfBytes, ...] = OF_TEXT,
) -> bytes:
    """`raw` with some damage; `times` 0 leaves it as it is."""
    for _ in range(rng.choice((1, 1, 2, 4, 12)) if times is None else times):
        raw = rng.choice(changes)(raw, rng)
    return raw[:LONGEST]


# --- JSON -----------------------------------------------------------------------------------------


def changed(value: Any, rng: random.Random) -> Any:
    """A copy of a JSON value with one place in it, however deep, changed."""
    if isinstance(value, dict) and value and rng.random() < 0.8:
        name = rng.choice(list(value))
        return {**value, name: changed(value[name], rng)}
    if isinstance(value, list) and value and rng.random() < 0.8:
        at = rng.randrange(len(value))
        return [*value[:at], changed(value[at], rng), *value[at + 1 :]]
    return rng.choice(_OF_JSON)(value, rng)


def _swap(value: Any, rng: random.Random) -> Any:
    del value
    return rng.choice(ODD_VALUES)


def _lose(value: Any, rng: random.Random) -> Any:
    if isinstance(value, dict) and value:
        lost = rng.choice(list(value))
        return {name: each for name, each in value.items() if name != lost}
    if isinstance(value, list) and value:
        at = rng.randrange(len(value))
        return value[:at] + value[at + 1 :]
    return rng.choice(ODD_VALUES)


def _add(value: Any, rng: random.Random) -> Any:
    odd = rng.choice(ODD_VALUES)
    if isinstance(value, dict):
        return {**value, rng.choice(["", "x", "\u202e", "a/b~c", "$ref", *value]): odd}
    if isinstance(value, list):
        return [*value, *(value[:1] or [odd])] * rng.choice((1, 1, 2, 50))
    return [value, odd]


def _nest(value: Any, rng: random.Random) -> Any:
    for _ in range(rng.choice(_DEEP)):
        value = [value] if rng.random() < 0.5 else {"a": value}
    return value


def _retype(value: Any, rng: random.Random) -> Any:
    if isinstance(value, str):
        return rng.choice(
            (
                len(value),
                [value],
                {"value": value},
                value[:100].encode("utf-8", "replace").hex(),
                value[:2000] * 9,
            )
        )
    if isinstance(value, bool | int | float):
        return rng.choice((str(value), -value, value * 10**30, [value], value == 0))
    return rng.choice((None, "[]", 0, True, "null", {"0": value}))


_OF_JSON: Final[tuple[OfJson, ...]] = (_swap, _swap, _swap, _lose, _add, _nest, _retype)


def as_text(value: Any, rng: random.Random) -> bytes:
    """JSON of a value, now and then with a member twice, as a parser keeps it only once."""
    try:
        text = json.dumps(value, ensure_ascii=rng.random() < 0.5)
    except (RecursionError, ValueError):
        text = "[" * 5000
    if rng.random() < 0.1 and isinstance(value, dict) and value:
        name = rng.choice(list(value))
        again = json.dumps({name: rng.choice(ODD_VALUES)})
        text = text[:-1] + ", " + again[1:]
    return text.encode("utf-8", "surrogatepass")[:LONGEST]


def mutant(raw: bytes, rng: random.Random) -> bytes:
    """A file near `raw`: changed as JSON (the whole of it, or some lines), as bytes, as compressed
    bytes, or not at all, so that what is valid stays in between.
    """
    kind = rng.randrange(20)
    if kind == 0:
        return raw
    if raw.startswith(_PACKED) and kind < 15:
        with contextlib.suppress(OSError, EOFError, zlib.error):
            return gzip.compress(mutant(gzip.decompress(raw), rng), mtime=0)
    if kind == 1:
        return damaged(gzip.compress(raw, mtime=0), rng)
    if kind < 8:
        return damaged(raw, rng)
    changed_raw = _json_changed(raw, rng)
    return damaged(changed_raw, rng, 1) if kind < 10 else changed_raw[:LONGEST]


def _json_changed(raw: bytes, rng: random.Random) -> bytes:
    times = rng.choice((1, 1, 2, 4))
    try:
        value = json.loads(raw)
    except (ValueError, RecursionError):
        lines = raw.split(b"\n")
        for _ in range(times):
            at = rng.randrange(len(lines))
            before, brace, rest = lines[at].partition(b"{")
            try:
                inner = json.loads(brace + rest)
            except (ValueError, RecursionError):
                lines[at] = damaged(lines[at], rng, 1)
            else:
                lines[at] = before + as_text(changed(inner, rng), rng)
        return b"\n".join(lines)
    for _ in range(times):
        value = changed(value, rng)
    return as_text(value, rng)


def folder(files: Mapping[str, bytes], rng: random.Random) -> dict[str, bytes]:
    """A folder near this one: some files are mutants, one may be gone, empty, or another's."""
    result = dict(files)
    for _ in range(rng.choice((1, 1, 2))):
        name = rng.choice(sorted(result))
        kind = rng.randrange(12)
        if kind == 0 and len(result) > 1:
            del result[name]
        elif kind == 1:
            result[name] = b""
        elif kind == 2:
            result[name] = result[rng.choice(sorted(result))]
        else:
            result[name] = mutant(result[name], rng)
    return result


def no_file(place: Path, outside: Path, rng: random.Random) -> None:
    """Put something at `place` that is no file of its folder; `outside` is a file elsewhere."""
    if place.is_dir():
        place.rename(place.with_name("moved"))
    place.unlink(missing_ok=True)
    how = rng.randrange(6)
    if how == 0:
        os.mkfifo(place)
    elif how == 1:
        place.mkdir()
    elif how == 2:
        place.symlink_to(outside)
    elif how == 3:
        place.symlink_to(rng.choice(("/dev/zero", "/dev/full", "/etc", outside.parent, place.name)))
    elif how == 4:
        place.symlink_to("absent")


# --- a key ----------------------------------------------------------------------------------------


def codings(key: str) -> dict[str, bytes]:
    """Every form that a key must not be found in: the pieces that stay the same whatever stands
    beside it, for base64 at its three alignments (RFC 4648, 4).
    """
    raw = key.encode()
    found = {
        "plain": raw,
        "percent": "".join(f"%{byte:02X}" for byte in raw).encode(),
        "percent, lower case": "".join(f"%{byte:02x}" for byte in raw).encode(),
        "percent, as needed": quote(key, safe="").encode(),
        "hex": raw.hex().encode(),
        "hex, upper case": raw.hex().upper().encode(),
        "JSON": "".join(f"\\u{ord(each):04x}" for each in key).encode(),
        "JSON, upper case": "".join(f"\\u{ord(each):04X}" for each in key).encode(),
        "HTML, decimal": "".join(f"&#{ord(each)};" for each in key).encode(),
        "HTML, hexadecimal": "".join(f"&#x{ord(each):x};" for each in key).encode(),
        "HTML, as needed": html.escape(key).encode(),
    }
    for shift in range(3):
        for name, encode in (
            ("base64", base64.b64encode),
            ("base64url", base64.urlsafe_b64encode),
        ):
            # The first and the last digit hold bits of what stands beside the key.
            text = encode(b"\0" * shift + raw + b"\0" * ((-shift - len(raw)) % 3))
            begin = -(-shift * 8 // 6)
            found[f"{name}, shift {shift}"] = text[begin : (shift + len(raw)) * 8 // 6]
    return found


_STRING: Final = re.compile(rb'"(?:[^"\\\n]|\\.)*"')


def plant(raw: bytes, key: str, rng: random.Random) -> bytes:
    """The key in one of its codings, where text stands: in a JSON string, or at a line's end."""
    coded = rng.choice(list(codings(key).values()))
    if coded.startswith(b"\\u") or rng.random() < 0.8:
        places = [each.start() + 1 for each in _STRING.finditer(raw)]
        if places:
            at = rng.choice(places)
            return raw[:at] + b" " + coded + b" " + raw[at:]
    at = rng.randrange(len(raw) + 1)
    return raw[:at] + coded + raw[at:]


def found_codings(written: bytes, key: str) -> list[str]:
    """In which codings a key stands in what was written."""
    return [name for name, coded in codings(key).items() if coded in written]
