"""How the milestones of an endpoint are called, and which of them a run is known by: its headline.

Both are data of the contract, and run.json has them, so that a report can be made where there is no
such contract. Bundles of before that time have `milestones_before.json`.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from importlib import resources
from typing import Any

import orjson

#: The milestones that the harness gives to every exchange, whatever the contract says.
OF_EVERY_EXCHANGE = ("accepted", "first_chunk")
#: More headlines than anybody reads: each is a column, a chart and two gates. A bundle may be
#: anybody's.
HEADLINE_LIMIT = 20


@dataclass(frozen=True, slots=True)
class MilestoneNames:
    """Of one endpoint: the `headline` milestones and all of them (`order`), as they are reached;
    `titles` by name, of those that have one. All of it may come from a bundle of anybody.
    """

    headline: tuple[str, ...] = ()
    order: tuple[str, ...] = ()
    titles: tuple[tuple[str, str], ...] = ()

    def label(self, name: str) -> str:
        """How reports call a milestone: its title, else its name made readable."""
        return dict(self.titles).get(name) or readable(name)

    def is_renamed(self, name: str) -> bool:
        """Whether it is a headline whose label does not show its name."""
        return name in self.headline and self.label(name) != readable(name)

    def in_order(self, names: Iterable[str]) -> list[str]:
        """These milestones as they are reached; those that nobody knows come last."""
        order = [*OF_EVERY_EXCHANGE, *self.order]
        return sorted(
            names, key=lambda name: (order.index(name) if name in order else len(order), name)
        )


def readable(name: str) -> str:
    """`first_chunk` as `first chunk`."""
    return name.replace("_", " ")


def milestone_names(
    run: Mapping[str, Any], api: str, endpoint: str, reached: Iterable[str] = ()
) -> MilestoneNames:
    """The names at an endpoint of a run, from its run.json; where that does not say them, from the
    milestones that are promised and those that were `reached`.
    """
    contract = run.get("contracts", {}).get(api, {})
    promised = contract.get("milestones", {}).get(endpoint, ())
    if endpoint in contract.get("headlines", {}):
        titles = contract.get("titles", {}).get(endpoint, {})
        headline = _bounded(contract["headlines"][endpoint])
        return MilestoneNames(headline, tuple(promised), tuple(titles.items()))
    before = _before()
    known = {*promised, *reached}
    headline = tuple(name for name in before["headline"] if name in known)
    names = MilestoneNames(headline, tuple(before["order"]), tuple(before["titles"].items()))
    if headline:
        return names
    return MilestoneNames(_bounded(names.in_order(promised or known)), names.order, names.titles)


def _bounded(names: Iterable[str]) -> tuple[str, ...]:
    return tuple(dict.fromkeys(names))[:HEADLINE_LIMIT]


def common_order(several: Iterable[Sequence[str]]) -> list[str]:
    """The names of these orders, each once, in an order that fits them as far as they agree; no
    more than `HEADLINE_LIMIT`.
    """
    order: list[str] = []
    for names in several:
        at = len(order)
        for name in reversed(names):
            if name in order:
                at = order.index(name)
            elif len(order) < HEADLINE_LIMIT:
                order.insert(at, name)
    return order


def named_before() -> frozenset[str]:
    """The milestones of contracts that bundles may show and not name."""
    return frozenset(_before()["order"])


@cache
def _before() -> dict[str, Any]:
    text = resources.files(__package__).joinpath("milestones_before.json").read_text("utf-8")
    found: dict[str, Any] = orjson.loads(text)
    return found
