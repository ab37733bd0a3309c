"""Takes the secrets of a run out of the bytes of an event or a body, and leaves its form alone: the
fields of an event, the structure, literals and numbers of JSON, and what the contract knows of
names and values. What is no JSON has no form that is known, and is searched as it is.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from typing import Final

from soundstage.output.redact import Redactor

_LINE: Final = re.compile(r"([^\r\n]*)(\r\n|\r|\n|\Z)")
#: A field of an event, or a comment: its name, what stands between, its value (HTML, section 9.2).
_FIELD: Final = re.compile(r"(\ufeff?(?:data|event|id|retry)?)(: ?)(.*)", re.DOTALL)
#: Strings, punctuation, numbers and literals.
_TOKEN: Final = re.compile(r'"(?:[^"\\]|\\.)*+"|[\[\]{}:,]|\s++|[^"\[\]{}:,\s]++', re.DOTALL)
_COLON: Final = re.compile(r"\s*+:")
_NUMBER: Final = re.compile(r"-?[0-9].*")
#: Surrogates that do not stand for a byte of broken UTF-8 (PEP 383).
_SURROGATE: Final = re.compile("[\ud800-\udc7f\udd00-\udfff]")


def without_secrets(raw: bytes, redactor: Redactor) -> bytes:
    """`raw` with the secrets of `redactor` replaced by its mark. Only what is taken out changes."""
    if not redactor.may_hold(raw):
        return raw
    text = raw.decode("utf-8", "surrogateescape")
    kept = _in_json(text, redactor) if _is_json(text) else _in_event(text, redactor)
    return kept.encode("utf-8", "surrogateescape")


def _in_event(text: str, redactor: Redactor) -> str:
    lines = [list(found.groups()) for found in _LINE.finditer(text)]
    fields = [_FIELD.fullmatch(line) for line, _ in lines]
    of_data = [n for n, field in enumerate(fields) if field and field[1].endswith("data")]
    data = [field[3] for field in fields if field and field[1].endswith("data")]
    if _is_json(joined := "\n".join(data)):
        kept = _in_json(joined, redactor).split("\n")
        # A text that went over several lines may have become one.
        kept += [""] * (len(data) - len(kept))
    else:
        kept = [redactor.text(each) for each in data]
    for number, (line, field) in enumerate(zip(lines, fields, strict=True)):
        if field is None:
            line[0] = redactor.name(line[0])
        elif number in of_data:
            line[0] = field[1] + field[2] + kept[of_data.index(number)]
        elif field[1].endswith("event"):
            line[0] = field[1] + field[2] + redactor.name(field[3])
        elif not field[3].isdigit():
            line[0] = field[1] + field[2] + redactor.text(field[3])
    return "".join(part for line in lines for part in line)


def _is_json(text: str) -> bool:
    try:
        json.loads(text, strict=False)
    except (ValueError, RecursionError):
        return False
    return True


def _in_json(text: str, redactor: Redactor) -> str:
    return "".join(_tokens(text, redactor))


def _tokens(text: str, redactor: Redactor) -> Iterator[str]:
    """The tokens of a JSON text without secrets."""
    name: str | None = None
    around: list[str | None] = []
    for match in _TOKEN.finditer(text):
        token = match[0]
        first = token[0]
        if first == '"':
            said = str(json.loads(token, strict=False))
            if _COLON.match(text, match.end()):
                name, kept = said, redactor.name(said)
            else:
                kept = redactor.value(said)
            yield token if kept == said else _written(kept)
            continue
        if first in "[{":
            around.append(name)
        elif first in "]}":
            name = around.pop()
        elif _NUMBER.fullmatch(token):
            token = redactor.number(token, name)
        yield token


def _written(text: str) -> str:
    """A text as JSON; bytes of broken UTF-8 in it stay what they are."""
    written = json.dumps(text, ensure_ascii=False)
    return _SURROGATE.sub(lambda each: f"\\u{ord(each[0]):04x}", written)
