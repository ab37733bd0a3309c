"""Looks into the transcripts of a bundle for what they show of its findings.

Several findings are often of one exchange: its transcript is read and judged once.
"""

from __future__ import annotations

import os
import shlex
from dataclasses import dataclass, field
from typing import Final

from soundstage.contract import Contract, load
from soundstage.contract.contract import SCHEMAS_VARIABLE
from soundstage.errors import SoundstageError, UsageError
from soundstage.reports.run.rule_results import Evidence, RuleResult
from soundstage.reports.story.ask_again import KeptExchange, ask_again
from soundstage.reports.story.evidence import (
    TRANSCRIPT_LIMIT,
    FoundEvidence,
    ShownExchange,
    ShrinkAllowance,
    smallest,
)
from soundstage.reports.story.exchange_story import ExchangeStory, story_of
from soundstage.results.bundle import Bundle
from soundstage.saved import transcript as transcripts
from soundstage.saved.transcript import Transcript

#: Bytes of transcripts that are judged again for one report.
_BYTES_OF_ALL: Final = 4 * TRANSCRIPT_LIMIT


@dataclass(slots=True)
class KeptEvidence:
    """Call `of` for each finding. `name` is how people call the bundle on a command line."""

    bundle: Bundle
    name: str
    _purse: ShrinkAllowance = field(default_factory=ShrinkAllowance)
    _left: int = _BYTES_OF_ALL
    _read: dict[str, tuple[bytes, Transcript | None]] = field(default_factory=dict)
    _stories: dict[tuple[str, str], ExchangeStory] = field(default_factory=dict)

    def of(self, rule: RuleResult, evidence: Evidence) -> FoundEvidence:
        """What the transcript of `evidence` shows of a broken rule."""
        if evidence.transcript is None:
            return FoundEvidence()
        raw, transcript = self._transcript(evidence.transcript, evidence.exchange)
        contract = _contract(rule.api)
        kept = (
            None
            if contract is None
            else smallest(
                contract,
                rule.endpoint,
                rule.id,
                evidence.chunk,
                evidence.exchange,
                raw,
                self._purse,
            )
        )
        if transcript is None:
            return FoundEvidence(kept)
        header = transcript.header
        exchange = KeptExchange(
            evidence.exchange,
            self.name,
            contract,
            # The rule may be another's: that of the states which a job goes through.
            str(header.get("endpoint") or rule.endpoint),
            header,
            transcript.followed,
        )
        again = ask_again(self.bundle.run, exchange, _added_folders())
        return FoundEvidence(
            kept, self._shown(rule, evidence, transcript, contract, len(raw)), again
        )

    def _transcript(self, place: str, exchange: str) -> tuple[bytes, Transcript | None]:
        """Its bytes, and what they say; None of one that is too large or is none."""
        found = self._read.get(place)
        if found is None:
            raw = self.bundle.transcript(place, TRANSCRIPT_LIMIT + 1) or b""
            whole = None
            if len(raw) <= TRANSCRIPT_LIMIT and transcripts.looks_like_transcript(raw):
                try:
                    whole = transcripts.read(raw, exchange)
                except UsageError:
                    whole = None
            found = self._read[place] = (raw, whole)
        return found

    def _shown(
        self,
        rule: RuleResult,
        evidence: Evidence,
        transcript: Transcript,
        contract: Contract | None,
        size: int,
    ) -> ShownExchange | None:
        key = (evidence.exchange, rule.api)
        story = self._stories.get(key)
        if story is None:
            if size > self._left:
                return None
            self._left -= size
            contracts = [] if contract is None else [contract]
            story = self._stories[key] = story_of(transcript, contracts, also=_rows(rule))
        command = f"soundstage show {shlex.quote(self.name)} {shlex.quote(evidence.exchange)}"
        return ShownExchange(evidence.exchange, story, evidence.late, evidence.chunk, command)


def _rows(rule: RuleResult) -> list[dict[str, object]]:
    """The places of a finding, as rows of violations."""
    code = rule.codes[0] if rule.codes else "rule"
    return [
        {
            "code": code,
            "severity": rule.severity or "error",
            "chunk": each.chunk,
            "path": each.path,
            "message": each.message,
            "rule": rule.id,
        }
        for each in rule.evidence[:1]
    ]


def _contract(api: str) -> Contract | None:
    """The contract of a version, if it is known here; a bundle may come from elsewhere."""
    try:
        return load(api)
    except SoundstageError:
        return None


def _added_folders() -> list[str]:
    return [each for each in os.environ.get(SCHEMAS_VARIABLE, "").split(os.pathsep) if each]
