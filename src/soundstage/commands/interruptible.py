"""One exchange that may be interrupted (Ctrl-C) without losing what has come of it."""

from __future__ import annotations

from threading import Thread
from typing import Final

from soundstage.exchange.client import Call, Exchange
from soundstage.exchange.session import Session

#: How long what was interrupted may take to end, in seconds, and how often it is told to.
_END_S: Final = 2.0
_AGAIN_S: Final = 0.1


def interruptible_exchange(
    session: Session, call: Call
) -> tuple[Exchange, KeyboardInterrupt | None]:
    """Make one exchange. What comes of it is kept even if it is interrupted (Ctrl-C), and was paid
    for; the interruption is given back then.
    """
    done: list[Exchange] = []
    wrong: list[BaseException] = []

    def ask() -> None:
        try:
            done.append(session.client.exchange(call))
        except BaseException as error:  # noqa: BLE001 - raised in the caller
            wrong.append(error)

    thread = Thread(target=ask, name="recording", daemon=True)
    interrupted: KeyboardInterrupt | None = None
    try:
        thread.start()
        thread.join()
    except KeyboardInterrupt as error:
        interrupted = error
        for _ in range(int(_END_S / _AGAIN_S)):
            # More than once: something may just have been about to start.
            session.cut()
            thread.join(_AGAIN_S)
            if not thread.is_alive():
                break
    if done and (interrupted is None or done[0].response.status is not None):
        return done[0], interrupted
    raise interrupted or wrong[0]
