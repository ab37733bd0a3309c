"""Songs until `soundstage load --against` has decided, on emulators, through the real command.

Each run starts two emulators of songs of about a minute (sigma 0.3) that are `speed` times faster
than life, one of them `slower`, and asks them in pairs until three gates (p50 of two milestones,
the error rate) are decided. `rate` songs a second are `rate / speed` in the time of life; so in
flight are as many as in life at that pace. "pausing" sends no song while a look waits.
"""

from __future__ import annotations

import json
import subprocess
import sys
import tempfile
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.result import Grid

_MEDIAN_S, _SIGMA = 58.0, 0.3
_GATES = ("v6.stream.complete.p50", "v6.stream.streaming_ready.p50")
#: The exit codes of a verdict: decided, a gate failed, undecided; and of a machine that had other
#: things to do, so that some songs were sent a little late.
_DECIDED, _VOID = (0, 3, 4), 6


def measure(
    runs: int = 20,
    speed: float = 20.0,
    rate: float = 20.0,
    slower: tuple[float, ...] = (0.5, 0.0),
    at_once: int = 1,
    most: int = 1000,
    paces: tuple[str, ...] = ("steady", "pausing"),
) -> Grid:
    """So many runs for each shift and pace, `at_once` of them together."""
    lines = []
    for shift in slower:
        for pace in paces:
            with ThreadPoolExecutor(at_once) as pool:
                found = list(
                    pool.map(
                        lambda seed, shift=shift, pace=pace: _run(
                            seed, shift, speed, rate, most, pausing=pace == "pausing"
                        ),
                        range(1, runs + 1),
                    )
                )
            lines.append(_line(shift, pace, found))
    return Grid(
        f"load --against, pairs of songs, {rate / speed:g} a second of life, {runs} runs",
        ("slower", "pace", "runs (late)", "verdicts", "songs", "95%", "sent", "95%", "seconds"),
        lines,
        "To reach, at +50%: a mean of at most 80 songs an arm, 95% of the runs within 100. Late: "
        "the machine had other things to do, and over 1% of the songs were sent 100 ms late.",
    )


def _run(
    seed: int, shift: float, speed: float, rate: float, most: int, *, pausing: bool
) -> Mapping[str, Any] | None:
    """`looks` of one run, the seconds that it took, and whether it is void; None if it failed."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        for arm, factor in (("base", 1.0), ("candidate", 1 + shift)):
            (folder / f"{arm}.json").write_text(json.dumps(_profile(_MEDIAN_S * factor)))
        command = [sys.executable, "-m", "soundstage", "load", "--api", "v6", "--format", "json"]
        command += ["--target", "emulator", "--against", "emulator", "--allow", "profile"]
        for option, arm, draws in (
            ("--emulator-args", "candidate", 2 * seed),
            ("--against-args", "base", 2 * seed + 1),
        ):
            profile = folder / f"{arm}.json"
            command += [option, f"--speed {speed:g} --seed {draws} --profile {profile}"]
        command += [word for gate in _GATES for word in ("--gate", gate)]
        command += ["--rate", f"{rate:g}", "--seed", str(seed), "--most", str(most)]
        command += ["--out", str(folder / "run"), *(["--pause-at-looks"] if pausing else [])]
        done = subprocess.run(command, capture_output=True, text=True, check=False)
        if done.returncode not in (*_DECIDED, _VOID) or not done.stdout:
            sys.stderr.write(f"failed ({done.returncode}): {done.stderr.splitlines()[-1:]}\n")
            return None
        run = json.loads(done.stdout)
        void = done.returncode == _VOID
        return {**run["looks"], "seconds": run["totals"]["seconds"], "void": void}


def _profile(median_s: float) -> dict[str, Any]:
    return {
        "description": "Songs whose time is that of one stage.",
        "default": {"constant": 0.2},
        "stages": {"validated": {"median": median_s, "sigma": _SIGMA}},
        "first": {"constant": 0.1},
    }


def _line(shift: float, pace: str, found: Sequence[Mapping[str, Any] | None]) -> tuple[str, ...]:
    ended = [each for each in found if each is not None]
    said = Counter(each["verdict"] for each in ended)
    figures = (f"{figure:.0f}" for figure in _figures(ended)) if ended else ("–",) * 5
    return (
        f"{shift:+.0%}",
        pace,
        f"{len(ended)} ({sum(each['void'] for each in ended)})",
        ", ".join(f"{number} {word}" for word, number in said.most_common()),
        *figures,
    )


def _figures(ended: Sequence[Mapping[str, Any]]) -> Iterator[float]:
    for name in ("n", "sent"):
        column = [each["taken"][-1][name] for each in ended]
        yield float(np.mean(column))
        yield float(np.quantile(column, 0.95))
    yield float(np.mean([each["seconds"] for each in ended]))
