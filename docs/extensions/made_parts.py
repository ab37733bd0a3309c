"""Parts of pages that are made when the site is built, from what the program itself says.

A page marks them:

    <!-- made: command check -->
    What stands here is read where the site is not: in the repository.
    <!-- end -->

On the site all of it gives way to what the maker `command` makes of `check`: Markdown. So options,
codes, rules and keys of files are said once, in the code, and cannot differ from it.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import command_reference
import contract_reference
import file_reference
import plugin_reference

if TYPE_CHECKING:
    from sphinx.application import Sphinx
    from sphinx.environment import BuildEnvironment

#: Each makes Markdown of the words that follow its name in a mark.
MAKERS: dict[str, Callable[..., str]] = {
    "codes": contract_reference.of_codes,
    "command": command_reference.of_command,
    "commands": command_reference.of_all,
    "file": file_reference.of_file,
    "fixtures": plugin_reference.of_fixtures,
    "pytest-options": plugin_reference.of_options,
    "rules": contract_reference.of_rules,
    "strategies": plugin_reference.of_strategies,
}
_MARK = re.compile(
    r"^<!-- made: (\S+)((?: \S+)*) -->\n(.*?)^<!-- end -->$", re.MULTILINE | re.DOTALL
)


def marks(page: str) -> Iterator[tuple[str, list[str]]]:
    """The name of the maker, and its words, of every mark of a page."""
    for found in _MARK.finditer(page):
        yield found[1], found[2].split()


def made(page: str) -> str:
    """A page with all its parts. Raises KeyError where nobody is called so."""
    return _MARK.sub(lambda found: MAKERS[found[1]](*found[2].split()), page)


def _read(app: Sphinx, docname: str, source: list[str]) -> None:
    del app, docname
    source[0] = made(source[0])


def _depending_on_code(app: Sphinx, env: BuildEnvironment, *_: Any) -> list[str]:
    """Pages that are read again in every build, since they may say something else."""
    del app
    return [
        name for name in env.found_docs if any(marks(Path(env.doc2path(name)).read_text("utf-8")))
    ]


def setup(app: Sphinx) -> dict[str, bool]:
    """What Sphinx calls; each kind of thing that may be looked up gets a place in its index."""
    for kind in ("rule", "fixture", "strategy"):
        app.add_object_type(kind, kind, f"pair: %s; {kind}")
    app.connect("source-read", _read)
    app.connect("env-get-outdated", _depending_on_code)
    return {"parallel_read_safe": True}
