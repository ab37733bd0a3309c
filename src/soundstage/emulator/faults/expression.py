"""How a fault is asked for: its name, and where, how likely and how often it strikes.

    NAME [=SECONDS] [@STAGE] [#TRACK] [:PROBABILITY] [*COUNT]

in this order and without blanks: `wire/stall=3@running#2:0.5*10`. A request may ask for several, in
a header, with commas between them.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Final

from soundstage.contract import Contract
from soundstage.errors import UsageError
from soundstage.generation.faults.catalogue import Chunks, Fault, by_name, near
from soundstage.generation.walk import Step
from soundstage.near_names import asked_back, did_you_mean
from soundstage.output.cutting import head

_TEXT: Final = re.compile(
    r"(?P<name>[A-Za-z0-9_./*-]+?)"
    r"(?:=(?P<seconds>[^@#:*]*))?(?:@(?P<stage>[^#:*]*))?(?:#(?P<track>[^:*]*))?"
    r"(?::(?P<probability>[^*]*))?(?:\*(?P<count>[0-9]+))?"
)
GRAMMAR: Final = "NAME[=SECONDS][@STAGE][#TRACK][:PROBABILITY][*COUNT]"
#: The header of a request that asks for faults in its own answer.
FAULT_HEADER: Final = b"soundstage-fault"
#: The longest that a fault may be asked to wait.
_LONGEST_S: Final = 86_400.0
_LONGEST_TEXT: Final = 300
_NAMED_AT_MOST: Final = 8


@dataclass(frozen=True, slots=True)
class FaultExpression:
    """A fault that was asked for. `stage` and `track` (as text) are where it must strike, None for
    anywhere; `probability` (0 to 1) how likely an answer gets it; `count` how many answers get it
    at most, None for any number; `seconds` its setting, None for what is usual.
    """

    text: str
    name: str
    seconds: float | None = None
    stage: str | None = None
    track: str | None = None
    probability: float = 1.0
    count: int | None = None

    @property
    def somewhere(self) -> bool:
        """Whether it was asked for at a place."""
        return self.stage is not None or self.track is not None

    def at(self, step: Step) -> bool:
        """Whether that chunk is where it was asked for."""
        return self.stage in (None, step.stage) and self.track in (None, str(step.track))

    def there(self, chunks: Chunks) -> bool:
        """Whether any chunk is where it was asked for."""
        return any(self.at(step) for step, _ in chunks)

    def places(self, chunks: Chunks, frames: int) -> Sequence[int]:
        """The numbers of the frames where it may strike."""
        if not self.somewhere:
            return range(frames)
        return [number for number, (step, _) in enumerate(chunks[:frames]) if self.at(step)]


def parse(text: str) -> FaultExpression:
    """What a text asks for; raises UsageError for one that does not follow the grammar."""
    match = _TEXT.fullmatch(text) if len(text) <= _LONGEST_TEXT else None
    if match is None:
        raise UsageError(f"the fault {shown(text)!r} is not written as {GRAMMAR}")
    seconds = _number(text, "seconds", match["seconds"], _LONGEST_S)
    likely = _number(text, "probability", match["probability"], 1.0)
    for part in ("stage", "track"):
        if match[part] == "":
            raise UsageError(f"the fault {shown(text)}: the {part} is missing")
    return FaultExpression(
        text,
        match["name"],
        seconds,
        match["stage"],
        match["track"],
        1.0 if likely is None else likely,
        None if match["count"] is None else int(match["count"][:9]),
    )


def _number(text: str, what: str, number: str | None, most: float) -> float | None:
    if number is None:
        return None
    try:
        value = float(number)
    except ValueError:
        value = -1.0
    if not 0.0 <= value <= most:
        raise UsageError(f"the fault {shown(text)}: the {what} must be from 0 to {most:g}")
    return value


def misfit(asked: FaultExpression, contract: Contract) -> str | None:
    """Why a contract cannot have what was asked for; None if it can, "" if it has no such fault."""
    fault = by_name(contract).get(asked.name)
    if fault is None:
        return ""
    if asked.seconds is not None and fault.setting is None:
        return f"{fault.name} has nothing that takes seconds: leave ={asked.seconds:g} out"
    if asked.somewhere and not takes_place(fault):
        return f"{fault.name} concerns the whole answer: it has no stage and no track"
    own = contract.endpoints.get(fault.of)
    protocol = own.protocol if own is not None and own.protocol else contract.protocol
    if asked.stage is not None and asked.stage not in protocol.by_name:
        known = ", ".join(protocol.by_name) + did_you_mean(asked.stage, protocol.by_name)
        return f"{contract.api} has no stage {shown(asked.stage)!r}: there are {known}"
    tracks = [str(value) for value in protocol.tracks.values] if protocol.tracks else []
    counted = protocol.tracks is not None and not protocol.tracks.fixed
    if asked.track is not None and asked.track not in tracks and not counted:
        there = f"there are {', '.join(tracks)}" if tracks else "it has none"
        return f"{contract.api} has no track {shown(asked.track)!r}: {there}"
    return None


def takes_place(fault: Fault) -> bool:
    """Whether a fault strikes at one chunk of a stream, so that one may be named."""
    if fault.level == "wire":
        return fault.placed
    return fault.kind == "stream" and fault.level in ("payloads", "bytes")


def checked(texts: Iterable[str], contracts: Sequence[Contract]) -> tuple[FaultExpression, ...]:
    """What texts ask for. Raises UsageError for one that none of the contracts can have."""
    asked = tuple(parse(text) for text in texts)
    for each in asked:
        wrong = [misfit(each, contract) for contract in contracts]
        if None not in wrong:
            reason = next(filter(None, wrong), None)
            if reason is None:
                raise UsageError(unknown(each.name, contracts))
            raise UsageError(f"the fault {shown(each.text)}: {reason}")
    return asked


def unknown(name: str, contracts: Sequence[Contract]) -> str:
    """What to say about a fault that no contract has."""
    more = asked_back(near(name, list(contracts)))
    return f"no fault is called {shown(name)!r}{more} (`soundstage faults --list` names all)"


def shown(text: str) -> str:
    """A text that somebody sent, short enough to be repeated."""
    return head(text, _LONGEST_TEXT)


# --- in the header of a request -------------------------------------------------------------------


def named_in(
    contract: Contract, text: str, contracts: Sequence[Contract]
) -> tuple[FaultExpression, ...] | str:
    """The faults of a request's header, parted by commas; or what is wrong with the header."""
    asked = listed(text)
    for each in () if isinstance(asked, str) else asked:
        if (wrong := misfit(each, contract)) is not None:
            return wrong or unknown(each.name, [contract, *contracts])
    return asked


def listed(text: str) -> tuple[FaultExpression, ...] | str:
    """What a list of texts asks for, or what is wrong with it, whatever faults there are."""
    parts = [part.strip() for part in text.split(",") if part.strip()]
    if not 0 < len(parts) <= _NAMED_AT_MOST:
        return f"name one fault, or up to {_NAMED_AT_MOST} with commas between them"
    try:
        return tuple(parse(part) for part in parts)
    except UsageError as error:
        return str(error)
