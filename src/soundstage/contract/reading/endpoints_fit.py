"""Whether the endpoints of a contract fit each other: each request has one, what is filled into a
path or a query comes from somewhere, and what is polled or looked up shows states.

Values in, (pointer, reason) out, as in `coherence`.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any, Final

from soundstage.contract.jobs import Polling
from soundstage.contract.placeholders import PLACEHOLDER, filled_in
from soundstage.contract.protocol import Endpoint
from soundstage.contract.reading.stages_fit import no_such

Finding = tuple[str, str]
#: Parts of rule ids that no endpoint can have as its name.
_RESERVED: Final = ("error", "request")
#: Words of endpoints that mean something in some kinds only, and in which.
_KINDS_OF: Final = {
    "request": ("stream", "sync", "job"),
    "response": ("sync", "job", "status"),
    "gives": ("stream", "sync", "job"),
    "looked_up_by": ("stream", "sync", "job"),
    **dict.fromkeys(("tracks", "index", "constant", "never_decrease"), ("stream", "status")),
    "completion": ("stream",),
}
_TEXTS: Final = {"string", "integer"}


def of_endpoints(data: Mapping[str, Any]) -> Iterator[Finding]:
    """What does not fit among the endpoints of a `protocol.json` that meets its schema."""
    endpoints = {each["name"]: each for each in data["endpoints"]}
    stages = {each["name"]: each for each in data["stages"]}
    given = {name for each in data["endpoints"] for name in each.get("gives", ())}
    for number, endpoint in enumerate(data["endpoints"]):
        place = f"/endpoints/{number}"
        if endpoint["name"] in _RESERVED:
            yield f"{place}/name", f"{endpoint['name']!r} stands for other rules: call it otherwise"
        yield from _filled(endpoint, place, given)
        for name in endpoint.get("stages", ()):
            if name not in stages:
                yield f"{place}/stages", no_such("stage", name, stages)
        yield from _of_kind(endpoint, place)
        for name, each in endpoint.get("gives", {}).items():
            if "stage" in each and each["stage"] not in stages:
                yield f"{place}/gives/{name}/stage", no_such("stage", each["stage"], stages)
    for number, endpoint in enumerate(data["endpoints"]):
        yield from _ties(endpoint, f"/endpoints/{number}", endpoints, stages)
    yield from _shared(data["endpoints"])


def _of_kind(endpoint: Mapping[str, Any], place: str) -> Iterator[Finding]:
    """Words that are of endpoints of another kind, and waits that contradict each other."""
    kind = endpoint["kind"]
    if "stages" in endpoint and kind not in ("stream", "status"):
        yield f"{place}/stages", "only streams have stages, and states of a status endpoint"
    for word in ("framings", "sentinel"):
        if word in endpoint and kind != "stream":
            yield f"{place}/{word}", "only a stream is cut into chunks"
    for word, kinds in _KINDS_OF.items():
        if endpoint.get(word) is not None and kind not in kinds:
            why = f"means nothing at an endpoint of the kind {kind}, but at {' or '.join(kinds)}"
            yield f"{place}/{word}", why
    if kind == "status" and endpoint["method"] != "GET":
        yield f"{place}/method", "a status endpoint is asked with GET"
    poll = endpoint.get("poll", {})
    first = poll.get("every_s", Polling("").every_s)
    if poll.get("at_most_every_s", first) < first:
        yield (
            f"{place}/poll/at_most_every_s",
            f"the longest wait is shorter than the first, {first}",
        )
    if poll.get("until_s", first) < first:
        yield f"{place}/poll/until_s", f"nobody asks any more before it is asked first, at {first}"


def _filled(endpoint: Mapping[str, Any], place: str, given: set[str]) -> Iterator[Finding]:
    """Names in a path or a query that nothing gives. A status endpoint without any that is given
    takes the id of a generation, which chunks and results have by their role.
    """
    names = filled_in(endpoint["path"], endpoint.get("query", {}))
    own = endpoint.get("parameters", {})
    missing = [name for name in dict.fromkeys(names) if name not in own and name not in given]
    looks_up = endpoint["kind"] == "status"
    if looks_up and not names:
        yield f"{place}/path", "a generation is looked up by its id: one part must be filled in"
    if missing and not (looks_up and len(names) == 1):
        word = "path" if f"{{{missing[0]}}}" in endpoint["path"] else "query"
        why = f"nothing gives {missing[0]!r}: let another endpoint say `gives`"
        yield f"{place}/{word}", f"{why}, or describe it in `parameters`"
    for name in own:
        if name not in names:
            yield f"{place}/parameters/{name}", f"it is filled in nowhere: write {{{name}}}"


def _ties(
    endpoint: Mapping[str, Any],
    place: str,
    endpoints: Mapping[str, Mapping[str, Any]],
    stages: Mapping[str, Mapping[str, Any]],
) -> Iterator[Finding]:
    """What is polled or looked up must show states, and take only what is given."""
    said = endpoint.get("looked_up_by")
    asked = {"looked_up_by": said["endpoint"] if isinstance(said, dict) else said}
    asked["poll"] = endpoint["poll"]["endpoint"] if "poll" in endpoint else None
    if endpoint["kind"] != "job" and asked["poll"] is not None:
        yield f"{place}/poll", "only a job is polled"
    for word, name in asked.items():
        if name is None:
            continue
        status = endpoints.get(name)
        if status is None or status["kind"] != "status":
            known = (each["name"] for each in endpoints.values() if each["kind"] == "status")
            yield f"{place}/{word}", no_such("status endpoint", name, known)
            continue
        if "stages" not in status:
            yield f"{place}/{word}", f"{name!r} shows no states: list them in its `stages`"
        for given, each in endpoint.get("gives", {}).items():
            header = each.get("header", "").lower()
            if header == "location" and not status["path"].endswith(f"/{{{given}}}"):
                why = f"of Location the last part is taken: let the path of {name!r} end in it"
                yield f"{place}/gives/{given}/header", f"{why}, /{{{given}}}"
        for each in filled_in(status["path"], status.get("query", {})):
            if each not in endpoint.get("gives", ()) and each not in status.get("parameters", ()):
                why = f"{name!r} is asked with {each!r}, which is not given: say where it stands"
                yield f"{place}/gives", why
    looked_up_by = asked["looked_up_by"]
    states = endpoints.get(looked_up_by or "", {}).get("stages", ())
    for name in endpoint.get("stages", stages):
        state = stages.get(name, {}).get("state")
        if state is not None and looked_up_by and state not in states:
            why = f"{name} reaches {state!r}, which is no state of {looked_up_by!r}"
            yield f"{place}/stages", f"{why}: list it in the `stages` there"


def _shared(endpoints: list[Mapping[str, Any]]) -> Iterator[Finding]:
    """Endpoints that no request could be told apart by: the second would never be reached."""
    taken: dict[tuple[str, str], list[tuple[int, Mapping[str, Any]]]] = {}
    for number, each in enumerate(endpoints):
        key = each["method"], PLACEHOLDER.sub("{}", each["path"])
        taken.setdefault(key, []).append((number, each))
    for (method, _), sharing in taken.items():
        without = [each for each in sharing if "when" not in each[1]]
        if len(without) > 1:
            first, (number, second) = without[0][1]["name"], without[1]
            why = f"{second['name']!r} is never reached: {first!r} takes {method} {second['path']}"
            yield f"/endpoints/{number}", f"{why}; say with `when` which requests are for which"


def of_values(
    endpoint: Endpoint, endpoints: Mapping[str, Endpoint], place: str
) -> Iterator[Finding]:
    """What does not fit once the schemas are read: places that nothing describes, and requests
    that no `when` could look at.
    """
    for given in endpoint.gives:
        if given.field is None:
            continue
        if endpoint.protocol is not None:
            schemas = [
                stage.schema
                for stage in endpoint.protocol.stages
                if given.stage in (None, stage.name)
            ]
        else:
            schemas = [endpoint.response or {}]
        found = [each for schema in schemas for each in given.field.schemas(schema)]
        where = f"{place}/gives/{given.name}/from"
        if not found:
            yield where, f"nothing describes {given.field.pointer!r}"
        for schema in found:
            kinds = schema.get("type", "string")
            kinds = {kinds} if isinstance(kinds, str) else set(kinds)
            if not kinds & _TEXTS:
                yield where, f"{given.field.pointer!r} is no text that a path could hold"
    for stage in endpoint.protocol.stages if endpoint.protocol is not None else ():
        if stage.event is not None and endpoint.framings and "sse" not in endpoint.framings:
            why = f"{stage.name} has an `event`, which only Server-Sent Events have"
            yield f"{place}/framings", why
    if endpoint.when is not None and endpoint.request is None:
        yield f"{place}/when", "it looks at the body of a request, and `request` is missing"
    tracks = endpoint.protocol.tracks if endpoint.protocol is not None else None
    asked = tracks.asked if tracks is not None else None
    if asked is not None and not asked.schemas(endpoint.request or {}):
        why = f"no request of {endpoint.name!r} has {str(asked)!r}, which says how many"
        yield f"{place}/tracks", f"{why}: add it to its schema"
