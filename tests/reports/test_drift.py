"""Contract drift: silent where nothing changed, named and weighed where something did, and never
surer than the number of exchanges allows.
"""

from __future__ import annotations

import random
from datetime import date
from pathlib import Path

import pytest
from drift_changes import (
    SECOND_TRACK,
    V6,
    compared,
    doubled,
    extra_stage,
    on,
    on_ready,
    renamed_id,
    shifted,
    swapped,
    third_track,
    told,
    without,
)

from made_up_api import SHAPES
from observations import Change, made_up, observed_results, observed_run, observed_stream
from soundstage.config import Config, Waiver
from soundstage.contract import Contract, load, load_all
from soundstage.generation.faults.catalogue import Fault, catalogue, valid_stream
from soundstage.observed.facts import Observed
from soundstage.reports.drift.drift import broken, drift, waived

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


def test_a_waiver_makes_a_finding_known_until_its_date():
    findings = compared(on_ready(lambda c, rng: c.pop("stream_url")))
    mark = findings[0].fingerprint
    config = Config(waivers=(Waiver("ticket 7", date(2026, 12, 31), drift=mark),))
    (known,) = waived(findings, config, date(2026, 12, 31))
    assert known.verdict == "known"
    assert "ticket 7" in (known.waiver or "")
    assert not broken([known])
    assert waived(findings, config, date(2027, 1, 1)) == findings
