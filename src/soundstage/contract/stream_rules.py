"""The rules of what comes in order: of a stream's chunks, of the states that a status endpoint
shows, and of what ties the two together.
"""

from __future__ import annotations

from typing import Final

from soundstage.contract.grounds import Grounds
from soundstage.contract.jobs import LookedUp
from soundstage.contract.protocol import Endpoint, Protocol, Sentinel, Stage, Tracks
from soundstage.contract.rule_book import RuleBook

#: The rule, below its endpoint, that chunks are not held back on their way.
AS_MADE: Final = "arrival/as_made"
_FRAMINGS: Final = {"sse": "Server-Sent Events", "lines": "JSON lines"}


def stream_rules(book: RuleBook, endpoint: Endpoint, protocol: Protocol) -> None:
    """The rules of a stream, but for those of single hosts and files."""
    name, grounds = endpoint.name, endpoint.grounds
    framing = " or ".join(_FRAMINGS[each] for each in endpoint.framings)
    book.add(name, "framing", grounds, f"The body is framed as {framing}, each event ended.")
    book.add(name, "json", grounds, "Each event carries one JSON object (RFC 8259).")
    end_grounds = protocol.ending[0].grounds if protocol.ending else grounds
    closing = [stage.name for stage in protocol.ending if stage.ends != "track"]
    ending = " or ".join(closing or (stage.name for stage in protocol.ending)) or "its last chunk"
    if protocol.sentinel is not None and protocol.sentinel.required:
        ending = protocol.sentinel.data.decode()
    book.add(name, "end/reached", end_grounds, f"The stream goes on until {ending}.")
    book.add(name, "end/nothing_after", end_grounds, "Nothing comes after the last chunk.")
    names = ", ".join(stage.name for stage in protocol.stages)
    book.add(name, "stages", end_grounds, f"Each chunk belongs to a documented stage: {names}.")
    if protocol.sentinel is not None:
        _sentinel_rule(book, name, protocol.sentinel)
    for stage in protocol.stages:
        _stage_rules(book, name, stage, f"a chunk of {stage.name}")
    if protocol.tracks is not None:
        _track_rules(book, name, protocol.tracks)
    if slow := [stage.name for stage in protocol.stages if stage.takes_time]:
        # What a page says of stages does not say that nothing lies between the API and its client.
        inferred = Grounds("inferred", grounds.source)
        text = f"Chunks come as they are made, not held back: {', '.join(slow)} take time."
        if len(slow) == 1:
            text = f"Chunks come as they are made, not held back: {slow[0]} takes time."
        book.add(name, AS_MADE, inferred, text)
    _across_rules(book, name, protocol)


def state_rules(book: RuleBook, endpoint: Endpoint, protocol: Protocol) -> None:
    """The rules of a status endpoint's answers: of each alone, and of those to one id in turn."""
    name, grounds = endpoint.name, endpoint.grounds
    book.add(name, "json", grounds, "The body is one JSON text.")
    names = ", ".join(stage.name for stage in protocol.stages)
    book.add(name, "stages", grounds, f"Each answer shows a documented state: {names}.")
    book.add(name, "forward", grounds, "States go forward: what has been left does not come back.")
    text = "A state that is the last stays as it is."
    book.add(name, "terminal/stays", grounds, text)
    for stage in protocol.stages:
        book.add_schema(name, f"{stage.name}/", stage.schema, f"the state {stage.name}")
    _across_rules(book, name, protocol)


def tie_rules(book: RuleBook, endpoint: Endpoint, told: LookedUp) -> None:
    """The rules of what an endpoint and the one that looks it up say of one generation."""
    name, grounds = endpoint.name, told.grounds
    add = book.add
    add(name, "status/known", grounds, f"The id that it gives is known to {told.endpoint}.")
    if endpoint.kind == "stream":
        text = f"The state that {told.endpoint} shows is not behind what the stream has told."
        add(name, "status/not_behind", grounds, text)
        text = f"In the end {told.endpoint} shows what the stream told: the same tracks and URLs."
        add(name, "result/same", grounds, text)
    text = "A generation is charged for once, whoever hears it and however often it is asked for."
    add(name, "charged/once", grounds, text)


def _sentinel_rule(book: RuleBook, name: str, sentinel: Sentinel) -> None:
    said = sentinel.data.decode()
    text = f"{said} ends the stream." if sentinel.required else f"{said} comes last, if at all."
    book.add(name, "end/sentinel", sentinel.grounds, text)


def _track_rules(book: RuleBook, name: str, tracks: Tracks) -> None:
    values = " and ".join(map(str, tracks.values))
    only = f"{tracks.field} is {values}, no other."
    each = f"Each of the tracks {values} is delivered."
    if not tracks.fixed:
        only = f"{tracks.field} counts from {tracks.start}, one by one"
        only += f", {tracks.most} at most." if tracks.most is not None else "."
        many = f"{len(tracks.values)} or more tracks are"
        if tracks.asked is not None:
            many = f"as many tracks as {tracks.asked} of the request asks for are"
        each = f"{many[0].upper()}{many[1:]} delivered."
    book.add(name, "tracks/values", tracks.grounds, only)
    book.add(name, "tracks/all", tracks.grounds, each)
    text = "After the last chunk of a track none of that track follows."
    book.add(name, "tracks/ended", tracks.grounds, text)


def _across_rules(book: RuleBook, name: str, protocol: Protocol) -> None:
    """What holds from one chunk, or one answer, to the next."""
    if (index := protocol.index) is not None:
        field = index.field
        book.add(name, "index/start", index.grounds, f"{field} starts at {index.start}.")
        text = f"{field} goes up by {index.step} with every chunk."
        if index.without:
            text = f"{text[:-1]} but those of {' and '.join(sorted(index.without))}."
        book.add(name, "index/consecutive", index.grounds, text)
    for constant in protocol.constant:
        each = " on each track" if constant.per_track else ""
        text = f"{constant.field} keeps its value{each} once it is known."
        book.add(name, f"constant/{constant.field}", constant.grounds, text)
    for rising in protocol.never_decrease:
        each = " on each track" if rising.per_track else ""
        text = f"{rising.field} never falls within {' and '.join(rising.stages)}{each}."
        book.add(name, f"never_decrease/{rising.field}", rising.grounds, text)
    if (flag := protocol.completion) is not None:
        text = f"{flag.field} is false before the last chunk."
        book.add(name, "completion/before_last", flag.before_last, text)
        book.add(name, "completion/last", flag.last, f"{flag.field} is true on the last chunk.")
    listed = {"properties": protocol.fields}
    of_what = "an answer" if protocol.sampled else "a chunk"
    kind = "state" if protocol.sampled else "stage"
    book.add_schema(name, "", listed, f"{of_what} of a {kind} that does not list it")


def _stage_rules(book: RuleBook, endpoint: str, stage: Stage, subject: str) -> None:
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
    for group in stage.after_all:
        text = f"{stage.name} comes after {' or '.join(group)} of every track."
        book.add(endpoint, f"order/{stage.name}/after_all/{'|'.join(group)}", stage.grounds, text)
    if (event := stage.event) is not None:
        named = f"has the event name {event.name}" if event.name else "has no event name"
        if not event.required:
            named += ", or none"
        book.add(
            endpoint, f"{stage.name}/event", stage.grounds, f"A chunk of {stage.name} {named}."
        )
    book.add_schema(endpoint, f"{stage.name}/", stage.schema, subject)


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
