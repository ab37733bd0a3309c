"""The fenced blocks of the documentation's pages, and what becomes of each: run, saved, or why not.

What a comment directly before a block says of it, several words parted by `;`:

    <!-- run: exit 1 -->            the exit code of its last command ("exit 3 or 4"; else 0)
    <!-- run: as NAME -->           it is saved as that file in the page's folder
    <!-- run: background -->        a server: awaited until it says its address (`console`: what is
                                    shown), and ended with the page, or by the next one; `background
                                    NAME` runs beside others, and ends the one that has its name
    <!-- run: output -->            it shows what the block before it printed
    <!-- run: numbers vary -->      numbers, times and ids of runs in it stand for any others
    <!-- run: not: REASON -->       it is not run (`REASONS` has what may be said)

And once, above the first block of a page:

    <!-- run: page at the top of the repository -->   its folder is as that of a clone
    <!-- run: page not: REASON -->                    nothing of the page is run
    <!-- run: page json not: REASON -->               no block of this language, unless it says how

`python tests/docs/page_blocks.py` counts them, and lists those that are not run.
"""

from __future__ import annotations

import re
import sys
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

from markdown_it import MarkdownIt
from markdown_it.token import Token

ROOT = Path(__file__).parents[2]
#: Languages of blocks that are commands; those of other languages are saved (`as`) or not run.
COMMANDS = ("sh", "console", "python")
#: Why a block is not run. What is held by a test names its file.
REASONS = re.compile(
    r"needs (the live API|a package index|Kubernetes|GitHub|GitLab|docker|a browser)\b.*"
    r"|a (drawing|formula|sketch of a line)\b.*"
    r"|CI runs .+"
    r"|(writes into|is about) (the home folder|your own repository)\b.*"
    r"|(?P<held>.*held by (?P<test>tests/[\w/.]+\.py|\.ci/\w+)\b.*)"
)
_COMMENT = re.compile(r"<!--\s*run:\s*(.*?)\s*-->\s*", re.DOTALL)
_PAGE_NOT = re.compile(r"(?:(\w+) )?not: (.+)", re.DOTALL)


class PageError(ValueError):
    """Something of a page that cannot be meant: the message names page and line."""


@dataclass(frozen=True)
class DocBlock:
    """A fenced block. `line` is that of its first line of text, from 1."""

    page: str
    line: int
    language: str
    text: str
    exits: tuple[int, ...] = (0,)
    saved_as: str | None = None
    background: str | None = None
    is_output: bool = False
    numbers_vary: bool = False
    not_run: str | None = None

    @property
    def place(self) -> str:
        return f"{self.page}:{self.line}"


@dataclass(frozen=True)
class DocPage:
    """A page, its blocks in their order. `name` is its path below the repository's top."""

    name: str
    blocks: list[DocBlock] = field(default_factory=list)
    as_a_clone: bool = False

    @property
    def runs(self) -> bool:
        return any(block.not_run is None for block in self.blocks)

    @property
    def measures(self) -> bool:
        """Whether it has a load run, which wants the machine for itself."""
        return any(measures(block.text) for block in self.blocks if block.not_run is None)


def measures(text: str) -> bool:
    return re.search(r"\b(soundstage load|locust) ", text) is not None


def pages() -> list[Path]:
    """All pages of the repository: those at its top, and those of docs/."""
    found = (*ROOT.glob("*.md"), *(ROOT / "docs").rglob("*.md"))
    return sorted(path for path in found if "_build" not in path.parts)


def read_page(path: Path) -> DocPage:
    return parse_page(str(path.relative_to(ROOT)), path.read_text("utf-8"))


def parse_page(name: str, text: str) -> DocPage:
    """Read a page. What a comment says that has no meaning, or no block, is a PageError."""
    blocks: list[DocBlock] = []
    of_page: list[str] = []
    pending: tuple[int, str] | None = None
    for token in _flat(text):
        line = (token.map or [0])[0] + 1
        if token.type in ("fence", "code_block"):
            # What begins with a brace is the site's own: a list of pages, a note.
            if not token.info.startswith("{"):
                blocks.append(_block(name, line, token, pending[1] if pending else ""))
                pending = None
        elif pending:
            raise PageError(f"{name}:{pending[0]}: no block follows the comment `{pending[1]}`")
        elif token.type == "html_block" and (said := _COMMENT.fullmatch(token.content)):
            if said[1].startswith("page "):
                of_page.append(said[1].removeprefix("page "))
            else:
                pending = line, said[1]
    if pending:
        raise PageError(f"{name}:{pending[0]}: no block follows the comment `{pending[1]}`")
    return _with_page_words(name, blocks, of_page)


