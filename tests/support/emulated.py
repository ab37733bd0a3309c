"""Emulators for tests: in a process of its own, which can be looked at and killed, or a thread."""

from __future__ import annotations

import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from soundstage.emulator.options import Options
from soundstage.emulator.service.server import running as in_a_thread


class Running:
    """An emulator as a process of its own."""

    def __init__(self, options: Options) -> None:
        self.parent = subprocess.Popen(
            [sys.executable, "-m", "soundstage", "emulate", *options.arguments()],
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        assert self.parent.stdout is not None
        line = self.parent.stdout.readline()
        assert line.startswith("listening on "), self.parent.communicate()
        self.url = line.removeprefix("listening on ").strip()

    def resident(self) -> int:
        """Its memory, in bytes."""
        pages = int(Path(f"/proc/{self.parent.pid}/statm").read_text().split()[1])
        return pages * 4096

    def open_files(self) -> int:
        return len(list(Path(f"/proc/{self.parent.pid}/fd").iterdir()))

    def stop(self, how: signal.Signals = signal.SIGTERM) -> tuple[str, str]:
        self.parent.send_signal(how)
        return self.parent.communicate(timeout=10)


@contextmanager
def running(options: Options) -> Iterator[Running]:
    emulator = Running(options)
    with emulator.parent:
        try:
            yield emulator
        finally:
            if emulator.parent.poll() is None:
                emulator.stop()


@contextmanager
def served(options: Options) -> Iterator[str]:
    """The URL of an emulator in a thread of this process: half a second of CPU less than as a
    process of its own, for tests to which that is all the same.
    """
    with in_a_thread(options) as emulator:
        yield emulator.url
