"""The process that decodes: what it may not do, and what its end means for a file and for us."""

from __future__ import annotations

import io
import json
import math
import os
import re
import signal
import struct
import subprocess
import sys
import threading
import time
import zlib
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest
from PIL import Image
from processes import running

from soundstage.assets.decoder_process import (
    Bounds,
    Crashed,
    DecodedFile,
    FileDecoder,
    NoDecoder,
    OverLimit,
    understood,
)
from soundstage.emulator.files import mp3, songs
from soundstage.emulator.files.cover import cover

COVER = cover("a", "b")
#: Far more than it takes; a busy machine is given time.
_PATIENCE_S = 30.0


def song(seconds: float) -> bytes:
    return songs.song("a song", "", 0, round(seconds * mp3.RATE)).piece(0, 10**7)


SONG = song(2)
#: An hour and a half: some seconds of work for any decoder.
ENDLESS = song(10)[mp3.FRAME_BYTES :] * 540


@pytest.fixture
def decoder() -> Iterator[FileDecoder]:
    decoder = FileDecoder()
    yield decoder
    decoder.close()


def bounded(**bounds: float) -> FileDecoder:
    return FileDecoder(Bounds(**bounds))  # type: ignore[arg-type]


def until(seen: Callable[[], object]) -> None:
    deadline = time.monotonic() + _PATIENCE_S
    while not seen():
        assert time.monotonic() < deadline
        time.sleep(0.005)


def test_one_process_serves_many_files_of_many_threads(decoder: FileDecoder) -> None:
    assert decoder.pid is None, "it starts with the first file"
    first = decoder.ask("MP3", SONG)
    pid = decoder.pid
    with ThreadPoolExecutor(4) as pool:
        answers = list(pool.map(lambda _: decoder.ask("MP3", SONG), range(20)))
    assert answers == [first] * 20
    assert first == DecodedFile("audio", seconds=2.0, loud=True)
    assert decoder.ask("WebP", COVER) == DecodedFile("image", width=256, height=256)
    assert decoder.pid == pid
    assert pid is not None
    decoder.close()
    assert not running(pid)
    assert decoder.ask("MP3", SONG) == first, "the next file starts another one"


def test_it_is_told_nothing_and_may_open_nothing(
    decoder: FileDecoder, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("SOUNDVERSE_API_KEY", "HTTPS_PROXY", "AWS_SECRET_ACCESS_KEY", "HOME"):
        monkeypatch.setenv(name, "sk-secret")
    decoder.ask("MP3", SONG)
    process = Path(f"/proc/{decoder.pid}")
    assert b"sk-secret" not in (process / "environ").read_bytes()
    assert (process / "cwd").readlink() == Path("/")
    assert sorted(each.name for each in (process / "fd").iterdir()) == ["0", "1", "2"]
    limits = {
        line[:25].strip(): line[25:].split()[:2]
        for line in (process / "limits").read_text().splitlines()
    }
    for name in ("file size", "core file size", "open files", "processes"):
        assert limits[f"Max {name}"] == ["0", "0"], name
    assert int(limits["Max address space"][1]) <= 1.5 * 2**30
    assert int(limits["Max cpu time"][0]) < 60


def test_an_interruption_of_the_terminal_is_not_for_it(decoder: FileDecoder) -> None:
    decoder.start()
    assert decoder.pid is not None
    assert os.getpgid(decoder.pid) != os.getpgid(0)
    decoder.ask("MP3", SONG)
    os.kill(decoder.pid, signal.SIGINT)
    pid = decoder.pid
    assert decoder.ask("MP3", SONG).word == "audio"
    assert decoder.pid == pid


def bounded_to_nothing(pid: int) -> bool:
    """Whether it has loaded all that it needs, and may open nothing any more."""
    (files,) = re.findall(r"Max open files +(\d+)", Path(f"/proc/{pid}/limits").read_text())
    return int(files) == 0


def struck(decoder: FileDecoder, number: signal.Signals) -> DecodedFile:
    """Ask for a file, and send the process a signal while it has it."""
    decoder.start()
    assert decoder.pid is not None
    pid = decoder.pid
    until(lambda: bounded_to_nothing(pid))
    os.kill(pid, signal.SIGSTOP)
    with ThreadPoolExecutor(1) as pool:
        asked = pool.submit(decoder.ask, "MP3", SONG)
        until(lambda: decoder.busy)
        os.kill(pid, number)
        os.kill(pid, signal.SIGCONT)
        return asked.result(_PATIENCE_S)


@pytest.mark.parametrize("number", [signal.SIGSEGV, signal.SIGBUS, signal.SIGABRT, signal.SIGFPE])
def test_a_crash_is_told_and_the_next_file_has_a_new_process(
    decoder: FileDecoder, number: signal.Signals
) -> None:
    decoder.start()
    first = decoder.pid
    with pytest.raises(Crashed, match=number.name):
        struck(decoder, number)
    assert decoder.ask("MP3", SONG).seconds == 2.0
    assert decoder.pid not in (None, first)


def test_a_file_is_not_accused_of_what_one_before_it_may_have_done(decoder: FileDecoder) -> None:
    decoder.ask("WebP", COVER)
    assert struck(decoder, signal.SIGSEGV).seconds == 2.0, "a new process says that it is in order"


@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGTERM])
def test_who_ends_it_from_outside_says_nothing_about_the_file(
    decoder: FileDecoder, number: signal.Signals
) -> None:
    with pytest.raises(OverLimit, match=number.name):
        struck(decoder, number)


