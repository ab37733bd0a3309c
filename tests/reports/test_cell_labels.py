"""Cells say of which column they are, whatever the table."""

from __future__ import annotations

import re

from soundstage.reports.formats.cell_labels import labelled

HEAD = '<thead><tr><th scope="col">run</th><th class="n">p50<br>p95</th><th>"n"</th></tr></thead>'


def labels(page: str) -> list[str]:
    return re.findall(r'data-label="([^"]*)"', page)


def test_each_cell_says_its_column_and_a_row_header_needs_none() -> None:
    row = '<tr><th scope="row">a</th><td class="n">1</td><td>2</td></tr>'
    made = labelled(f"<table>{HEAD}<tbody>{row}{row}</tbody></table>")
    assert labels(made) == ["p50 p95", "&#34;n&#34;"] * 2
    assert '<td class="n" data-label="p50 p95">1</td>' in made
    assert HEAD in made, "the head itself is as it was"


def test_cells_are_counted_by_the_columns_that_they_span() -> None:
    made = labelled(f'<table>{HEAD}<tr><td colspan="2">both</td><td>last</td></tr></table>')
    assert labels(made) == ["run", "&#34;n&#34;"]


def test_what_is_beyond_the_head_or_has_none_stays_as_it_is() -> None:
    plain = "<table><tr><td>1</td></tr></table><p>td</p>"
    assert labelled(plain) == plain
    made = labelled(f"<table>{HEAD}<tr><td>1</td><td>2</td><td>3</td><td>4</td></tr></table>")
    assert len(labels(made)) == 3


def test_each_table_has_its_own_head() -> None:
    other = "<table><thead><tr><th>x</th></tr></thead><tr><td>1</td></tr></table>"
    made = labelled(f"<table>{HEAD}<tr><td>1</td></tr></table>{other}")
    assert labels(made) == ["run", "x"]


def test_text_that_looks_like_a_table_is_no_table() -> None:
    row = "<tr><td>&lt;td&gt;&lt;/table&gt;</td><td>2</td></tr>"
    assert labels(labelled(f"<table>{HEAD}{row}</table>")) == ["run", "p50 p95"]
