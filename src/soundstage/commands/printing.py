"""Printing to whatever the output is: a terminal, a pipe, a file, in any locale."""

from __future__ import annotations

import json
from typing import Any, TextIO

from soundstage.output import visible


def json_line(value: Any, stream: TextIO) -> str:
    """A JSON text on one line, in ASCII where the stream is not Unicode; nothing in it drives a
    terminal.
    """
    encoding = (getattr(stream, "encoding", None) or "utf-8").lower()
    return visible.in_json(json.dumps(value, ensure_ascii=not encoding.startswith("utf")))
