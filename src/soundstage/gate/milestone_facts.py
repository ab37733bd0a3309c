"""What run.json says of the milestones of a contract: which an endpoint promises, which of them are
its headline, and what they are called. A report needs no more, wherever it is made.
"""

from __future__ import annotations

from typing import Any

from soundstage.contract import Contract
from soundstage.contract.diagram import in_order
from soundstage.contract.protocol import Endpoint, Milestone

#: The one that the end of a single answer is.
_COMPLETE = "complete"


def milestone_facts(contract: Contract) -> dict[str, Any]:
    """`milestones`, `headlines` and `titles` of a contract in run.json, each by endpoint, in the
    order in which they are reached. Where a contract marks none of an endpoint's as a headline,
    all of them are.
    """
    facts: dict[str, dict[str, Any]] = {"milestones": {}, "headlines": {}, "titles": {}}
    for endpoint in contract.endpoints.values():
        if endpoint.kind == "status":
            continue
        found = _of_endpoint(contract, endpoint)
        headlines = [each.name for each in found if each.headline]
        facts["milestones"][endpoint.name] = [each.name for each in found]
        facts["headlines"][endpoint.name] = headlines or facts["milestones"][endpoint.name]
        facts["titles"][endpoint.name] = {each.name: each.title for each in found if each.title}
    return facts


def _of_endpoint(contract: Contract, endpoint: Endpoint) -> list[Milestone]:
    course = contract.course_of(endpoint)
    if course is not None:
        found = [each for stage in in_order(course) for each in stage.milestones]
        return list({each.name: each for each in reversed(found)}.values())[::-1]
    # A result has no stages; it is called as the end of a stream is.
    told = [each for stage in in_order(contract.protocol) for each in stage.milestones]
    title = next((each.title for each in told if each.name == _COMPLETE), "")
    return [Milestone(_COMPLETE, "all", headline=True, title=title)]
