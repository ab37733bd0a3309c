"""The rules of a contract: every single thing that it asks, with a stable id.

The ids stand in JUnit, waivers, reports and `soundstage explain`. They follow from the data: a
list of them is the contract matrix, and each becomes a test case of `soundstage check`.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from soundstage.contract.asset_fields import ASPECTS, WHOLE, asset_fields, duration_of
from soundstage.contract.grounds import Grounds
from soundstage.contract.json_schema.field_schemas import Schema
from soundstage.contract.protocol import Endpoint, Errors, Hosts, Protocol
from soundstage.contract.rule_book import Rule, RuleBook
from soundstage.contract.stream_rules import state_rules, stream_rules, tie_rules

#: The rule, below its endpoint, that what is charged is what was made.
BILLING: Final = "billing/adds_up"

__all__ = ["BILLING", "Rule", "RuleBook", "rule_book"]


def rule_book(
    api: str,
    endpoints: Mapping[str, Endpoint],
    protocol: Protocol,
    errors: Errors,
    hosts: Hosts,
) -> RuleBook:
    """The rules that follow from a contract's data."""
    book = RuleBook(api)
    for endpoint in endpoints.values():
        _http_rules(book, endpoint)
        own = endpoint.protocol
        if own is not None:
            if own.sampled:
                state_rules(book, endpoint, own)
            else:
                stream_rules(book, endpoint, own)
            _open_world(book, endpoint, hosts)
            stages = [stage.schema for stage in own.stages]
            _asset_rules(book, endpoint, protocol, [{"properties": protocol.fields}, *stages])
        elif endpoint.response is not None:
            book.add(endpoint.name, "json", endpoint.grounds, "The body is one JSON text.")
            book.add_schema(endpoint.name, "", endpoint.response, "the result")
            if endpoint.makes_songs:
                _open_world(book, endpoint, hosts)
                _asset_rules(book, endpoint, protocol, [endpoint.response])
        if endpoint.billed and endpoint.makes_songs:
            # That a song is paid for once is what anybody expects, and no page says.
            inferred = Grounds("inferred", endpoint.grounds.source)
            text = "A song is charged for once, and what is refused is not (emulator only)."
            book.add(endpoint.name, BILLING, inferred, text)
        if endpoint.looked_up_by is not None:
            tie_rules(book, endpoint, endpoint.looked_up_by)
    _error_rules(book, errors)
    asking = [endpoint for endpoint in endpoints.values() if endpoint.request is not None]
    if asking:
        grounds = asking[0].grounds
        book.add("request", "body", grounds, "The body of a request is one JSON object.")
        text = "The body of a request is sent as application/json."
        book.add("request", "media_type", errors.wrong_media_type or grounds, text)
    described: dict[int, str] = {}
    for each in asking:
        if (known := described.get(id(each.request))) is None:
            # The first has the plain ids; what another asks has the name of its endpoint in them.
            known = described[id(each.request)] = f"{each.name}/" if described else ""
            book.add_schema("request", known, each.request or {}, "a request",
                            types=errors.wrong_type)  # fmt: skip
        book.requests[each.name] = known
    return book


def _http_rules(book: RuleBook, endpoint: Endpoint) -> None:
    add, name, grounds = book.add, endpoint.name, endpoint.grounds
    asked = f"{endpoint.method} {endpoint.path}"
    inferred = Grounds("inferred", grounds.source)
    if endpoint.success:
        statuses = " or ".join(map(str, endpoint.success))
        add(name, "http/status", grounds, f"{asked} answers with {statuses}.")
    elif endpoint.kind == "stream":
        add(name, "http/status", grounds, f"{asked} answers with 200.")
    else:
        add(name, "http/status", grounds, f"{asked} answers with a status of success.")
        # No page prints a status, and only a stream of events asks for 200 by its standard.
        add(name, "http/ok", inferred, f"The success of {asked} is a 200.")
    kinds = {"sse": "text/event-stream", "lines": "JSON lines"}
    media = " or ".join(kinds[framing] for framing in endpoint.framings) or "application/json"
    add(name, "http/content_type", endpoint.content_type, f"The content type says {media}.")
    text = "What comes is the promised body, not an error under the status of a success."
    add(name, "http/answer", inferred, text)
    add(name, "http/body", grounds, "The body arrives whole: no reset, cut or broken coding.")


def _open_world(book: RuleBook, endpoint: Endpoint, hosts: Hosts) -> None:
    inferred = Grounds("inferred", endpoint.grounds.source)
    add = book.add
    add(endpoint.name, "undocumented", inferred, "Every field is one that the page documents.")
    text = f"URLs lie on {' or '.join(hosts.values)} (live API only)."
    add(endpoint.name, "hosts", hosts.grounds, text)


def _asset_rules(
    book: RuleBook, endpoint: Endpoint, protocol: Protocol, schemas: list[Schema]
) -> None:
    length, asked = protocol.song_length, duration_of(endpoint.request)
    for field in asset_fields(schemas).values():
        for name, aspect in ASPECTS.items():
            basis = field.basis if aspect.of_the_page else "inferred"
            text = aspect.text.format(field=field.name, kind=field.kind)
            grounds = Grounds(basis, field.source, aspect.severity)
            book.add(endpoint.name, f"asset/{name}/{field.name}", grounds, text)
        if field.role == WHOLE and length is not None and asked is not None:
            text = (
                f"The song behind {field.name} is as long as {asked[0]} asks, {length.describe()}."
            )
            book.add(endpoint.name, f"asset/length/{field.name}", length.grounds, text)


def _error_rules(book: RuleBook, errors: Errors) -> None:
    first, last = errors.statuses.start, errors.statuses.stop - 1
    text = f"An error has a status from {first} to {last}."
    book.add("error", "status", errors.grounds, text)
    text = "A bad request is not answered with a 500."
    book.add("error", "no_500", errors.server_error, text)
    text = "No error stands under the status of a success."
    book.add("error", "not_under_200", errors.grounds, text)
    text = "The body of an error that the page does not print is a JSON object."
    book.add("error", "other/body", errors.grounds, text)
    for error in errors.known:
        if error.printed:
            text = f"The body of “{error.title}” is the printed one."
            book.add("error", f"{error.name}/body", error.grounds, text)
