"""`--metrics-port`: what Prometheus reads while a run runs is what the bundle holds in the end."""

from __future__ import annotations

import argparse
import math
import re
import socket
import time
import urllib.request
from pathlib import Path
from shlex import split
from urllib.parse import urlsplit

import pytest
from prometheus_client.parser import text_string_to_metric_families
from saturation import ended as ended_well

from soundstage.loadtests import load_options
from soundstage.loadtests.generator.lateness import Lateness
from soundstage.loadtests.live import metrics
from soundstage.loadtests.live.metrics import BUCKETS, _buckets
from soundstage.results.bundle import Bundle

from .conftest import LOCUSTFILE, start

Samples = dict[str, list[tuple[dict[str, str], float]]]


def _scraped(port: int) -> Samples:
    url = f"http://127.0.0.1:{port}/metrics"
    with urllib.request.urlopen(url, timeout=10) as answer:
        text = answer.read().decode()
    found: Samples = {}
    for family in text_string_to_metric_families(text):
        for sample in family.samples:
            found.setdefault(sample.name, []).append((sample.labels, sample.value))
    return found


def _sum(samples: Samples, name: str, **labels: str) -> float:
    return sum(
        value
        for has, value in samples[name]
        if all(has.get(label) == wanted for label, wanted in labels.items())
    )


@pytest.mark.timing
@pytest.mark.proof
def test_metrics_are_served_while_it_runs_and_agree_with_the_rows(
    emulator: str, tmp_path: Path
) -> None:
    folder = tmp_path / "run"
    words = split("--rate 25 --duration 3s --api v6 --metrics-port 0 --budget 500")
    words += ["--slo", "v6.streaming_ready.p50<30s", "--target", emulator, "--out", str(folder)]
    process = start("-m", "soundstage", "load", *words, cwd=tmp_path)
    assert process.stderr is not None
    process.stderr.readline()  # what is loaded
    said = process.stderr.readline()
    found = re.fullmatch(r"soundstage load: metrics at http://127\.0\.0\.1:(\d+)/metrics\n", said)
    assert found is not None, said
    port, before = int(found[1]), {}
    samples: Samples = {}
    while process.poll() is None:
        try:
            before, samples = samples, _scraped(port)
        except OSError:
            break  # it has ended
        if len(samples) and _sum(samples, "soundstage_arrivals_started_total") > 60:
            break
        time.sleep(0.1)
    _, err = process.communicate(timeout=60)
    assert ended_well(process.returncode, folder), err
    rows = list(Bundle.open(folder).exchanges())
    if "soundstage_exchanges_total" not in samples:
        samples = before
    ended = _sum(samples, "soundstage_exchanges_total", api="v6", outcome="ok")
    assert 0 < ended <= len(rows)
    assert ended <= _sum(samples, "soundstage_arrivals_started_total") <= len(rows)
    assert _sum(samples, "soundstage_budget_spent_total") >= ended
    assert _sum(samples, "soundstage_budget_limit") == 500
    counted = _sum(samples, "soundstage_milestone_seconds_count", milestone="streaming_ready")
    assert counted == ended
    within = [
        (float(has["le"]), value)
        for has, value in samples["soundstage_milestone_seconds_bucket"]
        if has["milestone"] == "streaming_ready"
    ]
    assert [value for _, value in within] == sorted(value for _, value in within)
    assert within[-1] == (math.inf, counted)
    ready = [row["milestones"]["streaming_ready"] for row in rows]
    assert dict(within)[max(bound for bound, _ in within[:-1])] == counted, max(ready)
    assert _sum(samples, "soundstage_chunks_total", stage="validated") == ended
    assert _sum(samples, "soundstage_generator_invalid") in (0, 1)
    assert {has["slo"] for has, _ in samples["soundstage_slo_met"]} == {
        "v6.streaming_ready.p50<30s"
    }


def test_a_port_that_is_taken_is_told_in_one_line(emulator: str, tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as other:
        port = other.getsockname()[1]
        words = ["--target", emulator, "--metrics-port", str(port), "--out", str(tmp_path / "run")]
        process = start("-m", "soundstage", "load", *words, cwd=tmp_path)
        _, err = process.communicate(timeout=60)
    assert process.returncode == 6, "as that of an emulator"
    _, said = err.splitlines()
    assert said.startswith(f"soundstage load: --metrics-port 127.0.0.1:{port}: Address already")


def test_locust_does_not_start_where_nobody_could_read_its_metrics(tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as other:
        port = other.getsockname()[1]
        words = [
            "--headless",
            "--soundstage-metrics-port",
            str(port),
            "--host",
            "http://127.0.0.1:9",
        ]
        process = start("-m", "locust", "-f", str(LOCUSTFILE), *words, cwd=tmp_path)
        _, err = process.communicate(timeout=60)
    assert process.returncode == 6
    said = err.splitlines()[-1]
    assert f"--soundstage-metrics-port 127.0.0.1:{port}: Address already in use" in said
    assert "Traceback" not in err


def test_buckets_hold_what_came_in_time_and_the_last_holds_all() -> None:
    buckets = dict(_buckets(Lateness([0.02, 0.02, 4.0, 7000.0]), 6))
    assert buckets["0.025"] == 2
    assert buckets["2.5"] == 2
    assert buckets["5.0"] == 3
    assert buckets[str(BUCKETS[-1])] == 3
    assert buckets["+Inf"] == 6, "two never got there"


@pytest.mark.parametrize(
    ("text", "address"),
    [("9100", ("127.0.0.1", 9100)), ("0.0.0.0:0", ("0.0.0.0", 0)), ("[::1]:80", ("::1", 80))],
)
def test_addresses_are_of_this_machine_only_unless_asked_for(
    text: str, address: tuple[str, int]
) -> None:
    assert load_options.address(text) == address


@pytest.mark.parametrize("text", ["", "x", "host:", "70000", "1.5"])
def test_what_is_no_address_is_refused(text: str) -> None:
    with pytest.raises(argparse.ArgumentTypeError):
        load_options.address(text)


@pytest.mark.parametrize(
    ("line", "status"),
    [
        ("Host: 127.0.0.1:{port}", 200),
        ("Host: localhost:9090", 200),
        ("Host: 127.0.0.1\r\nOrigin: http://127.0.0.1", 200),
        ("Host: evil.example", 403),
        ("Host: evil.example@127.0.0.1", 403),
        ("Host: 127.0.0.1\r\nHost: evil.example", 403),
        ("Host: 127.0.0.1\r\nOrigin: http://evil.example", 403),
        ("Host: 127.0.0.1\r\nOrigin: null", 403),
        ("Host: 127.0.0.1\r\nSec-Fetch-Site: cross-site", 403),
        ("Accept: */*", 403),
    ],
)
def test_no_page_of_others_reads_the_metrics(line: str, status: int) -> None:
    with metrics.served(lambda: None, "127.0.0.1", 0) as url:
        port = urlsplit(url).port
        text = f"GET /favicon.ico HTTP/1.1\r\n{line.format(port=port)}\r\n\r\n"
        with socket.create_connection(("127.0.0.1", port), timeout=10) as client:
            client.sendall(text.encode())
            head = client.makefile("rb").read().decode()
    assert int(head.split()[1]) == status
    assert "access-control" not in head.lower()
