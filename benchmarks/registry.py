"""Every benchmark by its name, and how it is asked: its options are the parameters of `measure`.

A benchmark is a module with a function `measure`, all of whose parameters have a default (here or
there) and which returns rows or a table. Nothing is imported before it is asked for.
"""

from __future__ import annotations

import argparse
import importlib
import inspect
from collections.abc import Callable, Mapping, Sequence
from typing import Any, NamedTuple

from benchmarks.result import Grid, Row

Measured = Sequence[Row] | Grid


class Bench(NamedTuple):
    """`seconds`: how long it takes with its defaults, roughly, on two cores. `given`: what
    `measure` is called with unless an option says otherwise.
    """

    module: str
    about: str
    seconds: int
    given: Mapping[str, Any] = {}


BENCHES: dict[str, Bench] = {
    "client": Bench(
        "client", "timing error, CPU and memory of a client of thousands of streams", 260
    ),
    "arrivals": Bench(
        "arrivals", "arrivals asked for and arrivals delivered", 280, {"seconds": 60.0}
    ),
    "capacity": Bench("capacity", "the capacity found of an M/M/4 queue, and theory's", 360),
    "stalls": Bench("stalls", "a server that stalls, by intended and by actual start", 70),
    "emulator": Bench("emulator", "the emulator under thousands of streams", 60, {"streams": 4000}),
    "songs": Bench("songs", "whether the emulator's memory stays flat over 100,000 songs", 150),
    "soak": Bench("soak", "whether the memory of a long load run stays flat", 90),
    "machine": Bench("machine", "how much load one machine can send, by processes", 180),
    "conformance": Bench("conformance", "decoder and engine, bytes to violations", 15),
    "lint": Bench("cold_start", "cold start of `soundstage lint`", 10),
    "faults": Bench("whole_path", "every fault over the whole path", 60),
    "redaction": Bench("redaction", "the gate for all that leaves: what it costs", 10),
    "fuzz": Bench("fuzz", "files, commands and the emulator's requests under attack", 1800),
    "power": Bench("power", "what the gate of `soundstage compare` decides", 5),
    "looks": Bench("looks", "songs until a comparison by looks is decided", 600),
    "against": Bench("against", "songs until `load --against` has decided, on emulators", 1500),
    "report": Bench("report", "`soundstage report` on a million exchanges", 60),
}


def measure_of(bench: Bench) -> Callable[..., Measured]:
    """Its function. Raises ImportError if there is no such module."""
    found: Callable[..., Measured] = importlib.import_module(f"benchmarks.{bench.module}").measure
    return found


def defaults(bench: Bench, measure: Callable[..., Measured]) -> dict[str, Any]:
    """What `measure` is called with. Raises TypeError for a parameter that nothing is known of."""
    known = {
        name: parameter.default
        for name, parameter in inspect.signature(measure).parameters.items()
        if parameter.default is not parameter.empty
    }
    known |= bench.given
    if lacking := inspect.signature(measure).parameters.keys() - known.keys():
        raise TypeError(f"{bench.module}.measure: no default for {', '.join(sorted(lacking))}")
    return known


def parser_of(name: str, bench: Bench, measure: Callable[..., Measured]) -> argparse.ArgumentParser:
    """Reads the options of one benchmark: `--exchanges 1000`, `--streams 500 2000`."""
    parser = argparse.ArgumentParser(
        prog=f"python -m benchmarks {name}",
        description=inspect.getdoc(measure),
    )
    for each, default in defaults(bench, measure).items():
        flag = "--" + each.replace("_", "-")
        if isinstance(default, tuple):
            kind, usual = type(default[0]), " ".join(map(str, default))
            parser.add_argument(flag, nargs="*", type=kind, default=default, help=f"usual: {usual}")
        else:
            kind = type(default)
            parser.add_argument(flag, type=kind, default=default, help=f"usual: {default}")
    return parser
