"""Whether a process of this machine still runs."""

from __future__ import annotations

from pathlib import Path


def running(pid: int) -> bool:
    """Whether it is there and at work; a zombie is as good as gone."""
    try:
        state = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]
    except FileNotFoundError:
        return False
    return state != "Z"
