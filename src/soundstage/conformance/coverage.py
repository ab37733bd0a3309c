"""Which rules an observation has put to the test.

A rule without a violation is only kept if the API had the chance to break it: a stream that was
cut before its last stage says nothing about that stage.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, Final

from soundstage.contract import Contract
from soundstage.contract.protocol import Protocol
from soundstage.contract.rules import Rule

#: The rules about what two endpoints say of one generation, below the endpoint.
TIED: Final = frozenset({"status/known", "status/not_behind", "result/same", "charged/once"})


@dataclass(frozen=True, slots=True)
class Observation:
    """What was seen of one exchange. `chunks` are (stage, chunk) of a stream; `value` the parsed
    body of a single answer; `complete`: the promised answer came whole; `broken_rule` is the rule
    (without the API's name) that the request broke on purpose; `live`: not an emulator; `outage`:
    a gateway answered where an error was due; `tied`: the rules about what two endpoints say of one
    generation that were put to the test, below the endpoint; `timed`: whether its chunks were held
    back could be told.
    """

    contract: Contract
    endpoint: str
    status: int | None = None
    chunks: Sequence[tuple[str | None, dict[str, Any]]] = ()
    value: Any = None
    complete: bool = False
    expects_error: bool = False
    error_name: str | None = None
    broken_rule: str | None = None
    live: bool = False
    outage: bool = False
    tied: frozenset[str] = frozenset()
    timed: bool = False

    def concerns(self, rule: Rule) -> bool:
        """Whether the exchange was made to test rules like this one."""
        if rule.api != self.contract.api:
            return False
        if rule.endpoint == "error":
            return self.expects_error
        if rule.endpoint == "request":
            return self.broken_rule is not None and rule.id == f"{rule.api}/{self.broken_rule}"
        return rule.endpoint == self.endpoint and not self.expects_error


def exercised(rule: Rule, seen: Observation) -> bool:
    """Whether `seen` could have broken `rule`."""
    if not seen.concerns(rule) or seen.status is None or seen.outage:
        return False
    if rule.endpoint == "request":
        return True
    area, *rest = rule.id.split("/")[2:]
    if rule.endpoint == "error":
        return _error(area, seen)
    success = seen.contract.endpoints[rule.endpoint].is_success(seen.status)
    if is_tied(rule):
        return "/".join((area, *rest)) in seen.tied
    if area == "http":
        return success
    if area == "billing":
        return False  # no exchange shows it, only the account: see exchange/account/billing.py
    if area == "asset":
        return False  # no exchange shows it, only the files themselves: see assets/asset_checks.py
    if area == "arrival":
        return seen.timed
    if area == "hosts":
        return seen.live and (bool(seen.chunks) or seen.value is not None)
    if not success:
        return False
    endpoint = seen.contract.endpoints[rule.endpoint]
    if endpoint.protocol is not None:
        return _told(area, rest, seen, endpoint.protocol)
    if area == "field":
        return _result(rest[0], rest[1], seen.value)
    return seen.value is not None


def is_tied(rule: Rule) -> bool:
    """Whether a rule is about what two endpoints say of one generation."""
    return "/".join(rule.id.split("/")[2:]) in TIED


def _error(area: str, seen: Observation) -> bool:
    if area == "no_500":
        return seen.broken_rule is not None
    if area in ("status", "not_under_200"):
        return True
    return seen.error_name is None if area == "other" else seen.error_name == area


def _told(area: str, rest: list[str], seen: Observation, protocol: Protocol) -> bool:
    """Of what comes in order: chunks of a stream, or looks at a state."""
    chunks = seen.chunks
    if area in protocol.by_name:
        of_stage = [chunk for stage, chunk in chunks if stage == area]
        return _fields(rest[1], rest[2], of_stage) if rest[0] == "field" else bool(of_stage)
    if area == "field":
        unlisted = [
            chunk
            for stage, chunk in chunks
            if stage is not None
            and rest[0] not in protocol.by_name[stage].schema.get("properties", {})
        ]
        return _fields(rest[0], rest[1], unlisted)
    if area == "terminal":
        last = {stage.name for stage in protocol.stages if stage.ends is not None}
        return sum(stage in last for stage, _ in chunks) > 1
    check = _AREAS.get(area)
    return check(rest, seen, protocol) if check is not None else bool(chunks)


def _fields(path: str, aspect: str, chunks: Sequence[dict[str, Any]]) -> bool:
    if aspect == "required":
        return bool(chunks)
    return any(path.split(".")[0] in chunk for chunk in chunks)


def _result(path: str, aspect: str, value: Any) -> bool:
    values = [value]
    *outer, last = path.split(".")
    for name in outer:
        values = [inner for each in values for inner in _inside(each, name)]
    if last == "*" or last.isdecimal():
        items = [each for each in values if isinstance(each, list)]
        return any(_inside(each, last) for each in items)
    objects = [each for each in values if isinstance(each, dict)]
    return bool(objects) if aspect == "required" else any(last in each for each in objects)


def _inside(value: Any, name: str) -> list[Any]:
    """What stands in a value under a name, the number of an item, or `*` for any item."""
    if isinstance(value, dict):
        return [value[name]] if name in value else []
    if not isinstance(value, list):
        return []
    if name == "*":
        return value
    return value[int(name) : int(name) + 1] if name.isdecimal() and len(name) < 9 else []


def _holding(field: str, seen: Observation, protocol: Protocol) -> int:
    """How many chunks have a value at the place that is called so."""
    named = [each.field for each in protocol.constant]
    named += [each.field for each in protocol.never_decrease]
    path = next((each for each in named if str(each) == field), None)
    if path is None:
        return 0
    return sum(path.of(chunk) is not None for _, chunk in seen.chunks)


def _tracks(rest: list[str], seen: Observation, protocol: Protocol) -> bool:
    tracks = protocol.tracks
    if tracks is None or rest[0] == "all":
        return seen.complete
    if rest[0] == "ended":
        enders = {stage.name for stage in protocol.stages if stage.ends == "track"}
        return any(stage in enders for stage, _ in seen.chunks)
    return any(tracks.field.of(chunk) is not None for _, chunk in seen.chunks)


_AREAS: dict[str, Callable[[list[str], Observation, Protocol], bool]] = {
    "end": lambda rest, seen, protocol: seen.complete,
    "times": lambda rest, seen, protocol: seen.complete,
    "order": lambda rest, seen, protocol: any(stage == rest[0] for stage, _ in seen.chunks),
    "tracks": _tracks,
    "index": lambda rest, seen, protocol: len(seen.chunks) > (0 if rest[0] == "start" else 1),
    "constant": lambda rest, seen, protocol: _holding(rest[0], seen, protocol) > 1,
    "never_decrease": lambda rest, seen, protocol: _holding(rest[0], seen, protocol) > 1,
    "completion": lambda rest, seen, protocol: (
        seen.complete if rest[0] == "last" else len(seen.chunks) > 1
    ),
    "forward": lambda rest, seen, protocol: len(seen.chunks) > 1,
}
