"""Contract drift: silent where nothing changed, named and weighed where something did, and never
surer than the number of exchanges allows.
"""

from __future__ import annotations

import json
import random
import re
import time
from datetime import date
from functools import cache
from pathlib import Path
from typing import Any

import pytest
from late_import import LateModule

from made_up_api import SHAPES
from observations import Change, Chunks, made_up, observed_results, observed_run, observed_stream
from soundstage.config import Config, Waiver
from soundstage.contract import Contract, load, load_all
from soundstage.errors import NoDataError, UsageError
from soundstage.generation.faults.catalogue import Fault, catalogue, valid_stream
from soundstage.observed.facts import Observed
from soundstage.reports.drift import docs_diff, kinds
from soundstage.reports.drift.drift import DriftFinding, broken, drift, observed_of, waived
from soundstage.reports.drift.presence import (
    LEVEL,
    Presence,
    fisher,
    level_of_each,
    needed,
    significant,
    smallest,
)
from soundstage.results.bundle import OBSERVED, BundleWriter

stats = LateModule("scipy.stats")

V6 = load("v6")
SECOND_TRACK = V6.protocol.tracks.values[1]  # type: ignore[union-attr]


@cache
def valid_run(contract: Contract, many: int) -> Observed:
    return observed_run(contract, many, 1)


def compared(
    change: Change, *, base: int = 30, candidate: int = 12, contract: Contract = V6
) -> list[DriftFinding]:
    """The drift from `base` valid streams to `candidate` changed ones."""
    return drift(
        valid_run(contract, base),
        observed_run(contract, candidate, 2, change),
        {contract.api: contract},
    )


def told(findings: list[DriftFinding]) -> set[tuple[str, str, str, str | None, str]]:
    return {(f.verdict, f.effect, f.kind, f.stage, f.path) for f in findings}


# ------------------------------------------------------------------ changes of streams


def on(stage_field: str, stage_value: str, change: Any) -> Change:
    """A change of every chunk in which a field has a value."""

    def changed(chunks: Chunks, rng: random.Random) -> Chunks:
        for chunk in chunks:
            if chunk.get(stage_field) == stage_value:
                change(chunk, rng)
        return chunks

    return changed


def on_ready(change: Any) -> Change:
    return on("streaming_ready", True, change)  # type: ignore[arg-type]


def shifted(chunks: Chunks, rng: random.Random) -> Chunks:
    for chunk in chunks:
        chunk["chunkIndex"] += 1
    return chunks


def swapped(chunks: Chunks, rng: random.Random) -> Chunks:
    chunks[0]["status"], chunks[1]["status"] = chunks[1]["status"], chunks[0]["status"]
    return chunks


def numbered(chunks: Chunks) -> Chunks:
    for number, chunk in enumerate(chunks):
        chunk["chunkIndex"] = number
    return chunks


def without(name: str, value: Any) -> Change:
    return lambda chunks, rng: numbered([c for c in chunks if c.get(name) != value])


def doubled(chunks: Chunks, rng: random.Random) -> Chunks:
    return numbered([c.copy() for chunk in chunks for c in [chunk] * (1 + (chunk is chunks[1]))])


def extra_stage(chunks: Chunks, rng: random.Random) -> Chunks:
    return numbered([chunks[0], {**chunks[0], "status": "queued"}, *chunks[1:]])


def third_track(chunks: Chunks, rng: random.Random) -> Chunks:
    more = [{**c, "version": 3} for c in chunks if c.get("version") == SECOND_TRACK]
    return numbered(chunks[:-1] + more + chunks[-1:])


def renamed_id(chunks: Chunks, rng: random.Random) -> Chunks:
    chunks[3]["message_id"] = "another"
    return chunks


