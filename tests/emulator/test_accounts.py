"""Keys with balances and rate limits, from a file and from flags; triggers of one's own."""

from __future__ import annotations

import json
import socket
from collections.abc import Callable
from importlib.resources import files
from pathlib import Path

import httpx
import pytest
from emulated import served

from soundstage.contract import load_all
from soundstage.emulator.accounts import rates, triggers
from soundstage.emulator.accounts.accounts import Accounts, account_of
from soundstage.emulator.accounts.rates import RateLimit
from soundstage.emulator.generations.admission import PRECEDENCE
from soundstage.emulator.options import Options
from soundstage.errors import UsageError

CONTRACTS = load_all()
CONTRACT = CONTRACTS["v6"]
SYNC = next(e.path for e in CONTRACT.endpoints.values() if e.kind == "sync")
BODY = {"prompt": "a song"}

FILE = """
price = 2

[default]
balance = 7
rate_limit = "100/hour"

[[key]]
key = "team-a"
balance = 50
rate_limit = "2/minute"

[[key]]
key = "team-b"

[[key]]
key = "gone"
error = "unauthorized"

[[key]]
key = "busy"
error = "service_unavailable"
"""


def written(tmp_path: Path, text: str, name: str = "accounts.toml") -> Path:
    path = tmp_path / name
    path.write_text(text)
    return path


# --- rates ----------------------------------------------------------------------------------------


def test_an_allowance_is_let_through_at_once_and_then_one_by_one() -> None:
    rate, even, now = RateLimit(3, 60.0), 0.0, 1000.0
    for _ in range(3):
        even, wait = rate.turn(even, now)
        assert wait == 0
    even, wait = rate.turn(even, now)
    assert wait == pytest.approx(20)
    assert rate.turn(even, now + 19.9).wait_s > 0
    even, wait = rate.turn(even, now + 20)
    assert wait == 0
    assert rate.turn(even, now + 20).wait_s == pytest.approx(20)
    assert rate.turn(even, now + 1000).wait_s == 0


@pytest.mark.parametrize("count", [1, 3, 7, 10, 1000])
def test_a_rate_lets_through_what_it_says_over_any_time(count: int) -> None:
    rate, even, passed = RateLimit(count, 60.0), 0.0, 0
    for tenth in range(10 * 600):
        even, wait = rate.turn(even, 50.0 + tenth / 10)
        passed += wait == 0
    # An allowance to begin with, and then ten minutes of it, as far as there were requests.
    assert min(6000, 11 * count - 1) <= passed <= min(6000, 11 * count)


def test_a_request_that_was_refused_costs_no_turn() -> None:
    rate = RateLimit(1, 10.0)
    even = rate.turn(0.0, 5.0).even
    for _ in range(100):
        assert rate.turn(even, 6.0) == (even, pytest.approx(9.0))
    assert rate.turn(even, 15.0).wait_s == 0


def test_a_limit_that_was_lowered_never_asks_for_more_than_its_period() -> None:
    even = RateLimit(1, 86_400.0).turn(0.0, 5.0).even
    assert RateLimit(10, 60.0).turn(even, 6.0).wait_s <= 60


@pytest.mark.parametrize("text", ["", "10", "10/fortnight", "0/minute", "-1/minute", "1.5/minute"])
def test_what_is_no_rate_is_refused(text: str) -> None:
    with pytest.raises(UsageError, match="is no rate"):
        rates.parse(text, "here")


def test_the_wait_is_told_in_whole_seconds_and_never_as_none() -> None:
    assert [rates.retry_after(wait) for wait in (0.001, 1.0, 1.2, 59.9)] == [
        b"1", b"1", b"2", b"60",
    ]  # fmt: skip


# --- files ----------------------------------------------------------------------------------------


def test_a_file_says_who_may_ask_and_for_how_much(tmp_path: Path) -> None:
    accounts = Accounts(triggers.triggers(), file=written(tmp_path, FILE))
    a, b, busy = (accounts.of(key) for key in ("team-a", "team-b", "busy"))
    assert a is not None
    assert (a.balance, a.rate) == (50, RateLimit(2, 60))
    assert b is not None
    assert (b.balance, b.rate) == (7, None)
    assert accounts.rate == RateLimit(100, 3600)
    assert busy is not None
    assert busy.error == "service_unavailable"
    assert accounts.of("gone") is accounts.of("other") is accounts.of(None) is None
    assert accounts.price == 2


