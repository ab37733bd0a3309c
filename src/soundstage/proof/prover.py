"""Whether a contract can be kept: step by step from what is read to what a client judges, until one
step finds something wrong.

A step that holds says what it has tried, one that does not where. What cannot hold together is
contradictory; what was not found in so many tries may be there all the same.
"""

from __future__ import annotations

import random
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any, Final, Literal

from soundstage.contract import Contract
from soundstage.contract.protocol import Endpoint
from soundstage.contract.reading.folder import PROTOCOL
from soundstage.errors import ContractDataError, UsageError
from soundstage.generation.faults.catalogue import catalogue, wire_faults
from soundstage.generation.faults.fault import described_results
from soundstage.generation.sampler import TRIES
from soundstage.proof.call_maker import CallMaker
from soundstage.proof.contract_files import ContractFiles
from soundstage.proof.contradictions import ProofPlace, contradictions
from soundstage.proof.fault_trials import ValidFinding, judge_all, judged_result, judged_valid
from soundstage.proof.kill_matrix import KillMatrix
from soundstage.proof.made_up import MadeUpValues
from soundstage.proof.own_emulator import own_session

#: Streams, jobs and results of each endpoint that are walked and judged.
SEEDS: Final = 100
#: Places that one step names.
_SHOWN: Final = 10

Outcome = Literal["held", "contradictory", "not_found"]
#: Told what is being done, for whoever waits.
Waiting = Callable[[str], None]


@dataclass(frozen=True, slots=True)
class ProofStep:
    """What one step found: a line, its figures, and the places where it did not hold."""

    name: str
    outcome: Outcome
    found: str
    figures: Mapping[str, Any] = field(default_factory=dict)
    places: tuple[ProofPlace, ...] = ()

    def to_json(self) -> dict[str, Any]:
        """The step as `--format json` prints it."""
        places = [each._asdict() for each in self.places]
        return {
            "step": self.name,
            "outcome": self.outcome,
            "found": self.found,
            **self.figures,
            "places": places,
        }


