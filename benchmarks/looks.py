"""What a comparison by looks decides, and with how many songs: the tables of
docs/explanation/how-a-gate-decides.md.

Bundles are drawn (a bootstrap) from a recorded run and given to the real command, `soundstage
compare A B --looks`, which judges as `load --against` does while songs come. Songs of both arms are
due once a second, and last as long as those that were recorded, times `--scale` (those of an
emulator at speed 200: 200), so that what is in flight at a decision is that of life.

Beside it: the fixed number of songs an arm with the same power, judged once; and naive peeking,
where each look takes the level of a single one.
"""

from __future__ import annotations

import gzip
import io
import json
import math
import tempfile
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import orjson

from benchmarks.result import Grid
from soundstage import cli
from soundstage.reports.decision import interval
from soundstage.reports.decision.first_songs import RecordedSongs
from soundstage.results.bundle import EXCHANGES, RUN, Bundle
from soundstage.results.row_facts import lateness, since_intended

ORDERS, SHIFTS = (0.5, 0.95), (0.0, 0.10, 0.20, 0.50)
ALPHA, MARGIN, MOST = 0.05, 0.10, 1000
#: As good as ten looks at an undivided level, and just within what the command takes.
_NAIVE = 0.4999
_MILESTONES = ("complete", "streaming_ready")
_SECOND_NS = 1_000_000_000


@dataclass(frozen=True, slots=True)
class Recorded:
    """A recorded run: its run.json, and its songs."""

    run: Mapping[str, Any]
    rows: Sequence[Mapping[str, Any]]


@dataclass(frozen=True, slots=True)
class Decided:
    """What one comparison came to."""

    verdict: str
    songs: int
    sent: int


def measure(
    runs: int = 200,
    record: str = "",
    scale: float = 200.0,
    seed: int = 1,
    base: str = "pairs",
    shifts: tuple[float, ...] = SHIFTS,
) -> Grid:
    """`runs` comparisons a line, of songs of the run `record` (none: one is made). `base`: "pairs"
    of songs, or "whole", a finished run that is taken whole at each look.
    """
    whole = base == "whole"
    rng = np.random.default_rng(seed)
    lines = []
    with recorded(record) as path:
        songs = read(path)
        for order in ORDERS:
            for shift in shifts:
                drawn = simulate(
                    songs, order, shift, runs, rng, scale, alphas=(ALPHA, _NAIVE), whole=whole
                )
                looked, naive = zip(*drawn, strict=True)
                lines.append(_line(songs, order, shift, looked, naive, rng))
    how = "the base whole" if whole else "in pairs"
    return Grid(
        f"looks, {how}, {runs} comparisons a line, seed {seed}",
        (
            "gates", "slower", "pass / undecided / fail %", "songs, mean", "95%", "sent, mean",
            "95%", "fixed n", "naive fail %",
        ),
        lines,
        f"False fails at +0% and +10% (the margin): at most {ALPHA:.0%}.",
    )  # fmt: skip


@contextmanager
def recorded(record: str) -> Iterator[Path]:
    """A recorded run: the one that is named, or one that is made."""
    if record:
        yield Path(record)
        return
    with tempfile.TemporaryDirectory() as folder:
        out = Path(folder) / "recorded"
        how = ["--rate", "20", "--duration", "60s", "--emulator-args", "--speed 200 --seed 3"]
        words = ["--target", "emulator", "--api", "v6", *how, "--out", str(out)]
        silent = io.StringIO()
        cli.run("load", words, silent, silent)
        yield out


def read(path: Path) -> Recorded:
    """The songs of a run that went well enough to be drawn from."""
    bundle = Bundle.open(path)
    return Recorded(bundle.run, RecordedSongs(bundle.exchanges(), 100_000).rows)


def simulate(
    songs: Recorded,
    order: float,
    shift: float,
    runs: int,
    rng: np.random.Generator,
    scale: float,
    *,
    alphas: tuple[float, ...] = (ALPHA,),
    whole: bool = False,
    most: int = MOST,
) -> Iterator[tuple[Decided, ...]]:
    """So many comparisons through the command, of a candidate that is `shift` slower; each at every
    one of these levels.
    """
    gates = [word for name in _MILESTONES for word in ("--gate", f"{name}.p{order * 100:g}")]
    with tempfile.TemporaryDirectory() as folder:
        for number in range(runs):
            paths = [Path(folder) / f"{arm}{number}" for arm in ("base", "candidate")]
            for path, factor in zip(paths, (scale, scale * (1 + shift)), strict=True):
                pair = None if whole else {"id": str(number), "arm": path.name.rstrip("0123456789")}
                draw(songs, path, most, factor, rng, pair)
            yield tuple(_compared(paths, [*gates, "--most", str(most)], alpha) for alpha in alphas)
            for path in paths:
                for each in path.iterdir():
                    each.unlink()
                path.rmdir()


