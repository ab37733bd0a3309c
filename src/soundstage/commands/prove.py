"""`soundstage schema --prove`: whether a contract can be kept, and what it leaves unsaid."""

from __future__ import annotations

import argparse
import os
from collections.abc import Iterator
from dataclasses import dataclass, field
from importlib.resources.abc import Traversable
from pathlib import Path
from typing import Any, Final, TextIO

from soundstage.contract import available, load
from soundstage.contract.contract import folder_of
from soundstage.contract.reading.folder import PROTOCOL, is_there, versions, why_none
from soundstage.errors import ContractDataError, UsageError
from soundstage.exit_codes import ExitCode, worst
from soundstage.output.streams import json_line, say
from soundstage.output.visible import own
from soundstage.proof.contract_files import ContractFiles
from soundstage.proof.prover import Outcome, ProofStep, Prover
from soundstage.proof.unsaid import Unsaid, unsaid

#: To the beginning of the line.
_BACK: Final = own("\r")
#: The answer, by what the last step found; and the exit code of each.
_ANSWERS: Final[dict[Outcome, tuple[str, ExitCode]]] = {
    "held": ("proved", ExitCode.PASS),
    "contradictory": ("contradictory", ExitCode.BROKEN),
    "not_found": ("not_proved", ExitCode.INCONCLUSIVE),
}


@dataclass(slots=True)
class Proof:
    """What is known of one contract. `refused`: it cannot even be read, and why."""

    api: str
    steps: list[ProofStep] = field(default_factory=list)
    unsaid: list[Unsaid] = field(default_factory=list)
    refused: str | None = None

    @property
    def outcome(self) -> Outcome:
        return "contradictory" if self.refused is not None else self.steps[-1].outcome

    @property
    def code(self) -> ExitCode:
        return _ANSWERS[self.outcome][1]

    def to_json(self) -> dict[str, Any]:
        """The proof as `--format json` prints it."""
        return {
            "api": self.api,
            "answer": _ANSWERS[self.outcome][0],
            "refused": self.refused,
            "steps": [each.to_json() for each in self.steps],
            "unsaid": [{**each._asdict(), "of": list(each.of)} for each in self.unsaid],
        }


def run(args: argparse.Namespace, stdout: TextIO, stderr: TextIO) -> int:
    """Prove contracts and say what came of it: the worst exit code of all."""
    codes = []
    for api, root in _contracts(args):
        as_text = args.format in (None, "text")
        proof = proved(api, root, args.tries, StepsSaid(stdout if as_text else None, stderr))
        if as_text:
            _conclude(proof, args.tries, stdout)
        else:
            say(json_line(proof.to_json(), stdout), stdout)
        stdout.flush()
        codes.append(proof.code)
    return worst(codes)


def _contracts(args: argparse.Namespace) -> Iterator[tuple[str, Traversable | None]]:
    """The contracts that are meant: (name, the folder that it lies in; None: where it is found)."""
    if args.prove:
        place = Path(args.prove)
        one = place.is_dir() and is_there(place / PROTOCOL)
        # Absolute, or "." would have no name.
        root = Path(os.path.abspath(place)).parent if one else place
        there = [Path(os.path.abspath(place)).name] if one else sorted(_versions(place))
        if not there:
            raise UsageError(f"--prove {why_none(place)}")
        for api in args.api or there:
            if api not in there:
                raise UsageError(f"--prove {place}: there is no {api!r}, only {', '.join(there)}")
            yield api, root
        return
    for api in dict.fromkeys(args.api or available()):
        yield api, None


def _versions(place: Path) -> list[str]:
    return versions(place) if place.is_dir() else []


class StepsSaid:
    """Says each step when it is done, and, on a terminal, what takes long."""

    def __init__(self, stdout: TextIO | None, stderr: TextIO) -> None:
        self._stdout, self._stderr = stdout, stderr
        self._waited = 0

    def waiting(self, text: str) -> None:
        """Show what is being done, over what was shown before."""
        if self._stderr.isatty():
            line = text.ljust(self._waited)
            self._waited = len(text)
            self._stderr.write(f"{_BACK}{line}")
            self._stderr.flush()

    def step(self, api: str, step: ProofStep) -> None:
        """Say what a step has found."""
        self.over()
        if self._stdout is None:
            return
        if step.outcome == "held":
            say(f"{api}: {step.name}: {step.found}", self._stdout)
        else:
            say(f"{api}: {step.name}: {step.outcome.replace('_', ' ')}", self._stdout)
            for each in step.places:
                say(f"    {each if each.file else each.reason}", self._stdout)
        self._stdout.flush()

    def over(self) -> None:
        """Take away what was shown of what takes long."""
        if self._waited:
            self._stderr.write(f"{_BACK}{'':<{self._waited}}{_BACK}")
            self._stderr.flush()
            self._waited = 0


def proved(api: str, root: Traversable | None, tries: int, said: StepsSaid) -> Proof:
    """Prove one contract; `root` is the folder that it lies in, None for where it is found."""
    proof = Proof(api)
    try:
        contract = load(api, root)
    except ContractDataError as error:
        proof.refused = str(error)
        return proof
    folder = folder_of(api) if root is None else root.joinpath(api)
    files = ContractFiles.of(folder)
    prover = Prover(contract, files, tries=tries, waiting=said.waiting)
    for step in prover.steps():
        proof.steps.append(step)
        said.step(api, step)
    if proof.outcome == "held":
        proof.unsaid = list(unsaid(contract, files))
    return proof


def _conclude(proof: Proof, tries: int, stdout: TextIO) -> None:
    """Say the answer, and what is left unsaid."""
    if proof.refused is not None:
        say(f"{proof.api}: contradictory: {proof.refused}", stdout)
        return
    for each in proof.unsaid:
        say(f"{proof.api}: unsaid: {each}", stdout)
    answer = _ANSWERS[proof.outcome][0]
    if proof.outcome == "not_found":
        answer = f"not proved within {tries:,} tries"
    say(f"{proof.api}: {answer}", stdout)