CHANGES: dict[str, tuple[Change, tuple[str, str, str | None, str]]] = {
    "a required field is gone": (
        on_ready(lambda c, rng: c.pop("stream_url")),
        ("breaking", "field.gone", "streaming_ready", "/stream_url"),
    ),
    "a required field is not always there": (
        on_ready(lambda c, rng: rng.random() < 0.3 and c.pop("stream_url")),
        ("breaking", "field.optional", "streaming_ready", "/stream_url"),
    ),
    "a field is new": (
        on("status", "validated", lambda c, rng: c.update(mood="calm")),
        ("info", "field.new", "validated", "/mood"),
    ),
    "another type": (
        on_ready(lambda c, rng: c.update(song_name=7)),
        ("breaking", "type.changed", "streaming_ready", "/song_name"),
    ),
    "null": (
        on_ready(lambda c, rng: c.update(album_art=None)),
        ("breaking", "type.nullable", "streaming_ready", "/album_art"),
    ),
    "a value that is not printed": (
        on_ready(lambda c, rng: c.update(streaming_ready=False)),
        ("breaking", "enum.grown", "streaming_ready", "/streaming_ready"),
    ),
    "another format": (
        on_ready(lambda c, rng: c.update(stream_url="/assets/live-1.mp3")),
        ("breaking", "format.changed", "streaming_ready", "/stream_url"),
    ),
    "beyond the documented range": (
        on("status", "running", lambda c, rng: c.update(progress=140)),
        ("breaking", "range.outside", "running", "/progress"),
    ),
    "the index starts elsewhere": (shifted, ("breaking", "index.base", None, "")),
    "stages changed places": (swapped, ("breaking", "stage.reordered", "validated", "")),
    "a stage is gone": (
        without("status", "uploading"),
        ("breaking", "stage.gone", "uploading", ""),
    ),
    "a stage comes twice": (doubled, ("breaking", "stage.times", "validated", "")),
    "a stage that nobody knows": (extra_stage, ("breaking", "stage.added", "?queued", "")),
    "a track is lost": (without("version", SECOND_TRACK), ("breaking", "track.lost", None, "")),
    "another track": (third_track, ("breaking", "track.added", None, "")),
    "an identifier changes": (renamed_id, ("breaking", "rule.broken", None, "")),
}


@pytest.mark.parametrize(("change", "expected"), CHANGES.values(), ids=CHANGES)
def test_a_change_is_named_and_weighed(change, expected):
    findings = compared(change)
    assert ("drift", *expected) in told(findings)
    assert broken(findings) is (expected[0] == "breaking")
    if expected[0] == "info":
        assert {finding.effect for finding in findings} == {"info"}


@pytest.mark.parametrize("name", [name for name in CHANGES if "not always" not in name])
def test_what_the_contract_rules_out_needs_one_exchange(name):
    change, expected = CHANGES[name]
    found = told(compared(change, base=1, candidate=1))
    verdict = "inconclusive" if expected[0] == "info" else "drift"
    assert (verdict, *expected) in found


@pytest.mark.parametrize(("change", "expected"), CHANGES.values(), ids=CHANGES)
def test_a_fingerprint_is_the_same_whatever_the_counts(change, expected):
    marks = [
        {f.fingerprint for f in found if (f.kind, f.stage, f.path) == expected[1:]}
        for found in (
            compared(change, base=30, candidate=9),
            compared(change, base=20, candidate=6),
        )
    ]
    assert marks[0] == marks[1]
    assert len(marks[0]) == 1


def test_fingerprints_of_other_places_differ():
    every = [f for change, _ in CHANGES.values() for f in compared(change, candidate=5)]
    places = {(f.kind, f.stage, f.path) for f in every}
    assert len({f.fingerprint for f in every}) >= len(places)


def test_a_field_that_comes_back_is_no_break():
    gone = on_ready(lambda c, rng: c.pop("stream_url"))
    base, candidate = observed_run(V6, 20, 1, gone), observed_run(V6, 20, 2)
    findings = drift(base, candidate, {"v6": V6})
    assert told(findings) == {("drift", "info", "field.new", "streaming_ready", "/stream_url")}


def test_evidence_says_how_often_and_in_how_many():
    (finding,) = compared(on_ready(lambda c, rng: c.pop("stream_url")), base=30, candidate=12)
    evidence = finding.evidence
    assert evidence.text == "in 0 of 12 exchanges, was in 30 of 30 (100%)"
    assert (evidence.base, evidence.base_n, evidence.candidate, evidence.candidate_n) == (
        30, 30, 0, 12,
    )  # fmt: skip
    assert evidence.p is None
    assert finding.text == "stream_url of streaming_ready is gone"
    assert "Streaming Ready" in finding.source
    assert finding.to_json()["evidence"]["candidate"] == [0, 12]


