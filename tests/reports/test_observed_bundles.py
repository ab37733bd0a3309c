"""What bundles observed, put together, and refused where it is broken."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from drift_changes import (
    V6,
)

from observations import observed_run
from soundstage.errors import NoDataError, UsageError
from soundstage.reports.drift.drift import observed_of
from soundstage.results.bundle import OBSERVED, BundleWriter


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
