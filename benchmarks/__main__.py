"""`make bench`: measures Soundstage beside references in the same run, and prints one table.

Ratios, because machines differ. Nothing here gates anything; tests never look at a clock.
"""

from __future__ import annotations

import argparse
import os
import platform

from rich.console import Console
from rich.table import Table

from benchmarks import arrivals, client, cold_start, conformance, fuzz, whole_path
from benchmarks.result import Row


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m benchmarks", description=__doc__)
    parser.add_argument("only", nargs="*", metavar="conformance|lint|faults|client|arrivals|fuzz")
    parser.add_argument("--streams", type=int, nargs="+", default=[500, 2000, 4000])
    parser.add_argument("--tls-streams", type=int, nargs="*", default=[1000], help="0: none")
    text = "of each measurement of a client, with all streams open"
    parser.add_argument("--seconds", type=float, default=5.0, help=text)
    readers = list(client.READERS)
    parser.add_argument("--readers", nargs="+", choices=readers, default=readers)
    text = "of each measurement of arrivals"
    parser.add_argument("--arrival-seconds", type=float, default=60.0, help=text)
    text = "mutated bodies that the emulator is sent"
    parser.add_argument("--bodies", type=int, default=fuzz.BODIES, help=text)
    args = parser.parse_args()
    console = Console(width=130)
    console.print(
        f"{platform.platform()}, {os.cpu_count()} cores, Python {platform.python_version()}"
    )
    rows: list[Row] = []
    wanted = args.only or ["conformance", "lint", "faults", "client", "arrivals", "fuzz"]
    if "conformance" in wanted:
        console.print("decoder and engine …")
        rows += conformance.measure()
    if "lint" in wanted:
        console.print("cold start of lint …")
        rows += cold_start.measure()
    if "faults" in wanted:
        console.print("every fault over the whole path …")
        rows += whole_path.measure()
    if "client" in wanted:
        for streams in args.streams:
            console.print(f"client with {streams} streams …")
            rows += client.measure(streams, args.seconds, readers=args.readers)
        for streams in filter(None, args.tls_streams):
            console.print(f"client with {streams} streams over TLS …")
            rows += client.measure(streams, args.seconds, tls=True, readers=args.readers)
    if "arrivals" in wanted:
        console.print("arrivals, ours and Locust's own …")
        rows += arrivals.measure(args.arrival_seconds)
    if "fuzz" in wanted:
        console.print("the emulator's request side under attack …")
        rows += fuzz.measure(args.bodies)
    table = Table(show_edge=False)
    for heading in ("what", "measured", "reference", "ratio", "target"):
        table.add_column(heading, justify="left" if heading == "what" else "right")
    for row in rows:
        table.add_row(*row)
    console.print(table)


main()
