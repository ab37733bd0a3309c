"""What a run was a run of: which of its facts must be the same in another one for the two to be
compared, and what makes it worthless for any comparison. Asked by comparisons and by trends.

Which parameter of a run means what stands in a table here; one that the table does not know counts
as workload, so that nothing is overlooked.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from soundstage.results.arrivals.held_streams import held_words

#: Reason by parameter of run.json; None for what may differ.
_PARAMETERS: Mapping[str, str | None] = {
    "rate": "rate",
    "rates": "rate",
    "arrivals": "rate",
    "arrivals_file": "rate",
    "phases": "rate",
    "loop": "rate",
    "users": "rate",
    "pause_at_looks": "rate",
    "scenario": "scenario",
    # More exchanges of the same load are what an inconclusive comparison asks for.
    "duration_s": None,
    "duration": None,
    "warmup_s": None,
    "drain_s": None,
    # What was asked of the answers changes none of them.
    "slos": None,
    "slo": None,
    "abort_on_hopeless": None,
    # So do looks: they say when enough has been seen.
    "against": None,
    "gates": None,
    "out": None,
}
_RATE, _PHASES = "rate", "phases"

#: (reason, what), as `stated` names a fact of a run.
Fact = tuple[str, str]


def stated(facts: Mapping[str, Any]) -> dict[Fact, object]:
    """What a run says of itself (`facts`: its run.json) that another run of the same has to say as
    well: the value by reason (the words of `compare --allow`) and by what it is.
    """
    target, parameters = facts["target"], facts["parameters"]
    found: dict[Fact, object] = {
        ("kind", "kind of run"): facts["kind"],
        ("target", "kind of target"): target["kind"],
        ("profile", "profile"): target.get("profile"),
        ("profile", "speed"): target.get("speed"),
    }
    for name, value in parameters.items():
        reason = _PARAMETERS.get(name, "workload")
        # With one rate throughout, phases differ in their length alone.
        if reason is None or (name == _PHASES and parameters.get(_RATE) is not None):
            continue
        found[reason, name] = value
    for name, version in facts["versions"].items():
        found["client", name] = version
    found["clock", "timestamps"] = facts["clock"]["source"]
    return found


def voids(facts: Mapping[str, Any], torn: int = 0) -> Iterator[tuple[str, str]]:
    """What makes a run worthless for comparisons, whatever it is compared with: reason and words,
    which may be anybody's. `torn`: files of its bundle that end inside a row.
    """
    said = set()
    for void in facts["voids"]:
        said.add(void["kind"])
        yield void["kind"], void["message"]
    if facts["status"] != "complete" and "incomplete" not in said:
        yield "incomplete", "the run did not come to its end"
    if torn and "incomplete" not in said:
        yield "incomplete", "a file of the bundle ends inside a row"
    if facts["clock"]["stepped"] and "clock" not in said:
        yield "clock", "the system's clock was set during the run"
    if (held := held_words(facts.get("totals", {}))) is not None:
        yield "buffered", held
    if facts["verdict"] == "invalid" and not said & {"generator", "target", "budget"}:
        yield "generator", "the run is invalid"