def test_streams_that_failed_do_not_make_a_track_rarer():
    """Tracks of streams that were not whole were counted against those that were."""
    rng = random.Random(5)
    base, failing = observed_run(V6, 12, 1), Observed()
    for _ in range(12):
        chunks = valid_stream(V6, rng, fails=True)
        failing.merge(observed_stream(V6, [payload for _, payload in chunks]))
    failing.merge(base)
    assert drift(failing, observed_run(V6, 3, 2), {"v6": V6}) == []


def test_a_loss_of_one_track_is_told_once():
    kinds = [f.kind for f in compared(without("version", SECOND_TRACK))]
    assert kinds.count("track.lost") == 1


# ------------------------------------------------------------------ silence


@pytest.mark.parametrize(("base", "candidate"), [(1, 1), (1, 30), (30, 1), (30, 30), (60, 12)])
@pytest.mark.parametrize("api", sorted(load_all()))
@pytest.mark.proof
def test_streams_of_the_same_api_show_no_drift(api, base, candidate):
    contract = load(api)
    for seed in range(3):
        sides = [
            observed_run(contract, many, 10 * seed + side, optional=0.3)
            for side, many in enumerate((base, candidate))
        ]
        for number, side in enumerate(sides):
            side.merge(observed_results(contract, 3, 100 + 2 * seed + number))
        assert drift(*sides, {api: contract}) == []


@pytest.mark.parametrize("shape", SHAPES)
def test_a_made_up_api_drifts_only_when_it_does(shape, tmp_path: Path):
    contract = made_up(tmp_path, shape)
    same = {shape: contract}
    base = observed_run(contract, 15, 1)
    assert drift(base, observed_run(contract, 15, 2), same) == []
    stage = next(s for s in contract.protocol.stages if not s.after and not s.failure)
    (mark,) = stage.when["properties"]
    phase = stage.when["properties"][mark]["const"]
    lossy = on(mark, phase, lambda c, rng: c.pop("job"))
    assert told(drift(base, observed_run(contract, 9, 3, lossy), same)) == {
        ("drift", "breaking", "field.gone", stage.name, "/job")
    }


def test_other_apis_are_never_held_against_each_other():
    v5 = load("v5")
    base, candidate = observed_run(v5, 3, 1), observed_run(V6, 3, 1)
    assert drift(base, candidate, load_all()) == []


# ------------------------------------------------------------------ enough evidence


def moody(share: float) -> Change:
    return on(
        "status", "validated", lambda c, rng: rng.random() < share and c.update(mood="calm")
    )  # fmt: skip


def sides(base: int, candidate: int, was: float, now: float) -> list[DriftFinding]:
    return drift(
        observed_run(V6, base, 1, moody(was)),
        observed_run(V6, candidate, 2, moody(now)),
        {"v6": V6},
    )


def test_an_undocumented_field_is_gone_only_after_enough_exchanges():
    (few,) = sides(8, 2, 1, 0)
    assert (few.verdict, few.kind, few.effect) == ("inconclusive", "field.gone", "breaking")
    assert few.needs is not None
    assert not broken([few])
    (still,) = sides(8, 2 + few.needs - 1, 1, 0)
    # One more than asked for: by then another feature can be tested, too.
    (enough,) = sides(8, 2 + few.needs + 1, 1, 0)
    assert still.verdict == "inconclusive"
    assert (enough.verdict, enough.needs) == ("drift", None)
    assert enough.evidence.p is not None
    assert enough.evidence.p <= LEVEL


def test_with_a_base_of_one_it_takes_hundreds_or_no_number_would_do():
    (finding,) = sides(1, 5, 1, 0)
    assert (finding.verdict, finding.needs) == ("inconclusive", 194)  # 2 / (199 + 1)
    assert needed(Presence(1, 1, 5, 10)) is None
    assert needed(Presence(0, 1, 0, 5)) is None


def test_a_field_that_came_and_went_is_not_gone_after_a_few_exchanges():
    assert sides(40, 6, 0.5, 0) == []


def test_fisher_is_that_of_scipy():
    rng = random.Random(4)
    for _ in range(400):
        a, b = rng.randint(1, 60), rng.randint(1, 60)
        seen = Presence(rng.randint(0, a), a, rng.randint(0, b), b)
        if seen.base + seen.candidate in (0, a + b):
            assert fisher(seen) == 1
            continue
        table = [[seen.candidate, b - seen.candidate], [seen.base, a - seen.base]]
        side = "less" if seen.candidate * a <= seen.base * b else "greater"
        assert fisher(seen) == pytest.approx(min(1, 2 * stats.fisher_exact(table, side).pvalue))