def test_one_that_was_ended_between_two_files_is_started_again(decoder: FileDecoder) -> None:
    decoder.ask("MP3", SONG)
    assert decoder.pid is not None
    pid = decoder.pid
    os.kill(pid, signal.SIGKILL)
    until(lambda: not running(pid))
    assert decoder.ask("MP3", SONG).seconds == 2.0


@pytest.mark.proof
def test_time_of_the_processor_is_bounded_for_each_file() -> None:
    decoder = bounded(cpu_s=1)
    with pytest.raises(OverLimit, match="processor"):
        decoder.ask("MP3", ENDLESS * 2)
    for _ in range(3):
        assert decoder.ask("MP3", SONG).seconds == 2.0
    decoder.close()


def test_time_of_the_clock_is_bounded_and_is_not_given_for_ever() -> None:
    decoder = bounded(clock_s=0.2)
    for _ in range(3):
        with pytest.raises(OverLimit, match=r"0\.2 s"):
            decoder.ask("MP3", ENDLESS)
        assert decoder.pid is None
    with pytest.raises(OverLimit, match="3 files"):
        decoder.ask("MP3", SONG)


@pytest.mark.proof
def test_memory_is_bounded() -> None:
    decoder = bounded(memory=120 * 2**20)
    file = io.BytesIO()
    Image.new("RGBA", (8_000, 4_000)).save(file, "PNG")
    for _ in range(2):
        with pytest.raises(OverLimit, match="memory"):
            decoder.ask("PNG", file.getvalue())
        assert decoder.ask("WebP", COVER).width == 256
    with pytest.raises(OverLimit, match="memory"):
        decoder.ask("MP3", bytes(120 * 2**20))
    decoder.close()


@pytest.mark.parametrize(
    ("kind", "side", "options"),
    [
        ("WebP", 6_324, {"lossless": True, "method": 0}),
        ("JPEG", 8_000, {"progressive": True, "quality": 1}),
        ("PNG", 8_000, {"compress_level": 1}),
    ],
    ids=["WebP", "JPEG", "PNG"],
)
@pytest.mark.proof
def test_the_largest_picture_that_is_opened_has_memory_enough(
    kind: str, side: int, options: dict[str, Any], decoder: FileDecoder
) -> None:
    file = io.BytesIO()
    Image.new("RGB", (side, side)).save(file, kind, **options)
    # Pillow looks for the end of what it can use: the rest is there, and is taken in.
    data = file.getvalue() + bytes(60 * 2**20)
    assert decoder.ask(kind, data) == DecodedFile("image", width=side, height=side)


def test_a_decoder_that_does_not_start_is_no_fault_of_the_file() -> None:
    with pytest.raises(NoDecoder, match="start"):
        bounded(memory=2**20).ask("MP3", SONG)


