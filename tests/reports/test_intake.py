"""A large bundle is taken in by several processes: nobody can tell from the result."""

from __future__ import annotations

import gzip
import random
from collections.abc import Mapping
from dataclasses import replace
from itertools import pairwise
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import pytest

from soundstage.errors import UsageError
from soundstage.reports.decision.arms import read_run
from soundstage.reports.run.summary import summary_of
from soundstage.results import bundle as bundles
from soundstage.results import intake
from soundstage.results.bundle import EXCHANGES, Bundle


@pytest.fixture
def large(tmp_path: Path, runs: ModuleType, monkeypatch: pytest.MonkeyPatch) -> Bundle:
    """A bundle of 3,000 exchanges, which counts as large here; one in ten did not end well."""
    rng = random.Random(4)
    rows = [runs.exchange(number + 1, rng, at=number * 0.1) for number in range(3000)]
    for number, row in enumerate(rows):
        if number % 10 == 0:
            row |= {"outcome": ("timeout", "censored")[number % 20 == 0], "codes": {"x.y": 2}}
        if number % 700 == 0:
            row["transcript"] = f"transcripts/{row['id']}.ndjson"
    runs.write(tmp_path / "run", rows, kind="load", finish={"verdict": "pass"})
    monkeypatch.setattr(bundles, "_PART", 20_000)
    return Bundle.open(tmp_path / "run")


def plain(value: Any) -> Any:
    """`value` with arrays as lists, so that it can be compared; nan equals nan as text."""
    return repr(value) if not hasattr(value, "__slots__") else {
        name: value_of(getattr(value, name)) for name in value.__slots__
    }  # fmt: skip


def value_of(value: Any) -> Any:
    if isinstance(value, np.ndarray):
        return repr(value.tolist())
    if isinstance(value, tuple):
        return [plain(each) for each in value]
    return repr(value)


def test_parts_come_to_what_the_whole_does(large: Bundle) -> None:
    wanted = {"e000001", "e000701", "e002801", "e000002"}
    places = large.places()
    parts = [*pairwise([*places, None])]
    assert len(parts) > 3
    assert sum(1 for part in parts for _ in large.part(*part)) == 3000
    parted = intake.take_in(large, wanted, 100_000)
    whole = intake.Intake(wanted, 100_000)
    whole.take(large.exchanges())
    assert parted.total == whole.total == 3000
    assert parted.places == whole.places
    assert len(whole.places) == 3
    mine, theirs = (summary_of(each, {("v6", "stream"): {"complete"}}) for each in (parted, whole))
    for group, other in zip(mine.groups, theirs.groups, strict=True):
        assert plain(group) == plain(other)
    # The sum of fractions depends on the order, in its last digits.
    assert mine.coarse == pytest.approx(theirs.coarse)
    assert plain(replace(mine, coarse=0.0)) == plain(replace(theirs, coarse=0.0))


def test_the_sample_of_parts_is_as_large_as_that_of_the_whole_at_least(large: Bundle) -> None:
    columns = intake.take_in(large, sample=300).columns["v6", "stream"]
    assert 300 <= len(columns.sample) < 600
    again = intake.take_in(large, sample=300).columns["v6", "stream"]
    assert [*again.sample.exchanges()] == [*columns.sample.exchanges()]


def test_a_comparison_reads_a_large_run_as_it_would_a_small_one(
    large: Bundle, monkeypatch: pytest.MonkeyPatch
) -> None:
    parted = read_run(large)
    monkeypatch.setattr(bundles, "_PART", 2**40)
    whole = read_run(Bundle.open(large.path))
    assert parted.rate == whole.rate > 0
    mine, theirs = (dict(run.series) for run in (parted, whole))
    assert mine.keys() == theirs.keys() == {("v6", "stream")}
    for place, series in mine.items():
        other = theirs[place]
        assert (series.n, series.outcomes) == (other.n, other.outcomes)
        assert plain_arrays(series.times) == plain_arrays(other.times)
        assert plain_arrays(series.spent) == plain_arrays(other.spent)
        assert 0 < len(series.spent["final"]) < series.n, "of those that ended well"


def test_a_comparison_keeps_no_columns_that_it_does_not_ask_for(large: Bundle) -> None:
    whole, asked = intake.take_in(large), intake.take_in(large, times_only=True)
    place = ("v6", "stream")
    mine, all_of_it = asked.columns[place], whole.columns[place]
    assert mine.times("complete").tolist() == all_of_it.times("complete").tolist()
    assert mine.outcomes() == all_of_it.outcomes()
    assert all_of_it.stages()
    assert mine.stages() == {}
    assert len(whole.whole.intended) == 3000
    assert len(asked.whole.intended) == 0
    # `large` has fewer rows than a sample holds: all that have stages, or those that ended well.
    assert len(mine.sample) < len(all_of_it.sample) <= 3000


def plain_arrays(values: Mapping[str, Any]) -> dict[str, list[float]]:
    return {name: each.tolist() for name, each in values.items()}


def test_a_damaged_row_of_the_second_half_is_told_by_its_place_in_the_file(large: Bundle) -> None:
    path = large.path / EXCHANGES
    with path.open("ab") as file:
        file.write(gzip.compress(b"{nonsense\n"))
    with pytest.raises(UsageError, match=r"exchanges\.ndjson\.gz:3001:"):
        intake.take_in(large)


def test_a_torn_second_half_is_noticed(large: Bundle) -> None:
    path = large.path / EXCHANGES
    path.write_bytes(path.read_bytes()[:-40])
    assert intake.take_in(large).total < 3000
    assert large.torn == 1
