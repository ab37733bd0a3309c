"""Judges a body that came whole and is no stream of events: a result, an error, or what came where
a stream was due.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from soundstage.conformance.answers import (
    BodyFindings,
    check_content_type,
    check_error,
    check_hosts,
    check_refusal,
    check_result,
    check_success,
    is_the_apis_word,
    take_refusal,
    violation,
)
from soundstage.conformance.bounded_violations import bounded
from soundstage.conformance.engine import SeenEvent, StreamCheck
from soundstage.conformance.poll_check import PollCheck
from soundstage.conformance.violations import Violation
from soundstage.contract import Contract
from soundstage.contract.protocol import Endpoint
from soundstage.untrusted import json_text
from soundstage.wire.lines import decoded, sniff_framing
from soundstage.wire.outages import http_reason, is_outage

#: A refusal that comes after so many events of a stream is none.
_LOOKED_AT = 1_000


@dataclass(frozen=True, slots=True)
class AnswerContext:
    """What the body is the answer to, and what came with it; see `Judge`. `has_head`: status and
    Content-Type are known, which those of a file are not. `looks`: those at the same job before.
    """

    contract: Contract
    endpoint: Endpoint
    has_head: bool
    status: int | None
    content_type: str | None
    expect_error: bool
    broken_rule: str | None
    own_host: str | None
    max_depth: int
    looks: PollCheck | None = None


@dataclass(slots=True)
class BodyJudgement:
    """What was found out: `framing` is "json" or None, `error_name` that of the printed error that
    the body is (`stream.failed`: an error of its own words, inside a stream); `reason` says why it
    is inconclusive if nothing is wrong with it, `seen` what a look at a state showed.
    """

    violations: list[Violation] = field(default_factory=list)
    framing: str | None = "json"
    value: Any = None
    error_name: str | None = None
    reason: str | None = None
    seen: SeenEvent | None = None


def judge_whole(asked: AnswerContext, raw: bytes) -> BodyJudgement:
    """A body of which no stream is made: the answer of a synchronous endpoint, one that should be
    an error, or one whose status or media type rules a stream out.
    """
    contract, endpoint = asked.contract, asked.endpoint
    found = BodyJudgement()
    if asked.expect_error and (refused := _refused_in_stream(asked, raw)) is not None:
        found.framing, found.error_name = refused.framing, refused.error_name
        message = f"the error came inside a stream, under the status {asked.status}"
        _add(found, asked, "http.error_under_success", "error/not_under_200", message)
        return found
    if asked.expect_error and asked.broken_rule and _accepted(asked, raw):
        message = "a request that the documentation rules out was accepted"
        _add(found, asked, "http.accepted_invalid", asked.broken_rule, message)
        return found
    if asked.expect_error:
        answer = check_error(
            contract,
            raw,
            status=asked.status,
            bad_request=asked.broken_rule is not None,
            max_depth=asked.max_depth,
        )
    elif asked.status is not None and not endpoint.is_success(asked.status):
        answer = check_refusal(contract, endpoint, asked.status, raw)
    elif endpoint.kind == "stream":
        if raw:
            return judge_no_stream(asked, raw)
        _add(found, asked, "stream.truncated", f"{endpoint.name}/end/reached", "the body is empty")
        _check_type(found, asked)
        return found
    else:
        answer = check_result(
            contract, endpoint.name, raw, max_depth=asked.max_depth, looks=asked.looks
        )
        if answer.error is None:
            if asked.status is not None:
                found.violations += check_success(contract, endpoint, asked.status)
            _check_type(found, asked)
    found.violations += answer.violations
    told = endpoint.makes_songs or endpoint.sampled
    if asked.own_host is not None and answer.error is None and told:
        found.violations += bounded(
            check_hosts(contract, endpoint.name, answer.value, asked.own_host, None)
        )
    found.reason = answer.reason
    found.value, found.seen = answer.value, answer.seen
    found.error_name = answer.error.name if answer.error else None
    return found


def outage_reason(asked: AnswerContext, raw: bytes) -> str | None:
    """Why an answer is none of the API's, but of a gateway before it; None if it is the API's own.
    A printed error, or nearly one, is the API's word under any status; and one that no page prints,
    but the contract has, where an error was asked for.
    """
    if asked.status is None or not is_outage(asked.status, asked.content_type, raw):
        return None
    if is_the_apis_word(asked.contract, raw):
        return None
    if asked.expect_error and asked.contract.errors.is_known(
        json_text.parse(raw).value, asked.status
    ):
        return None
    return http_reason(asked.status)


def judge_no_stream(asked: AnswerContext, raw: bytes) -> BodyJudgement:
    """What came whole where a stream is due: a JSON document, or something else again."""
    contract, endpoint = asked.contract, asked.endpoint
    framing = sniff_framing(raw)
    found = BodyJudgement(framing="json" if framing in ("json", "lines") else None)
    error = contract.errors.matching(json_text.parse(raw).value) if found.framing else None
    if error is not None:
        answer = BodyFindings()
        take_refusal(contract, endpoint.name, error, answer, "a stream")
        found.violations += answer.violations
        found.error_name, found.reason = error.name, answer.reason
        return found
    if framing != "sse" and not (framing == "lines" and "lines" in endpoint.framings):
        what = "one JSON document" if found.framing else "neither events nor JSON"
        message = f"the body is {what}; expected {' or '.join(endpoint.framings)}"
        _add(found, asked, "framing.unexpected", f"{endpoint.name}/framing", message)
    _check_type(found, asked)
    return found


def _check_type(found: BodyJudgement, asked: AnswerContext) -> None:
    if asked.has_head:
        found.violations += check_content_type(
            asked.contract, asked.endpoint, asked.content_type, None
        )


def _refused_in_stream(asked: AnswerContext, raw: bytes) -> BodyJudgement | None:
    """Where a bad request is answered with a stream: the refusal in it, if there is one. A page may
    let a stream begin before the request is validated, so this is no request that was accepted.
    """
    framing = sniff_framing(raw)
    stream = asked.endpoint.kind == "stream" and asked.endpoint.is_success(asked.status)
    if not stream or framing not in ("sse", "lines"):
        return None
    events, _ = decoded(raw, framing)
    check = StreamCheck(asked.contract, asked.endpoint.name, max_depth=asked.max_depth)
    for event in events[:_LOOKED_AT]:
        check.event(event.data, event.type)
        if check.failed is not None or check.refusal is not None:
            break
    if check.failed is None and check.refusal is None:
        return None
    name = check.refusal.name if check.refusal is not None else "stream.failed"
    return BodyJudgement(framing=framing, error_name=name)


def _accepted(asked: AnswerContext, raw: bytes) -> bool:
    """Whether a success came that is not an error in disguise."""
    value = json_text.parse(raw).value
    return asked.endpoint.is_success(asked.status) and asked.contract.errors.matching(value) is None


def _add(found: BodyJudgement, asked: AnswerContext, code: str, rule: str, message: str) -> None:
    found.violations.append(violation(asked.contract, code, rule, message))
