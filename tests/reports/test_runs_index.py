"""The index page: every run, what came of it, and links that hold, whatever runs are called."""

from __future__ import annotations

import html
import io
import json
import os
import random
import re
from pathlib import Path
from types import ModuleType
from urllib.parse import unquote

import pytest

from soundstage import cli

HOSTILE = "a\"><script>alert(1)<'&: x"


@pytest.fixture
def root(tmp_path: Path, runs: ModuleType) -> Path:
    """A red check with a name that is an attack, a load run with a report and a page of a
    comparison, one that was killed, and one that is damaged.
    """
    root = tmp_path / "runs"
    day = "2026-02-{:02d}T10:20:30.000Z".format
    rows = [runs.exchange(n + 1, random.Random(n), at=n * 0.1) for n in range(20)]
    load = runs.write(root / "load-1", rows, kind="load", created=day(1))
    (load / "report.html").write_text("a report")
    (load / "compare-base.html").write_text("a comparison")
    (load / "compare-link.html").symlink_to("/etc/passwd")
    runs.check_run(root / HOSTILE)
    run = json.loads((root / HOSTILE / "run.json").read_text())
    (root / HOSTILE / "run.json").write_text(json.dumps({**run, "created": day(3)}))
    runs.write(root / "killed", rows[:1], kind="load", created=day(2), finish={})
    (root / "damaged").mkdir()
    (root / "damaged" / "run.json").write_text('{"format": 1}')
    return root


def index(root: Path, *arguments: str) -> str:
    out, err = io.StringIO(), io.StringIO()
    code = cli.run("runs", ["index", "--runs", str(root), *arguments], out, err)
    assert code == 0, err.getvalue()
    return out.getvalue()


def rows(page: str) -> list[str]:
    """The rows of the table as text, their space made single."""
    found = re.findall(r'<tr class="entry.*?</tr>', page, re.DOTALL)
    return [" ".join(html.unescape(re.sub("<[^>]*>", " ", each)).split()) for each in found]


def test_every_run_is_a_row_the_newest_first_and_what_is_damaged_last(root: Path) -> None:
    assert index(root) == f"index: {root}/index.html\n"
    red, killed, load, damaged = rows((root / "index.html").read_text())
    assert red.startswith(f"2026-02-03 10:20 {HOSTILE} ✗ failed Contract broken emulator")
    assert "2 rules broken" in red
    assert f"soundstage report '{root}/" in red, "there is no page of it yet"
    assert "… incomplete" in killed
    assert "✓ passed Load run passed emulator, realistic, 100× load run" in load
    assert re.search(r"v6 stream: TTSR p50 1\.\d\d s, TTC p50 [23]\.\d+ s report", load)
    assert load.endswith("of load-1 against base")
    assert damaged.startswith("unknown time damaged ⊘ cannot be read")
    assert "run.json" in damaged


def test_the_page_says_first_what_the_newest_run_came_to(root: Path) -> None:
    index(root)
    page = (root / "index.html").read_text()
    assert "Newest: Contract broken" in page
    assert '<header class="top fail">' in page
    assert "4 runs: 1 failed, 1 passed, 2 undecided or unreadable" in page


def test_links_hold_whatever_a_run_is_called_and_wherever_the_page_lies(
    root: Path, tmp_path: Path
) -> None:
    (root / HOSTILE / "report.html").write_text("its report")
    for place in (root / "index.html", tmp_path / "elsewhere" / "all.html"):
        place.parent.mkdir(exist_ok=True)
        index(root, "--output", str(place))
        page = place.read_text()
        links = re.findall(r'href="([^"]*)"', page)
        assert len(links) == 4, links
        for each in links:
            assert (place.parent / unquote(html.unescape(each))).is_file(), each
            assert ":" not in each
        assert "<script" not in page
        assert "passwd" not in page, "a link in a bundle is not followed"


def test_a_page_that_is_not_there_is_no_link_and_its_command_stands_instead(root: Path) -> None:
    (root / "load-1" / "report.html").unlink()
    (root / "load-1" / "report.html").symlink_to("/etc/passwd")
    (root / "load-1" / "compare-base.html").unlink()
    index(root)
    page = (root / "index.html").read_text()
    assert 'href="' not in page
    assert f"soundstage report {root}/load-1" in page
    assert "<code>soundstage runs trend</code>" in page
    (root / "trend.html").write_text("a trend")
    index(root)
    assert 'href="trend.html"' in (root / "index.html").read_text()


def test_more_runs_than_a_page_takes_are_counted(root: Path) -> None:
    index(root, "--limit", "1")
    page = (root / "index.html").read_text()
    assert len(rows(page)) == 1
    assert "and 3 older runs" in page
    index(root, "--kind", "load")
    assert len(rows((root / "index.html").read_text())) == 2


def test_rows_that_cannot_be_read_cost_a_run_its_figures_alone(root: Path) -> None:
    (root / "load-1" / "exchanges.ndjson.gz").write_bytes(b"no gzip")
    index(root)
    (load,) = (row for row in rows((root / "index.html").read_text()) if "load-1" in row)
    assert "Load run passed" in load
    assert "its rows cannot be read" in load


def test_a_page_of_no_run_says_so(root: Path) -> None:
    index(root, "--tag", "no-such-tag")
    page = (root / "index.html").read_text()
    assert "No runs yet" in page
    assert "No run bundle lies here" in page


def test_a_link_where_the_page_goes_is_not_followed(root: Path, tmp_path: Path) -> None:
    victim = tmp_path / "victim"
    victim.write_text("untouched")
    os.symlink(victim, root / "index.html")
    assert cli.run("runs", ["index", "--runs", str(root)], io.StringIO(), io.StringIO()) == 2
    assert victim.read_text() == "untouched"
    assert (root / "index.html").is_symlink()


@pytest.mark.parametrize("rehearsal", [True, False])
def test_a_rehearsal_is_told_as_one(rehearsal: bool) -> None:
    from soundstage.reports.history.runs_index import target_words

    target = {"kind": "emulator", "profile": "realistic", "speed": 1.0, "rehearsal": rehearsal}
    expected = "rehearsal (emulator), realistic" if rehearsal else "emulator, realistic"
    assert target_words(target) == expected
