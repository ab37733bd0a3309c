"""Puts what workers ship into the bundle, and counts it as if it had ended here."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from soundstage.conformance.violations import Severity, Violation
from soundstage.loadtests.cluster.worker_record import WorkerRecord
from soundstage.loadtests.run.rows import MOST_TRANSCRIPTS, RowRecorder
from soundstage.results.bundle import BundleWriter


class BatchIntake:
    """Takes the batches of all workers of one run (see `shipment.Shipment`)."""

    def __init__(self, recording: RowRecorder, bundle: BundleWriter) -> None:
        self._recording = recording
        self._bundle = bundle
        self._kept: set[str] = set()

    def take(
        self, member: WorkerRecord, document: Mapping[str, Any], transcripts: Mapping[str, bytes]
    ) -> None:
        """Take a batch. Raises TargetError if the bundle cannot be written."""
        for name, text in transcripts.items():
            if len(self._kept) < MOST_TRANSCRIPTS:
                self._kept.add(self._bundle.transcript(name, text))
        for entry in document["entries"]:
            row = entry["row"]
            if row.get("transcript") is not None and row["transcript"] not in self._kept:
                row["transcript"] = None
            member.count(row)
            self._take_one(row, entry["violations"], set(entry["exercised"]))
        for sample in document["health"]:
            self._bundle.health({**sample, "worker": member.name})

    def _take_one(
        self, row: Mapping[str, Any], found: list[dict[str, Any]], exercised: set[str]
    ) -> None:
        violations = [_violation(each) for each in found]
        # A worker knows nothing of waivers: what its rows weigh is decided here.
        weights = self._recording.weights
        row = weights.row(row, violations)
        self._bundle.exchange(row)
        self._bundle.violations(weights.violation_rows(found, violations))
        by_it = (lambda rule: rule.id in exercised) if exercised else None
        self._recording.count(row, violations, by_it)


def _violation(row: Mapping[str, Any]) -> Violation:
    return Violation(
        row["code"],
        Severity(row["severity"]),
        row["chunk"],
        row["path"],
        row["message"],
        row["rule"],
        row.get("times", 1),
    )
