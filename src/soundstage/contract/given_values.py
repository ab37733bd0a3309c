"""The values that an answer gives to others (`gives`): ids, mostly, by which a generation is asked
for again.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import Any, Final
from urllib.parse import unquote, urlsplit

from soundstage.contract.json_schema import patterns
from soundstage.contract.protocol import Endpoint
from soundstage.output.cutting import head
from soundstage.untrusted import json_text
from soundstage.wire.lines import decoded, sniff_framing
from soundstage.wire.sse import Event

#: More characters of such a value are not taken.
LONGEST: Final = 4_000
#: So many events of a saved stream are looked at for them; so many bytes tell its framing.
_LOOKED_AT: Final = 10_000
_SNIFFED: Final = 65_536


def given_by_body(endpoint: Endpoint, bodies: Iterable[tuple[str | None, Any]]) -> dict[str, str]:
    """What the bodies of an endpoint's answer give, by name: (stage, chunk) of a stream, or (None,
    result). The first that has a value counts.
    """
    found: dict[str, str] = {}
    wanted = [each for each in endpoint.gives if each.field is not None]
    for stage, body in bodies:
        for given in wanted:
            if given.name in found or given.stage not in (None, stage):
                continue
            assert given.field is not None
            value = given.field.of(body)
            if isinstance(value, str | int) and not isinstance(value, bool) and value != "":
                found[given.name] = head(str(value), LONGEST, end="")
        if len(found) == len(wanted):
            break
    return found


def given_by_head(endpoint: Endpoint, header: Callable[[str], str | None]) -> dict[str, str]:
    """What the headers of an endpoint's answer give; of `Location` the last part of its path."""
    found: dict[str, str] = {}
    for given in endpoint.gives:
        value = header(given.header) if given.header is not None else None
        if value and given.header is not None:
            if given.header.lower() == "location":
                value = _last_part(value)
            if value:
                found[given.name] = head(value, LONGEST, end="")
    return found


def given_by_answer(
    endpoint: Endpoint, body: bytes, header: Callable[[str], str | None]
) -> dict[str, str]:
    """What an answer gives whose bytes were saved."""
    if not any(given.field is not None for given in endpoint.gives):
        return given_by_head(endpoint, header)
    told: Iterable[tuple[str | None, Any]] = [(None, json_text.parse(body).value)]
    if endpoint.kind == "stream":
        framing = sniff_framing(body[:_SNIFFED], ended=len(body) <= _SNIFFED)
        events = decoded(body, framing)[0] if framing in ("sse", "lines") else []
        told = _chunks_that_give(endpoint, events[:_LOOKED_AT], named=framing == "sse")
    return {**given_by_body(endpoint, told), **given_by_head(endpoint, header)}


def _chunks_that_give(
    endpoint: Endpoint, events: Sequence[Event], *, named: bool
) -> Iterator[tuple[str | None, Any]]:
    """The chunks of a stream, those of stages that give something with their stage. `named`: their
    events may have names.
    """
    assert endpoint.protocol is not None
    stages = dict.fromkeys(each.stage for each in endpoint.gives if each.stage is not None)
    wanted = [
        (stage, patterns.validator(stage.when))
        for stage in (endpoint.protocol.by_name[name] for name in stages)
    ]
    for event in events:
        value = json_text.parse(event.data).value
        name = "" if event.type == "message" else event.type
        fitting = (
            stage.name
            for stage, when in wanted
            if (not named or stage.event is None or stage.event.takes(name))
            and when.is_valid(value)
        )
        yield next(fitting, None), value


def _last_part(location: str) -> str:
    """The last part of the path of a URL, decoded: it is encoded again where it is filled in."""
    try:
        return unquote(urlsplit(location).path.rstrip("/").rpartition("/")[2])
    except ValueError:
        return ""
