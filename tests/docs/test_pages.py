"""Every block of every page runs, or says why not."""

from __future__ import annotations

from pathlib import Path

import pytest
from page_blocks import Page, PageError, commands, read
from page_output import unlike
from page_session import ROOT, PageFailure, PageSession

NAMES = [
    *("README.md", "CONTRIBUTING.md", "SECURITY.md", "ARCHITECTURE.md"),
    *sorted(
        str(path.relative_to(ROOT))
        for path in (ROOT / "docs").rglob("*.md")
        if "_build" not in path.parts
    ),
]


@pytest.mark.proof
@pytest.mark.timeout(300)
@pytest.mark.parametrize("name", NAMES)
def test_the_blocks_of_a_page_do_what_it_says(name: str, tmp_path: Path) -> None:
    PageSession(read(ROOT / name, name), tmp_path).run()


def page(tmp_path: Path, text: str) -> Page:
    (tmp_path / "page.md").write_text(text)
    (tmp_path / "run").mkdir(exist_ok=True)
    return read(tmp_path / "page.md", "page.md")


def run(tmp_path: Path, text: str) -> None:
    PageSession(page(tmp_path, text), tmp_path / "run").run()


def test_what_a_block_saves_and_exports_is_there_for_the_next(tmp_path: Path) -> None:
    run(
        tmp_path,
        r"""
<!-- run: as some/data.toml -->
```toml
a = 1
```

```sh
mkdir inner && cp some/data.toml inner && cd inner
export SAID="two words"
```

<!-- run: exit 3 -->
```console
$ cat data.toml
a = 1
$ echo "$SAID" \
>     "and more"
two … more
$ exit 3
```

<!-- run: as beside.txt -->
```text
in the folder that one is in
```

```python
import pathlib
assert pathlib.Path("beside.txt").exists()
```
""",
    )


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ("```sh\nfalse\n```", "ended with 1, not with 0"),
        ("<!-- run: exit 1 -->\n```sh\ntrue\n```", "ended with 0, not with 1"),
        ("```sh\nfalse\ntrue\n```", "ended with 1"),
        ("```console\n$ echo one\ntwo\n```", "at 'two'"),
        ("```console\n$ echo one; echo two\none\n```", "at the end"),
        ("```python\nraise SystemExit('no')\n```", "no"),
        ("<!-- run: background -->\n```sh\necho nothing\n```", "it does not serve"),
    ],
)
def test_a_block_that_does_something_else_fails(text: str, why: str, tmp_path: Path) -> None:
    with pytest.raises(PageFailure) as failed:
        run(tmp_path, text)
    assert str(failed.value).startswith("page.md:")
    assert why in str(failed.value)


@pytest.mark.parametrize(
    "text",
    [
        "```\nno language\n```",
        "```text\nno reason\n```",
        "<!-- run: sometimes -->\n```sh\ntrue\n```",
        "<!-- run: exit soon -->\n```sh\ntrue\n```",
        "    an indented block",
        "<!-- run: not: because -->\n\nwords between\n\n```text\nx\n```",
    ],
)
def test_a_block_that_nobody_can_run_is_refused(text: str, tmp_path: Path) -> None:
    with pytest.raises(PageError, match=r"page\.md:\d"):
        page(tmp_path, text)


def test_a_page_says_once_why_blocks_of_a_language_are_not_run(tmp_path: Path) -> None:
    text = "<!-- run: page json not: quoted -->\n```json\n{}\n```\n```sh\ntrue\n```"
    assert [each.reason for each in page(tmp_path, text).blocks] == ["quoted", None]
    nothing = page(tmp_path, "<!-- run: page not: samples -->\n```text\n```")
    assert (nothing.reason, nothing.run) == ("samples", ())


def test_a_console_has_commands_first(tmp_path: Path) -> None:
    with pytest.raises(PageError, match="begins with"):
        commands(page(tmp_path, "```console\noutput\n```").blocks[0])


@pytest.mark.parametrize(
    ("expected", "received", "at"),
    [
        (["a", "…", "d"], ["a", "b", "c", "d"], None),
        (["a", "…", "d"], ["a", "d"], None),
        (["…", "a"], ["a", "b", "a"], None),
        (["…"], [], None),
        (["n = …", "b"], ["n = 12", "b"], None),
        (["a"], ["a", "b"], 1),
        (["a", "…", "x"], ["a", "b"], 2),
        (["a.c"], ["abc"], 0),
        (["  TTC p50 8.0 ms  p95 19 ms"], ["  TTC p50   1.2 s  p95  2 s"], None),
        (["known to within 1.2 s"], ["known to beyond 1.2 s"], 0),
        (["28 passed"], ["29 passed"], 0),
        (
            ["report: runs/2026-01-01T10-00-00-load-ab12"],
            ["report: runs/2027-02-02T11-01-01-load-0000"],
            None,
        ),
        (
            ["report: runs/2026-01-01T10-00-00-load-ab12"],
            ["report: runs/2027-02-02T11-01-01-check-0000"],
            0,
        ),
        (
            ["a", "soundstage load: 2 of 5 s · 3 done", "b"],
            ["soundstage load: 1 s · 0 done", "a", "b"],
            None,
        ),
        (["a"], ["soundstage load: stopped early: no", "a"], 0),
    ],
)
def test_what_varies_is_not_compared_and_all_else_is(expected, received, at) -> None:
    assert unlike(expected, received) == at
