"""Each format of a report by the name that the command knows it by."""

from __future__ import annotations

from collections.abc import Callable

import orjson

from soundstage.output import visible
from soundstage.reports.formats import html, junit, markdown, sarif
from soundstage.reports.formats.annotations import render as as_annotations
from soundstage.reports.formats.as_json import to_json
from soundstage.reports.run.findings import Report

#: What a report without --format leaves in the bundle.
FILES: dict[str, Callable[[Report], str]] = {
    "junit.xml": junit.render,
    "summary.md": markdown.render,
    "report.html": html.render,
}


def formatted(name: str, reports: list[Report]) -> str:
    """Reports in one format; HTML and JUnit take one."""
    if name == "html":
        return html.render(reports[0])
    if name == "junit":
        return junit.render(reports[0])
    if name == "sarif":
        return sarif.render(reports)
    if name == "annotations":
        return "".join(map(as_annotations, reports))
    if name == "markdown":
        return "\n".join(markdown.render(report) for report in reports)
    documents = [to_json(report) for report in reports]
    data = orjson.dumps(
        documents[0] if len(documents) == 1 else documents,
        option=orjson.OPT_INDENT_2 | orjson.OPT_APPEND_NEWLINE | orjson.OPT_NON_STR_KEYS,
    )
    return visible.in_json(data.decode("utf-8"))
