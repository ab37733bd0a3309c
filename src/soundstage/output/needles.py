"""Where secrets stand in bytes, however they are written there: plain, in base64 or hexadecimal,
and under any pile of percent signs, JSON escapes and HTML character references, mixed at will.

Pure; finds places and replaces nothing (`redact` does).
"""

from __future__ import annotations

import base64
import binascii
import copy
import re
from bisect import bisect_right
from collections.abc import Callable, Iterable, Iterator
from typing import Final

#: From, to: a part of the bytes that were searched.
Span = tuple[int, int]
#: Finds something in bytes; and, if they quote what was cut, the beginnings of it.
Finder = Callable[[bytes, bool], Iterator[Span]]

#: Shorter ones would match by chance all over base64 text, and under escapes.
_ENCODED_MINIMUM: Final = 6
#: What is written with escapes of escapes is followed so deep (a URL in a URL in JSON in HTML).
_DEEPEST: Final = 5
#: So much is unfolded at once, and at least so much of it again with the next piece: a needle of a
#: hundred characters, each of which takes forty; of a longer one each character may take so many.
_WINDOW, _OVERLAP, _WIDEST = 65_536, 4_096, 12
#: A text that is cut gives no more away than so many characters.
_PREFIX: Final = 8
#: What may be base64 (either alphabet, any alignment) or hexadecimal of a piece of text.
_CODED: Final = re.compile(rb"[A-Za-z0-9+/_-]{16,}")
_IN_HEXADECIMAL: Final = re.compile(rb"[0-9A-Fa-f]{16,}")
_USUAL: Final = bytes.maketrans(b"-_", b"+/")

#: URLs (RFC 3986, 2.1), strings of JSON, JavaScript and Python, JSON pointers (RFC 6901, 3), HTML
#: (13.5, named references too).
_ESCAPE: Final = re.compile(
    rb"%([0-9A-Fa-f]{2})"
    rb"|\\u([Dd][89ABab][0-9A-Fa-f]{2})\\u([Dd][C-Fc-f][0-9A-Fa-f]{2})"
    rb"|\\(?:u([0-9A-Fa-f]{4})|u\{([0-9A-Fa-f]{1,6})\}|U([0-9A-Fa-f]{8})|x([0-9A-Fa-f]{2})"
    rb"|([0-3][0-7]{2})|([\"'/\\]))"
    rb"|~([01])"
    rb"|&(?:\#(?:[xX]([0-9A-Fa-f]{1,16})|([0-9]{1,16}))|([A-Za-z][A-Za-z0-9]{1,31}));?"
    rb"|\\([bfnrt])"
)
#: Every escape begins with one of these.
_SIGNS: Final = (b"%", b"\\", b"&", b"~")
_HEXADECIMAL: Final = (4, 5, 6, 11)
_RAW_HEXADECIMAL: Final = (1, 7)
_CONTROL: Final = {b"b": b"\b", b"f": b"\f", b"n": b"\n", b"r": b"\r", b"t": b"\t"}
_LAST_CHARACTER: Final = 0x10FFFF
#: What may stand after a text that was cut: the rest of an escape, then what says that it was.
_CUT: Final = re.compile(
    rb"(?:%[0-9A-Fa-f]?|\\u?[0-9A-Fa-f]{0,3}|&\#?[xX]?[0-9A-Fa-f]{0,6})?(?:\xe2\x80\xa6|['\"]|\Z)"
)


def _said(escape: re.Match[bytes]) -> bytes:
    """What an escape stands for, in UTF-8; itself where it is none."""
    kind = escape.lastindex or 0
    text = escape[kind]
    if kind in _RAW_HEXADECIMAL:
        return bytes((int(text, 16),))
    if kind == 8:
        return bytes((int(text, 8),))
    if kind == 3:
        pair = (int(escape[2], 16) - 0xD800) * 0x400 + int(text, 16) - 0xDC00
        return chr(0x10000 + pair).encode()
    if kind == 9:
        return text
    if kind == 10:
        return b"/" if text == b"1" else b"~"
    if kind == 13:
        return _named(text) or escape[0]
    if kind == 14:
        return _CONTROL[text]
    number = int(text, 16 if kind in _HEXADECIMAL else 10)
    if number > _LAST_CHARACTER:
        return escape[0]
    return chr(number).encode("utf-8", "surrogatepass")


