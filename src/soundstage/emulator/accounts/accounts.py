"""Who may ask, with what balance and at what rate: keys from the command line, from a TOML file and
from `triggers.json`.

Keys go no further than this: everything else knows accounts, by digests from which no key can be
read.
"""

from __future__ import annotations

import hashlib
import json
import re
import tomllib
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from importlib.resources import files
from pathlib import Path
from typing import Any, Final

import jsonschema_rs

from soundstage.emulator.accounts import rates
from soundstage.emulator.accounts.rates import RateLimit
from soundstage.emulator.accounts.triggers import Triggers
from soundstage.errors import UsageError
from soundstage.output.cutting import head

_LARGEST: Final = 4 * 2**20
_MOST: Final = 10**15
_KEY: Final = re.compile(r"[A-Za-z0-9._~+/=-]{1,4096}")


def account_of(key: str) -> str:
    """The name under which a key's account is stored; the key cannot be read from it."""
    return hashlib.sha256(b"soundstage account\0" + key.encode()).hexdigest()[:32]


@dataclass(frozen=True, slots=True)
class Account:
    """`balance` is what it opens with, in credits. `rate` is its own limit, None if it has none of
    its own. `error` is what each of its requests gets.
    """

    name: str
    balance: int
    rate: RateLimit | None = None
    error: str | None = None
    retry_after: int | None = None


@dataclass(frozen=True, slots=True)
class _AccountEntry:
    balance: int | None = None
    rate: RateLimit | None = None
    error: str | None = None


class Accounts:
    """The keys that are accepted. `keys` are `KEY` or `KEY:BALANCE`; they win over the file's.

    Without any key on the command line or in the file, every key is accepted on loopback, and
    elsewhere the documented default key. Raises UsageError for a key or a file that is wrong; no
    key is ever part of the message.
    """

    def __init__(
        self,
        triggers: Triggers,
        *,
        keys: Iterable[str] = (),
        file: Path | None = None,
        balance: int | None = None,
        rate: RateLimit | None = None,
        on_loopback: bool = True,
    ) -> None:
        data = {} if file is None else _read(file)
        defaults = data.get("default", {})
        self.triggers = triggers
        self.price: int = data.get("price", triggers.price)
        if balance is None:
            balance = defaults.get("balance", triggers.default_balance)
        self.balance: int = balance
        self.rate = rate if rate is not None else _rate(defaults.get("rate_limit"), file)
        self._entries = {
            each["key"]: _AccountEntry(
                each.get("balance"), _rate(each.get("rate_limit"), file), each.get("error")
            )
            for each in data.get("key", ())
        }
        for text in keys:
            key, opening = _flag(text)
            before = self._entries.get(key, _AccountEntry())
            self._entries[key] = _AccountEntry(
                before.balance if opening is None else opening, before.rate, before.error
            )
        any_key = not self._entries and on_loopback
        self.any_key: bool = data.get("any_key", any_key)
        self._default_key = None if self._entries else triggers.default_key

    def of(self, key: str | None) -> Account | None:
        """The account of a key; None if the key is not accepted."""
        if key is None:
            return None
        entry = self._entries.get(key)
        if entry is not None:
            if entry.error == "unauthorized":
                return None
            balance = self.balance if entry.balance is None else entry.balance
            return Account(account_of(key), balance, entry.rate, entry.error)
        known = self.triggers.keys.get(key)
        if known is not None:
            if known.error == "unauthorized":
                return None
            balance = self.balance if known.balance is None else known.balance
            return Account(account_of(key), balance, None, known.error, known.retry_after)
        if self.any_key or key == self._default_key:
            return Account(account_of(key), self.balance)
        return None

    def known(self) -> list[Account]:
        """The accounts of the keys that are named somewhere, without those made for tests."""
        return [account for key in self._entries if (account := self.of(key)) is not None]


def _flag(text: str) -> tuple[str, int | None]:
    """`KEY` or `KEY:BALANCE`; a key has no colon (RFC 6750, section 2.1)."""
    key, colon, balance = text.partition(":")
    if not _KEY.fullmatch(key):
        raise UsageError("--key: a key is made of letters, digits and . _ ~ + / = -")
    if not colon:
        return key, None
    if not (balance.isascii() and balance.isdigit()) or int(balance) > _MOST:
        raise UsageError(f"--key KEY:{head(balance, 40)}: the balance is a whole number of credits")
    return key, int(balance)


def _rate(text: str | None, file: Path | None) -> RateLimit | None:
    return None if text is None else rates.parse(text, f"--accounts {file}")


def _read(path: Path) -> Mapping[str, Any]:
    where = f"--accounts {path}"
    try:
        if path.stat().st_size > _LARGEST:
            raise UsageError(f"{where}: larger than {_LARGEST} bytes")
        data = tomllib.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise UsageError(f"{where}: {error.strerror or error}") from error
    except (tomllib.TOMLDecodeError, UnicodeDecodeError, RecursionError) as error:
        raise UsageError(f"{where}: not TOML: {head(str(error), 200)}") from error
    schema = json.loads(files(__package__).joinpath("accounts.schema.json").read_bytes())
    # A message would repeat the value, and the value may be a key.
    checker = jsonschema_rs.validator_for(schema, mask="the value")
    for wrong in checker.iter_errors(data):
        place = "/".join(str(each) for each in wrong.instance_path)
        raise UsageError(f"{where}: /{place}: {head(wrong.message, 200)} (accounts.schema.json)")
    named = [each["key"] for each in data.get("key", ())]
    for number, key in enumerate(named):
        if key in named[:number]:
            raise UsageError(f"{where}: /key/{number}: the same key as /key/{named.index(key)}")
    return data
