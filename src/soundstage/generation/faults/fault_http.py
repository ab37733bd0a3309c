"""Faults of the HTTP answer around a body: status, content type, the body of something else."""

from __future__ import annotations

import random
from collections.abc import Callable, Iterator
from typing import Any, Final

from soundstage.contract import Contract
from soundstage.contract.protocol import MEDIA_TYPES, Endpoint
from soundstage.generation.faults.fault import (
    HTML,
    Body,
    Fault,
    WholeAnswer,
    described_results,
    dumps,
    encoded,
    framed,
)
from soundstage.generation.faults.legality import broken_in_chunk, stage_of
from soundstage.generation.walk import payloads, plan, random_story, story_tracks, sync_result

#: Statuses that are neither the promised one nor a refusal that an API may give at any time.
_STATUSES: Final = (200, 201, 202, 206, 404, 405, 410, 418, 422)

#: No media type is registered for bare JSON lines, so these are as good as any.
_LINES_MAY_BE: Final = ("application/json", "text/plain", "application/octet-stream", None)


def of_http(contract: Contract) -> Iterator[Fault]:
    """Faults of the answer around the body."""
    told = contract.told
    for endpoint in contract.endpoints.values():
        if endpoint is told:
            yield from _of_endpoint(contract, endpoint, "stream", "http")
        elif endpoint in list(described_results(contract)):
            yield from _of_endpoint(
                contract, endpoint, endpoint.name, f"result/{endpoint.name}/http"
            )
    if contract.errors.known:
        yield from _of_errors(contract)


def _severity(contract: Contract, rule: str) -> str:
    return contract.rules[f"{contract.api}/{rule}"].severity


def _of_endpoint(contract: Contract, endpoint: Endpoint, of: str, prefix: str) -> Iterator[Fault]:
    def fault(
        name: str, codes: set[str], rule: str, says: str, apply: Callable[[WholeAnswer, Any], Any]
    ) -> Fault:
        severity = _severity(contract, f"{endpoint.name}/{rule}")
        return Fault(f"{prefix}/{name}", "http", of, frozenset(codes), severity, says, apply)

    for status in _STATUSES:
        if status == endpoint.usual_status or status in endpoint.success:
            continue
        says = f"the status is {status}"

        def other_status(answer: WholeAnswer, rng: Any, status: int = status) -> WholeAnswer:
            return answer._replace(status=status)

        rule = "http/ok" if endpoint.is_success(status) else "http/status"
        yield fault(f"status_{status}", {"http.status"}, rule, says, other_status)
    media = {MEDIA_TYPES[framing] for framing in endpoint.framings} or {"application/json"}
    kinds = ("text/html", "application/octet-stream", "audio/mpeg", "text/plain", None)
    swapped = "application/json" if endpoint.kind == "stream" else "text/event-stream"
    for kind in (*kinds, swapped):
        if kind in media or (kind in _LINES_MAY_BE and set(endpoint.framings) == {"lines"}):
            continue
        says = f"the content type is {kind or 'missing'}"

        def other_type(
            answer: WholeAnswer, rng: Any, kind: str | None = kind
        ) -> WholeAnswer | None:
            framing = answer.body.framing
            if framing == "lines" and kind in _LINES_MAY_BE:
                return None
            return answer._replace(content_type=kind)

        label = f"content_type_{(kind or 'none').replace('/', '_').replace('-', '_')}"
        yield fault(label, {"http.content_type"}, "http/content_type", says, other_type)
    for error in contract.errors.known:
        if not error.printed:
            continue
        says = f"the error {error.name} comes under the status of a success"

        def disguised(
            answer: WholeAnswer, rng: Any, body: dict[str, Any] = error.body
        ) -> WholeAnswer:
            status = endpoint.usual_status
            return WholeAnswer(status, MEDIA_TYPES["json"], framed([dumps(body)], "json"))

        code = {"http.error_under_success"}
        yield fault(f"error_under_success/{error.name}", code, "http/answer", says, disguised)
    yield from _other_bodies(contract, endpoint, fault)