def _flat(text: str) -> Iterator[Token]:
    """What may hold a block or stand before one: openings of lists and quotes are no neighbours."""
    for token in MarkdownIt("commonmark").parse(text):
        if not token.type.endswith(("list_open", "list_item_open", "_close")):
            yield token


def _block(page: str, line: int, token: Token, comment: str) -> DocBlock:
    language = token.info.strip().partition(" ")[0]
    words = _words(f"{page}:{line}", comment)
    # The first line of a fence is its own; an indented block has none.
    return DocBlock(page, line + (token.type == "fence"), language, token.content, **words)


def _words(place: str, comment: str) -> dict[str, object]:
    """The words of a comment, as the fields of a block that they set."""
    said: dict[str, object] = {}
    comment, _, reason = comment.partition("not:")
    if reason:
        said["not_run"] = _reason(place, reason.strip())
    for word in filter(None, (each.strip() for each in comment.split(";"))):
        if match := re.fullmatch(r"exit (\d+(?: or \d+)*)", word):
            said["exits"] = tuple(map(int, match[1].split(" or ")))
        elif match := re.fullmatch(r"as (?!.*\.\.)([\w.-]+(?:/[\w.-]+)*)", word):
            said["saved_as"] = match[1]
        elif match := re.fullmatch(r"background(?: (\w+))?", word):
            said["background"] = match[1] or ""
        elif word in ("output", "numbers vary"):
            said["is_output" if word == "output" else "numbers_vary"] = True
        else:
            raise PageError(f"{place}: `{word}` in a `run:` comment means nothing")
    return said


def _reason(place: str, reason: str) -> str:
    reason = " ".join(reason.split())
    match = REASONS.fullmatch(reason)
    if not match:
        raise PageError(f"{place}: `{reason}` is no reason for not running a block")
    if match["test"] and not (ROOT / match["test"]).exists():
        raise PageError(f"{place}: there is no {match['test']}")
    return reason


def _with_page_words(name: str, blocks: list[DocBlock], words: list[str]) -> DocPage:
    """The page, what is said of all of it told to its blocks."""
    clone, reasons = False, dict[str | None, str]()
    for word in words:
        if word == "at the top of the repository":
            clone = True
        elif match := _PAGE_NOT.fullmatch(word):
            reasons[match[1]] = _reason(name, match[2])
        else:
            raise PageError(f"{name}: `page {word}` in a `run:` comment means nothing")
    told = []
    for block in blocks:
        reason = reasons.get(None) or reasons.get(block.language)
        silent = block.not_run is None and block.saved_as is None and not block.is_output
        told.append(_replaced(block, reason) if reason and silent else block)
    return DocPage(name, told, clone)


def _replaced(block: DocBlock, reason: str) -> DocBlock:
    return DocBlock(block.page, block.line, block.language, block.text, not_run=reason)


def not_explained(page: DocPage) -> Iterator[str]:
    """Blocks that nobody could run and that do not say why."""
    before: DocBlock | None = None
    for block in page.blocks:
        if block.is_output and (before is None or before.language not in COMMANDS):
            yield f"{block.place}: shows the output of a block that is not before it"
        elif block.not_run is block.saved_as is None and not block.is_output:
            if block.language not in COMMANDS:
                kind = f"`{block.language}`" if block.language else "no language"
                yield f"{block.place}: a block of {kind}: say `as NAME`, `output` or `not: REASON`"
            elif block.language == "console" and not block.text.startswith("$ "):
                yield f"{block.place}: a console block begins with `$ ` and a command"
        before = block


def main() -> int:
    """Print how many blocks run, and those that do not, by reason."""
    read = [read_page(path) for path in pages()]
    blocks = [block for page in read for block in page.blocks]
    left = [block for block in blocks if block.not_run]
    open_ = [line for page in read for line in not_explained(page)]
    run = len(blocks) - len(left) - len(open_)
    said = [f"{len(blocks)} blocks on {len(read)} pages: {run} run, {len(left)} do not"]
    by_reason: dict[str, list[str]] = {}
    for block in left:
        by_reason.setdefault(block.not_run or "", []).append(block.place)
    for reason, places in sorted(by_reason.items()):
        said += [f"{len(places)} not run: {reason}", *(f"  {place}" for place in places)]
    if open_:
        said += [f"{len(open_)} that say nothing", *(f"  {line}" for line in open_)]
    sys.stdout.write("\n".join(said) + "\n")
    return 1 if open_ else 0


if __name__ == "__main__":
    sys.exit(main())
