"""Locust's web UI in hostile hands: real processes, asked by raw sockets as a browser would ask.

One Locust with a key and a budget of 3 serves the module; `strange` is the host that must get
nothing.
"""

from __future__ import annotations

import csv
import json
import re
import socket
import urllib.request
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from shlex import split
from typing import Any
from urllib.parse import urlencode

import pytest
from tests.support.listening import Stranger, stranger
from tests.support.locust_ui import KEY, LOCUSTFILE, PATIENCE_S, Ui, free_port, locust, until

from soundstage.errors import SoundstageError

from .conftest import start

_BUDGET = 3


@pytest.fixture(scope="module")
def ui(emulator: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Ui]:
    folder = tmp_path_factory.mktemp("ui")
    options = f"--soundstage-budget {_BUDGET} --soundstage-web-allow-host load.corp.example,other"
    with locust(folder, emulator, options) as ui:
        yield ui


@pytest.fixture
def strange() -> Iterator[Stranger]:
    with stranger() as found:
        yield found


# --- who may ask ----------------------------------------------------------------------------------

_ROUTES = {
    "GET": ["/", "/stats/requests", "/stats/report?download=1", "/stats/requests/csv", "/logs",
            "/exceptions", "/tasks", "/nothing", "/assets/favicon-dark.png"],
    "POST": ["/swarm", "/stop", "/stats/reset", "/user"],
}  # fmt: skip

_FOREIGN = {
    "a page of another origin": ["Origin: http://evil.example"],
    "a page without an origin": ["Origin: null"],
    "a page of another port of this machine": ["Origin: http://127.0.0.1:1"],
    "an origin that begins as ours": ["Origin: http://{here}.evil.example"],
    "an origin with a user": ["Origin: http://{here}@evil.example"],
    "an origin twice, the good one first": ["Origin: http://{here}", "Origin: http://evil.example"],
    "an origin twice, the good one last": ["Origin: http://evil.example", "Origin: http://{here}"],
    "origins joined by a proxy": ["Origin: http://{here}, http://evil.example"],
    "an origin in another case": ["ORIGIN: http://EVIL.example"],
    "an origin that is folded": ["Origin: http://{here}\r\n .evil.example"],
    "another site": ["Sec-Fetch-Site: cross-site"],
    "the same site": ["Sec-Fetch-Site: same-site", "Sec-Fetch-Mode: no-cors"],
    "a site twice": ["Sec-Fetch-Site: same-origin", "Sec-Fetch-Site: cross-site"],
    "a frame": [
        "Sec-Fetch-Site: cross-site", "Sec-Fetch-Mode: navigate", "Sec-Fetch-Dest: iframe",
    ],
}  # fmt: skip


@pytest.mark.parametrize("attack", _FOREIGN)
def test_no_page_of_another_origin_is_answered_on_any_route(ui: Ui, attack: str) -> None:
    lines = [line.format(here=ui.authority) for line in _FOREIGN[attack]]
    for method, paths in _ROUTES.items():
        for path in paths:
            answer = ui.ask(method, path, lines)
            assert answer.status in (400, 403), f"{method} {path}: {answer.head}"
            assert "access-control" not in answer.head.lower()


_HOSTS = {
    "a rebound name": "evil.example:{port}",
    "a name that begins as ours": "127.0.0.1.evil.example:{port}",
    "localhost of somebody": "localhost.evil.example",
    "a user": "127.0.0.1@evil.example",
    "a user of ours": "evil.example@127.0.0.1:{port}",
    "a number": "2130706433:{port}",
    "two ports": "127.0.0.1:{port}:80",
    "a port beyond all": "127.0.0.1:99999",
    "a zone": "[::1%25evil.example]:{port}",
    "two, joined": "127.0.0.1:{port}, evil.example",
    "two": "127.0.0.1:{port}\r\nHost: evil.example",
    "two, the good one last": "evil.example\r\nHost: 127.0.0.1:{port}",
    "two, folded": "127.0.0.1:{port}\r\n evil.example",
    "nothing": " ",
    "none": "",
}


@pytest.mark.parametrize("attack", _HOSTS)
def test_no_name_that_was_made_to_point_here_is_answered(ui: Ui, attack: str) -> None:
    host = _HOSTS[attack].format(port=ui.port)
    for method, paths in _ROUTES.items():
        for path in paths:
            assert ui.ask(method, path, host=host).status in (400, 403), f"{method} {path}"


