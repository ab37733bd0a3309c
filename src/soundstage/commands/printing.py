"""Printing to whatever the output is: a terminal, a pipe, a file, in any locale."""

from __future__ import annotations

import json
from typing import Any, TextIO


def json_line(value: Any, stream: TextIO) -> str:
    """A JSON text on one line, in ASCII where the stream is not Unicode."""
    encoding = (getattr(stream, "encoding", None) or "utf-8").lower()
    return json.dumps(value, ensure_ascii=not encoding.startswith("utf"))
