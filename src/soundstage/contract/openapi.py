"""The contract as an OpenAPI document, for tools that read one: schemathesis, editors.

In OpenAPI 3.2 an event stream is described by the `itemSchema` of its chunks; 3.1 has no word for
that, and there it is a text, whose chunks `x-soundstage-chunk` points to. What OpenAPI cannot say
(the order of stages, tracks, the index, what stays the same) stands in the extension
`x-soundstage-protocol`.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import asdict
from typing import Any

from soundstage.contract.contract import Contract
from soundstage.contract.grounds import Grounds
from soundstage.contract.json_schema.field_path import FieldPath
from soundstage.contract.json_schema.field_schemas import Schema, pointer
from soundstage.contract.json_schema.plain import without
from soundstage.contract.placeholders import PLACEHOLDER
from soundstage.contract.protocol import (
    MEDIA_TYPES,
    DocumentedError,
    Endpoint,
    EventName,
    Protocol,
    Stage,
)

#: What is written in `openapi`, by the version that was asked for.
VERSIONS = {"3.2": "3.2.0", "3.1": "3.1.1"}
DIALECT = "https://json-schema.org/draft/2020-12/schema"
PROTOCOL = "x-soundstage-protocol"
_ITEM = "x-soundstage-chunk"
_OWN = frozenset({"x-role", "$schema"})
_REQUEST, _RESULT, _CHUNK, _ERROR = "request", "result", "chunk", "error"
_OTHER = "error"  # of no name
_SSE, _LINES, _JSON = (MEDIA_TYPES[framing] for framing in ("sse", "lines", "json"))

_SUMMARIES = {
    "stream": "Generate a song, streamed stage by stage",
    "sync": "Generate a song and wait for it",
    "status": "Where a generation is",
    "job": "Begin a generation, to be asked for",
}


def document(contract: Contract, version: str = "3.2") -> dict[str, Any]:
    """An OpenAPI description of all endpoints; schemas are components, one a stage. `version` is
    one of `VERSIONS`.
    """
    paths: dict[str, dict[str, Any]] = {}
    for endpoint in contract.endpoints.values():
        operation = _operation(contract, endpoint, version)
        place = paths.setdefault(endpoint.path, {})
        method = endpoint.method.lower()
        place[method] = _both(place[method], operation) if method in place else operation
    return {
        "openapi": VERSIONS[version],
        "info": {
            "title": contract.title,
            "version": contract.api,
            "description": "Generated from Soundstage's contract, which says of every constraint "
            "what it rests on (x-basis) and where that stands (x-source). "
            f"{PROTOCOL} holds what OpenAPI cannot say about streams.",
            "x-soundstage-sha256": contract.sha256,
        },
        "jsonSchemaDialect": DIALECT,
        "servers": [{"url": contract.base_url}],
        "security": [{"key": []}],
        "paths": paths,
        "components": {
            "schemas": schemas(contract),
            "securitySchemes": {"key": _security(contract)},
        },
        PROTOCOL: protocol(contract),
    }


def schemas(contract: Contract) -> dict[str, dict[str, Any]]:
    """Every schema of the contract by the name of its component: `request`, `result.sync`,
    `chunk.STAGE`, `chunk` (any of them), `error.NAME`, `error` (any other).
    """
    found: dict[str, dict[str, Any]] = {}
    for endpoint in contract.endpoints.values():
        if endpoint.request is not None:
            examples = _payloads(contract, "request")
            found[_request(contract, endpoint)] = _with(plain(endpoint.request), examples)
        if endpoint.response is not None:
            examples = _payloads(contract, "response") if endpoint.kind == "sync" else []
            found[f"{_RESULT}.{endpoint.name}"] = _with(plain(endpoint.response), examples)
    for stage in contract.stages:
        examples = _payloads(contract, f"stage:{stage.name}")
        found[_chunk(stage)] = _with(plain(stage.schema), examples)
    for endpoint in contract.endpoints.values():
        if endpoint.protocol is not None:
            what = "An answer that shows any state" if endpoint.sampled else _ANY_CHUNK
            found.setdefault(
                _chunks_of(contract, endpoint),
                {
                    "title": what,
                    "anyOf": [_ref(_chunk(stage)) for stage in endpoint.protocol.stages],
                },
            )
    for error in contract.errors.known:
        found[f"{_ERROR}.{error.name}"] = _error_schema(error)
    grounds = contract.errors.grounds
    found[_OTHER] = {"title": "Any other error", "type": "object", **_grounds(grounds)}
    return found


def protocol(contract: Contract) -> dict[str, Any]:
    """What holds across the chunks of a stream. Stages are in the order in which they are tried:
    a chunk is of the first whose `when` it meets. `endpoints`: what holds of the others that tell
    something in order, and what ties endpoints together.
    """
    found = _course(contract.protocol)
    found["fields"] = {name: plain(field) for name, field in contract.protocol.fields.items()}
    hosts = contract.hosts
    found["hosts"] = {"values": list(hosts.values), **_grounds(hosts.grounds)}
    ties = {each.name: tie for each in contract.endpoints.values() if (tie := _tie(contract, each))}
    return {**found, "endpoints": ties} if ties else found


def _tie(contract: Contract, endpoint: Endpoint) -> dict[str, Any]:
    """What an endpoint gives, how its generations are asked for, and its own course."""
    found: dict[str, Any] = {}
    if endpoint.protocol is not None and endpoint.protocol is not contract.protocol:
        found |= _course(endpoint.protocol)
    if endpoint.gives:
        found["gives"] = {
            each.name: {"from": each.field.pointer} if each.field else {"header": each.header}
            for each in endpoint.gives
        }
    if (tie := endpoint.looked_up_by) is not None:
        found["looked_up_by"] = {"endpoint": tie.endpoint, **_grounds(tie.grounds)}
    if endpoint.poll is not None:
        found["poll"] = asdict(endpoint.poll)
    return found


def _course(rules: Protocol) -> dict[str, Any]:
    found: dict[str, Any] = {"stages": [_stage(stage) for stage in rules.stages]}
    if (tracks := rules.tracks) is not None:
        grounds = _grounds(tracks.grounds)
        many: dict[str, Any] = {"values": list(tracks.values)}
        if not tracks.fixed:
            least = [len(tracks.values), tracks.most]
            asked = tracks.asked
            counted = {"request": asked.pointer, "default": tracks.default} if asked else least
            many = {"count": counted, "start": tracks.start}
        found["tracks"] = {"field": _field(tracks.field), **many, **grounds}
    if (index := rules.index) is not None:
        step = {"start": index.start, "step": index.step}
        left_out = {"except": sorted(index.without)} if index.without else {}
        found["index"] = {
            "field": _field(index.field),
            **step,
            **left_out,
            **_grounds(index.grounds),
        }
    found["constant"] = [
        {"field": _field(each.field), **_by_track(each.per_track), **_grounds(each.grounds)}
        for each in rules.constant
    ]
    found["never_decrease"] = [
        {
            "field": _field(each.field),
            "stages": list(each.stages),
            **_by_track(each.per_track),
            **_grounds(each.grounds),
        }
        for each in rules.never_decrease
    ]
    if (flag := rules.completion) is not None:
        found["completion"] = {
            "field": _field(flag.field),
            "before_last": {"value": False, **_grounds(flag.before_last)},
            "last": {"value": True, **_grounds(flag.last)},
        }
    if (sentinel := rules.sentinel) is not None:
        found["sentinel"] = {
            "data": sentinel.data.decode(),
            "times": list(sentinel.times),
            **_grounds(sentinel.grounds),
        }
    return found


def _field(path: FieldPath) -> str:
    """A place as a contract writes it."""
    return path.name if path.name is not None else path.pointer


def _by_track(per_track: bool) -> dict[str, Any]:
    return {"per_track": True} if per_track else {}


def plain(schema: Schema) -> dict[str, Any]:
    """A resolved schema as JSON Schema 2020-12: without the keywords that only our parts read."""
    return without(schema, _OWN.__contains__)


# --- operations -----------------------------------------------------------------------------------


def _operation(contract: Contract, endpoint: Endpoint, version: str) -> dict[str, Any]:
    operation: dict[str, Any] = {
        "operationId": f"{contract.api}_{endpoint.name}",
        "summary": _SUMMARIES.get(endpoint.kind, endpoint.name),
        "description": "Each accepted request is billed." if endpoint.billed else "Not billed.",
        "responses": {
            **{str(status): _success(contract, endpoint, version) for status in _good(endpoint)},
            **_errors(contract),
        },
        "x-soundstage-endpoint": endpoint.name,
        "x-soundstage-billed": endpoint.billed,
        **_grounds(endpoint.grounds),
    }
    if parameters := list(_parameters(endpoint)):
        operation["parameters"] = parameters
    if endpoint.request is not None:
        media: dict[str, Any] = {"schema": _ref(_request(contract, endpoint))}
        if examples := dict(_examples(contract, "request")):
            media["examples"] = examples
        operation["requestBody"] = {"required": True, "content": {_JSON: media}}
    return operation


def _good(endpoint: Endpoint) -> tuple[int, ...]:
    """The statuses of a good answer."""
    return endpoint.success or (endpoint.usual_status,)


def _parameters(endpoint: Endpoint) -> Iterator[dict[str, Any]]:
    text = {"type": "string"}
    for name in PLACEHOLDER.findall(endpoint.path):
        schema = plain(endpoint.parameters[name]) if name in endpoint.parameters else text
        yield {"name": name, "in": "path", "required": True, "schema": schema}
    for name, said in endpoint.query:
        filled = PLACEHOLDER.fullmatch(said)
        schema = {"const": said} if filled is None else text
        if filled is not None and filled[1] in endpoint.parameters:
            schema = plain(endpoint.parameters[filled[1]])
        yield {"name": name, "in": "query", "required": True, "schema": schema}


def _both(one: dict[str, Any], other: dict[str, Any]) -> dict[str, Any]:
    """One operation for two endpoints that requests to one place are for."""
    found = {**one, "summary": f"{one['summary']}; or: {other['summary']}"}
    responses = {**other["responses"], **one["responses"]}
    for status in one["responses"].keys() & other["responses"].keys():
        content = {
            **other["responses"][status].get("content", {}),
            **one["responses"][status].get("content", {}),
        }
        if content:
            responses[status] = {**one["responses"][status], "content": content}
    found["responses"] = responses
    if "requestBody" in one and "requestBody" in other:
        schemas = [each["requestBody"]["content"][_JSON]["schema"] for each in (one, other)]
        if schemas[0] != schemas[1]:
            media = {**one["requestBody"]["content"][_JSON], "schema": {"anyOf": schemas}}
            found["requestBody"] = {"required": True, "content": {_JSON: media}}
    return found


def _security(contract: Contract) -> dict[str, Any]:
    auth = contract.auth
    if auth.header.lower() == "authorization" and auth.scheme.lower() == "bearer":
        return {
            "type": "http",
            "scheme": "bearer",
            "description": "The API key, as a bearer token.",
        }
    before = f", after {auth.scheme} and a blank" if auth.scheme else ""
    return {
        "type": "apiKey",
        "in": "header",
        "name": auth.header,
        "description": f"The API key{before}.",
    }


def _success(contract: Contract, endpoint: Endpoint, version: str) -> dict[str, Any]:
    if endpoint.kind != "stream":
        media: dict[str, Any] = {}
        if endpoint.protocol is not None:
            media["schema"] = _ref(_chunks_of(contract, endpoint))
        elif endpoint.response is not None:
            media["schema"] = _ref(f"{_RESULT}.{endpoint.name}")
        if endpoint.kind == "sync" and (examples := dict(_examples(contract, "response"))):
            media["examples"] = examples
        return {"description": "The result", "content": {_JSON: media}}
    content: dict[str, Any] = {}
    chunk = _chunks_of(contract, endpoint)
    assert endpoint.protocol is not None
    stages, sentinel = endpoint.protocol.by_name, endpoint.protocol.sentinel
    printed = [
        (stages[name], each.payload)
        for each in contract.examples
        for kind, _, name in (each.of.partition(":"),)
        if kind == "stage" and name in stages
    ]
    last = ""
    if printed and sentinel is not None and sentinel.required:
        last = sentinel.data.decode()
    if "sse" in endpoint.framings:
        data = {"type": "string", "contentMediaType": _JSON, "contentSchema": _ref(chunk)}
        event = {"type": "object", "required": ["data"], "properties": {"data": data}}
        text = "".join(_sent(stage, payload) for stage, payload in printed)
        text += f"data: {last}\n\n" if last else ""
        content[_SSE] = _streamed(event, text, version, chunk)
    if "lines" in endpoint.framings:
        text = "".join(f"{_compact(payload)}\n" for _, payload in printed)
        text += f"{last}\n" if last else ""
        content[_LINES] = _streamed(_ref(chunk), text, version, chunk)
    return {
        "description": f"Chunks, as they come to be; {PROTOCOL} says which and in what order",
        "content": content,
    }


def _sent(stage: Stage, payload: Any) -> str:
    """A printed chunk as an event, with the name that events of its stage have."""
    name = stage.event.name if stage.event is not None else None
    head = f"event: {name}\n" if name else ""
    return f"{head}data: {_compact(payload)}\n\n"


def _errors(contract: Contract) -> dict[str, Any]:
    """A response for each status that the contract sends, and one for each class of statuses."""
    by_status: dict[int, list[DocumentedError]] = {}
    for error in contract.errors.known:
        by_status.setdefault(error.status, []).append(error)
    responses: dict[str, Any] = {}
    for status, errors in sorted(by_status.items()):
        named = [_ref(f"{_ERROR}.{error.name}") for error in errors]
        media = {
            "schema": {"anyOf": [*named, _ref(_OTHER)]},
            "examples": {
                error.name: {"summary": error.title, "value": error.body} for error in errors
            },
        }
        titles = "; ".join(error.title for error in errors)
        responses[str(status)] = {"description": titles, "content": {_JSON: media}}
    statuses = contract.errors.statuses
    for hundreds in range(statuses.start // 100, (statuses.stop - 1) // 100 + 1):
        responses[f"{hundreds}XX"] = {
            "description": "The page prints no statuses: any error may come with this one, too. "
            "A bad request is never answered with a 500.",
            "content": {_JSON: {"schema": _ref(_OTHER)}},
            **_grounds(contract.errors.grounds),
        }
    return responses


# --- parts ----------------------------------------------------------------------------------------


def _stage(stage: Stage) -> dict[str, Any]:
    return {
        "name": stage.name,
        "schema": _ref(_chunk(stage))["$ref"],
        "when": plain(stage.when),
        "after": [list(group) for group in stage.after],
        "times": list(stage.times),
        "per_track": stage.per_track,
        "ends": stage.ends,
        "failure": stage.failure,
        "charges": stage.charges,
        "milestones": [{"name": each.name, "at": each.at} for each in stage.milestones],
        **_further(stage),
        **_grounds(stage.grounds),
    }


def _further(stage: Stage) -> dict[str, Any]:
    """The words of a stage that few have."""
    found: dict[str, Any] = {}
    if stage.event is not None:
        found["event"] = _event(stage.event)
    if stage.anywhere:
        found["anywhere"] = True
    if stage.after_all:
        found["after_all"] = [list(group) for group in stage.after_all]
    if stage.takes_time:
        found["takes_time"] = True
    if stage.state is not None:
        found["state"] = stage.state
    return found


def _event(event: EventName) -> Any:
    return event.name if event.required else {"name": event.name, "required": False}


def _error_schema(error: DocumentedError) -> dict[str, Any]:
    asked: dict[str, Any] = {"const": error.body} if error.printed else {"type": "object"}
    return {
        "title": error.title,
        **asked,
        "examples": [error.body],
        **_grounds(error.grounds),
    }


def _grounds(grounds: Grounds) -> dict[str, Any]:
    severity = {"x-severity": grounds.severity} if grounds.severity else {}
    return {"x-basis": grounds.basis, "x-source": grounds.source, **severity}


def _request(contract: Contract, endpoint: Endpoint) -> str:
    """The component of a request's schema; endpoints that share one share the component."""
    distinct = list(
        {id(each.request): each for each in contract.endpoints.values() if each.request}.values()
    )
    if len(distinct) == 1:
        return _REQUEST
    first = next(each for each in distinct if each.request is endpoint.request)
    return f"{_REQUEST}.{first.name}"