class Prover:
    """Proves one contract. `files` are those of its folder, `tries` the draws of a value before it
    is given up; `waiting` is told what takes long.
    """

    def __init__(
        self,
        contract: Contract,
        files: ContractFiles,
        *,
        tries: int = TRIES,
        seeds: int = SEEDS,
        waiting: Waiting = lambda text: None,
    ) -> None:
        self.contract = contract
        self.matrix: KillMatrix | None = None
        self._files = files
        self._tries = tries
        self._seeds = seeds
        self._waiting = waiting
        self._endpoints = list(contract.endpoints.values())

    def steps(self) -> Iterator[ProofStep]:
        """The steps as they are done; none after one that does not hold."""
        parts = (
            self._loaded,
            self._contradictions,
            self._values,
            self._courses,
            self._emulated,
            self._killed,
        )
        for part in parts:
            step = part()
            yield step
            if step.outcome != "held":
                return

    # ------------------------------------------------------------------ the steps

    def _loaded(self) -> ProofStep:
        figures = {
            "endpoints": len(self._endpoints),
            "stages": len(self.contract.stages),
            "rules": len(list(self.contract.rules)),
        }
        said = "endpoints: {endpoints}, stages and states: {stages}, rules: {rules}".format(
            **figures
        )
        return ProofStep("loads", "held", said, figures)

    def _contradictions(self) -> ProofStep:
        found = tuple(contradictions(self.contract, self._files))
        if found:
            return _failed("constraints", "contradictory", found)
        return ProofStep("constraints", "held", "none contradicts another, as far as forms tell")

    def _values(self) -> ProofStep:
        """A request for each endpoint that takes one, a value for each stage, state and answer."""
        values = MadeUpValues(self.contract, self._files, self._tries)
        if wrong := tuple(values.without()):
            return _failed("values", "not_found", wrong)
        figures = {
            "requests": len(values.with_request()),
            "stages": len(self.contract.stages),
            "answers": len(values.with_response()),
        }
        said = "made up and valid: requests {requests}, stages {stages}, answers {answers}"
        return ProofStep("values", "held", said.format(**figures), figures)

    def _courses(self) -> ProofStep:
        """Streams, jobs and results, walked from seeds and judged as a client does."""
        figures: dict[str, int] = {}
        for endpoint in self._endpoints:
            if (judge := self._judge_of(endpoint)) is None:
                continue
            self._waiting(f"{self._seeds} seeds of {endpoint.name}")
            for number in range(self._seeds):
                rng = random.Random(f"prove/{endpoint.name}/{number}")
                try:
                    why = judge(rng, number).why
                except ContractDataError as error:
                    why = str(error)
                if why is not None:
                    place = self._place_of(endpoint, f"seed {number} of {endpoint.name}: {why}")
                    return _failed("courses", "not_found", (place,))
            figures[endpoint.name] = self._seeds
        named = ", ".join(f"{many} of {name}" for name, many in figures.items())
        return ProofStep("courses", "held", f"walked and judged: {named}", {"conform": figures})

    def _emulated(self) -> ProofStep:
        """One exchange with each endpoint of an emulator, over a socket."""
        wrong: list[ProofPlace] = []
        conform: list[str] = []
        with own_session(self.contract) as session:
            calls = CallMaker(self.contract, session.client)
            for endpoint in self._endpoints:
                self._waiting(f"an exchange with {endpoint.name}")
                if why := _why_not(calls, endpoint):
                    wrong.append(self._place_of(endpoint, f"{endpoint.name}: {why}"))
                else:
                    conform.append(endpoint.name)
        if wrong:
            return _failed("emulator", "not_found", tuple(wrong))
        said = f"an exchange with each endpoint conforms: {', '.join(conform)}"
        return ProofStep("emulator", "held", said, {"conform": conform})

    def _killed(self) -> ProofStep:
        faults = [*catalogue(self.contract), *wire_faults(self.contract)]
        many = len(faults)

        def told(done: int) -> None:
            self._waiting(f"{done:,} of {many:,} faults tried")

        self.matrix = judge_all(self.contract, faults, valid=1, told=told)
        tables = self.matrix.errors, self.matrix.warnings
        killed = sum(len(table.of("killed")) for table in tables)
        nowhere = [trial.fault.name for table in tables for trial in table.of("no_place")]
        figures = {"faults": many, "killed": killed, "no_place": nowhere}
        if not self.matrix.clean:
            lives = [
                t for table in tables for t in (*table.of("survived"), *table.of("wrong_code"))
            ]
            wrong = [
                ProofPlace("", "", f"{each.fault.name} {each.outcome.replace('_', ' ')}")
                for each in lives
            ]
            wrong += [ProofPlace("", "", f"false alarm: {each}") for each in self.matrix.alarms]
            return _failed("kill matrix", "not_found", tuple(wrong), figures)
        beside = f"; {len(nowhere)} had no place in an answer" if nowhere else ""
        said = f"{killed:,} of {many - len(nowhere):,} faults are killed{beside}"
        return ProofStep("kill matrix", "held", said, figures)

    # ------------------------------------------------------------------ parts of them

    def _judge_of(self, endpoint: Endpoint) -> Callable[[random.Random, int], ValidFinding] | None:
        """What walks and judges an endpoint's answers; None where nothing describes them."""
        if endpoint.protocol is not None:
            return lambda rng, number: judged_valid(self.contract, endpoint, rng, number)
        if endpoint in described_results(self.contract):
            return lambda rng, number: judged_result(self.contract, endpoint, rng)
        return None

    def _place_of(self, endpoint: Endpoint, reason: str) -> ProofPlace:
        """The entry of an endpoint in `protocol.json`."""
        return ProofPlace(PROTOCOL, f"/endpoints/{self._endpoints.index(endpoint)}", reason)


def _why_not(calls: CallMaker, endpoint: Endpoint) -> str | None:
    """Why an exchange with an endpoint does not conform; None if it does."""
    try:
        exchange = calls.client.exchange(calls.call(endpoint, random.Random(0), confirm=1))
    except UsageError as error:
        return str(error)
    found = ValidFinding(exchange.verdict, exchange.reason, exchange.violations)
    return found.why or (None if exchange.outcome == "ok" else f"it is {exchange.outcome}")


def _failed(
    name: str,
    outcome: Outcome,
    places: tuple[ProofPlace, ...],
    figures: dict[str, Any] | None = None,
) -> ProofStep:
    shown = "; ".join(str(each) if each.file else each.reason for each in places[:_SHOWN])
    more = len(places) - _SHOWN
    beside = f"; and {more} more" if more > 0 else ""
    return ProofStep(name, outcome, shown + beside, figures or {}, places)
