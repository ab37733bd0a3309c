"""What can be asked of an emulator when it is started; nothing here acts on it."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True, slots=True)
class Options:
    """`port` 0 takes a free one; `seed` None draws one; `keys` empty accepts any key on loopback.

    `speed` divides every delay. `framing` is used where an endpoint allows it. `error` names an
    error that every generation request gets. `state` is the file of balances and charges, None
    for memory. `stamp` sends the time of sending with each chunk. `apis` empty serves every
    contract. `faults` are names of the fault catalogue, `NAME` or
    `NAME:PROBABILITY`.
    """

    host: str = "127.0.0.1"
    port: int = 0
    seed: int | None = None
    speed: float = 1.0
    profile: str = "realistic"
    framing: str = "sse"
    keys: tuple[str, ...] = ()
    error: str | None = None
    state: Path | None = None
    stamp: bool = False
    apis: tuple[str, ...] = ()
    faults: tuple[str, ...] = ()

    @property
    def on_loopback(self) -> bool:
        return self.host in ("localhost", "::1") or self.host.startswith("127.")

    def arguments(self) -> Iterator[str]:
        """The command line that gives these options."""
        yield from (f"--host={self.host}", f"--port={self.port}", f"--speed={self.speed}")
        yield from (f"--profile={self.profile}", f"--framing={self.framing}")
        if self.seed is not None:
            yield f"--seed={self.seed}"
        if self.error is not None:
            yield f"--error={self.error}"
        if self.state is not None:
            yield f"--state={self.state}"
        if self.stamp:
            yield "--stamp"
        yield from (f"--key={key}" for key in self.keys)
        yield from (f"--api={api}" for api in self.apis)
        yield from (f"--fault={fault}" for fault in self.faults)
