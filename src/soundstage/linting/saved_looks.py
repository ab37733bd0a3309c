"""Holds the saved looks at what an exchange made against the contract, as `exchange/job_follower`
does while it looks.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator
from typing import Any, Final

from soundstage.conformance.following import Seen
from soundstage.conformance.job_judge import JobJudge
from soundstage.conformance.judge import Judge
from soundstage.conformance.looks_judge import NOT_FOUND, LooksJudge
from soundstage.contract.protocol import Endpoint
from soundstage.linting.watched_judges import LeftJudge, StatesJudge
from soundstage.saved.transcript import Transcript

#: Why looks that break off are not judged whole.
INCOMPLETE: Final = "transcript.incomplete"
#: Reads one saved answer into its judge, and closes it.
Feed = Callable[[Judge, Transcript], None]


def judge_class(endpoint: Endpoint, exchange: Transcript) -> type[Judge]:
    """Which judge an answer of an endpoint needs, with what is saved of it."""
    if not exchange.followed:
        return Judge
    if endpoint.sampled:
        return StatesJudge
    if endpoint.looked_up_by is None:
        return Judge
    return JobJudge if endpoint.kind == "job" else LeftJudge


def judge_looks(
    judge: Judge, exchange: Transcript, chunks: Collection[Seen], feed: Feed
) -> list[Seen]:
    """Hold the looks of an exchange against what its own answer, which `judge` has seen, promised.
    `chunks` are those of a stream. Gives the states that were seen, each with its answer.
    """
    if isinstance(judge, StatesJudge):
        seen = [state for _, state in _states(judge.looks, exchange, feed) if state is not None]
        judge.looks.check.close(cut=_over(exchange).get("cut") or judge.looks.reason)
        return seen
    if not isinstance(judge, JobJudge | LeftJudge):
        return []
    following = judge.following
    if isinstance(judge, JobJudge) and not judge.accepted(exchange.answer_header):
        return []
    over = _over(exchange)
    grace_s = following.polling.grace_s * over.get("second", 1.0)
    seen = []
    for look, state in _states(following.looks, exchange, feed):
        if state is not None:
            if not seen and isinstance(judge, LeftJudge) and _came_after(look, exchange):
                following.compare_first(state[0], chunks)
            seen.append(state)
        elif not following.unknown and _is_not_found(look, exchange, grace_s):
            following.unknown_id(_status(look) or 0)
    if isinstance(judge, LeftJudge):
        done = following.looks.check.done
        following.compare_results([state for _, state in seen], chunks, done=done)
    following.over(over.get("cut"))
    if over.get("charged") is not None:
        following.charged(over["charged"])
    return seen


def _states(
    looks: LooksJudge, exchange: Transcript, feed: Feed
) -> Iterator[tuple[Transcript, Seen | None]]:
    """Each look with the state that it shows, None where it shows none."""
    for look in exchange.looks:
        one = looks.judge()
        feed(one, look)
        looks.take(one, may_be_unknown=True)
        shown = one.seen
        state = None if shown is None or shown.stage is None else (shown.stage, shown.chunk)
        yield look, state


def _over(exchange: Transcript) -> dict[str, Any]:
    """Why nobody looked any longer, as far as it was saved."""
    return {"cut": INCOMPLETE} if exchange.over is None else exchange.over


def _status(look: Transcript) -> int | None:
    status = (look.header.get("response") or {}).get("status")
    return status if isinstance(status, int) else None


def _answered(exchange: Transcript) -> float | None:
    """When the exchange's own answer had ended, in seconds since it began; None if nobody knows."""
    at = (exchange.end or {}).get("t")
    return None if at is None else float(at)


def _came_after(look: Transcript, exchange: Transcript) -> bool:
    """Whether a look was sent when the exchange's own answer had ended."""
    sent, answered = look.header.get("t"), _answered(exchange)
    return sent is not None and answered is not None and sent >= answered


def _is_not_found(look: Transcript, exchange: Transcript, grace_s: float) -> bool:
    """Whether a look was told that there is no such id though it must be known by its end."""
    if _status(look) not in NOT_FOUND:
        return False
    ended, answered = _answered(look), _answered(exchange)
    if not grace_s or ended is None or answered is None:
        return not grace_s
    return ended - answered > grace_s
