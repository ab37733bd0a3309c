"""Charged exactly once, whatever the client does; never more than there is."""

from __future__ import annotations

import asyncio
import json
import random
import socket
import sqlite3
import threading
import time
from pathlib import Path
from typing import Any

import httpx
import pytest

from soundstage.contract import load_all
from soundstage.emulator.accounts import Account, account_of
from soundstage.emulator.app import Emulator
from soundstage.emulator.ledger import Hold, Ledger
from soundstage.emulator.options import Options
from soundstage.emulator.serving import claimed
from soundstage.emulator.state import State
from soundstage.errors import TargetError, UsageError
from soundstage.exchange.spawn import spawned_emulator

CONTRACTS = load_all()
KEY = {"Authorization": "Bearer my-key"}
MINE = Account(account_of("my-key"), 10)


def states(path: Path) -> list[str]:
    with sqlite3.connect(path) as database:
        rows = database.execute("SELECT state FROM charges ORDER BY id").fetchall()
    database.close()
    return [state for (state,) in rows]


def held(ledger: Ledger, account: Account, price: int) -> Hold:
    hold = ledger.hold(account, price)
    assert isinstance(hold, Hold), hold
    ledger.note(hold)
    return hold


def test_a_hold_becomes_one_charge_and_no_more() -> None:
    ledger = Ledger(State(None))
    hold = held(ledger, MINE, 3)
    assert ledger.balance(MINE) == 7
    ledger.seal(hold, "generation", 100.0, charges=True)
    ledger.settle(99.9)
    assert ledger.charges(MINE.name) == []
    for _ in range(2):
        ledger.settle(200.0)
        ledger.release(hold)
        assert ledger.balance(MINE) == 7
        assert ledger.charges(MINE.name) == ["generation"]


def test_a_released_hold_is_given_back_once() -> None:
    ledger = Ledger(State(None))
    hold = held(ledger, MINE, 3)
    ledger.release(hold)
    ledger.release(hold)
    ledger.settle(1e9)
    assert ledger.balance(MINE) == 10
    other = ledger.hold(MINE, 4)
    assert isinstance(other, Hold)
    ledger.give_back(other)
    assert ledger.balance(MINE) == 10
    assert ledger.charges(MINE.name) == []


def test_what_is_due_is_settled_by_whoever_looks_and_only_once() -> None:
    ledger = Ledger(State(None))
    for due, charges in ((1.0, True), (2.0, True), (1.0, False), (3.0, False)):
        ledger.seal(held(ledger, MINE, 1), f"{due} {charges}", due, charges=charges)
    ledger.settle(0.5)
    assert ledger.balance(MINE) == 6
    for _ in range(2):
        ledger.settle(1.5)
        assert ledger.charges(MINE.name) == ["1.0 True"]
        assert ledger.balance(MINE) == 7
    assert ledger.waiting()
    ledger.settle(9.0)
    assert ledger.charges(MINE.name) == ["1.0 True", "2.0 True"]
    assert ledger.balance(MINE) == 8
    assert not ledger.waiting()


def test_numbers_are_given_to_those_who_pay_and_to_nobody_else() -> None:
    state = State(None)
    ledger = Ledger(state)
    poor = Account("poor", 2)
    assert [getattr(ledger.hold(poor, 1), "number", None) for _ in range(4)] == [1, 2, None, None]
    assert held(ledger, MINE, 1).number == 3


def test_a_balance_is_never_overdrawn_and_accounts_do_not_mix() -> None:
    ledger = Ledger(State(None))
    poor = Account("poor", 5)
    assert [isinstance(ledger.hold(poor, 2), Hold) for _ in range(4)] == [True, True, False, False]
    assert ledger.balance(poor) == 1
    assert ledger.balance(MINE) == 10


