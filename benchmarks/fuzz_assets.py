"""Files that a song or a cover might be, mutated by thousands, through the process that decodes.

Nothing may come out of it but facts and the two kinds of refusal; neither process may grow.
"""

from __future__ import annotations

import io
import random
import re
import struct
import time
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

from PIL import Image

from soundstage.assets import media
from soundstage.assets.decoder_process import FileDecoder
from soundstage.emulator.files import mp3
from soundstage.emulator.files.cover import cover
from soundstage.emulator.files.songs import song as made

FILES: Final = 20_000
#: Numbers that a length may lie by.
_LIES: Final = (0, 1, 0x7F, 0x80, 0xFF, 0x7FFF, 0xFFFF, 0x7FFFFFFF, 0x80000000, 0xFFFFFFFF)
_MOST_KEPT: Final = 5
_MOST_BYTES: Final = 200_000
Change = Callable[[bytes, random.Random], bytes]


@dataclass
class Outcome:
    """What came of many files: how often each outcome, what should never have come (the first few),
    and megabytes of resident memory: ours at the beginning and the end, and the most of the
    decoder's process.
    """

    kinds: Counter[str] = field(default_factory=Counter)
    bad: list[str] = field(default_factory=list)
    crashes: list[str] = field(default_factory=list)
    seconds: float = 0.0
    memory_mb: tuple[float, float] = (0.0, 0.0)
    decoder_mb: float = 0.0

    def took(self, kind: str, said: str) -> None:
        self.kinds[kind] += 1
        if "crash" in said and len(self.crashes) < _MOST_KEPT:
            self.crashes.append(said)


def seeds() -> list[bytes]:
    """Whole files of the four formats that are decoded, and beginnings of others."""
    song = made("a song", "", 0, mp3.RATE).piece(0, _MOST_BYTES)
    found = [song, b"ID3\4\0\0\0\0\1\x76" + bytes(246) + song, cover("a", "b")]
    noise = Image.effect_noise((48, 40), 90)
    options: dict[str, list[dict[str, object]]] = {
        "PNG": [{}, {"mode": "P"}, {"mode": "RGBA"}, {"mode": "I;16"}, {"mode": "1"}],
        "JPEG": [{}, {"progressive": True}, {"mode": "CMYK"}, {"mode": "L"}],
        "WEBP": [{}, {"lossless": True}, {"mode": "RGBA"}, {"save_all": True, "mode": "RGBA"}],
    }
    for kind, variants in options.items():
        for variant in variants:
            mode = str(variant.pop("mode", "RGB"))
            picture = noise.convert(mode if mode != "I;16" else "I").convert(mode)
            if variant.get("save_all"):
                variant["append_images"] = [picture.rotate(90)]
            file = io.BytesIO()
            picture.save(file, kind, **variant)
            found.append(file.getvalue())
    for kind in ("GIF", "AVIF", "TIFF", "BMP", "ICO"):
        file = io.BytesIO()
        noise.save(file, kind)
        found.append(file.getvalue())
    found.append(b"OggS\0\2" + bytes(21) + b"\x1e\1vorbis" + bytes(90))
    found += [b"fLaC\0\0\0\x22" + bytes(90), b"RIFF\x64\0\0\0WAVEfmt \x10\0\0\0\1\0" + bytes(90)]
    return found


def _flip(data: bytes, rng: random.Random) -> bytes:
    changed = bytearray(data)
    for _ in range(rng.choice((1, 1, 2, 8, 40))):
        if changed:
            changed[rng.randrange(len(changed))] = rng.randrange(256)
    return bytes(changed)


def _flip_head(data: bytes, rng: random.Random) -> bytes:
    return _flip(data[:64], rng) + data[64:]


def _cut(data: bytes, rng: random.Random) -> bytes:
    return data[: rng.randrange(len(data) + 1)]


def _drop(data: bytes, rng: random.Random) -> bytes:
    at = rng.randrange(len(data) + 1)
    return data[:at] + data[at + rng.randrange(1, 300) :]


def _repeat(data: bytes, rng: random.Random) -> bytes:
    at = rng.randrange(len(data) + 1)
    part = data[at : at + rng.randrange(1, 600)]
    return data[:at] + part * rng.choice((2, 3, 50)) + data[at:]


def _lie(data: bytes, rng: random.Random) -> bytes:
    number, form = rng.choice(_LIES), rng.choice(("<I", ">I", "<H", ">H", "B"))
    lie = struct.pack(form, number & (2 ** (8 * struct.calcsize(form)) - 1))
    at = rng.randrange(max(1, min(len(data), rng.choice((40, 200, 2**20)))))
    return data[:at] + lie + data[at + len(lie) :]


_CHANGES: Final[tuple[Change, ...]] = (_flip, _flip_head, _cut, _drop, _repeat, _lie, _lie)


def mutant(files: list[bytes], rng: random.Random) -> bytes:
    """A file near a true one, or between two."""
    data = rng.choice(files)
    if rng.random() < 0.15:
        other = rng.choice(files)
        data = data[: rng.randrange(len(data) + 1)] + other[rng.randrange(len(other) + 1) :]
    for _ in range(rng.choice((0, 1, 1, 2, 4))):
        data = rng.choice(_CHANGES)(data, rng)
    return data[:_MOST_BYTES]


def run(many: int = FILES, seed: int = 0) -> Outcome:
    """Put so many mutants through `media.audio` and `media.image`, the same for the same seed."""
    rng, files, outcome = random.Random(f"assets/{seed}"), seeds(), Outcome()
    begun = time.perf_counter()
    decoder = FileDecoder()
    asked: tuple[Callable[..., object], ...] = (media.audio, media.image)
    first = None
    for number in range(many):
        data = mutant(files, rng)
        for ask in asked:
            try:
                outcome.took(type(ask(data, decoder=decoder)).__name__, "")
            except (media.BrokenMedia, media.Unreadable) as error:
                outcome.took(type(error).__name__, str(error))
                if isinstance(error, media.CannotDecode):
                    outcome.bad.append(f"file {number}: {error}")
            except Exception as error:  # noqa: BLE001 - this is what is looked for
                outcome.bad.append(f"file {number}, {ask.__name__}: {error!r}")
        if decoder.pid is not None and number % 50 == 0:
            outcome.decoder_mb = max(outcome.decoder_mb, _megabytes(decoder.pid, "VmHWM"))
        if first is None and number >= many // 10:
            first = _megabytes("self", "VmRSS")
        del outcome.bad[_MOST_KEPT:]
    decoder.close()
    outcome.seconds = time.perf_counter() - begun
    outcome.memory_mb = (first or 0.0, _megabytes("self", "VmRSS"))
    return outcome


def _megabytes(pid: int | str, name: str) -> float:
    found = re.search(rf"{name}:\s+(\d+)", Path(f"/proc/{pid}/status").read_text())
    return int(found[1]) / 1024 if found else 0.0
