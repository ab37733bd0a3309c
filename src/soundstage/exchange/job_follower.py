"""Follows a job: asks for its state until it is over, as often as its contract says, and keeps when
each thing was seen.

What is seen by asking came about between two questions: after the last one that did not show it was
*sent*, and before the first answer that shows it was *complete*. Both ends are kept.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from email.utils import parsedate_to_datetime
from typing import Final

from soundstage.conformance.following import Following
from soundstage.conformance.judge import Judge
from soundstage.conformance.looks_judge import NOT_FOUND
from soundstage.conformance.poll_check import NOT_DONE
from soundstage.contract.protocol import Endpoint
from soundstage.errors import BudgetError
from soundstage.exchange.exchange import Exchange
from soundstage.exchange.filled_paths import UnusableError, filled
from soundstage.exchange.held.tape import Tape
from soundstage.exchange.look import FollowedJob, Look
from soundstage.exchange.requests import own_values
from soundstage.generation.sampler import Unmet
from soundstage.process.memory import PARSED, Claim
from soundstage.saved.transcript import MOST_LOOKS
from soundstage.wire.media_type import content_type_of
from soundstage.wire.response import Response

_SECOND_NS: Final = 1_000_000_000
_CAP: Final = "cap.polls"
#: So many answers in a row that tell nothing of the state (a gateway's, none at all) are borne.
_BORNE: Final = 5
_LATER: Final = (408, 425, 429, 500, 502, 503, 504)
#: A wait that a server asks for is not longer than this, in seconds.
_LONGEST_WAIT_S: Final = 3_600.0
#: An emulator that is faster than its API is not asked more often than this, in seconds.
_LEAST_WAIT_S: Final = 0.01


@dataclass(slots=True)
class Interrupt:
    """Ends the waits of jobs, so that what is in flight can be cut. `halted`: for good; `reason`
    says why, if there is a better one than that somebody wanted it.
    """

    halted: bool = False
    reason: str | None = None
    _waiting: set[threading.Event] = field(default_factory=set)

    def wait(self, seconds: float) -> bool:
        """Wait so long; True if it was interrupted."""
        event = threading.Event()
        self._waiting.add(event)
        try:
            return self.halted or event.wait(seconds)
        finally:
            self._waiting.discard(event)

    def now(self) -> None:
        """End every wait."""
        for event in list(self._waiting):
            event.set()

    def halt(self, reason: str | None = None) -> None:
        """End every wait, and all that begin from now on."""
        self.reason = self.reason or reason
        self.halted = True
        self.now()


#: Sends one GET and gives its response, whose head is there: (url, further headers).
Ask = Callable[[str], tuple[Response, tuple[tuple[str, str], ...]]]


class JobFollower:
    """Follows the generation of one exchange, and tells `following`. `ask` sends a question,
    `base` is the URL that its path is added to, `confirm` how often the last state is looked at
    again; `pay` is called before a question that costs, and raises BudgetError. `second_s`: how
    long a second of the contract's is there (`Target.second_s`).
    """

    def __init__(
        self,
        exchange: Exchange,
        following: Following,
        ask: Ask,
        base: str,
        claim: Claim,
        interrupt: Interrupt,
        *,
        keep_bytes: bool = True,
        keep_chunks: bool = False,
        confirm: int = 0,
        second_s: float = 1.0,
        pay: Callable[[], None] | None = None,
    ) -> None:
        self._exchange = exchange
        self._following = following
        self._job = exchange.job = exchange.job or FollowedJob()
        self._job.following = following
        self._ask = ask
        self._base = base
        self._claim = claim
        self._interrupt = interrupt
        self._keep_bytes, self._keep_chunks = keep_bytes, keep_chunks
        self._confirm = confirm
        self._second_s = following.second_s = second_s
        self._pay = pay
        self._polling = following.polling
        self._status: Endpoint = following.status
        #: When the last question was sent whose answer showed a state.
        self._asked_ns = exchange.started_ns

    def follow(self) -> None:
        """Ask until the job is over, or nobody waits any longer."""
        judge, polling = self._following, self._polling
        try:
            own = own_values(judge.contract, self._status, seed=0)
            path = filled(self._status, {**own, **judge.given} if own else judge.given)
        except (UnusableError, Unmet) as error:
            judge.over(f"job.unusable_id: {error}")
            return None
        url = self._base + path
        accepted_ns = self._exchange.answered_ns or time.monotonic_ns()
        until_ns = accepted_ns + int(polling.until_s * _SECOND_NS)
        wait = usual = polling.every_s
        borne, confirmed = 0, 0
        while True:
            if len(self._job.looks) >= MOST_LOOKS:
                return judge.over(_CAP)
            left = (until_ns - time.monotonic_ns()) / _SECOND_NS
            if left <= 0:
                return judge.over()
            if self._interrupt.wait(min(self._here(wait), left)):
                return judge.over(self._cut())
            if self._pay is not None and polling.billed:
                try:
                    self._pay()
                except BudgetError:
                    return judge.over("budget.spent")
            look = self._look(url)
            asked = retry_after(look.response)
            # A Retry-After counts for the wait that it asks for, not for those after it.
            wait = usual = min(usual * polling.growth, polling.at_most_every_s)
            if asked is not None:
                wait = max(asked, _LEAST_WAIT_S) / (self._second_s or 1.0)
            status = look.response.status
            if look.state is not None:
                borne = 0
                if judge.looks.check.over:
                    if confirmed >= self._confirm:
                        return judge.over()
                    confirmed, wait = confirmed + 1, 0.0
                continue
            if status in NOT_FOUND:
                grace_s = polling.grace_s * self._second_s
                if look.ended_ns - accepted_ns > grace_s * _SECOND_NS:
                    judge.unknown_id(status)
                    return judge.over()
                continue
            borne += 1
            refused = status is not None and 400 <= status < 500 and status not in _LATER
            if self._interrupt.halted or _was_cut(look.response):
                return judge.over(self._cut())
            if refused or borne >= _BORNE:
                return judge.over(judge.looks.reason or _why(look.response))

    def _cut(self) -> str:
        """Why nobody looks any longer, where it is nobody else's doing."""
        return self._interrupt.reason or "harness.cancelled"

    def _here(self, seconds: float) -> float:
        """How long to wait, in real seconds; 0 only where nothing is to be waited for."""
        here = seconds * self._second_s
        return here if here >= _LEAST_WAIT_S or not seconds else min(seconds, _LEAST_WAIT_S)

    def _look(self, url: str) -> Look:
        exchange, one = self._exchange, self._following.look(self._claim)
        response, head = self._ask(url)
        tape = Tape(self._claim)
        with response:
            sent_ns = response.times.start_ns
            if response.status is not None:
                one.head(response.status, content_type_of(response.headers))
                for data, at_ns, _ in response.reads():
                    one.feed(data)
                    if self._keep_bytes:
                        tape.append(at_ns, data, False)
                    if one.capped is not None:
                        break
        ended_ns = time.monotonic_ns()
        one.close(response.end)
        self._following.looks.take(one, may_be_unknown=True)
        look = Look(url, sent_ns, ended_ns, response, tape, head, cut=one.capped)
        self._job.looks.append(look)
        exchange.ended_ns = ended_ns
        self._told(one, look)
        return look

    def _told(self, one: Judge, look: Look) -> None:
        """Keep what a look showed, and when."""
        exchange, seen = self._exchange, one.seen
        if seen is None or seen.stage is None:
            return
        look.state, look.milestones = seen.stage, seen.milestones
        high = (look.ended_ns - exchange.started_ns) / _SECOND_NS
        low = (self._asked_ns - exchange.started_ns) / _SECOND_NS
        for name in seen.milestones:
            exchange.milestones[name] = high
            self._job.milestones_low[name] = low
        self._asked_ns = look.sent_ns
        exchange.stages.see(seen.stage, high)
        if (reached := exchange.call.on_stage) is not None:
            reached(seen.stage, None)
        chunk = seen.chunk
        if chunk is not None:
            if self._keep_chunks and self._claim.take(PARSED * one.body_bytes):
                self._job.states.append((seen.stage, chunk))
            if (heard := exchange.call.on_chunk) is not None:
                heard(chunk)


def _was_cut(response: Response) -> bool:
    return response.end is not None and response.end.kind.value == "cancelled"


def _why(response: Response) -> str:
    """Why a question got no answer that shows a state."""
    end = response.end
    if response.status is None and end is not None:
        return f"{end.fault_of or 'environment'}.{end.kind}"
    if response.status is not None and response.status < 300:
        return NOT_DONE  # it was a good answer, and no state could be read in it
    return f"http.{response.status}"


def retry_after(response: Response) -> float | None:
    """The seconds that a `Retry-After` asks to wait (RFC 9110, section 10.2.3), if there is one."""
    said = response.header("retry-after")
    if said is None:
        return None
    text = said.strip()
    if text.isascii() and text.isdigit() and len(text) < 10:
        return min(float(text), _LONGEST_WAIT_S)
    try:
        moment = parsedate_to_datetime(text)
    except (TypeError, ValueError):
        return None
    return min(max(0.0, moment.timestamp() - time.time()), _LONGEST_WAIT_S)