def test_fisher_of_a_million_exchanges_takes_no_time_and_does_not_overflow():
    assert fisher(Presence(500_000, 1_000_000, 500_500, 1_000_000)) == pytest.approx(
        0.4804, abs=1e-3
    )
    assert fisher(Presence(1_000_000, 1_000_000, 0, 1_000_000)) == 0
    begin = time.process_time()
    assert fisher(Presence(500_000, 1_000_000, 400_000, 1_000_000)) == 0
    assert time.process_time() - begin < 0.2  # a walk through the whole tail takes seconds
    tables = [Presence(n, 10_000, 0, 10_000) for n in range(20, 4_020)]
    assert level_of_each(tables) == pytest.approx(LEVEL / len(tables))
    assert time.process_time() - begin < 5


def test_needed_is_the_least_number_that_decides():
    seen = Presence(19, 20, 0, 2)
    more = needed(seen)
    assert more is not None
    assert fisher(seen._replace(candidate_n=2 + more)) <= LEVEL
    assert fisher(seen._replace(candidate_n=2 + more - 1)) > LEVEL


def test_that_all_of_one_side_lies_beyond_the_other_is_as_rare_as_such_orderings():
    assert fisher(Presence(0, 3, 4, 4)) == pytest.approx(2 / 35)
    assert fisher(Presence(0, 1, 1, 1)) == 1
    assert fisher(Presence(0, 0, 9, 9)) == 1


def test_tests_that_cannot_err_do_not_make_the_others_stricter():
    constant = [Presence(30, 30, 12, 12), Presence(0, 30, 0, 12)] * 50
    varying = [Presence(15, 30, 2, 12)] * 4
    assert {smallest(table) for table in constant} == {1}
    assert level_of_each(constant + varying, 0.04) == 0.01
    assert level_of_each(constant) == LEVEL


def test_fields_that_come_at_random_give_false_findings_no_more_often_than_stated():
    rng = random.Random(8)
    level, wrong, comparisons = 0.05, 0, 400
    for _ in range(comparisons):
        tables = []
        for _ in range(10):
            share = rng.random()
            counts = [sum(rng.random() < share for _ in range(n)) for n in (25, 15)]
            tables.append(Presence(counts[0], 25, counts[1], 15))
        each = level_of_each(tables, level)
        wrong += any(fisher(table) <= each for table in tables)
    # 400 x 0.05 = 20 at the very most; 33 would be three standard deviations above it.
    assert wrong <= 33


def moved(low: float, high: float) -> Change:
    return on(
        "status",
        "validated",
        lambda c, rng: c.update(load=round(rng.uniform(low, high), 3)),
    )


def test_a_range_that_moved_is_told_once_no_overlap_is_left():
    base = observed_run(V6, 12, 1, moved(0, 10))
    near = drift(base, observed_run(V6, 12, 2, moved(5, 15)), {"v6": V6})
    far = drift(base, observed_run(V6, 12, 2, moved(40, 50)), {"v6": V6})
    assert near == []
    assert told(far) == {("drift", "info", "range.moved", "validated", "/load")}
    assert drift(base, observed_run(V6, 1, 2, moved(40, 50)), {"v6": V6}) == []


def test_ranges_that_only_miss_each_other_have_not_moved():
    base, beside = (observed_run(V6, 12, 1, moved(low, low + 10)) for low in (0, 12))
    assert drift(base, beside, {"v6": V6}) == []


# ------------------------------------------------------------------ the whole catalogue


def faulty(contract: Contract, fault: Fault | None, many: int, seed: int) -> Observed:
    rng = random.Random(seed)
    whole = Observed()
    for _ in range(many):
        chunks = valid_stream(contract, rng, fails=fault is not None and fault.of_failure)
        changed = fault.apply(chunks, rng) if fault is not None else chunks
        if changed is not None:  # else the stream had no place for it
            whole.merge(observed_stream(contract, [payload for _, payload in changed]))
    return whole


