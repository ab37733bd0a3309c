"""`make bench` can be asked for each benchmark by its name, with options of its own."""

from __future__ import annotations

import importlib
import sys
from pathlib import Path
from typing import Any

import pytest

ROOT = Path(__file__).parents[1]


@pytest.fixture(scope="module", autouse=True)
def _root_on_path():
    sys.path.insert(0, str(ROOT))
    yield
    sys.path.remove(str(ROOT))


def _module(name: str) -> Any:
    return importlib.import_module(f"benchmarks.{name}")


@pytest.fixture(scope="module")
def registry() -> Any:
    return _module("registry")


@pytest.fixture(scope="module")
def main() -> Any:
    return _module("__main__").main


def test_every_benchmark_knows_what_it_is_measured_with(registry):
    for name, bench in registry.BENCHES.items():
        measure = registry.measure_of(bench)
        usual = registry.defaults(bench, measure)
        parsed = vars(registry.parser_of(name, bench, measure).parse_args([]))
        assert parsed == usual, name
        assert bench.given.keys() <= usual.keys(), name


def test_every_module_that_measures_is_registered(registry):
    measuring = {
        file.stem
        for file in (ROOT / "benchmarks").glob("*.py")
        if "\ndef measure(" in file.read_text()
    }
    assert measuring == {bench.module for bench in registry.BENCHES.values()}


def test_options_are_of_the_kind_of_their_usual_values(registry):
    bench = registry.BENCHES["client"]
    parser = registry.parser_of("client", bench, registry.measure_of(bench))
    options = parser.parse_args(
        ["--streams", "5", "6", "--tls-streams", "--seconds", "2", "--readers", "gevent"]
    )
    assert (options.streams, options.tls_streams) == ([5, 6], [])
    assert (options.seconds, options.readers) == (2.0, ["gevent"])


@pytest.mark.parametrize(
    ("words", "code", "says"),
    [
        (["nothing"], 2, "no benchmark nothing; there are client"),
        (["--help"], 0, "conformance"),
        (["client", "lint", "--streams", "5"], 2, "python -m benchmarks NAME"),
        (["client", "--readers", "carrier-pigeon"], 1, "no reader carrier-pigeon"),
    ],
)
def test_what_cannot_be_measured_is_said(main, capsys, words, code, says):
    assert main(words) == code
    assert says in capsys.readouterr().out


@pytest.mark.proof
def test_a_client_of_a_few_streams_is_measured_in_earnest(main, capsys):
    words = ["client", "--streams", "--tls-streams", "20", "--seconds", "0.4"]
    assert main([*words, "--readers", "soundstage"]) == 0
    told = capsys.readouterr().out
    (row,) = (line.split("│") for line in told.splitlines() if "20 TLS" in line)
    assert row[1].strip() == "soundstage"
    p50, p99, p999 = (float(cell.replace(",", "")) for cell in row[3:6])
    assert 0 < p50 <= p99 <= p999
