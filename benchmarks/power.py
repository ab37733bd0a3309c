"""What the gate of `soundstage compare` decides: the power tables of
docs/explanation/how-runs-are-compared.md.

    python -m benchmarks.power [--pairs N] [--seed N]

Two runs of lognormal times, one of them slower, are judged as `compare` judges single runs: exact
intervals, MOVER, k = 3 gates, alpha = 0.05. Each cell is the share of pairs that pass, cannot
tell, and fail. Prints Markdown.
"""

from __future__ import annotations

import argparse
import math
import sys

import numpy as np

from benchmarks.result import Row
from soundstage.reports.decision import interval
from soundstage.reports.decision.interval import Interval

ALPHA, GATES = 0.05, 3
LEVEL = 1 - ALPHA / GATES
SIGMAS = (0.3, 0.5)
SIZES = (100, 300, 1000, 5000)
SHIFTS = (0.0, 0.05, 0.10, 0.20, 0.30, 0.50)
MARGINS = (0.05, 0.10, 0.20)
ORDERS = (0.5, 0.95)
#: Runs that differ by more than their samples: standard deviation of a run's log times.
RUN_NOISE = (0.0, 0.03)
PAIRS_OF_RUNS = (1, 3, 5)
WORDS = ("pass", "inconclusive", "fail")
_MATRIX = 4_000_000


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.power", description=__doc__)
    parser.add_argument("--pairs", type=int, default=1000, help="simulated for each cell")
    parser.add_argument("--seed", type=int, default=1)
    args = parser.parse_args()
    rng = np.random.default_rng(args.seed)
    print = sys.stdout.write
    print(f"{args.pairs} pairs a cell, seed {args.seed}; pass / inconclusive / fail in percent.\n")
    for q in ORDERS:
        for sigma in SIGMAS:
            print(f"\n**p{q * 100:g}, sigma {sigma}**\n\n")
            heads = " | ".join(f"{shift:+.0%}" for shift in SHIFTS)
            print(f"| n | margin | {heads} |\n|---:|---:|{':---:|' * len(SHIFTS)}\n")
            for n in SIZES:
                cells = {shift: single(rng, args.pairs, sigma, n, shift, q) for shift in SHIFTS}
                for margin in MARGINS:
                    row = " | ".join(shares(cells[shift], margin) for shift in SHIFTS)
                    print(f"| {n:,} | {margin:.0%} | {row} |\n")
    print("\n**Several runs an arm**, p50, sigma 0.3, n = 1,000 a run, margin 10%\n\n")
    heads = " | ".join(f"{shift:+.0%}" for shift in SHIFTS)
    print(
        f"| noise between runs | pairs of runs | {heads} |\n|---:|---:|{':---:|' * len(SHIFTS)}\n"
    )
    for noise in RUN_NOISE:
        for runs in PAIRS_OF_RUNS:
            row = " | ".join(
                shares(several(rng, args.pairs // 2, runs, noise, shift), 0.10) for shift in SHIFTS
            )
            print(f"| {noise:.0%} | {runs} | {row} |\n")


def measure(pairs: int = 1000, seed: int = 1) -> list[Row]:
    """A few cells of the table, of `pairs` pairs of runs each: what the gate says of equal runs,
    and of a run that is slower by 30%, at the 95th percentile with a margin of 10%.
    """
    rng = np.random.default_rng(seed)
    rows = []
    for n in SIZES[1:]:
        for shift, target in ((0.0, "<= 5%"), (0.3, "")):
            cell = single(rng, pairs, SIGMAS[1], n, shift, 0.95)
            worse = sum(interval.verdict(change, math.log1p(0.10)) == "fail" for change in cell)
            point = sum(d > math.log1p(0.10) for d, _, _ in cell)
            rows.append(
                Row(
                    f"compare, p95, n = {n:,}, {shift:+.0%}: said to be worse by 10%",
                    f"{worse / pairs:.1%}",
                    f"by point estimates {point / pairs:.1%}",
                    "",
                    target,
                )
            )
    return rows


def single(
    rng: np.random.Generator, pairs: int, sigma: float, n: int, shift: float, q: float
) -> list[Interval]:
    """The interval (d, L, U) of the log ratio for each of so many pairs of single runs."""
    found: list[Interval] = []
    while len(found) < pairs:
        size = (min(pairs - len(found), max(1, _MATRIX // n)), n)
        base = np.sort(rng.lognormal(0.0, sigma, size), axis=1)
        other = np.sort(rng.lognormal(math.log1p(shift), sigma, size), axis=1)
        found += [
            interval.of_samples(one, two, q, LEVEL) for one, two in zip(base, other, strict=True)
        ]
    return found


def several(
    rng: np.random.Generator, pairs: int, runs: int, noise: float, shift: float
) -> list[Interval]:
    """Likewise for so many comparisons of `runs` pairs of runs."""
    found = []
    for _ in range(pairs):
        arms = [
            [
                np.sort(rng.lognormal(math.log1p(slower) + rng.normal(0, noise), 0.3, 1000))
                for _ in range(runs)
            ]
            for slower in (0.0, shift)
        ]
        if runs == 1:
            found.append(interval.of_samples(arms[0][0], arms[1][0], 0.5, LEVEL))
        else:
            found.append(interval.of_runs(arms[0], arms[1], 0.5, LEVEL, paired=True))
    return found


def shares(changes: list[Interval], margin: float) -> str:
    """`92 / 8 / 0`"""
    said = [interval.verdict(change, math.log1p(margin)) for change in changes]
    return " / ".join(f"{100 * said.count(word) / len(said):.0f}" for word in WORDS)


if __name__ == "__main__":
    main()
