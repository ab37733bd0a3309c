"""Holds answers that are one body against a contract: synchronous results, errors, heads.

Values in, violations out. What is documented as a refusal is told apart from what is broken.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from functools import cache
from typing import Any
from urllib.parse import urlsplit

from soundstage.conformance.engine import SeenEvent
from soundstage.conformance.fields import PATTERN_LIMIT, FieldCheck, received, shown
from soundstage.conformance.nearly_printed import difference, nearest
from soundstage.conformance.poll_check import PollCheck
from soundstage.conformance.violations import Compared, Severity, Violation
from soundstage.contract import Contract
from soundstage.contract.json_schema.field_schemas import Schema, type_name
from soundstage.contract.protocol import DocumentedError, Endpoint
from soundstage.contract.roles import asset_urls
from soundstage.untrusted import json_text
from soundstage.wire.media_type import media_type
from soundstage.wire.outages import http_reason

#: Media types that a framing may come as. Not the table that answers are made with
#: (`protocol.MEDIA_TYPES`): a slip in one must show in the other.
_MEDIA = {
    "sse": ("text/event-stream",),
    "lines": ("text/event-stream", "application/x-ndjson"),
}
#: Refusals that say nothing about the contract: no key, no money, too often, out of order. What a
#: gateway says on its own behalf is told by `outages`.
_REFUSALS = frozenset({401, 402, 403, 429, 500})
#: Statuses of success (RFC 9110, section 15.3).
_SUCCESS = range(200, 300)
_OK = 200
#: Media types of bare lines beside any text and any JSON: what has no type at all, or no telling
#: one. No media type is registered for them, and no page names one.
_UNTYPED = ("", "application/octet-stream", "binary/octet-stream")


@dataclass(slots=True)
class BodyFindings:
    """What was found out about a body. `reason` makes an answer without errors inconclusive;
    `error` is the printed error that it is, if it is one; `seen` what a look at a state showed.
    """

    violations: list[Violation] = field(default_factory=list)
    reason: str | None = None
    error: DocumentedError | None = None
    value: Any = None
    seen: SeenEvent | None = None


def violation(
    contract: Contract,
    code: str,
    rule: str,
    message: str,
    path: str = "",
    compared: Compared | None = None,
) -> Violation:
    """A violation of the rule `API/RULE` by an exchange as a whole."""
    found = contract.rules[f"{contract.api}/{rule}"]
    severity = Severity(found.severity)
    return Violation(code, severity, None, path, message, found.id, compared=compared)


def check_result(
    contract: Contract,
    endpoint: str,
    raw: bytes,
    *,
    max_depth: int = 128,
    looks: PollCheck | None = None,
) -> BodyFindings:
    """A body that should be the one answer of an endpoint: a result, or a state. `looks`: those at
    the same job before, which then has what is found of the state.
    """
    answer = BodyFindings()
    api_endpoint = contract.endpoints[endpoint]
    value = _parsed(contract, f"{endpoint}/json", raw, answer, max_depth)
    schema = api_endpoint.response or {}
    if value is None and (answer.violations or answer.reason):
        return answer
    if "type" not in schema and not api_endpoint.sampled:
        return answer
    if not isinstance(value, dict):
        message = f"the result is {shown(value)}, of type {type_name(value)}; not an object"
        code, compared = "json.not_object", Compared("an object", received(value))
        rule = f"{endpoint}/json"
        answer.violations.append(violation(contract, code, rule, message, compared=compared))
        return answer
    if (error := contract.errors.matching(value)) is not None:
        take_refusal(contract, endpoint, error, answer, "a result")
        return answer
    if api_endpoint.sampled:
        _take_look(contract, endpoint, value, answer, looks)
        return answer
    check = _result_check(contract, endpoint)
    found, whole = check.found(value, None)
    answer.violations.extend(found)
    if check.given_up:
        answer.reason = PATTERN_LIMIT
    elif not whole:
        answer.reason = "cap.findings"
    return answer


def _take_look(
    contract: Contract,
    endpoint: str,
    value: dict[str, Any],
    answer: BodyFindings,
    looks: PollCheck | None,
) -> None:
    if looks is not None:
        answer.seen = looks.look(value)
        return
    alone = PollCheck(contract, endpoint)
    answer.seen = alone.look(value)
    answer.violations.extend(replace(each, chunk=None) for each in alone.violations)
    answer.reason = alone.limits


def take_refusal(
    contract: Contract, endpoint: str, error: DocumentedError, answer: BodyFindings, due: str
) -> None:
    """Note that a printed error came under the status of a success where something else was due:
    no page prints the statuses of errors, so it is that error all the same, and is said.
    """
    answer.error = error
    answer.reason = f"api.{error.name}"
    message = f"the body is the error “{error.title}” where {due} is due"
    found = violation(contract, "http.error_under_success", f"{endpoint}/http/answer", message)
    answer.violations.append(found)


def check_error(
    contract: Contract,
    raw: bytes,
    *,
    status: int | None = None,
    bad_request: bool = False,
    max_depth: int = 128,
) -> BodyFindings:
    """A body that should be an error's. `status` is None where it is not known (a file);
    `bad_request`: the request was wrong, so that a 500 is no answer to it.
    """
    answer = BodyFindings()
    value = _parsed(contract, "error/other/body", raw, answer, max_depth)
    answer.error = contract.errors.matching(value)
    if answer.error is None and not answer.violations and answer.reason is None:
        _unprinted_error(contract, value, answer)
    if status is None:
        return answer
    if status not in contract.errors.statuses:
        code, rule = ("http.error_under_success", "error/not_under_200")
        if status not in _SUCCESS:
            code, rule = ("http.status", "error/status")
        message = f"an error came with the status {status}"
        answer.violations.append(violation(contract, code, rule, message))
    elif status == 500 and bad_request:
        message = "a bad request was answered with a 500"
        found = violation(contract, "http.server_error", "error/no_500", message)
        answer.violations.append(found)
    return answer


def check_refusal(contract: Contract, endpoint: Endpoint, status: int, raw: bytes) -> BodyFindings:
    """An answer to a valid request whose status is no success. A documented refusal leaves the
    contract unjudged (`reason`); a status that means that the endpoint is not there, or not as
    documented, breaks it.
    """
    value = json_text.parse(raw).value
    error = contract.errors.matching(value)
    answer = BodyFindings(error=error, value=value)
    if error is not None:
        answer.reason = f"api.{error.name}"
        if status not in contract.errors.statuses:
            message = f"an error came with the status {status}"
            answer.violations.append(violation(contract, "http.status", "error/status", message))
    elif status in _REFUSALS:
        answer.reason = http_reason(status)
    else:
        message = f"the status is {status}; expected {_expected(endpoint)}"
        rule = f"{endpoint.name}/http/status"
        compared = Compared(_expected(endpoint), str(status))
        found = violation(contract, "http.status", rule, message, compared=compared)
        answer.violations.append(found)
    return answer


def check_success(contract: Contract, endpoint: Endpoint, status: int) -> list[Violation]:
    """Whether a success is the usual one, where others are successes too."""
    if status == _OK or endpoint.kind == "stream" or endpoint.success:
        return []
    message = f"the status is {status}; expected 200"
    rule, compared = f"{endpoint.name}/http/ok", Compared("200", str(status))
    return [violation(contract, "http.status", rule, message, compared=compared)]


def _expected(endpoint: Endpoint) -> str:
    return " or ".join(map(str, endpoint.success or (_OK,)))


def check_content_type(
    contract: Contract, endpoint: Endpoint, content_type: str | None, framing: str | None
) -> list[Violation]:
    """Whether the content type fits what the endpoint promises, and, for a stream, the framing
    that its first bytes show (None if they show none).
    """
    media = media_type(content_type)
    if endpoint.kind == "stream":
        framings = [framing] if framing in endpoint.framings else endpoint.framings
        allowed = [each for name in framings for each in _MEDIA[str(name)]]
        fits = media in allowed or ("lines" in framings and may_be_lines(media))
    else:
        allowed = ["application/json"]
        fits = media == "application/json" or media.endswith("+json")
    if fits:
        return []
    expected = " or ".join(list(dict.fromkeys(allowed))[:2])
    message = f"the content type is {media or 'missing'}; expected {expected}"
    rule, compared = f"{endpoint.name}/http/content_type", Compared(expected, media or "none")
    return [violation(contract, "http.content_type", rule, message, compared=compared)]


def may_be_lines(media: str) -> bool:
    """Whether bare lines of JSON may come under a media type: no page names one."""
    text = media.startswith("text/") and media != "text/html"
    return text or "json" in media or media in _UNTYPED


def check_hosts(
    contract: Contract, endpoint: str, value: Any, own_host: str, chunk: int | None
) -> Iterator[Violation]:
    """Whether the URLs in a chunk or a result lie on a host that the contract names, or on
    `own_host`, the target's. Asked of the live API only: an emulator's assets are its own.
    """
    rule = contract.rules[f"{contract.api}/{endpoint}/hosts"]
    for role, url in asset_urls(contract, [value]):
        try:
            host = urlsplit(url).hostname
        except ValueError:
            continue  # no URL at all: the field's own rule says so
        if host is not None and host not in (own_host, *contract.hosts.values):
            hosts = " or ".join(contract.hosts.values)
            message = f"{role} lies on {shown(host)}; expected {hosts}"
            severity, compared = Severity(rule.severity), Compared(hosts, shown(host))
            yield Violation("asset.host", severity, chunk, "", message, rule.id, compared=compared)


def _unprinted_error(contract: Contract, value: Any, answer: BodyFindings) -> None:
    if not isinstance(value, dict):
        message = f"the error's body is {shown(value)}, of type {type_name(value)}; not an object"
        found = violation(contract, "http.error_body", "error/other/body", message)
        answer.violations.append(found)
        return
    if (near := nearest(contract, value)) is not None:
        message = f"the body is nearly “{near.title}”, but {difference(near.body, value)}"
        found = violation(contract, "http.error_body", f"error/{near.name}/body", message)
        answer.violations.append(found)


def is_the_apis_word(contract: Contract, raw: bytes) -> bool:
    """Whether a body is a printed error, or nearly: no gateway would write that."""
    value = json_text.parse(raw).value
    return isinstance(value, dict) and nearest(contract, value) is not None


def _parsed(contract: Contract, rule: str, raw: bytes, answer: BodyFindings, max_depth: int) -> Any:
    value, problems, _ = json_text.parse(raw, max_depth=max_depth)
    for problem in problems:
        if problem.code == json_text.TOO_MANY:
            answer.reason = problem.code
            return None
        found = violation(contract, problem.code, rule, problem.message, problem.path)
        answer.violations.append(replace(found, times=problem.times))
    answer.value = value
    return value


@cache
def _result_check(contract: Contract, endpoint: str) -> FieldCheck:
    schema: Schema = contract.endpoints[endpoint].response or {}
    return FieldCheck(contract.rules, endpoint, "", schema, {})
