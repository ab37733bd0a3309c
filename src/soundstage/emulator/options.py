"""What can be asked of an emulator when it is started; nothing here acts on it."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from soundstage.untrusted.same_origin import is_loopback


@dataclass(frozen=True, slots=True)
class Options:
    """`port` 0 takes a free one; `seed` None draws one.

    `speed` divides every delay. `profile` is a name or a file. `framing` is used where an endpoint
    allows it. `error` names an error that every generation request gets. `stamp` sends the time of
    sending with each chunk. `apis` empty serves every contract. `faults` are written as
    `faults/expression.py` says.

    `keys` are `KEY` or `KEY:BALANCE`, `accounts` a TOML file of more; none of both accepts any key
    on loopback. `balance` and `rate_limit` (`COUNT/UNIT`) are for keys that have none of their own.
    `triggers` is a file of keys and words that do something, beside the documented ones.

    `admin` lets the admin API answer beyond loopback, to who
    has the token of `admin_token_file` (or of the environment). `cors` are the origins whose pages
    may call: empty for any, `none` for none. `log` is the file that each request is logged to, `-`
    for standard error, in a `log_format` of `http/access_log.py`.
    """

    host: str = "127.0.0.1"
    port: int = 0
    seed: int | None = None
    speed: float = 1.0
    profile: str = "realistic"
    framing: str | None = None
    keys: tuple[str, ...] = ()
    error: str | None = None
    stamp: bool = False
    apis: tuple[str, ...] = ()
    faults: tuple[str, ...] = ()
    accounts: Path | None = None
    balance: int | None = None
    rate_limit: str | None = None
    triggers: Path | None = None
    admin: bool = False
    admin_token_file: Path | None = None
    cors: tuple[str, ...] = ()
    log: str | None = None
    log_format: str = "text"

    @property
    def on_loopback(self) -> bool:
        return is_loopback(self.host)

    def arguments(self) -> Iterator[str]:
        """The command line that gives these options."""
        yield from (f"--host={self.host}", f"--port={self.port}", f"--speed={self.speed}")
        yield f"--profile={self.profile}"
        named = {
            "framing": self.framing,
            "seed": self.seed,
            "error": self.error,
            "accounts": self.accounts,
            "balance": self.balance,
            "rate-limit": self.rate_limit,
            "triggers": self.triggers,
            "admin-token-file": self.admin_token_file,
            "log": self.log,
            "log-format": None if self.log is None else self.log_format,
        }
        yield from (f"--{name}={value}" for name, value in named.items() if value is not None)
        yield from (f"--{name}" for name in ("stamp", "admin") if getattr(self, name))
        yield from (f"--key={key}" for key in self.keys)
        yield from (f"--api={api}" for api in self.apis)
        yield from (f"--fault={fault}" for fault in self.faults)
        yield from (f"--cors={origin}" for origin in self.cors)