_ANY_CHUNK = "A chunk of any documented stage"


def _chunks_of(contract: Contract, endpoint: Endpoint) -> str:
    """The component that is any chunk of an endpoint, or any state that it shows."""
    told = endpoint.protocol is contract.protocol
    return _CHUNK if told else f"{_CHUNK}s.{endpoint.name}"


def _chunk(stage: Stage) -> str:
    return f"{_CHUNK}.{stage.name}"


def _ref(component: str) -> dict[str, Any]:
    return {"$ref": f"#/components/schemas{pointer(component)}"}


def _with(schema: dict[str, Any], examples: list[Any]) -> dict[str, Any]:
    return {**schema, "examples": examples} if examples else schema


def _payloads(contract: Contract, of: str) -> list[Any]:
    return [each.payload for each in contract.examples if each.of == of]


def _examples(contract: Contract, of: str) -> Iterator[tuple[str, dict[str, Any]]]:
    for each in contract.examples:
        if each.of == of:
            example: dict[str, Any] = {"summary": each.source, "value": each.payload}
            if each.mended:
                example["description"] = each.mended
            yield each.file.removesuffix(".json"), example


def _streamed(item: dict[str, Any], text: str, version: str, chunk: str) -> dict[str, Any]:
    """The content of a stream of items, of which `text` is an example."""
    newer = version == "3.2"
    media = {"itemSchema": item} if newer else {"schema": {"type": "string"}, _ITEM: _ref(chunk)}
    if text:
        summary = "The printed chunks, one of each kind; whole streams have more"
        example = {"summary": summary, "serializedValue" if newer else "value": text}
        media["examples"] = {"printed": example}
    return media


def _compact(payload: Any) -> str:
    return json.dumps(payload, ensure_ascii=False, separators=(",", ":"))
