"""The program that decodes files of others: MP3, WebP, PNG and JPEG, by libraries in C.

Run by `decoder_process.py` as a process of its own, since a file may make a decoder crash, eat the
memory or never end. It knows nothing, and can do next to nothing: no secrets in its environment, no
file or connection that it could open, bounded memory and processor time. Files come in and facts go
out over standard input, one after another; it ends with that, and so with the program that started
it.

Facts are words and numbers, never text from a file or a library.
"""

from __future__ import annotations

import io
import json
import math
import os
import queue
import signal
import struct
import sys
import threading
from contextlib import suppress
from typing import Any, Final

#: What precedes a file: its format (as `formats.py` calls it), the most seconds of sound that are
#: decoded, its size; and what precedes an answer: its size.
REQUEST: Final = struct.Struct(">8sdQ")
ANSWER: Final = struct.Struct(">I")
MOST_ANSWER: Final = 512
#: Words of an answer, beside "audio" and "image" with their numbers, and "ready" at the beginning.
BROKEN, EMPTY, LONG, LARGE, MEMORY = "broken", "empty", "long", "large", "memory"
#: The exit code of who has no memory left even for a word.
NO_MEMORY: Final = 3
#: Pixels of the largest pictures that are decoded. A pixel takes 16 bytes in WebP, in the others
#: at most 12.
MOST_PIXELS: Final = {"WebP": 40_000_000, "PNG": 64_000_000, "JPEG": 64_000_000}
#: Samples a second that audio is decoded to, and those decoded at a time.
_RATE: Final = 48_000
_BLOCK: Final = 65_536
#: Bytes that are taken in at a time.
_READ: Final = 2**20
#: What a chunk of text or a colour profile in a PNG may grow to: large profiles exist.
_MOST_TEXT: Final = 16 * 2**20


def main(memory: int, cpu_s: float) -> None:
    """Decode what comes until standard input ends, with at most `memory` bytes of address space,
    and `cpu_s` seconds of the processor for each file.
    """
    # Ctrl-C is for who started us.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    # Left behind for nobody: no dump, no file.
    for name, most in (("AS", memory), ("CORE", 0), ("FSIZE", 0)):
        _limit(name, most, hard=True)
    _load()
    requests: queue.SimpleQueue[tuple[str, float, bytes]] = queue.SimpleQueue()
    threading.Thread(target=_read, args=(requests,), daemon=True).start()
    # All is loaded: no file is looked at before nothing more can be opened or started.
    # Ready is said first, so that whoever sees these limits knows that it was said.
    _say({"word": "ready"})
    for name in ("NPROC", "NOFILE"):
        _limit(name, 0, hard=True)
    while True:
        name, most_seconds, data = requests.get()
        _limit("CPU", math.ceil(sum(os.times()[:2]) + cpu_s), hard=False)
        answer = _decoded(name, data, most_seconds)
        del data
        _say(answer)


def _limit(name: str, most: int, *, hard: bool) -> None:
    """Set a limit of this process; where the platform does not know it, there is none, and time
    and the boundary of the process must do.
    """
    try:
        import resource
    except ImportError:
        return
    number = getattr(resource, f"RLIMIT_{name}", None)
    if number is None:
        return
    with suppress(ValueError, OSError):
        above = resource.getrlimit(number)[1]
        if above != resource.RLIM_INFINITY:
            most = min(most, above)
        resource.setrlimit(number, (most, most if hard else above))


def _load() -> None:
    """Load all that decoding ever asks for."""
    # miniaudio takes it along if it is there, needs nothing of it, and it is slow and large.
    sys.modules["numpy"] = None  # type: ignore[assignment]
    import miniaudio  # type: ignore[import-untyped]  # noqa: F401 - ships no types
    from PIL import (
        Image,
        MpoImagePlugin,  # noqa: F401 - asked for by JPEG that holds several pictures
        PngImagePlugin,
        TiffImagePlugin,  # noqa: F401 - asked for by JPEG with data of the camera
        WebPImagePlugin,  # noqa: F401
    )

    Image.preinit()
    Image.MAX_IMAGE_PIXELS = None  # size is looked at here, by the same bound for all
    PngImagePlugin.MAX_TEXT_CHUNK = _MOST_TEXT


def _read(requests: queue.SimpleQueue[tuple[str, float, bytes]]) -> None:
    """Take in files. This thread is the one that hears that nobody is there any more, while the
    other decodes.
    """
    try:
        while True:
            name, most_seconds, size = REQUEST.unpack(_exactly(REQUEST.size))
            requests.put((name.rstrip(b"\0").decode(), most_seconds, _exactly(size)))
    except MemoryError:
        os._exit(NO_MEMORY)
    except (OSError, EOFError):
        os._exit(0)


def _exactly(size: int) -> bytes:
    data = io.BytesIO()  # gives it away whole, without a copy
    while left := size - data.tell():
        got = os.read(0, min(left, _READ))
        if not got:
            raise EOFError
        data.write(got)
    return data.getvalue()


def _say(answer: dict[str, Any]) -> None:
    text = json.dumps(answer).encode()
    left = ANSWER.pack(len(text)) + text
    while left:
        left = left[os.write(1, left) :]


def _decoded(name: str, data: bytes, most_seconds: float) -> dict[str, Any]:
    try:
        return _sound(data, most_seconds) if name == "MP3" else _picture(name, data)
    except MemoryError:
        return {"word": MEMORY}
    except Exception:  # noqa: BLE001 - decoders raise whatever comes to their mind
        return {"word": BROKEN}


def _sound(data: bytes, most_seconds: float) -> dict[str, Any]:
    import miniaudio

    class Source(miniaudio.StreamableSource):  # type: ignore[misc]  # untyped
        """The file in memory. Named as MP3, so that no other decoder ever tries it."""

        def __init__(self) -> None:
            self._file = io.BytesIO(data)

        def read(self, many: int) -> bytes:
            return self._file.read(many)

        def seek(self, offset: int, origin: Any) -> bool:
            whence = io.SEEK_SET if origin == miniaudio.SeekOrigin.START else io.SEEK_CUR
            if whence == io.SEEK_CUR and self._file.tell() + offset < 0:
                return False
            self._file.seek(offset, whence)
            return True

    samples, loud = 0, False
    for block in miniaudio.stream_any(
        Source(),
        source_format=miniaudio.FileFormat.MP3,
        nchannels=1,
        sample_rate=_RATE,
        frames_to_read=_BLOCK,
    ):
        samples += len(block)
        loud = loud or bool(block.tobytes().strip(b"\0"))
        if samples > most_seconds * _RATE:
            return {"word": LONG}
    if not samples:
        return {"word": EMPTY}
    return {"word": "audio", "seconds": samples / _RATE, "loud": loud}


def _picture(name: str, data: bytes) -> dict[str, Any]:
    from PIL import Image

    try:
        with Image.open(io.BytesIO(data), formats=(name.upper(),)) as picture:
            width, height = picture.size
            if width * height > MOST_PIXELS[name]:
                return {"word": LARGE}
            picture.load()
    except ValueError as error:
        # Of text and profiles that grow beyond all measure; the picture may be in order.
        return {"word": LARGE if "too large" in str(error) else BROKEN}
    return {"word": "image", "width": width, "height": height}


if __name__ == "__main__":
    main(int(sys.argv[1]), float(sys.argv[2]))
