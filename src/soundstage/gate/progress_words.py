"""The progress of a gate in words: for a line in a log, and for the rows of a picture."""

from __future__ import annotations

from soundstage.exchange.budget import Budget
from soundstage.exchange.exchange import EXPLORED
from soundstage.gate.progress import ExchangeUnderWay, Progress
from soundstage.output.cutting import head

#: What takes less time than this, in seconds, is gone before anybody has read it.
WORTH_READING_S = 1.0
#: So many of the exchanges under way stand in one line.
_IN_A_LINE = 4
#: A track is named by the API; this much of its name is shown.
_LONGEST_TRACK = 20
#: What an exchange is for, where it is not the one that an endpoint is captured by.
_PURPOSES = {
    EXPLORED: "made up",
    "errors": "asking for an error",
    "refusals": "to be refused",
    "ties": "left, and asked for",
}


def line(progress: Progress) -> str:
    """All of it in one line."""
    under_way = progress.under_way(WORTH_READING_S)
    songs = [f"{place(one)}: {far(progress, one)}" for one in under_way[:_IN_A_LINE]]
    if (more := len(under_way) - _IN_A_LINE) > 0:
        songs.append(f"and {more} more")
    said = [f"{progress.elapsed_s:.0f} s", *rules(progress), *counts(progress), *songs]
    return " · ".join([*said, *time_left(progress)])


def rules(progress: Progress) -> list[str]:
    """How many rules are decided, of how many, and how many of them are broken."""
    if progress.rules is None:
        return []
    said = f"{progress.decided:,} of {progress.rules:,} rules decided"
    return [said, *([f"{progress.broken:,} broken"] if progress.broken else [])]


def counts(progress: Progress) -> list[str]:
    """How much was sent, what is known to follow, and what was spent."""
    many = progress.ended.total()
    said = [f"{many:,} {'exchange' if many == 1 else 'exchanges'}"]
    if (to_come := progress.to_come) > 0:
        said.append(f"{to_come:,} more known to come")
    said += _spent("budget", progress.budget)
    return said + _spent("exploration", progress.exploring)


def _spent(name: str, budget: Budget | None) -> list[str]:
    if budget is None or budget.limit is None:
        return []
    return [f"{name} {budget.spent:,} of {budget.limit:,} spent"]


def time_left(progress: Progress) -> list[str]:
    """How much of the time for all that is sent is left."""
    left = None if progress.patience is None else progress.patience.left_s()
    if left is None or progress.patience is None:
        return []
    return [f"{_clock(left)} left of {progress.patience.option}"]


def place(one: ExchangeUnderWay) -> str:
    """Which endpoint an exchange asks, and what for."""
    name = f"{one.call.contract.api} {one.call.endpoint.name}"
    purpose = _PURPOSES.get(one.call.scenario)
    return name if purpose is None else f"{name} ({purpose})"


def far(progress: Progress, one: ExchangeUnderWay) -> str:
    """How far an exchange is, and for how long it has been under way."""
    return f"{stage(one)}, {progress.clock() - one.begun_s:.0f} s"


def stage(one: ExchangeUnderWay) -> str:
    """The stage that an exchange has reached."""
    if one.stage is None:
        return "waits for its answer"
    if one.track is None:
        return one.stage
    return f"{one.stage} (track {head(str(one.track), _LONGEST_TRACK)})"


def _clock(seconds: float) -> str:
    minutes, rest = divmod(int(seconds), 60)
    return f"{minutes}:{rest:02d} min" if minutes else f"{rest} s"
