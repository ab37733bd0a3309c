"""The differences between page and API as people read them: text for a terminal, Markdown."""

from __future__ import annotations

from soundstage.contract import Contract
from soundstage.observed.facts import Observed
from soundstage.output import visible
from soundstage.reports.drift.docs_diff import EFFECTS, Difference
from soundstage.reports.formats.markdown import code, escaped
from soundstage.reports.words import plain


def _groups(differences: list[Difference]) -> dict[tuple[str, str | None], list[Difference]]:
    groups: dict[tuple[str, str | None], list[Difference]] = {}
    for each in differences:
        groups.setdefault((each.endpoint, each.stage), []).append(each)
    return groups


def _heading(endpoint: str, stage: str | None) -> str:
    return f"{endpoint}, stage {stage}" if stage else endpoint


def text(contract: Contract, observed: Observed, differences: list[Difference]) -> str:
    """The differences, to read on a terminal."""
    lines = [_summary(contract, observed, differences)]
    for (endpoint, stage), group in _groups(differences).items():
        lines += ["", plain(_heading(endpoint, stage))]
        for each in group:
            lines.append(f"  {each.sort:<12}  {plain(each.name)}: {plain(each.observed)}")
            lines.append(f"  {'':<12}  the page: {plain(each.documented)}; {plain(each.change)}")
    return visible.lines(lines) + "\n"


def markdown(contract: Contract, observed: Observed, differences: list[Difference]) -> str:
    """The differences as Markdown: what to change on the page, a table for each stage."""
    lines = [f"# {escaped(contract.title)}: what the documentation should say", ""]
    lines += [escaped(_summary(contract, observed, differences)), ""]
    for (endpoint, stage), group in _groups(differences).items():
        lines += [f"## {escaped(_heading(endpoint, stage))}", ""]
        lines += ["| what | documented | observed | change to make |", "|---|---|---|---|"]
        for each in group:
            cells = (code(each.name), *map(escaped, (each.documented, each.observed, each.change)))
            lines.append(f"| {' | '.join(cells)} |")
        lines.append("")
    return visible.in_markup("\n".join(lines).rstrip() + "\n")


def _summary(contract: Contract, observed: Observed, differences: list[Difference]) -> str:
    many = Observed({contract.api: observed.apis.get(contract.api, {})}).exchanges
    counts = {sort: sum(d.sort == sort for d in differences) for sort in EFFECTS}
    said = ", ".join(f"{number} {sort}" for sort, number in counts.items())
    return (
        f"{contract.api}: {many} exchange{'' if many == 1 else 's'} held against the page: {said}"
    )
