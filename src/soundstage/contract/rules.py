"""The rules of a contract: every single thing that it asks, with a stable id.

The ids stand in JUnit, waivers, reports and `soundstage explain`. They follow from the data: a
list of them is the contract matrix, and each becomes a test case of `soundstage check`.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from soundstage.contract.asset_fields import ASPECTS, WHOLE, asset_fields, duration_of
from soundstage.contract.field_schemas import WHOLE_OBJECT, Schema, constraints
from soundstage.contract.protocol import Endpoint, Errors, Grounds, Hosts, Protocol, Stage

_FRAMINGS = {"sse": "Server-Sent Events", "lines": "JSON lines"}
_SEVERITY = {"documented": "error", "exemplified": "error", "inferred": "warning"}


@dataclass(frozen=True, slots=True)
class Rule:
    """One thing that the contract asks. `endpoint` is "stream", "sync", "status", "error" or
    "request"; `severity` ("error", "warning", "info") follows from the basis unless overridden;
    `text` says what is asked in one sentence.
    """

    id: str
    api: str
    endpoint: str
    basis: str
    severity: str
    source: str
    text: str


class RuleBook:
    """All rules of a contract by id, and the way from a broken constraint to its rule."""

    def __init__(self, api: str) -> None:
        self.api = api
        self.rules: dict[str, Rule] = {}
        self._constraints: dict[tuple[str, tuple[str, ...], str, str], Rule] = {}

    def __getitem__(self, rule_id: str) -> Rule:
        return self.rules[rule_id]

    def __iter__(self) -> Iterator[Rule]:
        return iter(self.rules.values())

    def __len__(self) -> int:
        return len(self.rules)

    def add(self, endpoint: str, path: str, grounds: Grounds, text: str) -> Rule:
        """A new rule `API/ENDPOINT/PATH`."""
        rule = Rule(
            f"{self.api}/{endpoint}/{path}",
            self.api,
            endpoint,
            grounds.basis,
            grounds.severity or _SEVERITY[grounds.basis],
            grounds.source,
            text,
        )
        if rule.id in self.rules:
            raise ValueError(f"two rules are called {rule.id}")
        self.rules[rule.id] = rule
        return rule

    def add_schema(
        self,
        endpoint: str,
        prefix: str,
        schema: Schema,
        subject: str,
        *,
        types: Grounds | None = None,
    ) -> None:
        """A rule for each constraint of a schema. `prefix` ends in "/" or is empty; `types`: what
        the rules about types rest on, if not on what the types do.
        """
        for constraint in constraints(schema):
            place = f"field/{'.'.join(constraint.path)}" if constraint.path else WHOLE_OBJECT
            path = f"{prefix}{place}/{constraint.aspect}"
            if f"{self.api}/{endpoint}/{path}" in self.rules:
                path += f"/{constraint.basis}"  # the same place, asked on other grounds
            grounds = Grounds(constraint.basis, constraint.source)
            if types is not None and constraint.aspect == "type":
                grounds = types
            rule = self.add(endpoint, path, grounds, f"In {subject}, {constraint.text}.")
            key = (f"{endpoint}/{prefix}", constraint.path, constraint.aspect, constraint.basis)
            self._constraints[key] = rule

    def of_constraint(
        self, endpoint: str, prefix: str, path: tuple[str, ...], aspect: str, basis: str
    ) -> Rule:
        """The rule that `add_schema` made for a constraint; KeyError if it made none."""
        return self._constraints[(f"{endpoint}/{prefix}", path, aspect, basis)]


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
        if endpoint.kind == "stream":
            _stream_rules(book, endpoint, protocol, hosts)
            stages = [stage.schema for stage in protocol.stages]
            _asset_rules(book, endpoint, protocol, [{"properties": protocol.fields}, *stages])
        elif endpoint.response is not None:
            book.add(endpoint.name, "json", endpoint.grounds, "The body is one JSON text.")
            book.add_schema(endpoint.name, "", endpoint.response, "the result")
            if endpoint.kind == "sync":
                _open_world(book, endpoint, hosts)
                _asset_rules(book, endpoint, protocol, [endpoint.response])
    _error_rules(book, errors)
    asking = [endpoint for endpoint in endpoints.values() if endpoint.request is not None]
    if asking:
        grounds = asking[0].grounds
        book.add("request", "body", grounds, "The body of a request is one JSON object.")
        text = "The body of a request is sent as application/json."
        book.add("request", "media_type", errors.wrong_media_type or grounds, text)
    for schema in {id(each.request): each.request for each in asking}.values():
        book.add_schema("request", "", schema or {}, "a request", types=errors.wrong_type)
    return book


def _http_rules(book: RuleBook, endpoint: Endpoint) -> None:
    add, name, grounds = book.add, endpoint.name, endpoint.grounds
    asked = f"{endpoint.method} {endpoint.path}"
    inferred = Grounds("inferred", grounds.source)
    if endpoint.kind == "stream":
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


def _stream_rules(book: RuleBook, endpoint: Endpoint, protocol: Protocol, hosts: Hosts) -> None:
    name, grounds = endpoint.name, endpoint.grounds
    framing = " or ".join(
        {"sse": "Server-Sent Events", "lines": "JSON lines"}[f] for f in endpoint.framings
    )
    book.add(name, "framing", grounds, f"The body is framed as {framing}, each event ended.")
    book.add(name, "json", grounds, "Each event carries one JSON object (RFC 8259).")
    ending = " or ".join(stage.name for stage in protocol.ending)
    end_grounds = protocol.ending[0].grounds
    book.add(name, "end/reached", end_grounds, f"The stream goes on until {ending}.")
    book.add(name, "end/nothing_after", end_grounds, "Nothing comes after the last chunk.")
    names = ", ".join(stage.name for stage in protocol.stages)
    book.add(name, "stages", end_grounds, f"Each chunk belongs to a documented stage: {names}.")
    for stage in protocol.stages:
        _stage_rules(book, name, stage)
    if (tracks := protocol.tracks) is not None:
        values = " and ".join(map(str, tracks.values))
        book.add(name, "tracks/values", tracks.grounds, f"{tracks.field} is {values}, no other.")
        book.add(name, "tracks/all", tracks.grounds, f"Each of the tracks {values} is delivered.")
        text = "After the last chunk of a track none of that track follows."
        book.add(name, "tracks/ended", tracks.grounds, text)
    if (index := protocol.index) is not None:
        field = index.field
        book.add(name, "index/start", index.grounds, f"{field} starts at {index.start}.")
        text = f"{field} goes up by {index.step} with every chunk."
        book.add(name, "index/consecutive", index.grounds, text)
    for constant in protocol.constant:
        text = f"{constant.field} keeps its value once it is known."
        book.add(name, f"constant/{constant.field}", constant.grounds, text)
    for rising in protocol.never_decrease:
        text = f"{rising.field} never falls within {' and '.join(rising.stages)}."
        book.add(name, f"never_decrease/{rising.field}", rising.grounds, text)
    if (flag := protocol.completion) is not None:
        text = f"{flag.field} is false before the last chunk."
        book.add(name, "completion/before_last", flag.before_last, text)
        book.add(name, "completion/last", flag.last, f"{flag.field} is true on the last chunk.")
    listed = {"properties": protocol.fields}
    book.add_schema(name, "", listed, "a chunk of a stage that does not list it")
    _open_world(book, endpoint, hosts)


def _stage_rules(book: RuleBook, endpoint: str, stage: Stage) -> None:
    least, most = stage.times
    each = " for each track" if stage.per_track else ""
    if stage.most is not None:
        text = f"{stage.name} comes {_how_often(0, most)}{each}."
        book.add(endpoint, stage.most_rule, stage.most, text)
        most = None
    text = f"{stage.name} comes {_how_often(least, most)}{each}."
    if (least, most) != (0, None):
        book.add(endpoint, f"times/{stage.name}", stage.grounds, text)
    for group in stage.after:
        text = f"{stage.name} comes after {' or '.join(group)}{each}."
        book.add(endpoint, f"order/{stage.name}/after/{'|'.join(group)}", stage.grounds, text)
    book.add_schema(endpoint, f"{stage.name}/", stage.schema, f"a chunk of {stage.name}")


def _how_often(least: int, most: int | None) -> str:
    if least == most == 1:
        return "once"
    if (least, most) == (0, 1):
        return "at most once"
    if (least, most) == (1, None):
        return "once or more"
    if least == 0:
        return f"at most {most} times"
    return f"{least} to {most} times" if most is not None else f"{least} times or more"


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