def test_a_form_of_another_page_is_known_by_its_referer_alone(ui: Ui) -> None:
    for page in ("http://evil.example/form", f"http://evil.example/?{ui.authority}", "https://x"):
        assert ui.ask("POST", "/stop", [f"Referer: {page}"]).status == 403


@pytest.mark.parametrize(
    ("host", "lines"),
    [
        ("127.0.0.1:{port}", []),
        ("127.0.0.1:{port}", ["Origin: http://127.0.0.1:{port}", "Sec-Fetch-Site: same-origin"]),
        ("127.0.0.1:{port}", ["Referer: http://127.0.0.1:{port}/?tab=charts"]),
        ("LOCALHOST:{port}", ["Origin: http://localhost:{port}"]),
        ("localhost:9000", ["Origin: http://localhost:9000"]),  # through a tunnel
        ("[::1]:{port}", ["Origin: http://[::1]:{port}"]),
        ("127.0.0.1:{port}", ["Sec-Fetch-Site: none"]),
        ("load.corp.example", ["Origin: https://load.corp.example"]),  # a proxy
        ("127.0.0.1:{port}", ["Origin: https://load.corp.example"]),  # one that puts in its own
        ("load.corp.example:443", ["Origin: https://load.corp.example"]),
        ("OTHER:80", ["Origin: http://other"]),
    ],
)
def test_its_own_page_and_programs_are_answered(ui: Ui, host: str, lines: list[str]) -> None:
    host, lines = host.format(port=ui.port), [each.format(port=ui.port) for each in lines]
    assert ui.ask("GET", "/stats/requests", lines, host=host).status == 200
    assert ui.ask("POST", "/stop", lines, host=host).status == 200


def test_a_link_on_another_page_leads_to_the_web_ui_but_no_frame_shows_it(ui: Ui) -> None:
    link = ["Sec-Fetch-Site: cross-site", "Sec-Fetch-Mode: navigate", "Sec-Fetch-Dest: document"]
    answer = ui.ask("GET", "/", [*link, "Referer: https://chat.example/"])
    assert answer.status == 200
    assert "frame-ancestors 'self'" in answer.head
    assert ui.ask("POST", "/stop", link).status == 403


def test_it_listens_on_this_machine_only(ui: Ui) -> None:
    listening = [line for line in _listening() if line[1] == ui.port]
    assert [address for address, _ in listening] == ["127.0.0.1"]


def _listening() -> list[tuple[str, int]]:
    found = []
    for line in Path("/proc/net/tcp").read_text("ascii").splitlines()[1:]:
        words = line.split()
        if words[3] == "0A":
            address, port = words[1].split(":")
            found.append((socket.inet_ntoa(bytes.fromhex(address)[::-1]), int(port, 16)))
    return found


# --- what the form may set ------------------------------------------------------------------------


@pytest.mark.parametrize(
    "name",
    [
        "soundstage_key_file", "soundstage_budget", "soundstage_out", "soundstage_config",
        "soundstage_corpus", "soundstage_web_allow_host", "soundstage_metrics_port", "html_file",
        "csv_prefix", "json_file", "logfile", "tls_key", "build_path", "web_host", "locustfile",
        "headless", "stop_timeout",
        "exit_code_on_error", "num_users", "master_bind_host", "tags", "config_users",
    ],
)  # fmt: skip
def test_the_form_cannot_set_what_is_set_at_the_start(ui: Ui, name: str) -> None:
    before = len(ui.bundles())
    said = ui.swarm(**{name: "/tmp/elsewhere"})
    assert said["success"] is False
    assert said["message"] == f"{name} is set when Locust is started, not here"
    assert len(ui.bundles()) == before


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("soundstage_rate", "-1"),
        ("soundstage_rate", "nan"),
        ("soundstage_rate", ""),
        ("soundstage_arrivals", "all at once"),
        ("soundstage_seed", "1.5"),
        ("soundstage_drain", "1e999"),
        ("soundstage_max_in_flight", "-3"),
        ("soundstage_probe_playback", "101"),
    ],
)
def test_the_form_takes_only_values_that_the_command_line_takes(
    ui: Ui, field: str, value: str
) -> None:
    said = ui.swarm(**{field: value})
    assert said["success"] is False
    label = field.replace("_", " ").title()  # as the form has it
    assert said["message"].startswith(f"{label}: "), said


