"""What is found out about a generation by asking for its state: of a job, or of a stream whose
reader has gone.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from soundstage.conformance.answers import violation
from soundstage.conformance.fields import shown
from soundstage.conformance.judge import Caps, Judge
from soundstage.conformance.looks_judge import LooksJudge
from soundstage.conformance.violations import Violation
from soundstage.contract import Contract
from soundstage.contract.jobs import Polling
from soundstage.contract.protocol import Endpoint
from soundstage.contract.roles import track_assets
from soundstage.process.memory import Claim

#: A chunk and the name of its stage, None where no stage fits.
Seen = tuple[str | None, Any]


class Following:
    """One generation that `endpoint` has made, looked at through the status endpoint that knows it.
    `given`: what it is asked for by, by name; `violations`: what was found so far; `cut`: why
    nobody looks any longer, where it may have gone on; `charges`: how often it was charged for,
    None where nobody counted; `second_s`: how long a second of the contract's is there.
    """

    def __init__(
        self,
        contract: Contract,
        endpoint: Endpoint,
        given: Mapping[str, str] | None = None,
        *,
        caps: Caps | None = None,
        own_host: str | None = None,
    ) -> None:
        assert endpoint.looked_up_by is not None
        self.contract, self.endpoint = contract, endpoint
        self.status = contract.endpoints[endpoint.looked_up_by.endpoint]
        self.given: Mapping[str, str] = given or {}
        self.looks = LooksJudge(contract, self.status, caps=caps, own_host=own_host)
        self.unknown = False
        self.cut: str | None = None
        self.charges: int | None = None
        self.second_s = 1.0
        self._found: list[Violation] = []

    @property
    def violations(self) -> list[Violation]:
        return [*self._found, *self.looks.violations]

    @property
    def ties(self) -> list[Violation]:
        """What was found of what the two endpoints say of one generation."""
        return list(self._found)

    @property
    def polling(self) -> Polling:
        """How the state is asked for: as the endpoint says, else as a job does that the same status
        endpoint knows.
        """
        told = self.endpoint.poll
        others = (each.poll for each in self.contract.endpoints.values() if each.poll is not None)
        same = (each for each in others if each.endpoint == self.status.name)
        return told or next(same, None) or Polling(self.status.name)

    def look(self, claim: Claim | None = None) -> Judge:
        """A judge for the next look."""
        return self.looks.judge(claim)

    def unknown_id(self, status: int) -> None:
        """The id that was given is not known."""
        self.unknown = True
        self._add(
            "job.unknown_id", "status/known", f"the id that it gave is answered with {status}"
        )

    def over(self, cut: str | None = None) -> None:
        """Nobody looks any more; `cut` says why, where the generation may have gone on."""
        self.cut = cut or self.looks.reason
        self.looks.check.close(cut=self.cut)

    # ------------------------------------------------------------------ beside a stream

    def compare_first(self, state: str | None, seen: Iterable[Seen]) -> None:
        """Hold the first state that was shown against what a stream had told by then."""
        assert self.endpoint.protocol is not None
        states = self.status.protocol
        if state is None or states is None:
            return
        for stage in {name for name, _ in seen if name is not None}:
            told = self.endpoint.protocol.by_name[stage].state
            if told is not None and state != told and state in states.before(told):
                message = f"the state is {state}; the stream had told {stage}, which is {told}"
                self._add("job.behind", "status/not_behind", message)
                return

    def compare_results(self, states: Sequence[Any], seen: Iterable[Seen], *, done: bool) -> None:
        """Hold what states show against what a stream had told: files, and what is to stay the
        same. With `done` the last of them shows all that there is.
        """
        chunks = [chunk for _, chunk in seen]
        for number, value in enumerate(states, start=1):
            whole = done and number == len(states)
            if (found := self._other(value, chunks, whole=whole)) is not None:
                self._add("job.other_result", "result/same", found)
                return

    def _other(self, state: Any, chunks: Sequence[Any], *, whole: bool) -> str | None:
        """How a state differs from what a stream had told; None if it does not. What is not there
        differs only where the state is `whole`.
        """
        here: dict[str, dict[int | str | None, set[str]]] = {}
        for role, track, url in track_assets(self.contract, [state]):
            here.setdefault(role, {}).setdefault(track, set()).add(url)
        for role, track, url in track_assets(self.contract, chunks):
            known = here.get(role)
            if not known:
                continue
            of = f" of track {shown(track)}" if track is not None else ""
            # A file whose track one of them leaves unsaid may be that of any.
            anywhere = track is None or (track not in known and None in known)
            alike = set().union(*known.values()) if anywhere else known.get(track, set())
            if alike:
                if url not in alike:
                    return f"{role}{of} is {shown(min(alike))}; the stream had told {shown(url)}"
            elif whole:
                return f"{role}{of} is missing; the stream had told {shown(url)}"
        protocol = self.endpoint.protocol
        for constant in protocol.constant if protocol is not None else ():
            mine = constant.field.of(state)
            told = (constant.field.of(chunk) for chunk in chunks)
            for each in told:
                if None not in (mine, each) and mine != each:
                    return f"{constant.field} is {shown(mine)}; the stream had told {shown(each)}"
        return None

    def charged(self, times: int) -> None:
        """The generation was charged for so many times."""
        self.charges = times
        if times > 1:
            message = f"one generation was charged for {times} times"
            self._add("job.charged_twice", "charged/once", message)

    def _add(self, code: str, rule: str, message: str) -> None:
        name = f"{self.endpoint.name}/{rule}"
        self._found.append(violation(self.contract, code, name, message))
