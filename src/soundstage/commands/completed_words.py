"""Words that shells complete, as shtab takes them: a function of the script for each set of words.

Some are names of contracts that anybody may have written, and a shell runs what it reads: what is
more than a plain word is left out.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from typing import Any, Final

_PLAIN: Final = re.compile(r"[A-Za-z0-9_./*+,@:-]+")
_FUNCTION: Final = "_soundstage_complete_"


def words(name: str, known: Iterable[str]) -> dict[str, Any]:
    """What completes to one of these words. `name` is that of the function of the script."""
    return _made(name, " ".join(_plain(known)), "")


def at(name: str, known: Iterable[str], pattern: str) -> dict[str, Any]:
    """What completes to one of these words, or to a file whose name is like `pattern`."""
    return _made(name, " ".join(_plain(known)), pattern)


def names_of_runs() -> dict[str, Any]:
    """What completes to a run of the current folder, or to a folder."""
    function = f"{_FUNCTION}runs"
    return {
        "bash": function,
        "zsh": function,
        "fish": "(__fish_complete_directories; echo latest; path basename runs/*/)",
        "tcsh": "d",
        "preamble": {
            "bash": f"""
{function}() {{
  local run
  for run in latest runs/*/; do
    run=${{run#runs/}}; run=${{run%/}}
    [[ $run == "*" || $run != "$1"* ]] || printf '%s\\n' "$run"
  done
  compgen -d -- "$1"
}}""",
            "zsh": f"""
{function}() {{
  local -a found
  found=(latest runs/*(N/:t))
  compadd "$@" -a found
  _files -/
}}""",
        },
    }


def _plain(known: Iterable[str]) -> list[str]:
    return [each for each in known if _PLAIN.fullmatch(each)]


def _made(name: str, listed: str, pattern: str) -> dict[str, Any]:
    function = f"{_FUNCTION}{name}"
    files = f'compgen -f -X \'!{pattern}\' -- "$1"; compgen -d -- "$1"' if pattern else ":"
    _files = f"_files -g '{pattern}'" if pattern else ":"
    return {
        "bash": function,
        "zsh": function,
        "fish": f"({function})",
        "tcsh": f"({listed})" if len(listed) < _TCSH_LINE else "",
        "preamble": {
            "bash": f"\n{function}() {{\n  compgen -W '{listed}' -- \"$1\"\n  {files}\n}}",
            "zsh": f"\n{function}() {{\n  local -a found\n  found=({_quoted(listed)})\n"
            f'  compadd "$@" -a found\n  {_files}\n}}',
            "fish": f"\nfunction {function}\n  printf '%s\\n' {_quoted(listed)}\nend",
        },
    }


#: tcsh takes no longer words.
_TCSH_LINE: Final = 1000


def _quoted(listed: str) -> str:
    return " ".join(f"'{each}'" for each in listed.split())