@pytest.mark.parametrize(
    ("form", "message"),
    [
        ({"soundstage_rate": "abc"}, "Soundstage Rate: 'abc' is not a number from 0 to 1,000,000"),
        ({"soundstage_slo": "nonsense"}, "SLO 'nonsense': not understood; try v6.complete.p95"),
        ({"soundstage_slo": "v6.complet.p95<9s"}, "SLO 'v6.complet.p95<9s': no milestone of v6"),
        ({"soundstage_slo": "v5.complete.p95<9s"}, "SLO 'v5.complete.p95<9s': "),
        ({"soundstage_api": "v9"}, "no contract "),
        ({"soundstage_endpoint": "strem"}, "v6 has no endpoint of the kind 'strem'"),
        ({"soundstage_max_in_flight": "3"}, "--soundstage-max-in-flight is for --soundstage-rate"),
    ],
)
def test_a_form_with_which_no_test_can_begin_says_why_and_starts_none(
    ui: Ui, form: dict[str, str], message: str
) -> None:
    before, bundles = _songs_of(ui.emulator), len(ui.bundles())
    said = ui.swarm(**form)
    assert said["success"] is False, said
    assert said["message"].startswith(message), said
    assert "\n" not in said["message"]
    assert len(ui.bundles()) == bundles
    assert _songs_of(ui.emulator) == before
    # Which of the two it is depends on whether a test was run before.
    assert json.loads(ui.ask(path="/stats/requests").body)["state"] in ("ready", "stopped")


def test_the_form_shows_the_options_of_a_test_and_no_others(ui: Ui) -> None:
    page = ui.ask().body
    shown = json.loads(page.partition("window.templateArgs = ")[2].partition("\n")[0])
    names = [name.removeprefix("soundstage_") for name in shown["extra_options"]]
    assert names == [
        "api", "endpoint", "rate", "arrivals", "max_in_flight", "warmup", "drain", "slo", "seed",
        "probe_playback", "start_buffer",
    ]  # fmt: skip
    assert "%" not in "".join(each["help_text"] for each in shown["extra_options"].values())
    assert KEY not in page
    assert str(ui.key_file) not in page


_ELSEWHERE = {
    "another port": "{strange}",
    "another port behind a user": "http://{here}@{there}",
    "our host as a user": "{here_url}@{there}",
    "another scheme": "https://{here}",
    "our host in the path": "{strange}/{here}",
    "a name that begins as ours": "{here_url}.evil.example",
    "brackets that are taken out": "<{strange}>",
    "no URL": "//{there}",
    "a host beyond this machine": "http://203.0.113.7:8000",
}


@pytest.mark.parametrize("attack", _ELSEWHERE)
def test_another_host_gets_neither_key_nor_request(ui: Ui, strange: Stranger, attack: str) -> None:
    here, there = ui.emulator.removeprefix("http://"), strange.url.removeprefix("http://")
    places = {"here": here, "there": there, "here_url": ui.emulator, "strange": strange.url}
    host = _ELSEWHERE[attack].format(**places)
    said = ui.swarm(host=host)
    assert said["success"] is False
    assert said["message"].startswith("the key and the budget are for ")
    assert strange.heads == []


def test_a_host_twice_is_the_worse_of_both(ui: Ui, strange: Stranger) -> None:
    for hosts in ([ui.emulator, strange.url], [strange.url, ui.emulator]):
        form = "user_count=1&spawn_rate=1&" + urlencode([("host", each) for each in hosts])
        assert json.loads(ui.ask("POST", "/swarm", form=form).body)["success"] is False
    assert strange.heads == []


@pytest.mark.parametrize(
    "settings",
    [
        {"on_start": None},
        {"__init__": 1},
        {"environment": {}},
        {"wait_time": 1},
        {"abstract": True},
        {"host": "http://evil.example"},
        {"host": ["http://evil.example"]},
        {"fixed_count": -1},
        {"weight": "many"},
        {"tasks": "song"},
        {"user_class_name": ["Song"]},
        {"user_class_name": "nobody"},
    ],
)
def test_the_settings_of_a_class_of_users_are_those_that_locust_shows(
    ui: Ui, settings: dict[str, Any]
) -> None:
    """Locust sets any attribute that such a request names."""
    for name in _user_classes(ui):
        said = ui.ask("POST", "/user", form=json.dumps({"user_class_name": name} | settings))
        assert json.loads(said.body)["success"] is False, said
    for broken in ("", "[", "[]", "null", "1"):
        assert json.loads(ui.ask("POST", "/user", form=broken).body)["success"] is False


