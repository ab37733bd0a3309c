"""Charged exactly once, whatever the client does; never more than there is."""

from __future__ import annotations

import sqlite3
import threading
import time
from pathlib import Path

import httpx
import pytest

from soundstage.contract import load_all
from soundstage.emulator.ledger import Ledger, account_of
from soundstage.emulator.options import Options
from soundstage.errors import UsageError
from soundstage.exchange.spawn import spawned_emulator

CONTRACTS = load_all()
KEY = {"Authorization": "Bearer my-key"}


def states(path: Path) -> list[str]:
    with sqlite3.connect(path) as database:
        rows = database.execute("SELECT state FROM charges ORDER BY id").fetchall()
    database.close()
    return [state for (state,) in rows]


def test_a_hold_becomes_one_charge_and_no_more() -> None:
    ledger = Ledger(None, 10)
    hold = ledger.hold("key", "generation", 3)
    assert hold is not None
    assert ledger.balance("key") == 7
    assert ledger.charge(hold)
    assert not ledger.charge(hold)
    ledger.release(hold)
    assert ledger.balance("key") == 7
    assert ledger.charges("key") == ["generation"]
    ledger.close()


def test_a_released_hold_is_given_back_once() -> None:
    ledger = Ledger(None, 10)
    hold = ledger.hold("key", "generation", 3)
    assert hold is not None
    ledger.release(hold)
    ledger.release(hold)
    assert ledger.balance("key") == 10
    assert not ledger.charge(hold)
    ledger.close()


def test_a_balance_is_never_overdrawn_and_keys_do_not_mix() -> None:
    ledger = Ledger(None, 10)
    assert [ledger.hold("poor", str(n), 2, opening=5) is not None for n in range(4)] == [
        True,
        True,
        False,
        False,
    ]
    assert ledger.balance("poor") == 1
    assert ledger.balance("rich") == 10
    ledger.close()


def test_a_file_keeps_charges_gives_back_holds_and_names_no_key(tmp_path: Path) -> None:
    path = tmp_path / "state.sqlite"
    first = Ledger(path, 10)
    charged, _held = first.hold("secret-key", "one", 1), first.hold("secret-key", "two", 1)
    assert charged is not None
    first.charge(charged)
    again = Ledger(path, 10)  # as after a crash: the first was never closed
    assert again.balance("secret-key") == 9
    assert again.charges("secret-key") == ["one"]
    again.close()
    first.close()
    assert b"secret-key" not in path.read_bytes()


def test_a_file_that_is_none_is_refused_in_one_line(tmp_path: Path) -> None:
    (tmp_path / "text").write_text("this is not a database, and it is long enough to tell")
    for path in (tmp_path / "text", tmp_path / "absent" / "state"):
        with pytest.raises(UsageError, match="cannot be used"):
            Ledger(path, 10)


def test_every_generation_is_charged_once_also_when_its_client_leaves(tmp_path: Path) -> None:
    path = tmp_path / "state.sqlite"
    due = 0
    with (
        spawned_emulator(Options(profile="fast", speed=2, state=path).arguments()) as url,
        httpx.Client(base_url=url, headers=KEY) as client,
    ):
        for contract in CONTRACTS.values():
            body = next(each.payload for each in contract.examples if each.of == "request")
            for endpoint in contract.endpoints.values():
                if endpoint.request is None:
                    continue
                client.post(endpoint.path, json=body)
                client.post(endpoint.path, json={**body, "prompt": ""})
                client.post(endpoint.path, json={**body, "prompt": "nsfw-test-word"})
                client.post(endpoint.path, json={**body, "prompt": "unavailable-test-word"})
                with pytest.raises(httpx.TimeoutException):  # gone before anything is charged
                    client.post(endpoint.path, json=body, timeout=0.02)
                if endpoint.kind == "stream":
                    with client.stream("POST", endpoint.path, json=body) as response:
                        next(response.iter_bytes())
                    due += 1
                due += 2
        deadline = time.monotonic() + 10
        while states(path).count("charged") < due and time.monotonic() < deadline:
            time.sleep(0.05)
        assert states(path).count("charged") == due
    assert states(path).count("charged") == due
    assert states(path).count("held") == 0
    with sqlite3.connect(path) as database:
        [(spent,)] = database.execute(
            "SELECT ? - balance FROM accounts WHERE account = ?",
            (1_000_000_000, account_of("my-key")),
        ).fetchall()
    database.close()
    assert spent == due


def test_a_race_for_the_last_credit_has_one_winner(instant: str) -> None:
    # The other tests use up this key's only credit on the shared emulator: take another one.
    contract = next(iter(CONTRACTS.values()))
    body = next(each.payload for each in contract.examples if each.of == "request")
    statuses: list[int] = []
    with spawned_emulator(Options(profile="instant").arguments()) as url:
        path = next(e.path for e in contract.endpoints.values() if e.kind == "sync")

        def ask() -> None:
            headers = {"Authorization": "Bearer key-with-one-credit"}
            statuses.append(httpx.post(url + path, json=body, headers=headers).status_code)

        threads = [threading.Thread(target=ask) for _ in range(20)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
    assert sorted(statuses) == [200] + [402] * 19
