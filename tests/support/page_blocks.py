"""The fenced blocks of a Markdown page, and what a comment before each says of how it is run.

Comments: `<!-- run: WORDS -->` directly before a block, where WORDS, separated by `;`, are

- `exit N`: its last command ends with this code (0 where nothing is said),
- `as NAME`: it is saved as this file in the page's folder, for blocks below,
- `background`: a server; what follows waits for its address, and the page's end stops it,
- `not: REASON`: it is not run here.

For a whole page, anywhere on it: `page at the top of the repository`, `page not: REASON`, and
`page LANGUAGE not: REASON` for its blocks in one language that say nothing else.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Final

from markdown_it import MarkdownIt

#: What is run where nothing else is said.
COMMANDS: Final = ("sh", "console")
_COMMENT: Final = re.compile(r"<!--\s*run:\s*(.*?)\s*-->", re.DOTALL)
_OF_PAGE: Final = re.compile(r"page (?:(?P<language>[\w-]+) )?not: *(?P<reason>.+)", re.DOTALL)


class PageError(Exception):
    """A block that nobody can run, or words that nobody knows: page, line and why."""


@dataclass(frozen=True, slots=True)
class Block:
    """One fenced block. `line` counts from 1, and is that of the fence."""

    page: str
    line: int
    language: str
    text: str
    code: int = 0
    name: str | None = None
    background: bool = False
    reason: str | None = None

    @property
    def place(self) -> str:
        return f"{self.page}:{self.line}"


@dataclass(frozen=True, slots=True)
class Page:
    """The blocks of a page from top to bottom; where they are run, and why none is, if so."""

    name: str
    blocks: tuple[Block, ...]
    at_top: bool = False
    reason: str | None = None

    @property
    def run(self) -> tuple[Block, ...]:
        """The blocks that are run, or saved for one that is."""
        return () if self.reason else tuple(each for each in self.blocks if each.reason is None)


def read(path: Path, name: str) -> Page:
    """Raises PageError."""
    tokens = MarkdownIt().parse(path.read_text("utf-8"))
    blocks, at_top, before = [], False, ""
    reasons: dict[str, str] = {}
    for token in tokens:
        if token.type == "html_block":
            before = token.content
            for said in _COMMENT.findall(before):
                if said == "page at the top of the repository":
                    at_top = True
                elif of_page := _OF_PAGE.fullmatch(said):
                    reasons[of_page["language"] or ""] = of_page["reason"]
            continue
        if token.type == "fence" and not token.info.startswith("{"):
            assert token.map is not None
            blocks.append(_block(name, token.map[0] + 1, token.info, token.content, before))
        elif token.type == "code_block":
            assert token.map is not None
            raise PageError(f"{name}:{token.map[0] + 1}: a block is fenced, and says what it is")
        if not token.type.endswith("_open"):
            before = ""
    blocks = [
        each
        if each.reason or each.name or each.language not in reasons
        else replace(each, reason=reasons[each.language])
        for each in blocks
    ]
    page = Page(name, tuple(blocks), at_top, reasons.get(""))
    for each in page.run:
        _check(each)
    return page


def _block(page: str, line: int, info: str, text: str, before: str) -> Block:
    code, name, background, reason = 0, None, False, None
    for said in _COMMENT.findall(before):
        if said.startswith("page "):
            continue
        words, _, why = said.partition("not:")
        reason = why.strip() or reason
        for word in filter(None, (each.strip() for each in words.split(";"))):
            key, _, value = word.partition(" ")
            if key == "exit" and value.isdecimal():
                code = int(value)
            elif key == "as" and value:
                name = value
            elif word == "background":
                background = True
            else:
                raise PageError(f"{page}:{line}: nobody knows what to make of {word!r}")
    return Block(page, line, info.strip(), text, code, name, background, reason)


def _check(block: Block) -> None:
    if block.name is None and block.language not in (*COMMANDS, "python"):
        called = block.language or "without a language"
        raise PageError(
            f"{block.place}: a block {called} is neither run nor saved (`<!-- run: as NAME -->`), "
            "and does not say why (`<!-- run: not: REASON -->`)"
        )


def commands(block: Block) -> list[tuple[str, list[str]]]:
    """Of a `console` block each command, and the lines that it prints."""
    found: list[tuple[str, list[str]]] = []
    going_on = False
    for line in block.text.splitlines():
        if going_on:
            command, printed = found[-1]
            found[-1] = (f"{command}\n{line.removeprefix('> ')}", printed)
        elif line.startswith("$ "):
            found.append((line.removeprefix("$ "), []))
        elif found:
            found[-1][1].append(line.rstrip())
            continue
        else:
            raise PageError(f"{block.place}: a console begins with `$ `, not with {line!r}")
        going_on = line.endswith("\\")
    return found