def test_the_weight_of_a_class_of_users_may_be_set(ui: Ui) -> None:
    for name in _user_classes(ui):
        settings = {"user_class_name": name, "weight": 1}  # as it was
        assert ui.ask("POST", "/user", form=json.dumps(settings)).status == 201


def _user_classes(ui: Ui) -> list[str]:
    page = ui.ask().body
    shown = json.loads(page.partition("window.templateArgs = ")[2].partition("\n")[0])
    assert shown["users"]
    return list(shown["users"])


def test_no_form_spends_more_than_the_budget_of_the_start(ui: Ui) -> None:
    """All tests of a process share its budget; so this is the last one that needs this Locust."""
    form = {"user_count": "40", "spawn_rate": "100", "run_time": "10m", "soundstage_seed": "7"}
    assert ui.swarm(**form, host=f"{ui.emulator.upper().replace('HTTP', 'http')}/")["success"]
    until(lambda: _songs_of(ui.emulator) >= _BUDGET)  # stopped before it begins, it never would
    until(lambda: _ended(ui, 1))
    assert ui.bundles()[0].run["budget"] == {"limit": _BUDGET, "spent": _BUDGET}
    said = ui.swarm(**form)
    assert said["success"] is False
    assert said["message"].startswith(f"the budget of {_BUDGET} billable requests is spent")
    assert len(ui.bundles()) == 1
    assert KEY not in ui.said


def _songs_of(emulator: str) -> int:
    with urllib.request.urlopen(f"{emulator}/_emulator/state") as answer:
        return int(json.load(answer)["number"])


def _ended(ui: Ui, many: int) -> bool:
    ui.ask("POST", "/stop")
    return sum(each.complete for each in ui.bundles()) == many


# --- one test after another -----------------------------------------------------------------------


@pytest.mark.proof
def test_the_form_takes_effect_and_each_test_leaves_a_bundle_of_its_own(
    emulator: str, tmp_path: Path
) -> None:
    with locust(tmp_path, None, "--soundstage-metrics-port 0", key=False) as ui:
        said = ui.swarm(host="http://127.0.0.1:9")
        assert said["message"].startswith("http://127.0.0.1:9 does not answer"), said
        said = ui.swarm(host="localhost:9")
        assert said["message"].startswith("--host localhost:9: not an http(s) URL"), said
        assert not ui.bundles()
        found = re.search(r"metrics at (http://127\.0\.0\.1:\d+/metrics)", ui.said)
        assert found is not None
        metrics = found[1]
        assert "soundstage_" not in _read(metrics), "there was no test yet"

        form = {"soundstage_seed": "7", "soundstage_slo": "violations==0; v5.error_rate<90%"}
        form |= {"soundstage_rate": "30", "soundstage_arrivals": "constant", "host": emulator}
        assert ui.swarm(**form, soundstage_api="v5")["success"]
        until(lambda: len(_bundle(ui, 0)) > 5)
        said = ui.swarm(soundstage_rate="30", soundstage_seed="8")
        assert said["message"] == "Soundstage Seed cannot change while a test runs: stop it first"
        assert ui.swarm(soundstage_rate="30")["success"], "its users may"
        ui.ask("POST", "/stop")
        first = ui.bundles()[0]
        rows = list(first.exchanges())
        assert first.complete
        assert first.run["seed"] == 7
        assert [each["slo"] for each in first.run["slos"]] == ["violations==0", "v5.error_rate<90%"]
        parameters = first.run["parameters"]
        assert (parameters["loop"], parameters["rate"]) == ("open", 30)
        assert parameters["arrivals"] == "constant"
        assert {row["api"] for row in rows} == {"v5"}
        assert {each["rate"] for each in first.health()} == {30}
        assert _aggregated(ui) == len(rows), "each request, and no milestone"
        of_v5 = 'soundstage_exchanges_total{api="v5",endpoint="stream",outcome="ok"}'
        assert f"{of_v5} {len(rows)}.0" in _read(metrics)

        form = {"user_count": "3", "soundstage_rate": "0", "soundstage_slo": ""}
        assert ui.swarm(**form, soundstage_api="v6")["success"]
        until(lambda: len(_bundle(ui, 1)) > 2)
        ui.ask("POST", "/stop")
        second = ui.bundles()[1]
        assert (second.run["parameters"]["loop"], second.run["parameters"]["users"]) == (
            "closed",
            3,
        )
        assert not second.run["slos"]
        assert {row["api"] for row in second.exchanges()} == {"v6"}
        assert _aggregated(ui) == len(list(second.exchanges())), "it starts from nothing"
        assert of_v5 not in _read(metrics)
        assert ui.ask("POST", "/stats/reset").status == 200
        assert _aggregated(ui) == 0
        assert "Traceback" not in ui.said


