"""Text of others made visible: no character of it drives a terminal, deceives a reader, or gives an
order to whatever runs a build.

Pure functions of their input. The streams of this program (`streams.py`) put all that is printed
through a `Flow`, whoever forgot to; `line` is for what must not begin a line of its own.

Orders are what services of continuous integration obey when they find it in a build's log:
`::error::…` at the beginning of a line and `##[error]…` anywhere (GitHub, Gitea, Forgejo),
`##vso[…]` (Azure), `##teamcity[…]` (TeamCity). A backslash before the last sign of such a beginning
breaks it up: `:\\:error::`, `##\\[error]`. Those that need an escape character or a carriage return
(sections of GitLab and Travis, notes of Jenkins, links of Buildkite) are broken with it.
"""

from __future__ import annotations

import os
import re
from collections.abc import Callable, Collection, Iterable, Sequence
from typing import Final, TextIO

#: C0 but for line end and tab, DEL and C1; line and paragraph separator; what turns the direction
#: of text around; what has no width, fills without ink, or tags; lone surrogates; what is no
#: character at all.
_UNSAFE: Final = (
    "\x00-\x08\x0b-\x1f\x7f-\x9f\u00ad\u034f\u061c\u115f\u1160\u17b4\u17b5\u180b-\u180f"
    "\u200b\u200e\u200f\u2028-\u202e\u2060-\u206f\u3164\ufdd0-\ufdef\ufeff\uffa0\ufff0-\ufffb"
    "\ufffe\uffff\ud800-\udfff\U0001bca0-\U0001bca3\U0001d173-\U0001d17a\U000e0000-\U000e0fff"
)
#: Joiners belong between letters of some scripts and the parts of an emoji: there they stay.
_JOINER: Final = (
    "(?<![^\x00-\x7f\u200c\u200d])[\u200c\u200d]|[\u200c\u200d](?![^\x00-\x7f\u200c\u200d])"
)
#: Marks the sequences that are our own: nobody outside of this process can guess it.
_NONCE: Final = os.urandom(8).hex()
_OWN: Final = f"\x0e{_NONCE}([^\x0e\x0f]*)\x0f"

_LINE_END: Final = re.compile("[\n\t]")
_SUSPECT: Final = re.compile(f"[{_UNSAFE}\u200c\u200d]")
_HIDDEN: Final = re.compile(f"{_OWN}|([{_UNSAFE}]|{_JOINER})")
_SHORT: Final = {"\n": "\\n", "\r": "\\r", "\t": "\\t"}

#: Space as .NET trims it, which the runner of GitHub does. A carriage return is one of ours.
_ORDER: Final = re.compile(r"##(?:vso|teamcity)?(?=\[)|(?:^|(?<=\r))[^\S\n\r]*:(?=:)", re.MULTILINE)
_BRACKET: Final = re.compile(r"(##(?:vso|teamcity)?)\[")
_COLON: Final = re.compile(r"^([^\S\n\r]*:):", re.MULTILINE)
#: As long as the longest beginning of an order without its last sign.
_LONGEST: Final = len("##teamcity")


def line(value: object) -> str:
    """A value, or a whole line, as part of one line: line ends too are written as escapes (`\\n`).

    Any UTF-8 stream takes the result. A backslash stays as it is, so the result is for reading, not
    for turning back. Sequences made by `own` stay.
    """
    said = value if isinstance(value, str) else str(value)
    if said.isascii() and said.isprintable():
        return said
    return _LINE_END.sub(_escaped, _shown(said, _kept))


def alone(value: object) -> str:
    """A line that somebody else prints: it gives no orders either."""
    return _unordered(line(value))


def lines(rows: Iterable[object]) -> str:
    """Rows as a text of as many lines, whatever stands in them; no line end at the end."""
    return "\n".join(map(line, rows))


