"""Why an exchange did not come to its end, in the words of whoever reads a report."""

from __future__ import annotations

from string import ascii_lowercase
from typing import Final

from soundstage.conformance.codes import codes
from soundstage.reports.words import plain
from soundstage.results.failure_tally import OTHER_REASONS
from soundstage.wire.outages import is_outage, status_name

#: By the reason that stands in a row (docs/reference/violations.md lists those that are no
#: violations): what a kind is called where there is little room, and what stood behind it. Where
#: there is nothing behind it, the code of the violation says it (codes.toml).
_WORDS: Final = {
    "environment.reset": (
        "reset, no answer",
        "the connection was reset before there was an answer",
    ),
    "environment.refused": ("connection refused", "nobody listens there"),
    "environment.unreachable": ("unreachable", "the host was not found or reached (DNS, route)"),
    "environment.connect_timeout": ("no connection", "no connection came about in time"),
    "environment.tls": ("TLS failed", "the TLS handshake failed, or TLS broke later"),
    "environment.no_answer": ("no answer", "the connection was closed without an answer"),
    "harness.idle_timeout": ("silent too long", "nothing came for longer than --idle-timeout"),
    "harness.total_timeout": ("too long", "not over within --timeout"),
    "harness.cancelled": ("cut by the end", "how it would have ended is not known"),
    "harness.cap": ("over our limits", "more bytes than a limit of Soundstage allows"),
    "harness.redirect": ("redirect", "a redirect that Soundstage does not follow"),
    "generator.max_in_flight": ("never sent", "as many were in flight as may be"),
    "generator.run_ended": ("cut by the end", "the run ended before it was answered"),
    "stream.failed": ("generation failed", "the API said so inside the stream"),
    "stream.truncated": ("stream ended early", ""),
    "http.reset": ("connection reset", ""),
    "http.truncated": ("answer cut short", ""),
    "http.framing": ("broken HTTP", ""),
    "http.content_encoding": ("broken compression", ""),
    OTHER_REASONS: ("other reasons", "more reasons than are told apart"),
    "": ("no reason", "no reason was recorded"),
}


def status_words(status: int | None) -> str:
    """`502 Bad Gateway`; `no answer` where none came."""
    if status is None:
        return "no answer"
    return f"{status} {status_name(status)}".rstrip()


def short_reason(outcome: str, status: int | None, reason: str) -> str:
    """What a kind is called in a chart or a sentence: `502 Bad Gateway`, `connection reset`; the
    reason itself where nobody has a name for it.
    """
    if outcome == "refused" and status is not None:
        return status_words(status)
    known = _WORDS.get(reason)
    return known[0] if known else plain(reason, 24)


def reason_words(status: int | None, reason: str) -> str:
    """What stood behind a failure, in words; "" where its name says all."""
    area, _, name = reason.partition(".")
    if (known := _WORDS.get(reason)) and known[1]:
        return known[1]
    if area == "api":
        return f"refused by the API: {plain(name, 80).replace('_', ' ')}"
    if area == "http" and status is not None and name == str(status):
        if is_outage(status):
            return "a gateway or proxy answered in place of the API"
        return "refused, in words that the documentation does not print"
    if area == "cap":
        return "over a limit of Soundstage (docs/reference/limits.md)"
    if (code := codes().get(reason)) is not None:
        said = code.meaning.partition(":")[0].partition(". ")[0].rstrip(".")
        return said[0].lower() + said[1:] if said[1:2] in (" ", *ascii_lowercase) else said
    return ""