def _bundle(ui: Ui, number: int) -> list[dict[str, Any]]:
    """The rows of the bundle of that number by now."""
    with suppress(SoundstageError, IndexError):  # it is just being made
        return list(ui.bundles()[number].exchanges())
    return []


def _read(url: str) -> str:
    with urllib.request.urlopen(url, timeout=10) as answer:
        return str(answer.read().decode())


def _aggregated(ui: Ui) -> int:
    """How many requests there were, by what Locust's page is shown."""
    *_, last = csv.DictReader(ui.ask(path="/stats/requests/csv").body.splitlines())
    assert last["Name"] == "Aggregated"
    return int(last["Request Count"])


# --- other ways to be started ---------------------------------------------------------------------


def _address_elsewhere() -> str | None:
    """An address of this machine that is not loopback."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe, suppress(OSError):
        probe.connect(("192.0.2.1", 9))  # nothing is sent
        address = str(probe.getsockname()[0])
        return None if address.startswith("127.") else address
    return None


def test_without_a_host_at_the_start_the_key_stays_on_this_machine(tmp_path: Path) -> None:
    address = _address_elsewhere()
    if address is None:
        pytest.skip("this machine has no address beside loopback")
    with stranger(address) as strange, locust(tmp_path, None) as ui:
        said = ui.swarm(host=strange.url, soundstage_budget="5")
        assert said["success"] is False
        said = ui.swarm(host=strange.url)
        assert said["message"].startswith("Locust was started without --host")
        assert strange.heads == []


def test_a_web_host_that_was_asked_for_is_listened_at(emulator: str, tmp_path: Path) -> None:
    (tmp_path / "locust.conf").write_text("web-host = 0.0.0.0\n")
    with locust(tmp_path, emulator) as ui:
        assert ("0.0.0.0", ui.port) in _listening()
        assert ui.ask(host=f"{socket.gethostname()}:{ui.port}").status == 200
        assert ui.ask(host=f"evil.example:{ui.port}").status == 403
        assert "can be reached by other machines" in ui.said


def test_a_host_that_only_a_file_of_the_folder_names_gets_no_key(tmp_path: Path) -> None:
    address = _address_elsewhere()
    if address is None:
        pytest.skip("this machine has no address beside loopback")
    with stranger(address) as strange:
        (tmp_path / "locust.conf").write_text(f"host = {strange.url}\n")
        (tmp_path / "key").write_text(KEY)
        words = ["-m", "locust", "-f", str(LOCUSTFILE), "--headless"]
        words += ["--soundstage-key-file", "key", "--soundstage-budget", "5"]
        process = start(*words, cwd=tmp_path)
        out, err = process.communicate(timeout=PATIENCE_S)
        assert process.returncode == 2, out + err
        assert "locust.conf names the host" in err
        assert strange.heads == []


@pytest.mark.proof
def test_a_worker_sends_its_key_nowhere_but_to_the_host_that_it_was_given(
    strange: Stranger, emulator: str, tmp_path: Path
) -> None:
    (tmp_path / "key").write_text(KEY)
    port, log = free_port(), tmp_path / "log"
    common = ["-m", "locust", "-f", str(LOCUSTFILE), "--soundstage-key-file", "key"]
    leading = f"--master --master-bind-port {port} --headless --expect-workers 1"
    following = f"--worker --master-port {port} --host {emulator} --logfile log"
    master = start(
        *common, *split(leading), "--host", strange.url, "--soundstage-budget", "9", cwd=tmp_path
    )
    worker = start(*common, *split(following), cwd=tmp_path)
    try:
        until(lambda: log.exists() and "the master names another host" in log.read_text("utf-8"))
    finally:
        for each in (master, worker):
            each.kill()
            each.communicate()
    assert not [head for head in strange.heads if KEY in head or head.startswith("POST")]


@pytest.mark.proof
def test_the_master_of_processes_hears_only_this_machine(emulator: str, tmp_path: Path) -> None:
    port = free_port()
    with locust(
        tmp_path, emulator, f"--processes 1 --master-port {port} --master-bind-port {port}"
    ) as ui:
        until(lambda: json.loads(ui.ask(path="/worker-count").body)["worker_count"])
        assert [address for address, at in _listening() if at == port] == ["127.0.0.1"]
