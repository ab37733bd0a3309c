"""What kind of thing answers: the API, a gateway before it, a website, another product. Answers in,
checks out; nothing is sent.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from typing import Final

from soundstage.conformance.answers import is_the_apis_word
from soundstage.doctor.free_requests import FreeAnswer
from soundstage.doctor.health import HealthCheck, ok, problem, unknown
from soundstage.exchange.target import Target
from soundstage.output.cutting import head
from soundstage.output.redact import Redactor
from soundstage.wire.end import EndCause, EndKind
from soundstage.wire.outages import is_html, is_outage, status_name

_RATE_LIMITED: Final = 429
_REDIRECTS: Final = range(300, 400)
_SUCCESS: Final = range(200, 300)
#: What a host says that has no such path, or not for such a request (RFC 9110, section 15.5).
_NO_SUCH_PATH: Final = frozenset({404, 405, 410, 501})
_FORBIDDEN: Final = 403
#: How the ends of answers that never came are called.
_SILENT: Final = {
    EndKind.IDLE_TIMEOUT: "http.no_answer",
    EndKind.TOTAL_TIMEOUT: "http.no_answer",
    EndKind.TRUNCATED: "http.closed",
    EndKind.RESET: "http.closed",
}
#: What differs from one answer of the same kind to the next: numbers of requests.
_NUMBER: Final = re.compile(rb"[0-9A-Fa-f]{4,}|[0-9]+")
_LONGEST_PLACE: Final = 200


def http(answers: Sequence[FreeAnswer]) -> HealthCheck:
    """Whether the target answers HTTP as an API does that is up."""
    for answer in answers:
        found = trouble(answer)
        if found is not None:
            return found
    if (refused := nobody_gets_in(answers)) is not None:
        return refused
    first = answers[0]
    assert first.times.head_ns is not None
    took = (first.times.head_ns - first.times.start_ns) / 1e6
    return ok("HTTP", f"{first.place} is answered with {_status(first)} in {took:.0f} ms")


def trouble(answer: FreeAnswer) -> HealthCheck | None:
    """What keeps an answer from being the API's own, and is no matter of which host is asked."""
    end, status = answer.end, answer.status
    if status is None:
        assert end is not None
        if end.cause is EndCause.TLS_CLIENT_CERT:
            return problem("HTTP", "tls.client_certificate", end.message)
        cause = _SILENT.get(end.kind, "http.none")
        return problem("HTTP", cause, f"{answer.place}: {end.message}")
    said = f"{answer.place} is answered with {_status(answer)}"
    broke = end is not None and (answer.given_up or end.kind in _SILENT)
    if broke and status not in _SUCCESS:
        assert end is not None
        return problem("HTTP", _SILENT[end.kind], f"{said}: {end.message}")
    if status in _REDIRECTS:
        location = answer.header("location")
        where = head(Redactor().url(location), _LONGEST_PLACE) if location else "nowhere"
        return problem("HTTP", "http.redirect", f"{said}, which leads to {where}")
    if status == _RATE_LIMITED:
        wait = answer.header("retry-after")
        after = f"; Retry-After: {head(wait, 40)}" if wait else ""
        return problem("HTTP", "http.rate_limited", said + after)
    if is_outage(status, answer.content_type, answer.body):
        return problem("HTTP", "http.outage", said)
    if status == 500 or (status > 500 and not is_page(answer) and status not in _NO_SUCH_PATH):
        return problem("HTTP", "http.outage", said)
    return None


def nobody_gets_in(answers: Sequence[FreeAnswer]) -> HealthCheck | None:
    """Whether all is forbidden alike, also a path that nobody has, and with a key: then it is a
    gateway that speaks, and nothing is known of what is behind it.
    """
    endpoints = [each for each in answers if each.contract is not None]
    if not endpoints or len(endpoints) == len(answers):
        return None
    if any(each.status != _FORBIDDEN for each in answers):
        return None
    if len({_NUMBER.sub(b"", each.body) for each in answers}) > 1:
        return None
    keyed = ", with the key and without it" if any(each.keyed for each in answers) else ""
    said = f"403 to everything{keyed}, also to a path that nobody has"
    return problem("HTTP", "http.nobody_gets_in", said)


def host(target: Target, answers: Sequence[FreeAnswer]) -> HealthCheck:
    """Whether what answers is the API of the contracts."""
    if target.kind == "emulator":
        return ok("host", "an emulator of Soundstage")
    makers = [each for each in answers if each.method == "POST"]
    if not makers:
        return unknown("host", "the contract has no POST, which could be asked for free")
    for answer in makers:
        if is_page(answer):
            said = f"{answer.place} is answered with an HTML page ({_status(answer)})"
            return problem("host", "host.page", said)
    if all(_is_not_found(each) for each in makers):
        paths = ", ".join(dict.fromkeys(_path(each) for each in makers))
        return problem("host", "host.not_found", f"404 or its like to all of {paths}")
    for answer in makers:
        if answer.status in _SUCCESS and not _is_the_apis(answer):
            said = f"{answer.place} without a key gets {_status(answer)}, and no known error"
            return problem("host", "host.other", said)
    apis = ", ".join(dict.fromkeys(each.contract.api for each in makers if each.contract))
    where = {"live": "another machine", "local": "this machine"}[target.kind]
    return ok("host", f"has the paths of {apis}; on {where}")


def missing_paths(answers: Iterable[FreeAnswer]) -> list[FreeAnswer]:
    """The endpoints that the host does not have."""
    return [each for each in answers if each.method == "POST" and _is_not_found(each)]


def is_page(answer: FreeAnswer) -> bool:
    """Whether an answer is for people."""
    return is_html(answer.content_type, answer.body)


def _is_not_found(answer: FreeAnswer) -> bool:
    return answer.status in _NO_SUCH_PATH and not _is_the_apis(answer)


def _is_the_apis(answer: FreeAnswer) -> bool:
    return answer.contract is not None and is_the_apis_word(answer.contract, answer.body)


def _path(answer: FreeAnswer) -> str:
    return answer.path.partition("?")[0]


def _status(answer: FreeAnswer) -> str:
    assert answer.status is not None
    return f"{answer.status} {status_name(answer.status)}".rstrip()