def png(*chunks: tuple[bytes, bytes]) -> bytes:
    head = struct.pack(">IIBBBBB", 8, 8, 8, 0, 0, 0, 0)
    pixels = zlib.compress(bytes(9) * 8)
    data = b"\x89PNG\r\n\x1a\n"
    for name, inside in ((b"IHDR", head), *chunks, (b"IDAT", pixels), (b"IEND", b"")):
        data += struct.pack(">I", len(inside)) + name + inside
        data += struct.pack(">I", zlib.crc32(name + inside))
    return data


@pytest.mark.parametrize(
    ("grown", "word"), [(2**20 + 1, "image"), (3 * 2**20, "image"), (64 * 2**20, "large")]
)
def test_a_large_profile_is_no_damage(grown: int, word: str, decoder: FileDecoder) -> None:
    profile = b"p\0\0" + zlib.compress(bytes(grown))
    assert decoder.ask("PNG", png((b"iCCP", profile))).word == word
    assert decoder.ask("PNG", png((b"zTXt", profile))).word == word


def several_in_one() -> bytes:
    file = io.BytesIO()
    pages = [Image.new("RGB", (16, 16), colour) for colour in ("red", "blue")]
    pages[0].save(file, "MPO", save_all=True, append_images=pages[1:])
    return file.getvalue()


def of_a_camera(kind: str) -> bytes:
    file = io.BytesIO()
    exif = Image.Exif()
    exif[0x0112], exif[0x010E] = 6, "a description"
    picture = Image.new("RGB", (16, 16), "red")
    picture.save(file, kind, exif=exif, xmp=b"<x:xmpmeta xmlns:x='adobe:ns:meta/'/>", dpi=(72, 72))
    return file.getvalue()


def moving() -> bytes:
    file = io.BytesIO()
    frames = [Image.new("RGB", (16, 16), (n, 0, 0)) for n in range(200)]
    frames[0].save(file, "WEBP", save_all=True, append_images=frames[1:], duration=1)
    return file.getvalue()


ODD = {
    "several pictures in one": ("JPEG", several_in_one()),
    "a JPEG of a camera": ("JPEG", of_a_camera("JPEG")),
    "a PNG of a camera": ("PNG", of_a_camera("PNG")),
    "a WebP of a camera": ("WebP", of_a_camera("WEBP")),
    "a WebP that moves": ("WebP", moving()),
    "a PNG with texts": (
        "PNG", png((b"tEXt", b"k\0\xe9"), (b"iTXt", b"k\0\0\0en\0k\0\xc3\xa9"), (b"gAMA", bytes(4)))
    ),
}  # fmt: skip


@pytest.mark.parametrize("name", ODD)
def test_what_is_only_unusual_opens_although_nothing_can_be_loaded_any_more(
    name: str, decoder: FileDecoder
) -> None:
    assert decoder.ask(*ODD[name]).word == "image"


@pytest.mark.parametrize(
    "raw",
    [
        b"", b"?", b"null", b"[]", b"7", b'"audio"', b"{}", b'{"word": 1}', b'{"word": "ready"}',
        b'{"word": "audio"}', b'{"word": "audio", "seconds": 2, "loud": true}',
        b'{"word": "audio", "seconds": 1e999, "loud": true}',
        b'{"word": "audio", "seconds": NaN, "loud": true}',
        b'{"word": "audio", "seconds": -1.0, "loud": true}',
        b'{"word": "audio", "seconds": 1.0, "loud": 1}',
        b'{"word": "audio", "seconds": 1.0, "loud": true, "more": "text"}',
        b'{"word": "large"}', b'{"word": "broken", "why": "text"}', b"[" * 500,
        b'{"word": "image", "width": 8, "height": 8}', b"\xff\xfe", b'{"word": "\\ud800"}',
    ],
)  # fmt: skip
def test_an_answer_of_another_form_is_none(raw: bytes) -> None:
    assert understood(raw, audio=True) is None


@pytest.mark.parametrize(
    ("width", "height"), [(0, 1), (-8, -8), (True, True), (10**6, 10**6), (1.0, 1.0), ("8", "8")]
)
def test_a_picture_of_impossible_size_is_no_answer(width: object, height: object) -> None:
    raw = json.dumps({"word": "image", "width": width, "height": height}).encode()
    assert understood(raw, audio=False) is None
    assert understood(b'{"word": "image", "width": 8, "height": 8}', audio=False) is not None


