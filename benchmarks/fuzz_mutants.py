"""Mutants of files: bytes that are off, JSON values that are others, and files that are none."""

from __future__ import annotations

import copy
import gzip
import json
import os
import random
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, Final

#: What a value may be in place of the one that belongs there.
ODD: Final[tuple[Any, ...]] = (
    None,
    True,
    False,
    0,
    -1,
    1,
    1.0,
    0.5,
    -0.5,
    7,
    2**31,
    2**53,
    2**63 - 1,
    2**63,
    2**64,
    -(2**63),
    1e-300,
    1e15,
    1e300,
    1.7e308,
    float("nan"),
    float("inf"),
    "",
    " ",
    "x",
    "x" * 5_000,
    "\0",
    "\r\n",
    "\u202e",
    "<script>",
    "::error::x",
    "\x1b[2J",
    "../../etc/passwd",
    "/etc/passwd",
    "transcripts/../run.json",
    "latest",
    "v6",
    "v7",
    "null",
    "-1",
    "²",
    "9" * 5_000,
    "2026-13-45T99:99:99Z",
    "0001-01-01T00:00:00Z",
    "9999-12-31T23:59:59.999999999Z",
    "0" * 64,
    [],
    [[]],
    [None],
    [0, 0],
    [1, 2, 3],
    ["x"] * 300,
    {},
    {"": None},
    {"x": {}},
    {"v6": 1},
    {"rule": None},
)

#: Stands for a value that is nested deep.
_DEEP: Final = "(deep)"

Change = Callable[[bytes, random.Random], bytes]


def _places(value: Any) -> Iterator[tuple[Any, Any]]:
    """(container, key) of every value inside."""
    if isinstance(value, dict | list):
        for key in list(value) if isinstance(value, dict) else range(len(value)):
            yield value, key
            yield from _places(value[key])


def swapped(value: Any, rng: random.Random) -> Any:
    """`value`, of which one part now is another, is gone, came twice, or is deep (`_DEEP`)."""
    places = list(_places(value))
    if not places:
        return copy.deepcopy(rng.choice(ODD))
    container, key = rng.choice(places)
    how = rng.randrange(8)
    if how < 5:
        container[key] = copy.deepcopy(rng.choice(ODD))
    elif how == 5:
        del container[key]
    elif how == 6:
        container[key] = _DEEP
    elif isinstance(container, list):
        container.append(copy.deepcopy(container[key]))
    else:
        container[rng.choice(("x", "", "id", "rule", "\u202e", "y" * 300))] = copy.deepcopy(
            container[key]
        )
    return value


def _dumped(value: Any, rng: random.Random) -> bytes:
    text = json.dumps(value, ensure_ascii=False).encode("utf-8", "surrogatepass")
    deep = rng.choice((1, 2, 100, 400, 900, 5_000))
    opened, closed = rng.choice(((b"[", b"]"), (b'{"a":', b"}")))
    return text.replace(f'"{_DEEP}"'.encode(), opened * deep + b"1" + closed * deep)


def json_swapped(raw: bytes, rng: random.Random) -> bytes:
    """A JSON document or one line of several, with a value that is another."""
    lines = raw.splitlines()
    if len(lines) > 1 and raw.startswith(b'{"'):
        at = rng.randrange(len(lines))
        lines[at] = json_swapped(lines[at], rng)
        return b"\n".join(lines) + b"\n"
    try:
        value = json.loads(raw)
    except (ValueError, RecursionError):
        return raw
    for _ in range(rng.choice((1, 1, 1, 2, 5))):
        value = swapped(value, rng)
    text = _dumped(value, rng)
    if rng.random() < 0.05 and text.startswith(b"{"):
        return b'{"id":null,"rule":7,' + text[1:]  # a key that stands twice
    return text + (b"\n" if raw.endswith(b"\n") else b"")


def flipped(raw: bytes, rng: random.Random) -> bytes:
    """Some bytes are others."""
    text = bytearray(raw)
    for _ in range(rng.choice((1, 1, 2, 10)) if text else 0):
        text[rng.randrange(len(text))] = rng.choice((rng.randrange(256), 0, 0x0A, 0x22, 0x7B, 0x39))
    return bytes(text)


def cut(raw: bytes, rng: random.Random) -> bytes:
    """The end, the beginning or the middle is missing, or a part is there twice."""
    low, high = sorted((rng.randrange(len(raw) + 1), rng.randrange(len(raw) + 1)))
    return rng.choice((raw[:low], raw[high:], raw[:low] + raw[high:], raw[:high] + raw[low:]))


def lines_moved(raw: bytes, rng: random.Random) -> bytes:
    """Lines in another order, twice, or hundreds of times."""
    lines = raw.splitlines(keepends=True)
    if not lines:
        return raw
    how = rng.randrange(3)
    if how == 0:
        rng.shuffle(lines)
    elif how == 1:
        lines.insert(rng.randrange(len(lines) + 1), rng.choice(lines))
    else:
        lines += [rng.choice(lines)] * 300
    return b"".join(lines)


_OF_BYTES: Final = (json_swapped,) * 6 + (flipped, cut, lines_moved)


def mutant(raw: bytes, rng: random.Random) -> bytes:
    """A mutant of the content of a file; that of a gzip file mostly of what is packed."""
    if raw[:2] == b"\x1f\x8b" and rng.random() < 0.8:
        return gzip.compress(mutant(gzip.decompress(raw), rng), 1, mtime=0)
    return rng.choice(_OF_BYTES)(raw, rng)


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
