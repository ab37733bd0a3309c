"""One exchange that may be interrupted (Ctrl-C) without losing what has come of it."""

from __future__ import annotations

from threading import Event, Thread
from typing import Final

from soundstage.exchange.client import Call, Exchange
from soundstage.exchange.session import Session

#: How long what was interrupted may take to end, in seconds.
_END_S: Final = 2.0


def interruptible_exchange(
    session: Session, call: Call
) -> tuple[Exchange, KeyboardInterrupt | None]:
    """Make one exchange. What comes of it is kept even if it is interrupted (Ctrl-C), and was paid
    for; the interruption is given back then.
    """
    done: list[Exchange] = []
    wrong: list[BaseException] = []
    # Not `Thread.join`: interrupted, CPython 3.11 takes the thread for ended while it still runs.
    over = Event()

    def ask() -> None:
        try:
            done.append(session.client.exchange(call))
        except BaseException as error:  # noqa: BLE001 - raised in the caller
            wrong.append(error)
        finally:
            over.set()

    interrupted: KeyboardInterrupt | None = None
    try:
        Thread(target=ask, name="recording", daemon=True).start()
        over.wait()
    except KeyboardInterrupt as error:
        interrupted = error
        session.halt()
        over.wait(_END_S)
    if done and (interrupted is None or done[0].response.status is not None):
        return done[0], interrupted
    raise interrupted or wrong[0]
