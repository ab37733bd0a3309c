"""Every block of every page runs and prints what it shows, or says why not; and the runner of the
blocks itself: what is wrong on a page fails, and says where.
"""

from __future__ import annotations

import os
import signal
from pathlib import Path

import pytest
from processes import running

import page_runs
from page_blocks import DocPage, PageError, main, not_explained, pages, parse_page, read_page
from page_runs import DocFailure, page_run
from shown_output import compared

READ = [read_page(path) for path in pages()]


def _marked(page: DocPage) -> object:
    # A load run measures delays: beside other tests it says that it measured nothing.
    marks = [pytest.mark.proof, *([pytest.mark.timing] if page.measures else [])]
    return pytest.param(page, marks=marks, id=page.name)


def _many(page: DocPage) -> int:
    return sum(block.text.count("soundstage ") for block in page.blocks if block.not_run is None)


# Those that take longest come first: several are run at a time, and nobody waits for the last.
@pytest.mark.parametrize(
    "page", [_marked(page) for page in sorted(READ, key=_many, reverse=True) if page.runs]
)
@pytest.mark.timeout(600)
def test_a_page_does_what_it_shows(page: DocPage, tmp_path: Path) -> None:
    with page_run(page, tmp_path / "run") as run:
        said = ""
        try:
            run.run()
        except DocFailure as failure:
            said = str(failure)
    if said:
        pytest.fail(said, pytrace=False)


@pytest.mark.parametrize("page", READ, ids=lambda page: page.name)
def test_each_block_of_a_page_runs_or_says_why_not(page: DocPage) -> None:
    assert list(not_explained(page)) == []


def test_blocks_are_counted_and_those_that_do_not_run_listed(
    capsys: pytest.CaptureFixture[str],
) -> None:
    main()
    printed = capsys.readouterr().out
    assert f"{sum(len(page.blocks) for page in READ)} blocks on {len(READ)} pages" in printed


# --- what a comment says ----------------------------------------------------------------------


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("<!-- run: exitt 1 -->\n```sh\ntrue\n```\n", "p.md:2: `exitt 1` in a `run:` comment"),
        ("<!-- run: as ../x -->\n```sh\ntrue\n```\n", "p.md:2: `as ../x` in a `run:` comment"),
        ("<!-- run: not: no time -->\n```sh\ntrue\n```\n", "`no time` is no reason"),
        ("<!-- run: exit 1 -->\n\nA word.\n\n```sh\ntrue\n```\n", "p.md:1: no block follows"),
        ("<!-- run: exit 1 -->\n", "p.md:1: no block follows"),
        ("<!-- run: page upside down -->\n", "`page upside down` in a `run:` comment"),
        ("<!-- run: page not: held by tests/test_none.py -->\n", "there is no tests/test_none.py"),
    ],
)
def test_a_comment_that_means_nothing_is_refused(text: str, said: str) -> None:
    with pytest.raises(PageError) as refused:
        parse_page("p.md", text)
    assert said in str(refused.value)


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("```\nls\n```\n", "p.md:2: a block of no language: say"),
        ("A word:\n\n    ls\n", "p.md:3: a block of no language"),
        ("- one\n\n  ```json\n  {}\n  ```\n", "p.md:4: a block of `json`: say"),
        ("```console\nls\n```\n", "p.md:2: a console block begins with"),
        ("<!-- run: output -->\n```text\nls\n```\n", "p.md:3: shows the output of a block that"),
    ],
)
def test_a_block_that_cannot_run_has_to_say_why(text: str, said: str) -> None:
    (line,) = not_explained(parse_page("p.md", text))
    assert line.startswith(said)


def test_the_page_may_say_it_for_all_or_for_a_language() -> None:
    blocks = "```json\n{}\n```\n\n```sh\nfalse\n```\n"
    reason = "not: needs the live API and a key -->\n\n"
    assert not parse_page("p.md", f"<!-- run: page {reason}{blocks}").runs
    page = parse_page("p.md", f"<!-- run: page json {reason}{blocks}")
    assert [block.not_run is None for block in page.blocks] == [False, True]
    assert list(not_explained(page)) == []


