"""The protocol of a contract for people: a listing as text, and a diagram for Mermaid.

Drawn from the data that the engine reads, so that neither can say anything else.
"""

from __future__ import annotations

import textwrap
from collections.abc import Iterator

from soundstage.contract.contract import Contract
from soundstage.contract.grounds import Grounds
from soundstage.contract.protocol import Endpoint, Milestone, Protocol, Stage
from soundstage.output import visible

_WIDTH = 100
_FRAMINGS = {"sse": "Server-Sent Events", "lines": "JSON lines"}


def in_order(protocol: Protocol) -> list[Stage]:
    """The stages as they come: each below those that must come before it, what ends something below
    others, failures last.
    """
    stages = protocol.stages
    depth = {stage.name: 1 for stage in stages}
    # The longest way to each; as many rounds as a way can be long, since some go in circles.
    for _ in stages:
        depth = {
            stage.name: 1 + max((depth[name] for name in _after(stage) if name in depth), default=0)
            for stage in stages
        }
    return sorted(stages, key=lambda stage: (stage.failure, depth[stage.name], bool(stage.ends)))


def _after(stage: Stage) -> list[str]:
    return [name for group in (*stage.after, *stage.after_all) for name in group]


def listing(contract: Contract) -> str:
    """Everything that a contract promises, as lines of text: endpoints, stages, what holds across
    chunks, errors, and every rule with its severity and basis.
    """
    return visible.lines(_listing(contract)) + "\n"


def mermaid(contract: Contract) -> str:
    """The protocol as a Mermaid flowchart. An arrow leads from a stage to one that must come after
    it; dotted, where any of several will do.
    """
    return visible.lines(_mermaid(contract)) + "\n"


def _listing(contract: Contract) -> Iterator[str]:
    yield f"{contract.title} [{contract.api}] at {contract.base_url}"
    yield f"contract sha256 {contract.sha256}"
    yield from ("", "endpoints")
    for endpoint in contract.endpoints.values():
        said = ", ".join(_said_of(contract, endpoint))
        line = f"  {endpoint.name:<8} {endpoint.method:<4} {_place(endpoint)}"
        yield f"{line}  ({said})" if said else line
    told = [each for each in contract.endpoints.values() if each.protocol is not None]
    for endpoint in told:
        yield from _course(endpoint, alone=len(told) == 1)
    yield from ("", "errors")
    for error in contract.errors.known:
        body = "printed" if error.printed else "not printed"
        yield f"  {error.status} {error.name}: {error.title} (body {body})"
    yield from ("", f"rules ({len(contract.rules)}); `soundstage explain RULE` says more")
    for rule in contract.rules:
        yield f"  {rule.severity:<8} {rule.id}"
        yield from textwrap.wrap(
            rule.text, _WIDTH, initial_indent=" " * 11, subsequent_indent=" " * 11
        )


def _place(endpoint: Endpoint) -> str:
    query = "&".join(f"{name}={text}" for name, text in endpoint.query)
    return f"{endpoint.path}?{query}" if query else endpoint.path


def _said_of(contract: Contract, endpoint: Endpoint) -> Iterator[str]:
    framings = " or ".join(_FRAMINGS[each] for each in endpoint.framings)
    if framings:
        yield framings
    if endpoint.success:
        yield f"answers with {' or '.join(map(str, endpoint.success))}"
    if endpoint.billed:
        yield "billed"
    if (poll := endpoint.poll) is not None:
        grows = f", then {poll.growth:g} times as long" if poll.growth > 1 else ""
        yield f"a job: asked for at {poll.endpoint} every {poll.every_s:g} s{grows}"
    elif (tie := endpoint.looked_up_by) is not None:
        yield f"known to {tie.endpoint}"
    if endpoint.gives:
        yield f"gives {', '.join(given.name for given in endpoint.gives)}"
    if endpoint.when is not None:
        yield "only some requests to this path"


def _course(endpoint: Endpoint, *, alone: bool) -> Iterator[str]:
    """The stages of a stream, or the states that are shown, and what holds across them."""
    protocol = endpoint.protocol
    if protocol is None or not protocol.stages:
        return
    what = "states" if protocol.sampled else "stages"
    yield from (
        "",
        f"{what}{'' if alone else f' of {endpoint.name}'}, in the order in which they come",
    )
    names = max(len(stage.name) for stage in protocol.stages)
    for stage in in_order(protocol):
        yield f"  {stage.name:<{names}}  {_in_words(stage, protocol)}"
        yield f"  {'':<{names}}  {_because(stage.grounds)}"
    yield from ("", f"across {'looks' if protocol.sampled else 'chunks'}")
    for text, grounds in _across(protocol):
        yield f"  {text}"
        yield f"      {_because(grounds)}"