def _compared(paths: Sequence[Path], given: Sequence[str], alpha: float) -> Decided:
    out = io.StringIO()
    words = [*map(str, paths), *given, "--alpha", str(alpha), "--looks", "10", "--no-page"]
    cli.run("compare", [*words, "--format", "json"], out, out)
    looks = json.loads(out.getvalue())["looks"]
    last = looks["taken"][-1]
    return Decided(looks["verdict"], last["n"], last["sent"])


def draw(
    songs: Recorded,
    path: Path,
    many: int,
    factor: float,
    rng: np.random.Generator,
    pair: Mapping[str, str] | None,
) -> None:
    """A bundle of so many songs, drawn with replacement, `factor` times as long, one a second."""
    path.mkdir()
    lines = []
    for number, place in enumerate(rng.integers(0, len(songs.rows), many)):
        row = songs.rows[place]
        late = lateness(row)
        times = [(name, row["milestones"].get(name)) for name in _MILESTONES]
        lines.append(
            orjson.dumps(
                {
                    **row,
                    "id": f"e{number:06d}",
                    "intended_ns": number * _SECOND_NS,
                    "started_ns": number * _SECOND_NS,
                    "milestones": {
                        name: None if at is None else (at + late) * factor for name, at in times
                    },
                    "ended": ((row.get("ended") or 0.0) + late) * factor,
                    "stages": {},
                    "transcript": None,
                }
            )
        )
    facts = {name: value for name, value in songs.run.items() if name not in ("pair", "looks")}
    facts |= {"id": path.name, "voids": [], "status": "complete", "verdict": "pass"}
    if pair is not None:
        facts["pair"] = dict(pair)
    (path / RUN).write_bytes(orjson.dumps(facts))
    (path / EXCHANGES).write_bytes(gzip.compress(b"\n".join(lines) + b"\n", compresslevel=1))


def _line(
    songs: Recorded,
    order: float,
    shift: float,
    looked: Sequence[Decided],
    naive: Sequence[Decided],
    rng: np.random.Generator,
) -> tuple[str, ...]:
    said = Counter(each.verdict for each in looked)
    shares = [100 * said[word] / len(looked) for word in ("pass", "inconclusive", "fail")]
    decided = "fail" if shift > MARGIN else "pass"
    power = said[decided] / len(looked)
    fixed = fixed_size(songs, order, shift, power, decided, rng) if power > 0.1 else None
    columns = [np.array([getattr(each, name) for each in looked]) for name in ("songs", "sent")]
    figures = [f(column) for column in columns for f in (np.mean, _point)]
    wrong = 100 * sum(each.verdict == "fail" for each in naive) / len(naive)
    return (
        f"p{order * 100:g}",
        f"{shift:+.0%}",
        " / ".join(f"{share:.1f}" for share in shares),
        *(f"{figure:,.0f}" for figure in figures),
        "–" if fixed is None else f"{fixed:,}",
        f"{wrong:.1f}",
    )


def _point(column: Any) -> float:
    return float(np.quantile(column, 0.95))


def fixed_size(
    songs: Recorded,
    order: float,
    shift: float,
    power: float,
    decided: str,
    rng: np.random.Generator,
    runs: int = 300,
) -> int | None:
    """The least number of songs an arm, in steps of a tenth, at which one look at the whole level
    says as often what the looks said in the end: that the first gate fails, or that both pass.
    """
    columns = [
        np.array([since_intended(row, name) or np.inf for row in songs.rows])
        for name in _MILESTONES
    ]
    level, limit, size = 1 - ALPHA / 3, math.log1p(MARGIN), 20
    while size <= 10 * MOST:
        found = 0
        for _ in range(runs):
            one, other = (rng.integers(0, len(songs.rows), size) for _ in range(2))
            answers = {
                interval.verdict(
                    interval.of_samples(
                        np.sort(column[one]), np.sort(column[other] * (1 + shift)), order, level
                    ),
                    limit,
                )
                for column in columns
            }
            found += decided in answers if decided == "fail" else answers == {"pass"}
        if found >= power * runs:
            return size
        size = math.ceil(size * 1.1)
    return None