# --- what is run ------------------------------------------------------------------------------


def run_text(text: str, folder: Path) -> None:
    with page_run(parse_page("p.md", text), folder / "run") as run:
        run.run()


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("```sh\nfalse\n```\n", "p.md:2: false\nexit code 1, expected 0"),
        ("<!-- run: exit 3 -->\n```sh\ntrue\n```\n", "exit code 0, expected 3"),
        ("```sh\ncd .\nfalse\ntrue\n```\n", "p.md:2: cd .\nexit code 1 at line 3, before the last"),
        (
            "```sh\necho so; exit 4\n```\n",
            "p.md:2: echo so; exit 4\nended the shell of the page\nso",
        ),
        ("```sh\n(\n```\n", "exit code 2, expected 0"),
        ("```\ntrue\n```\n", "p.md:2: a block of no language"),
        ("```console\n$ echo a\nb\n```\n", "p.md:2: echo a\nprints something else"),
        ("```console\n$ true\n$ echo a\n```\n", "p.md:3: echo a\nprints something else"),
        ("```console\n$ false\n$ true\n```\n", "p.md:2: false\nexit code 1, expected 0"),
        ("```python\nraise SystemExit(2)\n```\n", "exit code 2, expected 0"),
        ("```python\nprint(1)\n```\n\n<!-- run: output -->\n```text\n2\n```\n", "-2\n+1"),
        ("<!-- run: background -->\n```sh\necho gone\n```\n", "did not come to what was awaited"),
        ("<!-- run: as run/x -->\n```toml\n```\n\n```sh\ncat run/y\n```\n", "No such file"),
    ],
)
def test_a_page_that_shows_something_else_than_happens_fails(
    text: str, said: str, tmp_path: Path
) -> None:
    with pytest.raises(DocFailure) as failed:
        run_text(text, tmp_path)
    assert said in str(failed.value)


STORY = """
<!-- run: page at the top of the repository -->

<!-- run: as made/words.txt -->
```text
one
```

```console
$ cd made && export WORD=two && cat \\
      words.txt
one
$ echo 'a
  word' > /dev/null; echo "$WORD" >> words.txt
$ cat words.txt ../examples/contracts/countdown/tick.json >&2
one
two
…
  "…": [
…
}
```

- In a list:

  <!-- run: exit 3 or 4 -->
  ```sh
  cat && test -z "$SECRET" && ls ~ && (exit 4)
  ```

```python
import os, pathlib
print(pathlib.Path("words.txt").read_text() + os.environ["WORD"], 17.5, "ms")
```

<!-- run: output; numbers vary -->
```text
one
two
two  3 s
```
"""