def test_flags_win_over_the_file(tmp_path: Path) -> None:
    accounts = Accounts(
        triggers.triggers(),
        file=written(tmp_path, FILE),
        keys=("team-a:1", "team-b", "other"),
        balance=3,
        rate=RateLimit(1, 1),
    )
    balances = [getattr(accounts.of(key), "balance", None) for key in ("team-a", "team-b", "other")]
    assert balances == [1, 3, 3]
    assert accounts.rate == RateLimit(1, 1)
    assert getattr(accounts.of("team-a"), "rate", None) == RateLimit(2, 60)


def test_a_file_may_welcome_everybody(tmp_path: Path) -> None:
    path = written(tmp_path, "any_key = true\n[[key]]\nkey = 'mine'\nbalance = 1\n")
    accounts = Accounts(triggers.triggers(), file=path, on_loopback=False)
    assert accounts.of("whoever") is not None
    closed = Accounts(triggers.triggers(), file=written(tmp_path, "any_key = false"))
    assert closed.of("whoever") is None


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("[[key]]\nkey = 'a b'", "/key/0/key"),
        ("[[key]]\nbalance = 1", "/key/0"),
        ("[[key]]\nkey = 'a'\nbalance = -1", "/key/0/balance"),
        ("[[key]]\nkey = 'a'\nrate_limit = '10 per minute'", "/key/0/rate_limit"),
        ("[[key]]\nkey = 'a'\nlimit = 1", "limit"),
        ("[[key]]\nkey = 'a'\nerror = 'nonsense'", "/key/0/error"),
        ("[[key]]\nkey = 'a'\n[[key]]\nkey = 'a'", "/key/1: the same key as /key/0"),
        ("[keys]", "keys"),
        ("key = ", "not TOML"),
    ],
)
def test_a_wrong_file_is_one_line_with_the_place_and_no_key(
    tmp_path: Path, text: str, says: str
) -> None:
    path = written(tmp_path, text)
    with pytest.raises(UsageError) as refused:
        Accounts(triggers.triggers(), file=path)
    message = str(refused.value)
    assert message.startswith(f"--accounts {path}: ")
    assert says in message
    assert "\n" not in message
    assert "a b" not in message


def test_a_file_that_cannot_be_read_is_one_line(tmp_path: Path) -> None:
    for path in (tmp_path / "absent.toml", tmp_path):
        with pytest.raises(UsageError, match=r"^--accounts "):
            Accounts(triggers.triggers(), file=path)


@pytest.mark.parametrize("key", ["", "a b", "a:", "a:x", "a:-1", "a:1.5", ":5", "ä"])
def test_a_wrong_flag_is_refused(key: str) -> None:
    with pytest.raises(UsageError, match="--key"):
        Accounts(triggers.triggers(), keys=(key,))


def test_triggers_of_ones_own_stand_beside_the_documented_ones(tmp_path: Path) -> None:
    own = {
        "words": {
            "Forbidden Fruit": {"error": "nsfw"},
            "slow-down": {"error": "rate_limit", "retry_after": 7},
        },
        "keys": {"my-broken-key": {"error": "service_unavailable"}},
    }
    known = triggers.with_file(written(tmp_path, json.dumps(own), "own.json"))
    assert set(triggers.triggers().words) < set(known.words)
    assert [each.error for each in known.words_in("a forbidden FRUIT, nsfw-test-word")] == [
        "nsfw", "nsfw",
    ]  # fmt: skip
    for text in ("unforbidden fruit", "forbidden fruits", "forbidden  fruit", ""):
        assert not known.words_in(text)


@pytest.mark.parametrize(
    ("text", "place"),
    [
        ("{", "not JSON"),
        ("[]", "/"),
        ('{"words": {"a": {}}}', "/words/a"),
        ('{"words": {"": {"error": "nsfw"}}}', "/words"),
        ('{"words": {"boo": {"error": "nonsense"}}}', "/words/boo/error"),
        ('{"words": {"boo": {"error": "nsfw"}, "boo": {"fails": true}}}', "/words/boo"),
        ('{"x": 1}', "/"),
    ],
)
def test_a_wrong_file_of_triggers_is_one_line_with_the_place(
    tmp_path: Path, text: str, place: str
) -> None:
    path = written(tmp_path, text, "own.json")
    with pytest.raises(UsageError, match=rf"^--triggers .*own.json: {place}:") as refused:
        triggers.with_file(path)
    assert "\n" not in str(refused.value)


