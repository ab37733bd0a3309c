"""What `--traffic API[.ENDPOINT][=WEIGHT]` says: parts of the mixture.

The name of an API may hold dots, and so may that of an endpoint: where the one ends and the other
begins is for the contracts to say.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Final

from soundstage.contract import available, load, load_sound
from soundstage.errors import ContractDataError, UsageError
from soundstage.loadtests.schedule.scenario import STREAM, Part, makes_songs
from soundstage.near_names import did_you_mean

#: No part gets more requests than this for one of another.
_HEAVIEST: Final = 1000.0


def parts_of(texts: Iterable[str]) -> list[Part]:
    """The parts that these words of the option name.

    Raises UsageError for one that is not understood, that no contract has, or that may mean
    several; ContractDataError where the contract that it means is broken.
    """
    return [_part(text) for text in texts]


def _part(text: str) -> Part:
    place, _, weight = text.partition("=")
    try:
        share = float(weight or 1)
    except ValueError:
        share = 0.0
    if not place.partition(".")[0] or not 0 < share <= _HEAVIEST:
        raise UsageError(f"--traffic {text!r}: expected API[.ENDPOINT][=WEIGHT], v6.stream=3")
    readings, broken = _readings(place)
    if len(readings) > 1:
        either = " or ".join(f"{endpoint!r} of {api}" for api, endpoint in readings)
        raise UsageError(
            f"--traffic {text!r}: may mean the endpoint {either}: say --api and --endpoint, "
            "which name them apart"
        )
    if readings:
        return Part(*readings[0], share)
    if broken is not None:
        raise broken
    raise UsageError(f"--traffic {text!r}: {_unknown(place)}")


def _readings(place: str) -> tuple[list[tuple[str, str]], ContractDataError | None]:
    """Every (api, endpoint) that the words may mean; and why a contract that they may mean could
    not be asked.
    """
    found, broken = [], None
    for api in available():
        if place == api:
            found.append((api, STREAM))
        elif place.startswith(f"{api}."):
            endpoint = place.removeprefix(f"{api}.")
            try:
                if makes_songs(load(api), endpoint) is not None:
                    found.append((api, endpoint))
            except ContractDataError as error:
                broken = error
    return found, broken


def _unknown(place: str) -> str:
    """Why the words mean nothing, and what may have been meant."""
    sound, _ = load_sound()
    named = {api: [e.name for e in sound[api].endpoints.values() if e.request] for api in sound}
    api = max((each for each in named if place.startswith(f"{each}.")), key=len, default=None)
    if api is None:
        why = f"there is no API of that name; there are {', '.join(named)}"
    else:
        endpoint = place.removeprefix(f"{api}.")
        makers = ", ".join(named[api]) or "none"
        why = f"{api} has no endpoint {endpoint!r} that makes songs; there are {makers}"
    places = [name for api in named for name in (api, *(f"{api}.{e}" for e in named[api]))]
    return f"{why}{did_you_mean(place, places)}"
