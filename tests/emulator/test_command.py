"""`soundstage emulate`: its arguments, its start, and its stop."""

from __future__ import annotations

import io
import signal
import socket
import subprocess
import sys
import threading
import time
from pathlib import Path

import httpx
import pytest
from emulated import served

from soundstage.commands import emulate
from soundstage.contract import load_all
from soundstage.emulator.accounts.triggers import triggers
from soundstage.emulator.options import Options
from soundstage.emulator.pace.profiles import profile, profiles
from soundstage.emulator.service.app import Emulator
from soundstage.errors import TargetError, UsageError
from soundstage.exchange.spawn import spawned_emulator

CONTRACTS = load_all()
KEY = {"Authorization": "Bearer any-key"}


def test_help_shows_every_trigger_and_an_example(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as stopped:
        emulate.parse_args(["--help"])
    assert stopped.value.code == 0
    text = capsys.readouterr().out
    for name in [*triggers().keys, *triggers().words, *profiles()]:
        assert name in text
    assert "soundstage emulate --port" in text


@pytest.mark.parametrize(
    "argv",
    [
        ["--port", "x"],
        ["--port", "70000"],
        ["--speed", "0"],
        ["--profile", "none"],
        ["--rate-limit", "10 a minute"],
        ["--balance", "-1"],
    ],
)
def test_wrong_arguments_are_refused(argv: list[str]) -> None:
    with pytest.raises(SystemExit) as stopped:
        emulate.parse_args(argv)
    assert stopped.value.code == 2


def test_options_survive_the_command_line() -> None:
    options = Options(
        port=1,
        seed=-3,
        speed=2.5,
        profile="fast",
        framing="sse",
        keys=("-a", "b"),
        error="nsfw",
        stamp=True,
        apis=("v5",),
        faults=("track/lost:0.5",),
        accounts=Path("a.toml"),
        balance=7,
        rate_limit="10/minute",
        triggers=Path("t.json"),
        admin=True,
        admin_token_file=Path("token"),
        cors=("http://a.example", "http://b.example"),
    )
    args = emulate.parse_args(list(options.arguments()))
    assert {name: getattr(args, name) for name in Options.__slots__} == {
        name: list(value) if isinstance(value := getattr(options, name), tuple) else value
        for name in Options.__slots__
    }


@pytest.mark.parametrize(
    ("options", "says"),
    [
        (Options(error="nonsense"), "rate_limit"),
        (Options(profile="nonsense"), "realistic"),
        (Options(framing="nonsense"), "sse"),
        (Options(framing="lines", stamp=True), "stamped"),
        (Options(apis=("nonsense",)), "no contract"),
        (Options(speed=0), "speed"),
        (Options(faults=("nonsense",)), "faults --list"),
        (Options(faults=("index/gaps",)), "index/gap"),
        (Options(faults=("stream_url/missing",)), "field/streaming_ready/stream_url/missing"),
        (Options(faults=("index/gap:2",)), "from 0 to 1"),
        (Options(faults=("index/gap:often",)), "from 0 to 1"),
        (Options(keys=("a b",)), "--key"),
        (Options(keys=("a:much",)), "--key"),
        (Options(rate_limit="1/blink"), "--rate-limit"),
        (Options(accounts=Path("absent.toml")), "--accounts absent.toml"),
        (Options(triggers=Path("absent.json")), "--triggers absent.json"),
        (Options(host="0.0.0.0", admin=True), "--admin"),
        (Options(cors=("nonsense",)), "--cors"),
    ],
)
def test_options_that_fit_no_contract_say_what_there_is(options: Options, says: str) -> None:
    with pytest.raises(UsageError, match=says):
        Emulator(options)


def test_a_run_may_start_one_without_any_option() -> None:
    with spawned_emulator([]) as url:
        assert httpx.get(f"{url}/_emulator/health").json()["profile"] == "realistic"


def test_a_port_in_use_is_one_clear_line() -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        args = emulate.parse_args([f"--port={port}"])
        with pytest.raises(TargetError, match=f"port {port}: Address already in use; choose"):
            emulate.run(args, io.StringIO(), io.StringIO())
        with pytest.raises(TargetError, match=r"did not start: .*Address already in use"):
            spawned_emulator(list(Options(port=port).arguments())).__enter__()


@pytest.mark.parametrize("how", [signal.SIGTERM, signal.SIGINT])
def test_a_signal_cuts_running_streams_and_ends_with_zero(how: signal.Signals) -> None:
    contract = next(iter(CONTRACTS.values()))
    path = next(e.path for e in contract.endpoints.values() if e.kind == "stream")
    body = next(each.payload for each in contract.examples if each.of == "request")
    command = [sys.executable, "-m", "soundstage", "emulate", "--port=0", "--speed=0.2"]
    with subprocess.Popen(
        command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    ) as child:
        assert child.stdout is not None
        assert child.stderr is not None
        line = child.stdout.readline()
        assert line.startswith("listening on http://127.0.0.1:")
        url = line.removeprefix("listening on ").strip()
        cut = threading.Event()

        def read() -> None:
            try:
                httpx.post(url + path, json=body, headers=KEY, timeout=30)
            except httpx.TransportError:
                cut.set()

        reader = threading.Thread(target=read)
        reader.start()
        time.sleep(0.8)
        began = time.monotonic()
        child.send_signal(how)
        assert child.wait(5) == 0
        assert time.monotonic() - began < 2
        reader.join(5)
        assert cut.is_set(), "the stream was not cut"
        assert child.stdout.read() == ""
        assert child.stderr.read() == ""


def test_a_forced_error_answers_every_generation_request() -> None:
    with served(Options(error="service_unavailable")) as url:
        for contract in CONTRACTS.values():
            for endpoint in contract.endpoints.values():
                if endpoint.request:
                    assert httpx.post(url + endpoint.path).status_code == 503
        assert httpx.get(f"{url}/_emulator/health").json()["error"] == "service_unavailable"


def test_only_the_given_keys_are_accepted_when_some_are() -> None:
    contract = next(iter(CONTRACTS.values()))
    path = next(e.path for e in contract.endpoints.values() if e.kind == "sync")
    body = next(each.payload for each in contract.examples if each.of == "request")
    with served(Options(profile="instant", keys=("one", "two"))) as url:
        for key, status in (("one", 200), ("two", 200), ("three", 401)):
            headers = {"Authorization": f"Bearer {key}"}
            assert httpx.post(url + path, json=body, headers=headers).status_code == status


def test_beyond_loopback_a_key_must_be_known() -> None:
    contract = next(iter(CONTRACTS.values()))
    path = next(e.path for e in contract.endpoints.values() if e.kind == "sync")
    body = next(each.payload for each in contract.examples if each.of == "request")
    with served(Options(profile="instant", host="0.0.0.0")) as url:
        url = url.replace("0.0.0.0", "127.0.0.1")
        for key, status in ((triggers().default_key, 200), ("any-key", 401)):
            headers = {"Authorization": f"Bearer {key}"}
            assert httpx.post(url + path, json=body, headers=headers).status_code == status


def test_the_realistic_profile_takes_as_long_as_it_says() -> None:
    import random
    from statistics import median

    from soundstage.generation.walk import plan

    first: dict[str, list[float]] = {}
    ready: list[float] = []
    whole: dict[str, list[float]] = {}
    for api, contract in CONTRACTS.items():
        for seed in range(300):
            rng = random.Random(seed)
            steps = plan(contract, rng)
            schedule = profile("realistic").schedule(api, steps, rng, 1.0)
            assert schedule == sorted(schedule)
            first.setdefault(api, []).append(schedule[0])
            whole.setdefault(api, []).append(schedule[-1])
            ready.extend(
                due
                for due, step in zip(schedule, steps, strict=True)
                if any(
                    each.name == "streaming_ready"
                    for each in contract.protocol.by_name[step.stage].milestones
                )
            )
    assert all(0.05 < median(times) < 0.2 for times in first.values())
    assert 15 < median(ready[::2]) < 40
    assert 30 < median(whole["v5"]) < 50
    assert 60 < median(whole["v6"]) < 120


def test_speed_divides_the_same_delays() -> None:
    import random

    from soundstage.generation.walk import plan

    api, contract = next(iter(CONTRACTS.items()))
    steps = plan(contract, random.Random(1))
    slow = profile("realistic").schedule(api, steps, random.Random(1), 1.0)
    fast = profile("realistic").schedule(api, steps, random.Random(1), 10.0)
    assert fast == pytest.approx([due / 10 for due in slow])
    assert profile("instant").schedule(api, steps, random.Random(1), 1.0) == [0.0] * len(steps)


def test_the_emulator_loads_neither_hypothesis_nor_the_audio_libraries() -> None:
    code = (
        "import sys, soundstage.emulator.service.server;"
        "print([m for m in ('hypothesis', 'numpy', 'PIL', 'soundstage.conformance')"
        " if m in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"