def test_the_errors_that_keys_and_words_can_ask_for_are_those_that_are_given() -> None:
    for name in ("accounts", "triggers"):
        place = files("soundstage.emulator.accounts").joinpath(f"{name}.schema.json")
        schema = json.loads(place.read_text())
        assert schema["$defs"]["error"]["enum"] == list(PRECEDENCE)


def test_a_file_of_triggers_may_set_the_key_the_price_and_the_balance(tmp_path: Path) -> None:
    own = {"default_key": "house-key", "default_balance": 5, "price": 2}
    known = triggers.with_file(written(tmp_path, json.dumps(own)))
    accounts = Accounts(known, on_loopback=False)
    assert accounts.price == 2
    assert accounts.of(triggers.triggers().default_key) is None
    house = accounts.of("house-key")
    assert house is not None
    assert house.balance == 5


# --- over sockets ---------------------------------------------------------------------------------


def test_limits_and_balances_hold_over_the_wire_and_refusals_cost_nothing(tmp_path: Path) -> None:
    own = written(tmp_path, '{"words": {"slow-down": {"error": "rate_limit", "retry_after": 7}}}')
    options = Options(
        profile="instant",
        accounts=written(tmp_path, FILE.replace("team-b", "team-b"), "a.toml"),
        triggers=own,
    )
    errors = CONTRACT.errors
    with served(options) as url, httpx.Client(base_url=url) as client:

        def ask(key: str, **body: object) -> httpx.Response:
            headers = {"Authorization": f"Bearer {key}"}
            return client.post(SYNC, json={**BODY, **body}, headers=headers)

        def balance(key: str) -> int | None:
            accounts = client.get("/_emulator/accounts").json()["accounts"]
            found = [each for each in accounts if each["account"] == account_of(key)]
            return found[0]["balance"] if found else None

        # What is wrong with a request is said before its key's rate and balance are looked at.
        for _ in range(3):
            assert ask("team-a", prompt="").json() == errors.named("invalid_prompt").body
            assert ask("team-a", lyrics=1).status_code == errors.named("wrong_types").status
            assert ask("team-a", prompt="nsfw-test-word").json() == errors.named("nsfw").body
        assert [ask("team-a").status_code for _ in range(2)] == [200, 200]
        refused = ask("team-a")
        assert (refused.status_code, refused.json()) == (429, errors.named("rate_limit").body)
        assert 1 <= int(refused.headers["retry-after"]) <= 30
        assert balance("team-a") == 50 - 2 * 2

        # 7 credits at 2 each; what could not be paid is not taken.
        assert [ask("team-b").status_code for _ in range(5)] == [200, 200, 200, 402, 402]
        assert balance("team-b") == 1

        assert ask("gone").status_code == 401
        assert ask("busy").json() == errors.named("service_unavailable").body
        assert balance("busy") is None
        worded = ask("team-b", prompt="slow-down please")
        assert worded.status_code == 402, "the balance comes after the rate, but before nothing"
        told = client.get("/_emulator/state").json()["refusals"]
        assert told["rate_limit"] == 1
        assert told["insufficient_balance"] == 3


def test_the_urls_of_a_request_are_validated_and_never_fetched(
    raw_server: Callable[..., object], client: httpx.Client
) -> None:
    with socket.create_server(("127.0.0.1", 0)) as trap:
        trap.settimeout(0.3)
        port = trap.getsockname()[1]
        asked = 0
        for contract in CONTRACTS.values():
            for endpoint in contract.endpoints.values():
                for name, schema in (endpoint.request or {}).get("properties", {}).items():
                    if schema.get("x-role") != "reference_audio":
                        continue
                    body = next(e.payload for e in contract.examples if e.of == "request")
                    body = {**body, name: f"http://127.0.0.1:{port}/{name}.mp3"}
                    assert client.post(endpoint.path, json=body).status_code == 200
                    asked += 1
        assert asked >= 8
        with pytest.raises(TimeoutError):
            trap.accept()
