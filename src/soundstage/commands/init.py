"""`soundstage init`: what a project needs to begin with: settings, a scenario, a workflow."""

from __future__ import annotations

import argparse
import json
import os
import re
import shlex
from importlib import metadata
from importlib.resources import files
from pathlib import Path
from typing import Final, TextIO
from urllib.parse import urlsplit

from soundstage.arguments import Parser
from soundstage.commands.new_files.file_schemas import file_schema
from soundstage.errors import UsageError, not_written
from soundstage.exit_codes import ExitCode
from soundstage.output.streams import say
from soundstage.output.written_files import create, put_within

HELP = "begin: write settings, a scenario and a workflow"

_EXAMPLES: Final = """examples:
  soundstage init                     in the root of your repository
  soundstage init songs/tests
  soundstage init --source git+https://github.com/OWNER/soundstage@COMMIT
  soundstage init --force             replaces what it wrote before, and what you made of it

It writes soundstage.toml and scenario.toml, the JSON Schemas of both beside them (editors that know
`#:schema` complete and check them: Even Better TOML, Taplo), and .github/workflows/soundstage.yml.
What is there already stays as it is, and then nothing is written.

exit codes: 0 written, 2 something is there already, or wrong usage, 6 it could not be written
"""
_WORKFLOW: Final = ".github/workflows/soundstage.yml"
#: Each file that is written, and what it is for.
_FILES: Final = {
    "soundstage.toml": "settings: the target, waivers, severities",
    "soundstage.schema.json": "what may stand in it",
    "scenario.toml": "a load run",
    "scenario.schema.json": "what may stand in it",
    _WORKFLOW: "the gate on GitHub",
}
_SCHEMAS: Final = {"soundstage.schema.json": "config", "scenario.schema.json": "scenario"}
#: Stands for what nobody but the user knows, and cannot be installed.
_PLACEHOLDER: Final = "git+https://github.com/OWNER/soundstage@COMMIT"
#: What pip may be told in the workflow: a word that YAML and a shell take as it stands.
_SOURCE: Final = re.compile(r"(?:git\+)?https://[\w.~/@%+-]+(?:#[\w.=&-]+)?")


def parser() -> Parser:
    """The options of `soundstage init`, before anything is parsed."""
    options = Parser(
        prog="soundstage init",
        description="Write what a project begins with: settings, a scenario and a workflow.",
        epilog=_EXAMPLES,
    )
    text = "where to (default: the current folder)"
    options.add_argument("dir", nargs="?", default=".", metavar="DIR", help=text)
    text = "what the workflow installs, as pip takes it (default: where this Soundstage came from)"
    options.add_argument("--source", metavar="git+https://…", help=text)
    options.add_argument("--force", action="store_true", help="replace files that are there")
    return options


def parse_args(argv: list[str]) -> argparse.Namespace:
    options = parser()
    args = options.parse_args(argv)
    if args.source is not None and not _SOURCE.fullmatch(args.source):
        options.error("--source: expected git+https://HOST/PATH@COMMIT, or the URL of an archive")
    return args


def run(args: argparse.Namespace, stdout: TextIO, stderr: TextIO) -> int:
    """Write the files; raises UsageError, before any is written, where one is there."""
    folder = Path(args.dir)
    source = args.source or _origin()
    texts = {name: _text(name, source) for name in _FILES}
    there = [name for name in texts if os.path.lexists(folder / name)]
    changed = [name for name in there if not _is(folder / name, texts[name])]
    if changed and not args.force:
        named = ", ".join(str(folder / name) for name in changed)
        raise UsageError(f"{named}: there already; nothing was written, --force replaces what is")
    missing = {name: text for name, text in texts.items() if name not in there or name in changed}
    if not missing:
        say(f"{folder}: all of it is there already", stdout)
    for name, text in missing.items():
        _write(folder, name, text)
        say(f"wrote {folder / name}: {_FILES[name]}", stdout)
    if source is None and _WORKFLOW in missing:
        why = "Soundstage is on no package index: say in SOURCE where your CI finds it"
        say(f"soundstage init: {folder / _WORKFLOW}: {why}", stderr)
    if _WORKFLOW in missing and not os.path.lexists(folder / ".git"):
        why = "GitHub reads it in the root of a repository only, and this folder has no .git"
        say(f"soundstage init: {folder / _WORKFLOW}: {why}", stderr)
    go = "" if args.dir == "." else f"cd {shlex.quote(args.dir)} && "
    say(f"next: {go}soundstage check", stdout)
    load = "soundstage load --scenario scenario.toml --emulator-args '--speed 60'"
    say(f"      {go}{load}", stdout)
    return ExitCode.PASS


def _text(name: str, source: str | None) -> str:
    if name in _SCHEMAS:
        return file_schema(_SCHEMAS[name])
    place = files("soundstage.commands.new_files").joinpath(name.rpartition("/")[2])
    text = place.read_text("utf-8")
    why = "What is installed, pinned by its commit."
    if source is None:
        why = "EDIT THIS: Soundstage is on no package index; name its repository and a commit."
    return text.replace("@COMMENT@", f"# {why}").replace("@SOURCE@", source or _PLACEHOLDER)


def _origin() -> str | None:
    """Where this Soundstage was installed from, if others can install it from there (PEP 610)."""
    try:
        said = metadata.distribution("soundstage").read_text("direct_url.json")
        found = json.loads(said or "{}")
        url, vcs = urlsplit(found["url"]), found["vcs_info"]
        # A user in it, or a token, is nobody's business.
        origin = f"git+https://{url.netloc.rpartition('@')[2]}{url.path}@{vcs['commit_id']}"
    except (metadata.PackageNotFoundError, KeyError, TypeError, ValueError):
        return None
    good = url.scheme == "https" and vcs.get("vcs") == "git" and _SOURCE.fullmatch(origin)
    return origin if good else None


def _is(place: Path, text: str) -> bool:
    """Whether a file holds this text already."""
    try:
        return not place.is_symlink() and place.read_text("utf-8") == text
    except (OSError, ValueError):
        return False


def _write(folder: Path, name: str, text: str) -> None:
    place = folder / name
    try:
        place.parent.mkdir(parents=True, exist_ok=True)
        if not Path(os.path.realpath(place.parent)).is_relative_to(os.path.realpath(folder)):
            raise UsageError(f"{place}: not written: a link leads out of {folder}")
        if os.path.lexists(place):
            put_within(place.parent, place.name, text)
        else:
            create(place, text.encode())
    except OSError as error:
        raise not_written(place, error) from error