def _named(name: bytes) -> bytes | None:
    from html.entities import html5  # large, and hardly ever needed

    text = name.decode()
    found = html5.get(f"{text};") or html5.get(text)
    return found.encode() if found is not None else None


def base64_cores(secret: bytes) -> Iterator[bytes]:
    """The base64 characters that depend on `secret` alone, for its three alignments."""
    for offset in range(3):
        encoded = base64.b64encode(bytes(offset) + secret)
        first = -(-offset * 8 // 6)
        whole = (offset + len(secret)) * 8 // 6
        core = encoded[first:whole]
        yield core
        yield core.replace(b"+", b"-").replace(b"/", b"_")


def _forms(secret: bytes) -> set[bytes]:
    forms = {secret}
    if len(secret) >= _ENCODED_MINIMUM:
        forms.update(base64_cores(secret), (secret.hex().encode(), secret.hex().upper().encode()))
    return forms


class Needles:
    """Finds secrets (text; each is looked for as it is and without the blanks around it)."""

    __slots__ = ("_forms", "_more", "_unfolds", "reach")

    def __init__(self, secrets: Iterable[str]) -> None:
        forms: set[bytes] = set()
        for secret in secrets:
            for candidate in (secret, secret.strip()):
                if candidate.strip():
                    forms |= _forms(candidate.encode("utf-8", "surrogatepass"))
        self._forms = sorted(forms, key=lambda form: (-len(form), form))
        #: As long as a needle may be, however it is written.
        self.reach = max(_OVERLAP, _WIDEST * max(map(len, forms), default=0))
        self._more: Finder | None = None
        self._unfolds = any(len(form) >= _ENCODED_MINIMUM for form in forms)

    def beside(self, more: Finder) -> Needles:
        """These, and what `more` finds, also within base64 and hexadecimal."""
        other = copy.copy(self)
        other._more, other._unfolds = more, True
        return other

    def __bool__(self) -> bool:
        return bool(self._forms) or self._more is not None

    def stand_in(self, data: bytes) -> bool:
        """Whether any of them stands in `data`."""
        for form in self._forms:  # faster than one expression for all of them
            if form in data:
                return True
        if self._more is None and not self._escapes(data):
            return False
        return bool(self.spans(data))

    def spans(self, data: bytes, *, cut: bool = False) -> list[Span]:
        """The places where they stand, in order, none touching the next. `cut`: `data` quotes what
        was cut somewhere, so that the beginning of a secret counts where such a piece may end.
        """
        found = self._here(data, cut)
        if self._escapes(data):
            for start in range(0, len(data), _WINDOW):
                window = data[start : start + _WINDOW + self.reach]
                found += [(start + a, start + b) for a, b in self._unfolded(window, cut)]
        if found and not data.isascii():
            found = [_of_characters(data, *span) for span in found]
        return _joined(found)

    def _escapes(self, data: bytes) -> bool:
        return self._unfolds and any(sign in data for sign in _SIGNS)

    def _here(self, data: bytes, cut: bool) -> list[Span]:
        """Those that stand in `data` as it is."""
        found = [span for form in self._forms for span in _whole(form, data)]
        if self._more is not None:
            found += self._more(data, cut)
            found += _in_code(data, self._more, cut)
        if cut:
            found += [
                span for form in self._forms if len(form) > _PREFIX for span in begun(form, data)
            ]
        return found

    def _unfolded(self, data: bytes, cut: bool) -> list[Span]:
        """Those that show when escapes are undone, as places of `data`."""
        found: list[Span] = []
        folds: list[_Fold] = []
        level = data
        for _ in range(_DEEPEST):
            plain = _ESCAPE.sub(_said, level)
            if plain == level:
                break
            folds.append(_Fold(level))
            level = plain
            for span in self._here(level, cut):
                for fold in reversed(folds):
                    span = fold.original(span)
                found.append(span)
        return found


class _Fold:
    """Where the characters that escapes stand for come from; made only when somebody asks."""

    __slots__ = ("_data", "_starts", "_unfolded")

    def __init__(self, data: bytes) -> None:
        self._data = data
        self._starts: list[int] | None = None
        self._unfolded: list[int] = []

    def original(self, span: Span) -> Span:
        """The part of the original that became `span`, with all of each escape in it."""
        if self._starts is None:
            self._starts = self._made()
        starts, unfolded = self._starts, self._unfolded
        first, last = bisect_right(unfolded, span[0]) - 1, bisect_right(unfolded, span[1] - 1) - 1
        begin = starts[first] if first % 2 else starts[first] + span[0] - unfolded[first]
        end = starts[last + 1] if last % 2 else starts[last] + span[1] - unfolded[last]
        return begin, end

    def _made(self) -> list[int]:
        """Starts of what is plain (even) and of escapes (odd), in the original; `_unfolded` says
        where each starts once unfolded.
        """
        starts, unfolded = [0], [0]
        done = size = 0
        for escape in _ESCAPE.finditer(self._data):
            size += escape.start() - done
            starts.append(escape.start())
            unfolded.append(size)
            size += len(_said(escape))
            done = escape.end()
            starts.append(done)
            unfolded.append(size)
        self._unfolded = unfolded
        return starts


def _in_code(data: bytes, more: Finder, cut: bool) -> Iterator[Span]:
    """The words of `data` that are base64 or hexadecimal of what `more` finds."""
    words = [(word.span(), _decoded(word[0])) for word in _CODED.finditer(data)]
    # Hardly ever is there one: one look at all of them tells.
    if words and any(more(b"".join([said for _, said in words]), cut)):
        yield from (span for span, said in words if any(more(said, cut)))


def _decoded(word: bytes) -> bytes:
    """What a word says, read in every way; each ends with a quotation mark, as what is cut may."""
    said = []
    for digits in _IN_HEXADECIMAL.findall(word):
        many = len(digits) // 2 * 2
        said += [binascii.unhexlify(digits[:many]), binascii.unhexlify(digits[-many:])]
        if digits == word:
            return b"'".join([*said, b""])
    word = word.translate(_USUAL)
    for offset in range(4):
        part = word[offset:]
        left = len(part) % 4
        part = part[:-1] if left == 1 else part + b"=" * (-left % 4)
        said.append(binascii.a2b_base64(part))
    return b"'".join([*said, b""])


def _whole(form: bytes, data: bytes) -> Iterator[Span]:
    start = data.find(form)
    while start >= 0:
        yield start, start + len(form)
        start = data.find(form, start + len(form))


def begun(form: bytes, data: bytes) -> Iterator[Span]:
    """Where `data` holds the beginning of `form`, and is then cut."""
    if len(form) < _PREFIX:
        return
    start = data.find(form[:_PREFIX])
    while start >= 0:
        end = start + _PREFIX
        while end < len(data) and end - start < len(form) and data[end] == form[end - start]:
            end += 1
        # What was cut may end in a quotation mark, as the form itself may have one there.
        for last in range(end, start + _PREFIX - 1, -1):
            if _CUT.match(data, last):
                yield start, last
                break
        start = data.find(form[:_PREFIX], start + 1)


def _of_characters(data: bytes, start: int, end: int) -> Span:
    """A part of UTF-8 with the whole of its first and last character: letters of one script share
    bytes, so that what is in common may begin or end within one.
    """
    first, last = max(0, start - 3), min(len(data), end + 3)
    while start > first and start < len(data) and data[start] & 0xC0 == 0x80:
        start -= 1
    while end < last and data[end] & 0xC0 == 0x80:
        end += 1
    return start, end


def _joined(spans: list[Span]) -> list[Span]:
    """Spans in order, those that touch as one."""
    joined: list[Span] = []
    for start, end in sorted(spans):
        if joined and start <= joined[-1][1]:
            joined[-1] = (joined[-1][0], max(end, joined[-1][1]))
        else:
            joined.append((start, end))
    return joined
