"""TOML from strangers: parsed within bounds, and refused with one line where the parser would raise
something else, or take for ever.
"""

from __future__ import annotations

import math
import re
import tomllib
from datetime import date, time
from pathlib import Path
from typing import Any, Final

from soundstage.errors import UsageError

#: Bytes of a file that people write, and how deep its tables and arrays may be nested.
MOST_BYTES: Final = 2**20
DEEPEST: Final = 32
#: Of an integer, says TOML.
_BITS: Final = 64
#: A dotted key of more parts than may be nested: the parser's time grows with their square.
_DOTTED: Final = re.compile(
    r"""(?:\.[ \t]*+(?:[\w-]++|"[^"\n]*+"|'[^'\n]*+')[ \t]*+){%d}""" % DEEPEST  # noqa: UP031
)


def parse(data: bytes | str, path: Path) -> dict[str, Any]:
    """The tables in a text, as JSON could hold them: dates and times, inf and nan are texts.

    Raises UsageError with the file and the reason.
    """
    try:
        text = data if isinstance(data, str) else data.decode()
        if _DOTTED.search(text):
            raise ValueError(f"a key of more than {DEEPEST} parts")
        found: dict[str, Any] = _plain(tomllib.loads(text), 0)
    except RecursionError as error:
        raise UsageError(f"{path}: not TOML: nested too deeply") from error
    except UnicodeDecodeError as error:
        raise UsageError(f"{path}: not TOML: no text in UTF-8") from error
    except ValueError as error:
        raise UsageError(f"{path}: not TOML: {error}") from error
    return found


def _plain(value: Any, depth: int) -> Any:
    if depth > DEEPEST:
        raise ValueError(f"nested more than {DEEPEST} deep")
    if isinstance(value, dict):
        return {key: _plain(inner, depth + 1) for key, inner in value.items()}
    if isinstance(value, list):
        return [_plain(inner, depth + 1) for inner in value]
    if isinstance(value, date | time):
        return value.isoformat()
    if isinstance(value, float) and not math.isfinite(value):
        return str(value)
    if isinstance(value, int) and value.bit_length() > _BITS:
        raise ValueError("an integer beyond 64 bits")
    return value