def _across(protocol: Protocol) -> Iterator[tuple[str, Grounds]]:
    if (tracks := protocol.tracks) is not None:
        values = ", ".join(map(str, tracks.values))
        if not tracks.fixed:
            many = f"as many as {tracks.asked} asks" if tracks.asked else "any number"
            values = f"from {tracks.start}, {many}"
        yield f"tracks: {tracks.field} is {values}", tracks.grounds
    if (index := protocol.index) is not None:
        text = f"index: {index.field} starts at {index.start}, goes up by {index.step}"
        yield text, index.grounds
    for constant in protocol.constant:
        yield f"constant: {constant.field} keeps its value once it is known", constant.grounds
    for rising in protocol.never_decrease:
        text = f"never decreases: {rising.field} within {', '.join(rising.stages)}"
        yield text, rising.grounds
    if (flag := protocol.completion) is not None:
        yield f"completion: {flag.field} is false before the last chunk", flag.before_last
        yield f"completion: {flag.field} is true on the last chunk", flag.last
    if (sentinel := protocol.sentinel) is not None:
        how = "ends the stream" if sentinel.required else "may come last"
        yield f"sentinel: {sentinel.data.decode()} {how}", sentinel.grounds


def _because(grounds: Grounds) -> str:
    return f"{grounds.basis}: {grounds.source}"


def _in_words(stage: Stage, protocol: Protocol) -> str:
    after = " and ".join(" or ".join(group) for group in stage.after)
    after_all = " and ".join(" or ".join(group) for group in stage.after_all)
    times = (
        "" if protocol.sampled else _times(stage) + (" for each track" if stage.per_track else "")
    )
    parts = [
        "at any time" if stage.anywhere else times,
        f"event {stage.event.name or 'without a name'}" if stage.event is not None else "",
        f"after {after}" if after else "",
        f"after {after_all} of every track" if after_all else "",
        _ENDS.get(stage.ends or "", ""),
        "bills" if stage.charges else "",
        "takes time" if stage.takes_time else "",
        "reports a failure" if stage.failure else "",
        f"the state {stage.state}" if stage.state else "",
        *(f"milestone {_named(each)}" for each in stage.milestones if each.headline),
    ]
    return ", ".join(part for part in parts if part) or "to begin with"


#: How a stage ends something, in words.
_ENDS = {
    "track": "ends the track",
    "stream": "ends the stream",
    "close": "may be the last: the close ends the stream",
}


def _named(milestone: Milestone) -> str:
    return f"{milestone.name} ({milestone.title})" if milestone.title else milestone.name


def _times(stage: Stage) -> str:
    least, most = stage.times
    if least == most:
        return "once" if least == 1 else f"{least} times"
    if most is None:
        return "any number of times" if least == 0 else f"{least} times or more"
    return "at most once" if (least, most) == (0, 1) else f"{least} to {most} times"


def _mermaid(contract: Contract) -> Iterator[str]:
    yield "---"
    yield f"title: {_quoted(contract.title)}"
    yield "---"
    yield "flowchart TD"
    told = [each for each in contract.endpoints.values() if each.protocol is not None]
    if len(told) < 2:
        for endpoint in told:
            yield from _flow(endpoint, "", "    ")
    else:
        for number, endpoint in enumerate(told):
            yield f"    subgraph g{number}[{_quoted(f'{endpoint.name}: {_place(endpoint)}')}]"
            yield from _flow(endpoint, f"e{number}", "        ")
            yield "    end"


def _flow(endpoint: Endpoint, prefix: str, indent: str) -> Iterator[str]:
    """The stages of one endpoint; `prefix` keeps its nodes apart from those of others."""
    assert endpoint.protocol is not None
    stages = in_order(endpoint.protocol)
    number = {stage.name: f"{prefix}s{place}" for place, stage in enumerate(stages)}
    begin, done = f"{prefix}begin", f"{prefix}done"
    over = "job is over" if endpoint.protocol.sampled else "end of the stream"
    yield f'{indent}{begin}(["request"])'
    yield f'{indent}{done}(["{over}"])'
    for stage in stages:
        lines = [stage.name]
        if not endpoint.protocol.sampled:
            lines.append(_times(stage) + (" a track" if stage.per_track else ""))
        if stage.charges:
            lines.append("bills")
        yield f"{indent}{number[stage.name]}[{_quoted('<br>'.join(lines))}]"
    for stage in stages:
        yield from (f"{indent}{line}" for line in _arrows(stage, number, begin, done))
    failures = [number[stage.name] for stage in stages if stage.failure]
    optional = [number[each.name] for each in stages if not each.times[0] and not each.failure]
    if optional:
        yield f"{indent}classDef optional stroke-dasharray: 4 3"
        yield f"{indent}class {','.join(optional)} optional"
    if failures:
        yield f"{indent}classDef failure stroke:#c42836"
        yield f"{indent}class {','.join(failures)} failure"


def _arrows(stage: Stage, number: dict[str, str], begin: str, done: str) -> Iterator[str]:
    here = number[stage.name]
    if stage.failure or stage.anywhere:
        yield f"{begin} -. any time .-> {here}"
    elif not (stage.after or stage.after_all):
        yield f"{begin} --> {here}"
    for group in stage.after:
        arrow = "-->" if len(group) == 1 else "-.->"
        yield from (f"{number[name]} {arrow} {here}" for name in group if name in number)
    for group in stage.after_all:
        arrow = "-->" if len(group) == 1 else "-.->"
        for name in group:
            if name in number:
                yield f"{number[name]} {arrow}|all tracks| {here}"
    if stage.ends:
        label = {"track": "|all tracks|", "close": "|may close|"}.get(stage.ends, "")
        yield f"{here} -->{label} {done}"


def _quoted(text: str) -> str:
    """A label that Mermaid takes literally, but for its line breaks."""
    return '"' + text.replace('"', "#quot;") + '"'
