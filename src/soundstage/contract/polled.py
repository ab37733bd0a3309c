"""Finds out which of some requests belong together: those that looked at one generation, and the
one that made it.

It judges nothing, and stands here because what serves recorded answers again needs it as well.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from urllib.parse import urlsplit

from soundstage.contract.contract import Contract
from soundstage.contract.paths import filled_values
from soundstage.contract.placeholders import filled_in
from soundstage.contract.protocol import Endpoint
from soundstage.wire.url import origin_of


@dataclass(frozen=True, slots=True)
class SentRequest:
    """A request to an endpoint. `given`: what its answer gave, by name (`given_values.py`)."""

    contract: Contract
    endpoint: Endpoint
    url: str
    given: Mapping[str, str] = field(default_factory=dict)


@dataclass(slots=True)
class PolledJob:
    """Requests by their numbers: `first` made the generation (None if that is not known), `looks`
    asked for its state, in order.
    """

    first: int | None = None
    looks: list[int] = field(default_factory=list)

    @property
    def number(self) -> int:
        """The number of its first request."""
        return self.looks[0] if self.first is None else self.first


def polled_jobs(requests: Sequence[SentRequest]) -> list[PolledJob]:
    """The requests, each once, put together where they are of one generation; in the order of the
    first request of each. Looks are of one generation if they went to the same place with the same
    values in path and query; the request before them that gave these values made it.
    """
    jobs: list[PolledJob] = []
    looked: dict[tuple[object, ...], PolledJob] = {}
    made: dict[tuple[object, ...], PolledJob] = {}
    for number, request in enumerate(requests):
        endpoint = request.endpoint
        if not endpoint.sampled:
            job = PolledJob(number)
            jobs.append(job)
            if endpoint.looked_up_by is not None and request.given:
                status = request.contract.endpoints[endpoint.looked_up_by.endpoint]
                names = filled_in(status.path, dict(status.query))
                asked_by = {name: request.given[name] for name in names if name in request.given}
                key = _key(request.contract, status, request.url, asked_by or request.given)
                made[key] = job
                looked.pop(key, None)  # an id that is given again is another generation's
            continue
        values = _values(request)
        key = _key(request.contract, endpoint, request.url, values)
        found = looked.get(key) or made.get(key)
        if values is None or found is None:
            found = PolledJob()
            jobs.append(found)
        found.looks.append(number)
        if values is not None:
            looked[key] = found
    return jobs


def _values(request: SentRequest) -> Mapping[str, str] | None:
    try:
        parts = urlsplit(request.url)
    except ValueError:
        return None
    return filled_values(request.endpoint, parts.path, parts.query)


def _key(
    contract: Contract, status: Endpoint, url: str, values: Mapping[str, str] | None
) -> tuple[object, ...]:
    """Which generation is asked for: where, and by which values. What is one value of one name is
    meant whatever the name, as `filled_paths` has it.
    """
    origin = origin_of(url) or url
    told = {name: each for name, each in (values or {}).items() if name not in status.parameters}
    by = tuple(told.values()) if len(told) == 1 else tuple(sorted(told.items()))
    return (contract.api, status.name, origin, by)
