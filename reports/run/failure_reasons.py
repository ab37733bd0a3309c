"""Why an exchange did not come to its end, in the words of whoever reads a report."""

from __future__ import annotations

from typing import Final

from soundstage.conformance.codes import codes
from soundstage.reports.words import plain
from soundstage.results.failure_tally import OTHER_REASONS
from soundstage.wire.outages import is_outage, status_name

#: What is no violation, by the reason that stands in a row (docs/violations.md lists them all).
_WORDS: Final = {
    "environment.reset": "the connection was reset before there was an answer",
    "environment.refused": "the connection was refused: nobody listens there",
    "environment.unreachable": "the host was not found or not reached (DNS, route, proxy)",
    "environment.connect_timeout": "no connection came about in time",
    "environment.tls": "the TLS handshake failed, or TLS broke later",
    "environment.no_answer": "the connection was closed without an answer",
    "harness.idle_timeout": "nothing more came: silent for longer than --idle-timeout",
    "harness.total_timeout": "not over within --timeout",
    "harness.cancelled": "cut by the end of the run; how it would have ended is not known",
    "harness.cap": "more bytes than a limit of Soundstage allows",
    "harness.redirect": "a redirect that Soundstage does not follow",
    "generator.max_in_flight": "never sent: as many were in flight as may be",
    "generator.run_ended": "the run ended before it was answered",
    "stream.failed": "the API reported inside the stream that the generation failed",
    OTHER_REASONS: "other reasons",
    "": "no reason was recorded",
}


def status_words(status: int | None) -> str:
    """`502 Bad Gateway`; `no answer` where none came."""
    if status is None:
        return "no answer"
    return f"{status} {status_name(status)}".rstrip()


def short_reason(outcome: str, status: int | None, reason: str) -> str:
    """The name of a kind in a chart: the status of a refusal, else the reason as it is."""
    if outcome == "refused" and status is not None:
        return str(status)
    return plain(reason or outcome, 24)


def reason_words(outcome: str, status: int | None, reason: str) -> str:
    """What stood behind a failure, in words; the reason itself where nobody has words for it."""
    area, _, name = reason.partition(".")
    if reason in _WORDS:
        return _WORDS[reason]
    if area == "api":
        return f"the API refused: {plain(name, 80).replace('_', ' ')}"
    if area == "http" and name == str(status):
        if is_outage(int(name)):
            return "a gateway or proxy answered in place of the API"
        return "refused, in words that the documentation does not print"
    if area == "cap":
        return f"over a limit of Soundstage ({plain(reason, 60)}, docs/limits.md)"
    if (known := codes().get(reason)) is not None:
        said = known.meaning.partition(":")[0].partition(". ")[0].rstrip(".")
        return said[0].lower() + said[1:] if said[1:2].islower() or said[1:2] == " " else said
    return plain(reason or outcome, 120)
