"""The stand-in for the API. For use in other programs and their tests:

`Emulator(Options(...))` is an ASGI application, `running(Options(...))` serves one on a free port.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from soundstage.emulator.http.app import Emulator
    from soundstage.emulator.http.hosting import Running, running
    from soundstage.emulator.options import Options

__all__ = ["Emulator", "Options", "Running", "running"]

_PLACES = {
    "Emulator": "soundstage.emulator.http.app",
    "Options": "soundstage.emulator.options",
    "Running": "soundstage.emulator.http.hosting",
    "running": "soundstage.emulator.http.hosting",
}


def __getattr__(name: str) -> Any:
    """Import what is asked for when it is: a module of this package costs nothing but itself."""
    if name not in _PLACES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(_PLACES[name]), name)


def __dir__() -> list[str]:
    return sorted([*globals(), *_PLACES])
