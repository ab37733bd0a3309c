"""What the exchanges of a check say about each rule, found by the rule: each is looked at once,
however many rules there are.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable

from soundstage.conformance.coverage import Observation
from soundstage.conformance.violations import Violation
from soundstage.contract.rules import Rule
from soundstage.exchange.exchange import Exchange

#: The rules that an observation concerns: those of an API's endpoint, of its errors, or (below the
#: API) the one that was broken on purpose.
_Place = tuple[str, str]
_ERROR, _REQUEST = "error", "request"


class ShownByRule:
    """Of `exchanges` as they are now. `live`: the target counts as no emulator."""

    def __init__(self, exchanges: Iterable[Exchange], *, live: bool) -> None:
        self._found: defaultdict[str, list[tuple[Exchange, Violation]]] = defaultdict(list)
        self._seen: defaultdict[_Place, list[tuple[Exchange, Observation]]] = defaultdict(list)
        for exchange in exchanges:
            for violation in exchange.violations:
                self._found[violation.rule].append((exchange, violation))
            for seen in exchange.observations(live=live):
                for place in _places(seen):
                    self._seen[place].append((exchange, seen))

    @property
    def broken(self) -> set[str]:
        """The ids of the rules that were broken."""
        return set(self._found)

    def found(self, rule: Rule) -> list[tuple[Exchange, Violation]]:
        """The violations of a rule, in the order of their exchanges."""
        return self._found.get(rule.id, [])

    def concerned(self, rule: Rule) -> list[tuple[Exchange, Observation]]:
        """What was made to test rules like this one, in the order of the exchanges."""
        below = rule.id.removeprefix(f"{rule.api}/")
        place = (rule.api, below if rule.endpoint == _REQUEST else rule.endpoint)
        return [pair for pair in self._seen.get(place, ()) if pair[1].concerns(rule)]


def _places(seen: Observation) -> Iterable[_Place]:
    api = seen.contract.api
    if seen.broken_rule is not None:
        yield api, seen.broken_rule
    yield api, _ERROR if seen.expects_error else seen.endpoint
