"""Charged exactly once, whatever the client does; never more than there is."""

from __future__ import annotations

import asyncio
import json
import random
import socket
import threading
import time
from collections import Counter
from typing import Any

import httpx
import pytest
from crowd import Answered, crowd, leave, request
from emulated import served

from soundstage.contract import load_all
from soundstage.emulator import Options, running
from soundstage.emulator.accounts import charges as accounting
from soundstage.emulator.accounts.accounts import Account, account_of
from soundstage.emulator.accounts.charges import ChargeRefused, HeldPrice, Ledger
from soundstage.emulator.generations.factory import Factory

CONTRACTS = load_all()
KEY = {"Authorization": "Bearer my-key"}
MINE = Account(account_of("my-key"), 10)


def held(ledger: Ledger, account: Account, price: int) -> HeldPrice:
    hold = ledger.hold(account, price)
    assert isinstance(hold, HeldPrice), hold
    return hold


def balance(ledger: Ledger, account: Account) -> int:
    """What is left of it, holds taken off."""
    about = ledger.account(account.name)
    return account.balance if about is None else int(about["balance"])


def test_a_hold_becomes_one_charge_and_no_more() -> None:
    ledger = Ledger()
    hold = held(ledger, MINE, 3)
    assert balance(ledger, MINE) == 7
    ledger.seal(hold, 100.0, charges=True)
    ledger.settle(99.9)
    assert ledger.charged() == 0
    for _ in range(2):
        ledger.settle(200.0)
        ledger.release(hold)
        assert balance(ledger, MINE) == 7
        assert ledger.charged() == 1


def test_a_released_hold_is_given_back_once() -> None:
    ledger = Ledger()
    hold = held(ledger, MINE, 3)
    ledger.seal(hold, 5.0, charges=True)
    ledger.release(hold)
    ledger.release(hold)
    ledger.settle(1e9)
    assert balance(ledger, MINE) == 10
    assert ledger.charged() == 0


def test_what_is_due_is_settled_by_whoever_looks_and_only_once() -> None:
    ledger = Ledger()
    for due, charges in ((1.0, True), (2.0, True), (1.0, False), (3.0, False)):
        ledger.seal(held(ledger, MINE, 1), due, charges=charges)
    ledger.settle(0.5)
    assert balance(ledger, MINE) == 6
    for _ in range(2):
        ledger.settle(1.5)
        assert ledger.charged() == 1
        assert balance(ledger, MINE) == 7
    assert ledger.waiting()
    ledger.settle(9.0)
    assert ledger.charged() == 2
    assert balance(ledger, MINE) == 8
    assert not ledger.waiting()


def test_the_end_gives_back_what_is_not_due() -> None:
    ledger = Ledger()
    for due in (1.0, 9.0):
        ledger.seal(held(ledger, MINE, 2), due, charges=True)
    held(ledger, MINE, 3)
    ledger.end(5.0)
    assert (balance(ledger, MINE), ledger.charged()) == (8, 1)
    assert ledger.totals()["charges"]["released"] == {"number": 2, "credits": 5}


def test_numbers_are_given_to_those_who_pay_and_to_nobody_else() -> None:
    ledger = Ledger()
    poor = Account("poor", 2)
    assert [getattr(ledger.hold(poor, 1), "number", None) for _ in range(4)] == [1, 2, None, None]
    assert held(ledger, MINE, 1).number == 3


def test_a_balance_is_never_overdrawn_and_accounts_do_not_mix() -> None:
    ledger = Ledger()
    poor = Account("poor", 5)
    assert [isinstance(ledger.hold(poor, 2), HeldPrice) for _ in range(4)] == [
        True,
        True,
        False,
        False,
    ]
    assert balance(ledger, poor) == 1
    assert balance(ledger, MINE) == 10


def test_no_credit_is_lost_or_made_whatever_becomes_of_holds() -> None:
    """Held against books that are kept the slow way."""
    ledger = Ledger()
    rng = random.Random(8)
    accounts = {f"account {number}": Account(f"account {number}", 60) for number in range(3)}
    asked: list[tuple[HeldPrice, str, float]] = []
    refused = 0
    for number in range(400):
        hold = ledger.hold(rng.choice(list(accounts.values())), rng.randrange(1, 5))
        if isinstance(hold, ChargeRefused):
            ledger.refused(hold.error)
            refused += 1
        else:
            way, due = rng.choice(("released", "charged", "lost")), number + rng.uniform(0, 9)
            if way == "released":
                ledger.release(hold)
            else:
                ledger.seal(hold, due, charges=way == "charged")
            asked.append((hold, way, due))
        ledger.settle(number)
    ledger.settle(395.0)
    state = {
        id(hold): "held" if due > 395 and way != "released" else way for hold, way, due in asked
    }
    for name in accounts:
        mine = [hold for hold, _, _ in asked if hold.account == name]
        prices = Counter[str]()
        for hold in mine:
            prices[state[id(hold)]] += hold.price
        about = ledger.account(name)
        assert about is not None
        assert about["balance"] == 60 - prices["held"] - prices["charged"]
        for word in ("held", "charged"):
            assert about[word] == sum(state[id(hold)] == word for hold in mine)
    told = ledger.totals()
    assert told["charges"]["charged"]["number"] == ledger.charged() > 20
    assert sum(each["number"] for each in told["charges"].values()) == len(asked)
    assert told["refusals"] == {"insufficient_balance": refused}
    assert [each["charged"] for each in ledger.accounts(3)] == sorted(
        (each["charged"] for each in ledger.accounts(3)), reverse=True
    )
    ledger.forget()
    assert ledger.charged() == 0
    assert ledger.totals()["refusals"] == {}


