"""Whether a page is one of ours: nothing else is replaced where nobody named it."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Final

from soundstage.errors import UsageError
from soundstage.untrusted.strange_files import open_plain

#: What `shell.html` puts into every page, and how much of a page stands before it.
_MARK: Final = b'<meta name="generator" content="soundstage">'
_HEAD: Final = 4096


def is_own_page(path: Path) -> bool:
    """Whether a file is a page that we wrote."""
    if path.is_symlink():
        return False
    try:
        with open_plain(path, within=path.parent) as file:
            return _MARK in file.read(_HEAD)
    except (OSError, UsageError, ValueError):
        return False


def refuse_other(path: Path) -> None:
    """Raises UsageError for a place where something lies that is no page of ours."""
    if os.path.lexists(path) and not is_own_page(path):
        raise UsageError(
            f"{path}: is there, and no page of Soundstage: it is left as it is; --output FILE puts "
            "the page elsewhere"
        )
