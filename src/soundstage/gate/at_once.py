"""Does several things at once in threads; Ctrl-C need not wait for songs that take minutes."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterable
from threading import Thread
from typing import Final, Generic, TypeVar

#: What is cut gets so long to say so, in seconds.
_CUT_S: Final = 2.0

Task = TypeVar("Task")
Ready = TypeVar("Ready")


class AtOnce(Generic[Task, Ready]):
    """Does `work` for each of some tasks, `many` of them at once, begun in their order. `ready` is
    called before, for one task at a time and in order: it may count, name and pay, and gives what
    `work` gets beside the task, or None to pass it over. `halt` ends what is under way, and what is
    about to begin.

    What either raises ends all of it: nothing more is begun, and the first is raised again once
    what is under way has ended.
    """

    def __init__(
        self,
        many: int,
        ready: Callable[[Task], Ready | None],
        work: Callable[[Task, Ready], None],
        halt: Callable[[], None],
    ) -> None:
        self._many = many
        self._ready = ready
        self._work = work
        self._halt = halt
        self._lock = threading.Lock()
        self._left: list[Task] = []
        self._stopped = self._single = False
        self._running = 0
        self._failed: list[BaseException] = []

    def stop(self) -> None:
        """Begin nothing more."""
        self._stopped = True

    def one_by_one(self) -> None:
        """From now on, and once what is under way has ended, do one after the other."""
        self._single = True

    def all(self, tasks: Iterable[Task]) -> list[Task]:
        """Do them, and wait for all; the tasks that were not begun, as `stop` was called."""
        self._stopped = False
        self._failed = []
        self._left = list(tasks)[::-1]
        # Threads are not joined: once Ctrl-C has interrupted that, Python takes them for ended.
        ended = [threading.Event() for _ in self._left[: 1 if self._single else self._many]]
        self._running = len(ended)
        for event in ended:
            Thread(target=self._lane, args=(event,), daemon=True).start()
        try:
            for event in ended:
                event.wait()
        except KeyboardInterrupt:
            # What has come so far was paid for: it is judged, and stands in the report.
            self.stop()
            self._halt()
            deadline = time.monotonic() + _CUT_S
            for event in ended:
                event.wait(max(0.0, deadline - time.monotonic()))
            raise
        if self._failed:
            raise self._failed[0]
        return self._left[::-1]

    def _lane(self, ended: threading.Event) -> None:
        try:
            while (begun := self._next()) is not None:
                self._work(*begun)
        except BaseException as error:  # noqa: BLE001 - raised by whoever waits
            self._failed.append(error)
            self.stop()
        finally:
            ended.set()

    def _next(self) -> tuple[Task, Ready] | None:
        with self._lock:
            # Where it goes one by one, the last to end what it did goes on alone.
            while self._left and not (self._stopped or (self._single and self._running > 1)):
                task = self._left.pop()
                if (ready := self._ready(task)) is not None:
                    return task, ready
            self._running -= 1
        return None