_STARTS = """
import sys, time
from soundstage.assets.decoder_process import SHARED
SHARED.start()
print(SHARED.pid, flush=True)
{then}
"""


@pytest.mark.parametrize(
    "then", ["time.sleep(60)", "SHARED.ask('MP3', bytes(60 * 2**20))"], ids=["idle", "busy"]
)
def test_it_ends_with_who_started_it_however_that_one_ended(then: str) -> None:
    program = [sys.executable, "-c", _STARTS.format(then=then)]
    with subprocess.Popen(program, stdout=subprocess.PIPE) as starter:
        assert starter.stdout is not None
        pid = int(starter.stdout.readline())
        assert running(pid)
        starter.kill()
    until(lambda: not running(pid))


def test_a_program_that_ends_in_order_leaves_none_and_says_nothing() -> None:
    then = "SHARED.ask('MP3', bytes(9))"
    done = subprocess.run(
        [sys.executable, "-W", "error", "-X", "dev", "-c", _STARTS.format(then=then)],
        capture_output=True,
        text=True,
        timeout=_PATIENCE_S,
        check=True,
    )
    assert done.stderr == ""
    assert not running(int(done.stdout))


_GREEN = """
from gevent import monkey
monkey.patch_all()
import gevent, sys
from soundstage.assets.decoder_process import FileDecoder as Decoder
decoder, song, ticks = Decoder(), sys.stdin.buffer.read(), 0
def tick():
    global ticks
    while True:
        gevent.sleep(0.001)
        ticks += 1
ticking = gevent.spawn(tick)
jobs = [gevent.spawn(decoder.ask, "MP3", song) for _ in range(3)]
gevent.joinall(jobs)
ticking.kill()
decoder.close()
print([round(each.value.seconds) for each in jobs], ticks > 20)
"""


@pytest.mark.proof
def test_it_works_beside_greenlets_and_does_not_hold_them_up() -> None:
    done = subprocess.run(
        [sys.executable, "-c", _GREEN],
        input=ENDLESS[: len(ENDLESS) // 9],
        capture_output=True,
        timeout=_PATIENCE_S,
        check=False,
    )
    assert done.stdout == b"[602, 602, 602] True\n", done.stderr.decode()


def test_a_fork_does_not_share_the_process(decoder: FileDecoder) -> None:
    decoder.ask("MP3", SONG)
    pid = decoder.pid
    child = os.fork()
    if child == 0:
        fine = decoder.ask("MP3", SONG).seconds == 2.0 and decoder.pid != pid
        decoder.close()
        os._exit(0 if fine else 1)
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0
    assert decoder.ask("MP3", SONG).seconds == 2.0
    assert decoder.pid == pid


def test_who_is_done_does_not_wait_for_a_file(decoder: FileDecoder) -> None:
    decoder.ask("MP3", SONG)
    with ThreadPoolExecutor(3) as pool:
        asked = [pool.submit(decoder.ask, "MP3", ENDLESS * 4) for _ in range(3)]
        until(lambda: decoder.busy)
        begun = time.monotonic()
        decoder.close()
        assert time.monotonic() - begun < 5
        for each in asked[:1]:
            with pytest.raises(OverLimit):
                each.result(_PATIENCE_S)
        decoder.close()
        until(lambda: decoder.close() or all(each.done() for each in asked))
    assert decoder.ask("MP3", SONG).seconds == 2.0, "it can be asked again"


def test_a_thread_that_waits_for_its_turn_does_not_start_another(decoder: FileDecoder) -> None:
    decoder.ask("MP3", SONG)
    pid = decoder.pid
    waiting = threading.Thread(target=decoder.ask, args=("MP3", ENDLESS[: len(ENDLESS) // 9]))
    waiting.start()
    until(lambda: decoder.busy)
    decoder.start()
    assert decoder.pid == pid
    waiting.join()
    assert decoder.ask("MP3", SONG, most_seconds=1).word == "long"
    assert decoder.ask("MP3", SONG, most_seconds=math.inf).word == "audio"