def test_tallies_agree_with_the_rows_whatever_becomes_of_holds() -> None:
    state = State(None)
    ledger = Ledger(state)
    rng = random.Random(8)
    accounts = [Account(f"account {number}", 60) for number in range(3)]
    open_holds: list[Hold] = []
    for number in range(400):
        hold = ledger.hold(rng.choice(accounts), rng.randrange(1, 5))
        if isinstance(hold, Hold):
            open_holds.append(hold)
            way = rng.randrange(4)
            if way:
                ledger.note(hold)
            if way == 1:
                ledger.release(hold)
            elif way == 2:
                ledger.give_back(hold)
            else:
                ledger.seal(hold, f"{number}", number + rng.uniform(0, 9), charges=way == 3)
        else:
            ledger.refused(None, "api", "endpoint", hold.error, 402)
        ledger.settle(number)
        if number == 300:
            ledger.release_unsealed(state.worker)
            assert ledger.charged() > 20
    told = ledger.totals()
    counted = "SELECT COUNT(*), COALESCE(SUM(price), 0) FROM charges WHERE state = ?"
    for name, tally in told["charges"].items():
        assert tuple(tally.values()) == state.run(counted, (name,)).fetchone()
    assert told["charges"]["charged"]["number"] == ledger.charged()
    [(refused,)] = state.run("SELECT COUNT(*) FROM refusals")
    assert told["refusals"] == {"insufficient_balance": refused}
    for about in ledger.accounts(10):
        assert about == ledger.account(about["account"])
        query = (
            "SELECT SUM(state = 'held'), SUM(state = 'charged'),"
            " 60 - SUM(price * (state <> 'released')) FROM charges WHERE account = ?"
        )
        [row] = state.run(query, (about["account"],))
        assert (about["held"], about["charged"], about["balance"]) == row
    with state.transaction():
        ledger.forget()
    assert ledger.charged() == 0
    assert ledger.totals()["refusals"] == {}


def test_a_worker_that_died_leaves_no_hold_without_a_generation(tmp_path: Path) -> None:
    path = tmp_path / "state.sqlite"
    Ledger(State(path)).start()
    workers = [Ledger(State(path, fresh=False, worker=number)) for number in range(2)]
    begun, lost = held(workers[1], MINE, 1), held(workers[1], MINE, 2)
    other = held(workers[0], MINE, 3)
    workers[1].seal(begun, "begun", 5.0, charges=True)
    workers[0].release_unsealed(1)
    assert workers[0].balance(MINE) == 6
    for hold, name in ((begun, "begun"), (other, "other")):
        workers[0].seal(hold, name, 5.0, charges=True)
    workers[0].settle(6.0)
    assert workers[0].charges(MINE.name) == ["begun", "other"]
    assert workers[0].balance(MINE) == 6
    assert lost.number == 2


def test_a_file_keeps_charges_gives_back_holds_and_names_no_key(tmp_path: Path) -> None:
    path = tmp_path / "state.sqlite"
    first = Ledger(State(path))
    secret = Account(account_of("secret-key"), 10)
    charged = held(first, secret, 1)
    first.seal(charged, "one", 1.0, charges=True)
    first.settle(2.0)
    sealed = held(first, secret, 1)
    first.seal(sealed, "two", 1.0, charges=True)
    held(first, secret, 1)
    state = State(path)  # as after a crash: the first was never closed
    again = Ledger(state)
    again.start()
    assert again.balance(secret) == 9
    assert again.charges(secret.name) == ["one"]
    assert state.check() == "ok"
    state.close()
    assert b"secret-key" not in path.read_bytes()


def test_a_transaction_that_cannot_be_committed_leaves_room_for_the_next() -> None:
    state = State(None)
    ledger = Ledger(state)
    state.run("PRAGMA foreign_keys = ON")

    def fail() -> None:
        with state.transaction():
            # Checked at the end of a transaction, so that the commit itself is what fails.
            state.run("PRAGMA defer_foreign_keys = ON")
            ledger.note(Hold(1, 1, "nobody", 1))

    with pytest.raises(sqlite3.IntegrityError):
        fail()
    with state.transaction():
        hold = held(ledger, MINE, 1)
        ledger.seal(hold, "one", 1.0, charges=True)
    ledger.settle(2.0)
    assert ledger.charges(MINE.name) == ["one"]
    assert ledger.totals()["charges"]["held"]["number"] == 0


def test_a_file_that_is_none_is_refused_in_one_line(tmp_path: Path) -> None:
    (tmp_path / "text").write_text("this is not a database, and it is long enough to tell")
    with sqlite3.connect(tmp_path / "other") as other:
        other.execute("CREATE TABLE charges (id)")
    other.close()
    for name in ("text", "absent/state", "other"):
        with pytest.raises(UsageError, match="cannot be used") as refused:
            State(tmp_path / name)
        assert "\n" not in str(refused.value)