def table(rows: Iterable[Sequence[object]], right: Collection[int] = ()) -> list[str]:
    """Rows of cells as lines whose columns are as wide as they need to be; those in `right` (from
    0) end where the widest of their cells ends.
    """
    shown = [[line(cell) for cell in row] for row in rows]
    widths = [max(map(len, column)) for column in zip(*shown, strict=True)]
    return [
        "  ".join(
            cell.rjust(width) if place in right else cell.ljust(width)
            for place, (cell, width) in enumerate(zip(row, widths, strict=True))
        ).rstrip()
        for row in shown
    ]


def text(whole: str) -> str:
    """A text of several lines: line ends and tabs stay, all else becomes visible, and it gives no
    orders.
    """
    return _unordered(_shown(whole, _kept))


def own(sequence: str) -> str:
    """A control sequence of ours (a colour, a carriage return) for a stream of this program, which
    lets it through. Any other would show the mark.
    """
    return f"\x0e{_NONCE}{sequence}\x0f"


def coloured(stream: TextIO) -> bool:
    """Whether words may be `painted` on a stream: on a terminal, unless NO_COLOR (no-color.org) is
    set to anything.
    """
    return stream.isatty() and not os.environ.get("NO_COLOR")


def painted(words: str, colour: str) -> str:
    """Words in a colour for a terminal, by its number (ECMA-48, 8.3.117: `31` is red)."""
    begin, end = own(f"\x1b[{colour}m"), own("\x1b[0m")
    return f"{begin}{words}{end}"


def in_json(document: str) -> str:
    """A JSON text that means the same, shows every control character, and gives no orders."""
    if not document.isascii() or "\x7f" in document:
        document = _HIDDEN.sub(_in_json, document)
    # Nothing of the kind can stand outside of a string, and no line of JSON begins with a colon.
    return _BRACKET.sub(r"\1\\u005b", document)


def in_markup(document: str) -> str:
    """HTML, XML or Markdown that means the same and gives no orders: a reference takes the place of
    the last sign. What of it is control characters, its writer has made visible.
    """
    return _COLON.sub(r"\1&#58;", _BRACKET.sub(r"\1&#91;", document))


class Flow:
    """Text that leaves piece by piece: an order is broken up even where it comes in several."""

    __slots__ = ("_before",)

    def __init__(self) -> None:
        #: What the current line holds so far, as far as it matters: nothing (but space), the first
        #: colon, or a stand-in for some text and the last few signs of it.
        self._before = ""

    def shown(self, piece: str, *, orders: bool = False) -> str:
        """The next piece as it may leave; with `orders` those in it are our own."""
        piece = _shown(piece, _released)
        before = self._before
        if not orders:
            piece = _unordered(before + piece)[len(before) :]
        last = piece[piece.rfind("\n") + 1 :]
        if len(last) == len(piece):
            last = before + last
        bare = last.strip()
        self._before = bare if bare in ("", ":") else f"x{last[-_LONGEST:]}"
        return piece


def _shown(whole: str, take: Callable[[re.Match[str]], str]) -> str:
    if (
        whole.isascii() and whole.replace("\n", "").isprintable()
    ):  # nearly all, and ten times faster
        return whole
    return _HIDDEN.sub(take, whole) if _SUSPECT.search(whole) is not None else whole


def _unordered(whole: str) -> str:
    """The same text, each order in it broken up by a backslash."""
    # Few lines have either, and to look for them so is a tenth of the work.
    return _ORDER.sub(r"\g<0>\\", whole) if "::" in whole or "##" in whole else whole


def _kept(found: re.Match[str]) -> str:
    return found[0] if found[1] is not None else _escaped(found)


def _released(found: re.Match[str]) -> str:
    return found[1] if found[1] is not None else _escaped(found)


def _escaped(found: re.Match[str]) -> str:
    character = found[0]
    code = ord(character)
    if character in _SHORT:
        return _SHORT[character]
    if code < 0x100:
        return f"\\x{code:02x}"
    return f"\\u{code:04x}" if code < 0x10000 else f"\\U{code:08x}"


def _in_json(found: re.Match[str]) -> str:
    units = found[0].encode("utf-16-be", "surrogatepass").hex()
    return "".join(f"\\u{units[place : place + 4]}" for place in range(0, len(units), 4))
