"""The contract as an OpenAPI 3.2 document, for tools that read one: schemathesis, editors.

What OpenAPI cannot say (order, tracks, the index) is not in it; the engine reads the contract.
"""

from __future__ import annotations

from typing import Any

from soundstage.contract.contract import Contract
from soundstage.contract.protocol import Endpoint
from soundstage.contract.schema import Schema

VERSION = "3.2.0"
_OWN = ("x-basis", "x-source", "x-role", "$schema")


def document(contract: Contract) -> dict[str, Any]:
    """An OpenAPI description of all endpoints, with references resolved."""
    paths: dict[str, dict[str, Any]] = {}
    for endpoint in contract.endpoints.values():
        operation = _operation(contract, endpoint)
        paths.setdefault(endpoint.path, {})[endpoint.method.lower()] = operation
    return {
        "openapi": VERSION,
        "info": {"title": contract.title, "version": contract.api},
        "servers": [{"url": contract.base_url}],
        "security": [{"key": []}],
        "paths": paths,
        "components": {"securitySchemes": {"key": {"type": "http", "scheme": "bearer"}}},
    }


def _operation(contract: Contract, endpoint: Endpoint) -> dict[str, Any]:
    operation: dict[str, Any] = {
        "operationId": f"{contract.api}_{endpoint.name}",
        "responses": {"200": _success(contract, endpoint), **_errors(contract)},
    }
    names = [part[1:-1] for part in endpoint.path.split("/") if part.startswith("{")]
    if names:
        operation["parameters"] = [
            {"name": name, "in": "path", "required": True, "schema": {"type": "string"}}
            for name in names
        ]
    if endpoint.request is not None:
        content = {"application/json": {"schema": plain(endpoint.request)}}
        operation["requestBody"] = {"required": True, "content": content}
    return operation


def _success(contract: Contract, endpoint: Endpoint) -> dict[str, Any]:
    if endpoint.kind != "stream":
        schema = plain(endpoint.response or {})
        return {"description": "The result", "content": {"application/json": {"schema": schema}}}
    stages = [plain(stage.schema) for stage in contract.protocol.stages]
    data = {"type": "string", "contentMediaType": "application/json"}
    event = {"properties": {"data": {**data, "contentSchema": {"anyOf": stages}}}}
    content = {"text/event-stream": {"itemSchema": event}}
    return {"description": "Chunks as Server-Sent Events", "content": content}


def _errors(contract: Contract) -> dict[str, Any]:
    bodies: dict[int, list[dict[str, Any]]] = {}
    for error in contract.errors.known:
        bodies.setdefault(error.status, []).append({"const": error.body})
    return {
        str(status): {
            "description": "An error",
            "content": {"application/json": {"schema": {"anyOf": [*found, {"type": "object"}]}}},
        }
        for status, found in sorted(bodies.items())
    }


def plain(schema: Schema) -> dict[str, Any]:
    """A resolved schema without the keywords that are ours."""

    def strip(value: Any) -> Any:
        if isinstance(value, dict):
            return {key: strip(inner) for key, inner in value.items() if key not in _OWN}
        return [strip(inner) for inner in value] if isinstance(value, list) else value

    stripped: dict[str, Any] = strip(schema)
    return stripped
