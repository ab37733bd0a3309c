"""The signals that a server takes as the end of its work."""

from __future__ import annotations

import signal


def stopping() -> tuple[signal.Signals, ...]:
    """SIGINT, SIGTERM, and SIGHUP where a terminal's end is the server's, too (not by `nohup`)."""
    known = [signal.SIGINT, signal.SIGTERM]
    hangup = getattr(signal, "SIGHUP", None)
    if hangup is not None and signal.getsignal(hangup) != signal.SIG_IGN:
        known.append(hangup)
    return tuple(known)