def test_folder_variables_and_files_carry_on_from_block_to_block(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SECRET", "sk-ours")
    run_text(STORY, tmp_path)


SERVER = """
<!-- run: background -->
```sh
python -m http.server 8000 --bind 127.0.0.1
```

```sh
curl -s http://127.0.0.1:8000/ > page.html
grep -q listing page.html
```

<!-- run: background -->
```console
$ echo $BASHPID > pid; exec python -m http.server 8000
Serving HTTP on … port 8000 …
```

<!-- run: exit 1 -->
```sh
sleep 600 & echo $! > sleeper
curl -s http://127.0.0.1:8000/pid > /dev/null
false
```
"""


def test_a_server_is_awaited_and_replaced_and_nothing_outlives_its_page(tmp_path: Path) -> None:
    run_text(SERVER, tmp_path)
    place = tmp_path / "run/page"
    for name in ("pid", "sleeper"):
        pid = int((place / name).read_text())
        assert not running(pid), name


def test_what_takes_too_long_is_ended(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(page_runs, "LIMIT_S", 0.3)
    text = "```sh\necho $$ > pid; echo begun; sleep 600\n```\n"
    with pytest.raises(DocFailure, match=r"still runs after 0\.3 s\nbegun"):
        run_text(text, tmp_path)
    with pytest.raises(ProcessLookupError):
        os.killpg(int((tmp_path / "run/page/pid").read_text()), signal.SIGCONT)


def test_a_load_run_without_the_cpu_is_tried_again_in_the_folder_as_it_was(tmp_path: Path) -> None:
    text = (
        "```sh\nmkdir runs; touch runs/before; echo > ../tries\n```\n\n"
        "```console\n"
        "$ : soundstage load ; echo >> ../tries; ls runs; touch runs/$RANDOM; "
        "test $(wc -l < ../tries) -gt 2 || (echo saturated; exit 4)\n"
        "before\n"
        "```\n"
    )
    run_text(text, tmp_path)
    assert len((tmp_path / "run/tries").read_text()) == 3


def test_no_file_is_saved_outside_the_folder_of_the_page(tmp_path: Path) -> None:
    text = "<!-- run: as out/x -->\n```toml\n```\n"
    with page_run(parse_page("p.md", text), tmp_path / "run") as run:
        (run.place / "out").symlink_to(tmp_path)
        with pytest.raises(DocFailure, match="would lie outside"):
            run.run()


# --- what is shown ----------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("shown", "printed"),
    [
        ("a", "a  "),
        ("", ""),
        ("…", ""),
        ("…", "a\nb"),
        ("a\n…", "a"),
        ("…\nb\n…\nb", "b\na\nb\nb"),
        ("a … c", "a b c"),
        ("(v … )", "(v 1 )"),
    ],
)
def test_an_ellipsis_stands_for_what_is_left_out(shown: str, printed: str) -> None:
    assert compared(shown.splitlines(), printed) == ""


@pytest.mark.parametrize(
    ("shown", "printed"),
    [
        ("a", ""),
        ("", "a"),
        ("a\n…\nb", "a"),
        ("…\nb", "b\nc"),
        ("a\n…\na", "a"),
        ("a…", "b"),
        (".", "a"),
    ],
)
def test_what_is_not_left_out_has_to_be_there(shown: str, printed: str) -> None:
    assert compared(shown.splitlines(), printed) != ""


def test_what_is_said_of_work_under_way_is_no_output() -> None:
    printed = [
        "soundstage check: checking an emulator that is started for it (chat): 216 rules …",
        "soundstage load: the emulator listens on http://127.0.0.1:44575",
        "soundstage check: 2 s · 6 of 216 rules decided · 59:59 min left of --timeout",
        "soundstage load: 12 of 300 s · 2 in flight",
        "PASS",
    ]
    assert compared(["PASS"], "\n".join(printed)) == ""
    assert compared([printed[0], "…", "PASS"], "\n".join(printed)) == ""
    assert compared([printed[0], "PASS"], "\n".join(printed)) != ""
    assert compared(["PASS"], "soundstage check: the key is refused\nPASS") != ""


@pytest.mark.parametrize(
    ("shown", "printed", "same"),
    [
        ("p50   6.8 ms  (n = 11)", "p50  12.1 ms  (n = 9)", True),
        ("p95 0.9 s", "p95 870 ms", True),
        ("TTC 13.9 ms to 1.10 s", "TTC 1.0 to 2.2 s", True),
        ("TTC 13.9 ms to 1.10 s", "TTC 1.0 s", False),
        ("runs/2026-11-28T00-26-04-check-4b39/x", "runs/2027-01-02T03-04-05-check-ffff/x", True),
        ("rules: 28 passed", "rules: 28 failed", False),
        ("p95 6 ms", "p95 6 MB", False),
        ("n = 3", "n = ", False),
    ],
)
def test_numbers_may_vary_where_the_page_says_so(shown: str, printed: str, same: bool) -> None:
    assert (compared([shown], printed, numbers_vary=True) == "") is same
    assert compared([shown], printed) != ""
