"""The files that `lint` is told to judge: one, the transcripts of a run bundle, all of a folder."""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Final

from soundstage.contract import Contract
from soundstage.errors import NoDataError, UsageError

if TYPE_CHECKING:
    from soundstage.results.bundle import Bundle

#: More files of a folder are not taken: a run keeps far fewer transcripts.
MOST: Final = 10_000


@dataclass(frozen=True, slots=True)
class LintedFiles:
    """`files` in order; `within`: the folder that they must lie in once links are followed (None:
    the user named the file). `bundle`: the run that they are of.
    """

    files: tuple[str, ...]
    within: Path | None = None
    bundle: Bundle | None = None

    def notes(self, contracts: Iterable[Contract]) -> Iterator[str]:
        """What to know of the run before its transcripts are judged against these contracts."""
        if self.bundle is None:
            return
        run, path = self.bundle.run, self.bundle.path
        rows = sum(1 for _ in self.bundle.exchanges())
        without = max(0, rows - len(self.files))
        kept = f"{len(self.files):,} transcript{'' if len(self.files) == 1 else 's'}"
        rest = f"; of {without:,} more exchanges it keeps no bytes, but rows" if without else ""
        yield f"{path}: {kept}{rest}"
        for contract in contracts:
            then = run["contracts"].get(contract.api)
            if then is not None and then["sha256"] != contract.sha256:
                what = f"the {contract.api} contract here is another than that of the run"
                yield f"{path}: {what}: what is found may differ"


def gathered(named: str) -> LintedFiles:
    """The files that a word of the command line means. Raises UsageError for what is none, and
    NoDataError for a bundle or folder that holds nothing to judge.
    """
    path = Path(named)
    if named == "-" or path.is_file() or (path.exists() and not path.is_dir()):
        return LintedFiles((named,))
    # Only here, for what is no file: bundles take longer to load than a transcript to judge.
    from soundstage.results.layout import RUN, TRANSCRIPTS
    from soundstage.results.run_history import ROOT, resolve

    if not path.exists():
        if os.sep in named or not ROOT.is_dir() or not _is_run(named):
            return LintedFiles((named,))
        path = resolve(named)
    if os.path.lexists(path / RUN):
        return _of_bundle(path)
    if path.name == TRANSCRIPTS and os.path.lexists(path.parent / RUN):
        return _of_bundle(path.parent)
    return _of_folder(path)


def _is_run(named: str) -> bool:
    """Whether a word that is no file names a run."""
    from soundstage.results.run_history import resolve

    try:
        resolve(named)
    except UsageError:
        return False
    return True


def _of_bundle(path: Path) -> LintedFiles:
    from soundstage.results.bundle import Bundle

    bundle = Bundle.open(path)
    places = bundle.transcripts()
    if not places:
        rows = sum(1 for _ in bundle.exchanges())
        raise NoDataError(
            f"{path}: keeps no transcripts to judge: of {rows:,} exchanges there are rows "
            f"(`soundstage show {path}` lists them)"
        )
    return LintedFiles(tuple(str(path / each) for each in places), path, bundle)


def _of_folder(path: Path) -> LintedFiles:
    try:
        names = sorted(each for each in os.listdir(path) if not each.startswith("."))
    except OSError as error:
        raise UsageError(f"{path}: cannot be read: {error.strerror}") from error
    files = [str(path / each) for each in names if not (path / each).is_dir()]
    if not files:
        raise NoDataError(f"{path}: a folder without files; name a run bundle, or saved responses")
    if len(files) > MOST:
        raise UsageError(f"{path}: more than {MOST:,} files: name some of them")
    return LintedFiles(tuple(files), path)