def _other_bodies(
    contract: Contract, endpoint: Endpoint, fault: Callable[..., Fault]
) -> Iterator[Fault]:
    """Faults in which the body is the one of another endpoint."""
    if endpoint.kind == "stream":
        for other in described_results(contract):
            codes = {"framing.unexpected"}
            if "lines" in endpoint.framings:
                # One object on one line is a stream of one chunk, and that chunk is broken.
                codes |= _codes_of_result(contract, other.name)

            def single(
                answer: WholeAnswer, rng: random.Random, other: Endpoint = other
            ) -> WholeAnswer:
                result = sync_result(
                    contract, random_story(rng, story_tracks(contract)), other.name
                )
                return WholeAnswer(200, MEDIA_TYPES["json"], framed([dumps(result)], "json"))

            says = f"the body is that of {other.name}"
            yield fault(f"body_of_{other.name}", codes, "framing", says, single)
    else:
        stream = contract.endpoint_of_kind("stream")
        if stream is not None and stream.protocol is contract.protocol:

            def streamed(answer: WholeAnswer, rng: random.Random) -> WholeAnswer:
                steps = plan(contract, rng)
                story = random_story(rng, story_tracks(contract))
                filled = payloads(contract, steps, story, rng)
                framing = stream.framings[0]
                chunks = list(zip(steps, filled, strict=True))
                body = encoded(chunks, framing, contract.protocol)
                return WholeAnswer(200, MEDIA_TYPES[framing], body)

            codes = {"json.syntax", "json.trailing_text"}
            yield fault(f"body_of_{stream.name}", codes, "json", "the body is a stream", streamed)
        says = "the body is empty"
        yield fault(
            "empty",
            {"json.empty"},
            "json",
            says,
            lambda answer, rng: answer._replace(body=Body("json", [b""])),
        )
        says = "the body is an HTML page"
        yield fault(
            "html",
            {"http.content_type", "json.syntax"},
            "http/content_type",
            says,
            lambda answer, rng: WholeAnswer(
                endpoint.usual_status, "text/html", Body("json", [HTML])
            ),
        )
        says = "the body is an empty object"
        asked = endpoint.protocol is not None or (endpoint.response or {}).get("required")
        empty = {"stage.unknown"} if endpoint.protocol is not None else {"field.missing"}
        if not asked:
            return
        yield fault(
            "empty_object",
            empty,
            "json",
            says,
            lambda answer, rng: answer._replace(body=Body("json", [b"{}"])),
        )


def _codes_of_result(contract: Contract, endpoint: str) -> set[str]:
    """What a result breaks where a stream of lines is due."""
    result = sync_result(contract, random_story(random.Random(0), story_tracks(contract)), endpoint)
    stage = stage_of(contract, result)
    if stage is None:
        return {"stage.unknown"}
    found = [
        broken_in_chunk(contract, stage.name, result, (name,))
        for name in stage.schema.get("required", ())
    ]
    return {each.code for each in found if each is not None}


def _of_errors(contract: Contract) -> Iterator[Fault]:
    def fault(
        name: str,
        code: str,
        severity: str,
        says: str,
        apply: Callable[[WholeAnswer, Any], Any],
        broken_rule: str | None = None,
    ) -> Fault:
        return Fault(
            f"error/http/{name}",
            "http",
            "error",
            frozenset({code}),
            severity,
            says,
            apply,
            broken_rule=broken_rule,
        )

    errors = contract.errors
    if 200 not in errors.statuses:
        yield fault(
            "under_success",
            "http.error_under_success",
            _severity(contract, "error/not_under_200"),
            "an error comes with the status 200",
            lambda answer, rng: answer._replace(status=200),
        )
    if 399 not in errors.statuses:
        yield fault(
            "status",
            "http.status",
            _severity(contract, "error/status"),
            "an error comes with the status 399",
            lambda answer, rng: answer._replace(status=399),
        )
    broken = next((r for r in contract.rules if r.id.startswith(f"{r.api}/request/field/")), None)
    if broken is None:
        return
    rule = broken.id.removeprefix(f"{contract.api}/")
    yield fault(
        "server_error",
        "http.server_error",
        _severity(contract, "error/no_500"),
        "a bad request is answered with a 500",
        lambda answer, rng: answer._replace(status=500),
        rule,
    )
    sync = next(described_results(contract), None)
    if sync is not None:

        def accepted(answer: WholeAnswer, rng: random.Random) -> WholeAnswer:
            result = sync_result(contract, random_story(rng, story_tracks(contract)), sync.name)
            body = framed([dumps(result)], "json")
            return WholeAnswer(sync.usual_status, MEDIA_TYPES["json"], body)

        says = "a bad request is accepted"
        yield fault("accepted", "http.accepted_invalid", broken.severity, says, accepted, rule)