def test_a_new_key_with_each_request_fills_no_memory(monkeypatch: Any) -> None:
    monkeypatch.setattr(accounting, "MOST_ACCOUNTS", 100)
    ledger = Ledger()
    running = held(ledger, MINE, 3)
    ledger.set_balance("often", 8)
    for number in range(1_000):
        ledger.release(held(ledger, Account(f"account {number}", 5), 1))
        if number % 50 == 0:
            ledger.release(held(ledger, Account("often", 5), 1))
    assert len(ledger.accounts(10_000)) == 100
    ledger.seal(running, 1.0, charges=True)
    ledger.settle(2.0)
    assert balance(ledger, MINE) == 7, "who has a song under way is not forgotten"
    assert balance(ledger, Account("often", 5)) == 8, "nor is who comes again and again"


def said(url: str, path: str, body: Any) -> socket.socket:
    """A connection on which a request has been sent; nobody reads the answer."""
    data = json.dumps(body).encode()
    head = f"POST {path} HTTP/1.1\r\nhost: emulator.example\r\ncontent-length: {len(data)}\r\n"
    head += "content-type: application/json\r\n"
    head += "".join(f"{name}: {value}\r\n" for name, value in KEY.items())
    connection = socket.create_connection(("127.0.0.1", int(url.rpartition(":")[2])))
    connection.sendall(f"{head}\r\n".encode() + data)
    return connection


def test_every_generation_is_charged_once_also_when_its_client_leaves() -> None:
    due = 0
    with (
        served(Options(profile="fast", speed=5)) as url,
        httpx.Client(base_url=url, headers=KEY) as client,
    ):

        def told() -> dict[str, Any]:
            state: dict[str, Any] = client.get("/_emulator/state").json()
            return state

        for contract in CONTRACTS.values():
            body = next(each.payload for each in contract.examples if each.of == "request")
            for endpoint in contract.endpoints.values():
                if endpoint.request is None:
                    continue
                client.post(endpoint.path, json=body)
                client.post(endpoint.path, json={**body, "prompt": ""})
                client.post(endpoint.path, json={**body, "prompt": "nsfw-test-word"})
                client.post(endpoint.path, json={**body, "prompt": "unavailable-test-word"})
                before = told()["number"]
                with said(url, endpoint.path, body):  # gone as soon as it was accepted
                    while told()["number"] == before:
                        time.sleep(0.002)
                if endpoint.kind == "stream":
                    with client.stream("POST", endpoint.path, json=body) as response:
                        next(response.iter_bytes())
                    due += 1
                due += 2
        deadline = time.monotonic() + 10
        while told()["charges"]["held"]["number"] and time.monotonic() < deadline:
            time.sleep(0.05)
        charges, refusals = told()["charges"], told()["refusals"]
        assert charges["charged"] == {"number": due, "credits": due}
        assert charges["held"]["number"] == 0
        asked = sum(e.request is not None for c in CONTRACTS.values() for e in c.endpoints.values())
        assert refusals == dict.fromkeys(("invalid_prompt", "nsfw", "service_unavailable"), asked)
        [mine] = client.get("/_emulator/accounts").json()["accounts"]
        assert mine == {
            "account": account_of("my-key"),
            "balance": 1_000_000_000 - due,
            "held": 0,
            "charged": due,
        }


def test_a_thousand_race_for_a_hundred_credits_and_half_of_them_leave() -> None:
    contract = next(c for c in CONTRACTS.values() if c.protocol.tracks)
    stream = next(e.path for e in contract.endpoints.values() if e.kind == "stream")
    body = next(each.payload for each in contract.examples if each.of == "request")
    error = contract.errors.named("insufficient_balance")
    requests = [request(stream, body, "my-key")] * 1000
    options = Options(seed=3, profile="fast", speed=5, keys=("my-key:100",))
    with served(options) as url:

        async def storm() -> list[Answered]:
            answers = await crowd(url, requests, keep=True)
            await leave(answers)
            return answers

        answers = asyncio.run(storm())
        assert Counter(each.status for each in answers) == {200: 100, error.status: 900}
        deadline = time.monotonic() + 15
        while time.monotonic() < deadline:
            [mine] = httpx.get(f"{url}/_emulator/accounts").json()["accounts"]
            if not mine["held"]:
                break
            time.sleep(0.02)
        assert (mine["balance"], mine["held"], mine["charged"]) == (0, 0, 100)


def test_a_race_for_the_last_credit_has_one_winner() -> None:
    contract = next(iter(CONTRACTS.values()))
    body = next(each.payload for each in contract.examples if each.of == "request")
    statuses: list[int] = []
    with (
        served(Options(profile="instant")) as url,
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


def test_the_price_of_a_song_that_could_not_be_made_is_given_back(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """The head of a stream is sent before its song is made."""
    monkeypatch.setattr(Factory, "make", lambda *_, **__: 1 / 0)
    contract = next(iter(CONTRACTS.values()))
    body = next(each.payload for each in contract.examples if each.of == "request")
    endpoint = contract.endpoint_of_kind("stream")
    assert endpoint is not None
    with (
        running(Options(profile="instant")) as emulator,
        httpx.Client(base_url=emulator.url, headers=KEY) as client,
    ):
        with client.stream("POST", endpoint.path, json=body) as response:
            assert response.status_code == 200
            with pytest.raises(httpx.RemoteProtocolError):
                response.read()
        charges = client.get("/_emulator/state").json()["charges"]
    assert [charges[state]["number"] for state in ("held", "charged", "released")] == [0, 0, 1]
