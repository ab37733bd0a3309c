"""Whether there is an answer to be had at all of a contract that was added: one request, one
stream, one job and one result of each endpoint, made up and judged, before anything is sent.

Cheap, and no proof (`prover.py`): it keeps a run from blaming a target for a contract that nobody
could keep.
"""

from __future__ import annotations

import random
from collections.abc import Iterable
from functools import cache
from pathlib import Path

from soundstage.contract import Contract, load, load_sound
from soundstage.contract.contract import folder_of, is_added
from soundstage.contract.protocol import Endpoint
from soundstage.contract.reading.folder import PROTOCOL
from soundstage.errors import ContractDataError
from soundstage.generation.faults.fault import described_results
from soundstage.proof.contract_files import ContractFiles
from soundstage.proof.contradictions import ProofPlace, contradictions
from soundstage.proof.fault_trials import judged_result, judged_valid
from soundstage.proof.made_up import MadeUpValues

#: Courses of an endpoint that are walked until one conforms.
_WALKED = 3


def refuse_unkept(apis: Iterable[str]) -> None:
    """Raises ContractDataError for a version of which no conforming answer is found, of those that
    were added to the ones that come with Soundstage; and where it is not understood.
    """
    for api in dict.fromkeys(apis):
        if is_added(api) and (why := unkept(api)) is not None:
            raise ContractDataError(why)


def unkept_apis() -> frozenset[str]:
    """The versions that were added and of which no conforming answer is found: an emulator that is
    asked for others does without them.
    """
    return frozenset(api for api in load_sound()[0] if is_added(api) and unkept(api) is not None)


def unkept(api: str) -> str | None:
    """Why no conforming answer is found of a version's contract; None if there is one.

    Raises ContractDataError for a contract that is not understood.
    """
    return _unkept(load(api), str(folder_of(api)))


@cache
def _unkept(contract: Contract, folder: str) -> str | None:
    place = _first_wrong(contract, ContractFiles.of(Path(folder)))
    if place is None:
        return None
    return f"{folder}/{place}; `soundstage schema --prove {folder}` says more"


def _first_wrong(contract: Contract, files: ContractFiles) -> ProofPlace | None:
    """The first place of a contract that cannot be met, or was not."""
    if (found := next(contradictions(contract, files), None)) is not None:
        return found
    if (found := next(MadeUpValues(contract, files).without(), None)) is not None:
        return found
    results = list(described_results(contract))
    for number, endpoint in enumerate(contract.endpoints.values()):
        at = f"/endpoints/{number}"
        rng = random.Random(0)
        why = None
        try:
            if endpoint in results:
                why = judged_result(contract, endpoint, rng).why
            elif endpoint.protocol is not None:
                why = _why_none_conforms(contract, endpoint, rng)
        except ContractDataError as error:
            why = str(error)
        if why is not None:
            said_of = f"no conforming answer of {endpoint.name} is found: {why}"
            return ProofPlace(PROTOCOL, at, said_of)
    return None


def _why_none_conforms(contract: Contract, endpoint: Endpoint, rng: random.Random) -> str | None:
    """What is wrong with the last of a few streams or jobs; None as soon as one conforms."""
    why = None
    for number in range(_WALKED):
        why = judged_valid(contract, endpoint, rng, number).why
        if why is None:
            return None
    return why
