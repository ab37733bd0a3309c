"""Songs as files: made when somebody asks, once, by a thread that the event loop does not wait for.

Nothing is synthesised before the first reader comes. Songs that are read at the same time are made
in turns, a second of music each, so that all of them begin soon. Memory is bounded: finished songs
are kept as long as there is room, and a song for which there is none is refused.
"""

from __future__ import annotations

import asyncio
import logging
import os
import sys
import threading
from collections import OrderedDict, deque
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager, suppress
from typing import TYPE_CHECKING, Final

from soundstage.emulator.mp3 import RATE, Encoding, size_of

if TYPE_CHECKING:
    from soundstage.emulator.asgi import Listener
    from soundstage.emulator.music import Score

log = logging.getLogger("soundstage.emulator")

#: Bytes of files that nobody reads just now.
KEPT_BYTES: Final = 64 * 2**20
#: Bytes of all files together; beyond that no other song is begun.
MOST_BYTES: Final = 256 * 2**20
#: Songs that are made in turns; each takes about 1.3 MB while it is made. Others wait.
AT_ONCE: Final = 100
_TURN: Final = RATE  # samples
#: The nice value of the thread: the event loop goes first.
_NICE: Final = 5

Key = tuple[str, int]
Waiter = tuple[asyncio.AbstractEventLoop, "asyncio.Future[None]"]


class NoRoom(Exception):
    """All memory for songs is taken by songs that are being read."""


class Song:
    """One file, of `size` bytes, of which the first `done` are there."""

    __slots__ = ("_compose", "_data", "_encoding", "_waiters", "at", "done", "failed", "readers",
                 "samples", "score", "size")  # fmt: skip

    def __init__(self, samples: int, compose: Callable[[], Score]) -> None:
        self.samples = samples
        self.size = size_of(samples)
        self.done = 0
        self.readers = 0
        self.failed = False
        self.at = 0
        self.score: Score | None = None
        self._compose = compose
        self._data = bytearray()
        self._encoding: Encoding | None = None
        self._waiters: deque[Waiter] = deque()

    @property
    def finished(self) -> bool:
        return self.done == self.size

    def piece(self, start: int, stop: int) -> bytes:
        """Bytes that are there already."""
        return bytes(self._data[start : min(stop, self.done)])

    async def upto(self, stop: int, listener: Listener) -> bool:
        """Wait until the first `stop` bytes are there; False if they will never be, or the far end
        is gone before.
        """
        loop = asyncio.get_running_loop()
        while self.done < stop and not self.failed and not listener.gone:
            waiter = listener.waiter = loop.create_future()
            self._waiters.append((loop, waiter))
            if self.done < stop and not self.failed:  # looked at again: the thread may be ahead
                await waiter
        return self.done >= stop and not listener.gone

    def take_turn(self) -> None:
        """Make the next second of it. Called by one thread at a time."""
        if self.score is None or self._encoding is None:
            self.score, self._encoding = self._compose(), Encoding(self.samples)
            self._data = bytearray(self.size)
        stop = min(self.at + _TURN, self.samples)
        part = self._encoding.feed(self.score.render(self.at, stop))
        self.at = stop
        self._data[self.done : self.done + len(part)] = part
        self.done += len(part)
        if self.finished:
            self.score = self._encoding = None
        self.wake()

    def wake(self) -> None:
        """Tell all who wait, each in its own event loop."""
        while self._waiters:
            loop, waiter = self._waiters.popleft()
            with suppress(RuntimeError):  # a loop that is closed has nobody left who waits
                loop.call_soon_threadsafe(_wake, waiter)


def _wake(waiter: asyncio.Future[None]) -> None:
    if not waiter.done():
        waiter.set_result(None)


class Songs:
    """The songs that are read, and those that were and are kept."""

    def __init__(self, kept_bytes: int = KEPT_BYTES, most_bytes: int = MOST_BYTES) -> None:
        self._kept_bytes = kept_bytes
        self._most_bytes = most_bytes
        self._all: OrderedDict[Key, Song] = OrderedDict()
        self._waiting: deque[Key] = deque()
        self._turning = 0
        self._bytes = 0
        self._lock = threading.Lock()
        self._thread: ThreadPoolExecutor | None = None
        self._closed = False

    def __len__(self) -> int:
        return len(self._all)

    @property
    def bytes(self) -> int:
        """The bytes of all songs, whole or in the making."""
        return self._bytes

    @contextmanager
    def reading(self, key: Key, samples: int, compose: Callable[[], Score]) -> Iterator[Song]:
        """The song of that key, made while somebody reads it. `compose` is called in the thread
        that makes it, and only if it is not there. Raises NoRoom.
        """
        with self._lock:
            song = self._all.get(key)
            if song is None:
                song = self._begin(key, Song(samples, compose))
            self._all.move_to_end(key)
            song.readers += 1
        try:
            yield song
        finally:
            with self._lock:
                song.readers -= 1
                self._forget(self._kept_bytes)

    def close(self) -> None:
        """Make no more songs; whoever waits for one is told."""
        with self._lock:
            self._closed = True
            for song in self._all.values():
                song.failed = not song.finished
                song.wake()
        if self._thread is not None:
            self._thread.shutdown(wait=False, cancel_futures=True)

    # ------------------------------------------------------------------ under the lock

    def _begin(self, key: Key, song: Song) -> Song:
        self._forget(self._most_bytes - song.size)
        if self._closed or self._bytes + song.size > self._most_bytes:
            raise NoRoom
        self._all[key] = song
        self._bytes += song.size
        self._waiting.append(key)
        self._next()
        return song

    def _forget(self, most: int) -> None:
        """Drop finished songs that nobody reads, the oldest first, until no more than `most` bytes
        are left. Songs in the making are dropped at their next turn.
        """
        if self._bytes <= most:
            return
        idle = [key for key, song in self._all.items() if song.finished and not song.readers]
        for key in idle:
            if self._bytes <= most:
                return
            self._drop(key)

    def _drop(self, key: Key) -> None:
        self._bytes -= self._all.pop(key).size

    def _next(self) -> None:
        """Let waiting songs have their turns, as far as there is a place."""
        while self._waiting and self._turning < AT_ONCE:
            key = self._waiting.popleft()
            if (song := self._all.get(key)) is not None:
                self._turning += 1
                self._submit(key, song)

    def _submit(self, key: Key, song: Song) -> None:
        if self._thread is None:
            self._thread = ThreadPoolExecutor(1, "songs", initializer=_yield_to_others)
        self._thread.submit(self._turn, key, song)

    # ------------------------------------------------------------------ in the thread

    def _turn(self, key: Key, song: Song) -> None:
        wanted = song.readers > 0
        if wanted and not self._closed:
            try:
                song.take_turn()
            except Exception:
                log.exception("a song could not be made")
                song.failed = True
        with self._lock:
            # Nobody may have come meanwhile for a song that was left: only then it is dropped.
            left = not wanted and not song.readers
            if self._closed:
                return
            if not (song.finished or song.failed or left):
                self._submit(key, song)
                return
            self._turning -= 1
            if not song.finished:
                self._drop(key)
            else:
                self._forget(self._kept_bytes)
            self._next()
        song.wake()


def _yield_to_others() -> None:
    """Where threads have priorities of their own, let the event loop go first."""
    if sys.platform != "linux":
        return
    with suppress(OSError):
        os.setpriority(os.PRIO_PROCESS, threading.get_native_id(), _NICE)
