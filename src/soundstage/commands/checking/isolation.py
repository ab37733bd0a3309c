"""Isolation of a run: what a caller's folder and environment may not change about it.

A verdict is the same in whatever folder, shell or continuous integration it is asked for. Nothing
is imported from the current folder, other people's warnings are no errors, and neither pytest nor
Hypothesis takes orders from variables or leaves anything behind.
"""

from __future__ import annotations

import os
import sys
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

#: Variables that begin like this give orders to the libraries of the gate.
_ORDERS = ("PYTEST_", "HYPOTHESIS_", "SCHEMATHESIS_")
#: What the gate tells them instead: no plugin that merely happens to be installed.
_OURS = {"PYTEST_DISABLE_PLUGIN_AUTOLOAD": "1", "HYPOTHESIS_NO_PLUGINS": "1"}
_STORAGE = "HYPOTHESIS_STORAGE_DIRECTORY"


def move_in() -> None:
    """Make this process ours: call it first, before anything more is imported."""
    leave_folder()
    if sys.warnoptions:  # -W, PYTHONWARNINGS: of the caller's own programs, not of this one
        warnings.resetwarnings()
        warnings.simplefilter("ignore")


def leave_folder() -> None:
    """Import nothing from the current folder: `python -m` puts it first, and an empty entry of
    PYTHONPATH means it, too. It stays where we are installed there ourselves.
    """
    try:
        here = os.getcwd()
    except OSError:  # it has been removed
        here = ""
    home = os.path.abspath(os.path.join(os.path.dirname(__file__), "..", ".."))
    if here != home:
        sys.path[:] = [entry for entry in sys.path if entry not in ("", ".", here)]


@contextmanager
def undisturbed() -> Iterator[None]:
    """While it lasts, pytest, Hypothesis and Schemathesis hear nothing of the caller's environment
    and keep what they would store in a folder that goes away.
    """
    import tempfile  # not with the module: it imports much before the folder has been left

    before = dict(os.environ)
    with tempfile.TemporaryDirectory(prefix="soundstage-", ignore_cleanup_errors=True) as folder:
        _put_tables(Path(folder))
        for name in before:
            if name.startswith(_ORDERS):
                del os.environ[name]
        os.environ.update({**_OURS, _STORAGE: folder})
        try:
            yield
        finally:
            for name in [name for name in os.environ if name.startswith(_ORDERS)]:
                del os.environ[name]
            os.environ.update({k: v for k, v in before.items() if k.startswith(_ORDERS)})
            if (hypothesis := sys.modules.get("hypothesis.configuration")) is not None:
                # It would go on in the folder that is away.
                hypothesis.set_hypothesis_home_dir(None)


def _put_tables(folder: Path) -> None:
    """Put the table of what UTF-8 can encode where Hypothesis would keep it: it would try all
    characters one by one, for seconds. One that looks elsewhere works it out as ever.

    Source: The Unicode Standard, section 3.9, D92: every code point but the surrogates.
    """
    import gzip  # as above
    import json
    import unicodedata

    encodable = [[0, 0xD7FF], [0xE000, sys.maxunicode]]
    place = folder / "unicode_data" / unicodedata.unidata_version / "codec-v2-utf-8.json.gz"
    place.parent.mkdir(parents=True)
    place.write_bytes(gzip.compress(json.dumps([encodable, []]).encode()))
