"""Where the documentation and what is sent differ, and how it is told."""

from __future__ import annotations

import random
import re
from pathlib import Path
from typing import Any

import pytest
from drift_changes import (
    V6,
    extra_stage,
    on,
    on_ready,
    shifted,
    without,
)

from observations import Change, Chunks, observed_results, observed_run
from soundstage.contract import load_all
from soundstage.reports.drift import docs_diff, kinds
from soundstage.reports.drift.presence import (
    LEVEL,
    Presence,
    fisher,
    significant,
)


def differences(change: Change, many: int = 25) -> dict[tuple[str, str | None, str], Any]:
    found = docs_diff.against(observed_run(V6, many, 3, change), V6)
    return {(each.sort, each.stage, each.name): each for each in found}


DOCS: dict[str, tuple[Change, tuple[str, str | None, str], str]] = {
    "a field that the page does not mention": (
        on("status", "validated", lambda c, rng: c.update(mood="calm")),
        ("undocumented", "validated", "mood"),
        "document it: string, always there",
    ),
    "a documented field that another stage has": (
        on("status", "initializing", lambda c, rng: c.update(progress=1)),
        ("undocumented", "initializing", "progress"),
        "list it for this stage",
    ),
    "a required field that is never there": (
        on_ready(lambda c, rng: c.pop("stream_url")),
        ("contradicted", "streaming_ready", "stream_url"),
        "remove it, or say when it comes",
    ),
    "a required field that is there at times": (
        on_ready(lambda c, rng: rng.random() < 0.3 and c.pop("stream_url")),
        ("contradicted", "streaming_ready", "stream_url"),
        "say that it is optional",
    ),
    "another type": (
        on_ready(lambda c, rng: c.update(song_name=7)),
        ("contradicted", "streaming_ready", "song_name"),
        "say that it can be of type integer",
    ),
    "a stage that the page does not mention": (
        extra_stage,
        ("undocumented", "?queued", "stage"),
        "describe this stage",
    ),
    "an index that starts elsewhere": (
        shifted,
        ("contradicted", None, "first index"),
        "say that it starts at 1",
    ),
    "a stage that never comes": (
        without("status", "processing"),
        ("unseen", "processing", "stage"),
        "say when it comes",
    ),
}


@pytest.mark.parametrize(("change", "where", "advice"), DOCS.values(), ids=DOCS)
def test_where_page_and_api_differ_it_is_said_what_to_write(change, where, advice):
    found = differences(change)
    assert found[where].change == advice
    kept = differences(lambda chunks, rng: chunks)
    assert where not in kept


def test_a_valid_run_contradicts_the_page_nowhere():
    for api, contract in load_all().items():
        seen = observed_run(contract, 25, 3)
        seen.merge(observed_results(contract, 3, 3))
        found = docs_diff.against(seen, contract)
        assert [each for each in found if each.sort == "contradicted"] == [], api


def test_hostile_names_are_escaped_in_markdown_and_plain_on_a_terminal():
    def change(chunks: Chunks, rng: random.Random) -> Chunks:
        for chunk in chunks:
            chunk["<img src=x>\x1b[31m|`"] = "x"
            chunk["status"] = "a|b<script>" if chunk["status"] == "running" else chunk["status"]
        return chunks

    seen = observed_run(V6, 3, 1, change)
    found = docs_diff.against(seen, V6)
    page = docs_diff.markdown(V6, seen, found)
    for text in (page, docs_diff.text(V6, seen, found)):
        assert "<img" not in text
        assert "\x1b" not in text
        assert "<script" not in text
    rows = [line for line in page.splitlines() if line.startswith("|")]
    assert all(row.count("|") == 5 for row in rows)


DOCS_PAGE = Path(__file__).parents[2] / "docs/reference/drift.md"


def test_the_docs_name_every_kind_of_drift():
    source = Path(kinds.__file__).read_text()
    named = set(re.findall(r'"([a-z]+\.[a-z]+)"', source)) - kinds.KINDS.keys()
    named |= {each.drift for each in kinds.KINDS.values()} | {"track.lost", "track.rarer"}
    assert len(named) > 25
    documented = set(re.findall(r"`([a-z]+\.[a-z]+)`", DOCS_PAGE.read_text()))
    assert named <= documented, named - documented


def test_the_docs_say_how_few_exchanges_decide():
    page = DOCS_PAGE.parents[1] / "explanation/how-runs-are-compared.md"
    rows = [line.strip("| ").split(" | ") for line in page.read_text().splitlines()]
    bases = next(row[1:] for row in rows if row[0] == "exchanges of the base")
    least = next(row[1:] for row in rows if row[0] == "of the candidate, at least")
    for base, candidate in zip(map(int, bases), map(int, least), strict=True):
        assert significant(fisher(Presence(base, base, 0, candidate)), LEVEL)
        assert not significant(fisher(Presence(base, base, 0, candidate - 1)), LEVEL)