def test_a_file_in_use_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "state.sqlite"
    with (
        claimed(path),
        pytest.raises(TargetError, match="in use by another emulator"),
        spawned_emulator(Options(state=path).arguments()),
    ):
        pass
    with claimed(path):
        pass


def said(url: str, path: str, body: Any) -> socket.socket:
    """A connection on which a request has been sent; nobody reads the answer."""
    data = json.dumps(body).encode()
    head = f"POST {path} HTTP/1.1\r\nhost: emulator.example\r\ncontent-length: {len(data)}\r\n"
    head += "content-type: application/json\r\n"
    head += "".join(f"{name}: {value}\r\n" for name, value in KEY.items())
    connection = socket.create_connection(("127.0.0.1", int(url.rpartition(":")[2])))
    connection.sendall(f"{head}\r\n".encode() + data)
    return connection


def test_every_generation_is_charged_once_also_when_its_client_leaves(tmp_path: Path) -> None:
    path = tmp_path / "state.sqlite"
    due = 0
    with (
        spawned_emulator(Options(profile="fast", speed=5, state=path).arguments()) as url,
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
                before = len(states(path))
                with said(url, endpoint.path, body):  # gone as soon as it was accepted
                    while len(states(path)) == before:
                        time.sleep(0.002)
                if endpoint.kind == "stream":
                    with client.stream("POST", endpoint.path, json=body) as response:
                        next(response.iter_bytes())
                    due += 1
                due += 2
        deadline = time.monotonic() + 10
        while states(path).count("charged") < due and time.monotonic() < deadline:
            time.sleep(0.05)
        assert states(path).count("charged") == due
        with sqlite3.connect(path) as database:
            reasons = database.execute(
                "SELECT reason, COUNT(*), COUNT(account) FROM refusals GROUP BY reason"
            ).fetchall()
        database.close()
        asked = sum(e.request is not None for c in CONTRACTS.values() for e in c.endpoints.values())
        assert reasons == [
            (reason, asked, asked) for reason in ("invalid_prompt", "nsfw", "service_unavailable")
        ]
    assert states(path).count("charged") == due
    assert states(path).count("held") == 0
    with sqlite3.connect(path) as database:
        [(spent,)] = database.execute(
            "SELECT ? - balance FROM accounts WHERE account = ?",
            (1_000_000_000, account_of("my-key")),
        ).fetchall()
    database.close()
    assert spent == due


def test_what_is_due_is_charged_also_after_the_state_could_not_be_written(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    path = tmp_path / "state.sqlite"
    contract = next(iter(CONTRACTS.values()))
    body = next(each.payload for each in contract.examples if each.of == "request")
    sync = next(e.path for e in contract.endpoints.values() if e.kind == "sync")

    async def outlast() -> list[str]:
        app = Emulator(Options(profile="instant", state=path))
        app._state.run("PRAGMA busy_timeout = 1")
        other = sqlite3.connect(path, isolation_level=None)
        transport = httpx.ASGITransport(app)
        async with httpx.AsyncClient(transport=transport, base_url="http://emulator") as client:
            assert (await client.post(sync, json=body, headers=KEY)).status_code == 200
        other.execute("BEGIN IMMEDIATE")
        await asyncio.sleep(0.25)
        other.execute("ROLLBACK")
        other.close()
        assert states(path) == ["held"]
        for _ in range(100):
            await asyncio.sleep(0.02)
            if states(path) != ["held"]:
                break
        return states(path)

    assert asyncio.run(outlast()) == ["charged"]
    assert [record.message for record in caplog.records] == [
        "the state cannot be written: database is locked"
    ]


def test_a_race_for_the_last_credit_has_one_winner() -> None:
    contract = next(iter(CONTRACTS.values()))
    body = next(each.payload for each in contract.examples if each.of == "request")
    statuses: list[int] = []
    with (
        spawned_emulator(Options(profile="instant").arguments()) as url,
        httpx.Client(base_url=url) as client,
    ):
        path = next(e.path for e in contract.endpoints.values() if e.kind == "sync")

        def ask() -> None:
            headers = {"Authorization": "Bearer key-with-one-credit"}
            statuses.append(client.post(path, json=body, headers=headers).status_code)

        threads = [threading.Thread(target=ask) for _ in range(20)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
    assert sorted(statuses) == [200] + [402] * 19