@pytest.mark.parametrize("api", sorted(load_all()))
def test_what_breaks_the_contract_shows_as_drift_of_at_least_that_weight(api):
    """Every thirtieth fault of the catalogue here; all of them are found
    (docs/reference/drift.md).
    """
    contract = load(api)
    whole = faulty(contract, None, 25, 1)
    rng = random.Random(5)
    for _ in range(25):
        chunks = valid_stream(contract, rng, fails=True)
        whole.merge(observed_stream(contract, [payload for _, payload in chunks]))
    faults = [f for f in catalogue(contract) if f.level == "payloads" and f.of == "stream"]
    missed = []
    for fault in faults[::30]:
        findings = drift(whole, faulty(contract, fault, 6, 2), {api: contract})
        effects = {f.effect for f in findings if f.verdict == "drift"}
        due = {"error": {"breaking"}, "warning": {"breaking", "warning", "info"}}[fault.severity]
        if not effects & due:
            missed.append(fault.name)
    assert missed == []


# ------------------------------------------------------------------ waivers and bundles


def test_a_waiver_makes_a_finding_known_until_its_date():
    findings = compared(on_ready(lambda c, rng: c.pop("stream_url")))
    mark = findings[0].fingerprint
    config = Config(waivers=(Waiver("ticket 7", date(2026, 12, 31), drift=mark),))
    (known,) = waived(findings, config, date(2026, 12, 31))
    assert known.verdict == "known"
    assert "ticket 7" in (known.waiver or "")
    assert not broken([known])
    assert waived(findings, config, date(2027, 1, 1)) == findings


def facts() -> dict[str, Any]:
    return {
        "kind": "check",
        "command": "soundstage check",
        "target": {"url": "http://127.0.0.1:1", "kind": "local"},
        "machine": {"system": "Linux", "cpus": 2, "python": "3.11.7"},
        "budget": {"limit": None, "spent": 0},
        "clock": {"source": "kernel", "stepped": False},
    }


def test_bundles_are_put_together(tmp_path: Path):
    for name, seed in (("a", 1), ("b", 2)):
        with BundleWriter.create(tmp_path / name, facts()) as writer:
            writer.observed(observed_run(V6, 3, seed).to_json())
    whole = observed_run(V6, 3, 1)
    whole.merge(observed_run(V6, 3, 2))
    assert observed_of([tmp_path / "a", tmp_path / "b"]).to_json() == whole.to_json()


def test_a_bundle_without_observations_or_with_broken_ones_is_refused_with_its_place(
    tmp_path: Path,
):
    refused = pytest.raises(ValueError, match=r"observed\.json /apis")
    with BundleWriter.create(tmp_path / "a", facts()) as writer, refused:
        writer.observed({"format": 2, "apis": 3})
    with pytest.raises(NoDataError, match=r"a: no observed\.json"):
        observed_of([tmp_path / "a"])
    (tmp_path / "a" / OBSERVED).write_text('{"format": 2,')
    with pytest.raises(UsageError, match=r"observed\.json:1:"):
        observed_of([tmp_path / "a"])
    (tmp_path / "a" / OBSERVED).write_text('{"format": 2, "apis": {"v6": {"stream": 3}}}')
    with pytest.raises(UsageError, match=r"observed\.json: /apis/v6/stream"):
        observed_of([tmp_path / "a"])


def test_what_an_older_version_observed_is_refused_in_one_line(tmp_path: Path):
    """As `soundstage check` of 0.1 wrote it; only its shape is older, so that it is no misuse."""
    with BundleWriter.create(tmp_path / "a", facts()):
        pass
    stage = {"chunks": 1, "exchanges": 1, "whole": 1, "times": {}, "tracks": {}, "places": {}}
    tallies = ("framings", "tracks", "starts", "steps", "last", "order", "broken")
    endpoint = {"exchanges": 1, "whole": 1, "stages": {"": stage}, **{name: {} for name in tallies}}
    older = {
        "format": 1,
        "apis": {"v6": {"contracts": ["0" * 64], "endpoints": {"sync": endpoint}}},
    }
    (tmp_path / "a" / OBSERVED).write_text(json.dumps(older))
    with pytest.raises(NoDataError) as refused:
        observed_of([tmp_path / "a"])
    file = tmp_path / "a" / OBSERVED
    assert str(refused.value) == f"{file}: of an older version (format 1), which cannot be compared"


# ------------------------------------------------------------------ held against the page


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


# ------------------------------------------------------------------ docs/reference/drift.md

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
