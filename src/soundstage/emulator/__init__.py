"""The stand-in for the API. For use in other programs and their tests:

`Emulator(Options(...))` is an ASGI application, `running(Options(...))` serves one on a free port.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from soundstage.emulator.options import Options
    from soundstage.emulator.service.app import Emulator
    from soundstage.emulator.service.server import Running, running

__all__ = ["Emulator", "Options", "Running", "running"]

_PLACES = {
    "Emulator": "soundstage.emulator.service.app",
    "Options": "soundstage.emulator.options",
    "Running": "soundstage.emulator.service.server",
    "running": "soundstage.emulator.service.server",
}


def __getattr__(name: str) -> Any:
    """Import what is asked for when it is: a module of this package costs nothing but itself."""
    if name not in _PLACES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(_PLACES[name]), name)


def __dir__() -> list[str]:
    return sorted([*globals(), *_PLACES])
