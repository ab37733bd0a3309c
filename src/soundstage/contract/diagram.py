"""The protocol of a contract for people: a listing as text, and a diagram for Mermaid.

Drawn from the data that the engine reads, so that neither can say anything else.
"""

from __future__ import annotations

import textwrap
from collections.abc import Iterator

from soundstage.contract.contract import Contract
from soundstage.contract.protocol import Grounds, Stage
from soundstage.output import visible

_WIDTH = 100
_FRAMINGS = {"sse": "Server-Sent Events", "lines": "JSON lines"}


def in_order(contract: Contract) -> list[Stage]:
    """The stages as they come: each below those that must come before it, failures last."""
    stages = contract.protocol.stages
    depth = {stage.name: 1 for stage in stages}
    # The longest way to each; as many rounds as a way can be long, since some go in circles.
    for _ in stages:
        depth = {
            stage.name: 1 + max((depth[name] for group in stage.after for name in group), default=0)
            for stage in stages
        }
    return sorted(stages, key=lambda stage: (stage.failure, depth[stage.name]))


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
    protocol = contract.protocol
    yield f"{contract.title} [{contract.api}] at {contract.base_url}"
    yield f"contract sha256 {contract.sha256}"
    yield from ("", "endpoints")
    for endpoint in contract.endpoints.values():
        framings = " or ".join(_FRAMINGS[each] for each in endpoint.framings)
        said = ", ".join(each for each in (framings, "billed" if endpoint.billed else "") if each)
        line = f"  {endpoint.name:<8} {endpoint.method:<4} {endpoint.path}"
        yield f"{line}  ({said})" if said else line
    yield from ("", "stages, in the order in which they come")
    names = max(len(stage.name) for stage in protocol.stages)
    for stage in in_order(contract):
        yield f"  {stage.name:<{names}}  {_in_words(stage)}"
        yield f"  {'':<{names}}  {_because(stage.grounds)}"
    yield from ("", "across chunks")
    for text, grounds in _across(contract):
        yield f"  {text}"
        yield f"      {_because(grounds)}"
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


def _across(contract: Contract) -> Iterator[tuple[str, Grounds]]:
    protocol = contract.protocol
    if (tracks := protocol.tracks) is not None:
        yield f"tracks: {tracks.field} is {', '.join(map(str, tracks.values))}", tracks.grounds
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


def _because(grounds: Grounds) -> str:
    return f"{grounds.basis}: {grounds.source}"


def _in_words(stage: Stage) -> str:
    after = " and ".join(" or ".join(group) for group in stage.after)
    parts = [
        _times(stage) + (" for each track" if stage.per_track else ""),
        f"after {after}" if after else "",
        f"ends the {stage.ends}" if stage.ends else "",
        "bills" if stage.charges else "",
        "reports a failure" if stage.failure else "",
    ]
    return ", ".join(part for part in parts if part)


def _times(stage: Stage) -> str:
    least, most = stage.times
    if least == most:
        return "once" if least == 1 else f"{least} times"
    if most is None:
        return "any number of times" if least == 0 else f"{least} times or more"
    return "at most once" if (least, most) == (0, 1) else f"{least} to {most} times"


def _mermaid(contract: Contract) -> Iterator[str]:
    stages = in_order(contract)
    number = {stage.name: f"s{place}" for place, stage in enumerate(stages)}
    yield "---"
    yield f"title: {_quoted(contract.title)}"
    yield "---"
    yield "flowchart TD"
    yield '    begin(["request"])'
    yield '    done(["end of the stream"])'
    for stage in stages:
        lines = [stage.name, _times(stage) + (" a track" if stage.per_track else "")]
        if stage.charges:
            lines.append("bills")
        yield f"    {number[stage.name]}[{_quoted('<br>'.join(lines))}]"
    for stage in stages:
        here = number[stage.name]
        if stage.failure:
            yield f"    begin -. any time .-> {here}"
        elif not stage.after:
            yield f"    begin --> {here}"
        for group in stage.after:
            arrow = "-->" if len(group) == 1 else "-.->"
            for name in group:
                yield f"    {number[name]} {arrow} {here}"
        if stage.ends:
            label = "|all tracks|" if stage.ends == "track" else ""
            yield f"    {here} -->{label} done"
    failures = [number[stage.name] for stage in stages if stage.failure]
    optional = [number[each.name] for each in stages if not each.times[0] and not each.failure]
    if optional:
        yield "    classDef optional stroke-dasharray: 4 3"
        yield f"    class {','.join(optional)} optional"
    if failures:
        yield "    classDef failure stroke:#c42836"
        yield f"    class {','.join(failures)} failure"


def _quoted(text: str) -> str:
    """A label that Mermaid takes literally, but for its line breaks."""
    return '"' + text.replace('"', "#quot;") + '"'
