"""Runs the blocks of a page from top to bottom, in one shell and one folder, as a reader would.

Each page has a network of its own, with nothing but loopback, so that several may use port 8000 at
once. Where the system gives none (`unshare`), pages wait for one another, and reach the network.
"""

from __future__ import annotations

import fcntl
import functools
import os
import re
import select
import shlex
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path
from typing import NamedTuple

from page_blocks import ROOT, DocBlock, DocPage, measures, not_explained
from shown_output import compared

#: Seconds that one command may take, and a server until it is there.
LIMIT_S, START_S = 120.0, 30.0
#: A load run that did not get the CPU says so, and measured nothing: it is tried again.
TRIES, SATURATED = 3, "saturated"
#: What pages change in the folder of a clone is copied; all else is a link.
COPIED = ("contracts", "examples", "loadtests", "schemas")
LEFT_OUT = (".git", "runs", "build", "dist")

_ADDRESS = re.compile(r"https?://[^\s/]+:\d+|\b[\w.]+:\d{2,5}\b")

# Loopback has to be brought up in a new network. Not by `ip`, which not every system has.
_LOOPBACK = """
import fcntl, os, socket, struct, sys
fcntl.ioctl(socket.socket(), 0x8914, struct.pack("16sh", b"lo", 0x41))
os.execvp(sys.argv[1], sys.argv[1:])
"""
# Reads names of files from its input, runs each in itself, and writes each's exit code: so the
# folder and the variables carry on. What fails before the last command of a file is written down.
_DRIVER = r"""
exec 8>&1 9<&0 </dev/null >/dev/null 2>&1
while IFS= read -r _doc <&9; do
  _status=2
  trap 'printf "%s %s\n" "$?" "$LINENO" >>"$_doc.failed"' ERR
  . "$_doc" >"$_doc.out" 2>&1 8>&- 9<&-
  trap - ERR
  echo "$_status" >&8
done
"""
_LAST = "\n{ _status=$?; trap - ERR; } 2>/dev/null\n"


class DocFailure(AssertionError):
    """What a page shows is not what happens."""


class DocCommand(NamedTuple):
    """What is run at once: a command of a console block, or the whole of another.

    `shown` is what stands beneath it, None if nothing is said of its output.
    """

    block: DocBlock
    line: int
    source: str
    shown: list[str] | None
    numbers_vary: bool

    @property
    def first(self) -> str:
        return f"{self.block.page}:{self.line}: {self.source.strip().partition(chr(10))[0]}"


class _Server(NamedTuple):
    group: int
    printed: Path


def commands(block: DocBlock, output: DocBlock | None = None) -> Iterator[DocCommand]:
    """The commands of a block; `output` is the block that shows what it prints."""
    if block.language != "console":
        source = block.text
        if block.language == "python":
            source = f"python - <<'END OF THE BLOCK'\n{source}END OF THE BLOCK"
        shown = None if output is None else output.text.splitlines()
        vary = output is not None and output.numbers_vary
        yield DocCommand(block, block.line, source, shown, vary)
        return
    lines = list(enumerate(block.text.splitlines(), block.line))
    while lines:
        at, first = lines.pop(0)
        source = first.removeprefix("$ ")
        while lines and (source.endswith("\\") or not _is_whole(source)):
            source += "\n" + lines.pop(0)[1]
        shown = []
        while lines and not lines[0][1].startswith("$ "):
            shown.append(lines.pop(0)[1])
        yield DocCommand(block, at, source, shown, block.numbers_vary)


def _is_whole(source: str) -> bool:
    """Whether no quotation is open at its end."""
    with suppress(ValueError):
        shlex.split(source)
        return True
    return False


class PageRun:
    """A page at work, in `folder`, which is new. Ends all that it started."""

    def __init__(self, page: DocPage, folder: Path) -> None:
        self.page = page
        self.place = folder / "page"
        self._orders = folder / "orders"
        self._count = 0
        self._servers: dict[str, _Server] = {}
        for each in (self.place, self._orders, folder / "home", folder / "tmp"):
            each.mkdir(parents=True)
        if page.as_a_clone:
            _make_clone(self.place)
        self._shell = subprocess.Popen(
            [*_alone(), "bash", "--noprofile", "--norc", "-c", _DRIVER],
            cwd=self.place,
            env=_environment(folder),
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            start_new_session=True,
        )

    def close(self) -> None:
        """End the servers, and then the group of processes of the shell, by force if need be."""
        while self._servers:
            _end(self._servers.popitem()[1].group)
        with suppress(ProcessLookupError):
            os.killpg(self._shell.pid, signal.SIGKILL)
        self._shell.communicate()
        _await_end(self._shell.pid)

    def run(self) -> None:
        """All blocks, from top to bottom; the first that does something else is a DocFailure."""
        if unexplained := list(not_explained(self.page)):
            raise DocFailure("\n".join(unexplained))
        for block, after in zip(self.page.blocks, [*self.page.blocks[1:], None], strict=True):
            if block.not_run is not None or block.is_output:
                continue
            if block.saved_as is not None:
                self._save(block, block.saved_as)
            elif block.background is not None:
                self._serve(block, block.background)
            else:
                output = after if after is not None and after.is_output else None
                self._run_block(block, list(commands(block, output)))

    def _save(self, block: DocBlock, name: str) -> None:
        path = self.place / name
        if not path.parent.resolve().is_relative_to(self.place.resolve()):
            raise DocFailure(f"{block.place}: {name} would lie outside the page's folder")
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(block.text, "utf-8")

    def _run_block(self, block: DocBlock, todo: Sequence[DocCommand]) -> None:
        for each in todo:
            exits = block.exits if each is todo[-1] else (0,)
            if not measures(each.source):
                self._run_command(each, exits)
                continue
            before = self._orders.parent / "before"
            with locked("load", 2):
                for left in reversed(range(TRIES)):
                    shutil.copytree(self.place, before, symlinks=True)
                    try:
                        if not self._run_command(each, exits, again=left > 0):
                            break
                        _put_back(before, self.place)
                    finally:
                        shutil.rmtree(before)

    def _run_command(
        self, each: DocCommand, exits: tuple[int, ...] = (0,), again: bool = False
    ) -> bool:
        """Run it and compare; True if it measured nothing and is to be run again."""
        order = self._order(each.source + _LAST)
        status = self._await_status(each, order)
        output = _read(Path(f"{order}.out"))
        if again and SATURATED in output:
            return True
        failed = [line.split() for line in _read(Path(f"{order}.failed")).splitlines()]
        for code, line in failed[: len(failed) - (status != 0)]:
            at = each.line + int(line) - 1
            raise DocFailure(
                f"{each.first}\nexit code {code} at line {at}, before the last\n{output}"
            )
        if status not in exits:
            expected = " or ".join(map(str, exits))
            raise DocFailure(f"{each.first}\nexit code {status}, expected {expected}\n{output}")
        if each.shown is not None:
            difference = compared(each.shown, output, each.numbers_vary)
            if difference:
                raise DocFailure(f"{each.first}\nprints something else than the page\n{difference}")
        return False

    def _order(self, source: str) -> Path:
        self._count += 1
        path = self._orders / f"{self._count:03}"
        path.write_text(source, "utf-8")
        assert self._shell.stdin is not None
        with suppress(BrokenPipeError):
            self._shell.stdin.write(f"{path}\n".encode())
            self._shell.stdin.flush()
        return path

    def _await_status(self, each: DocCommand, order: Path) -> int:
        assert self._shell.stdout is not None
        ready, _, _ = select.select([self._shell.stdout], [], [], LIMIT_S)
        printed = Path(f"{order}.out")
        if not ready:
            raise DocFailure(f"{each.first}\nstill runs after {LIMIT_S:g} s\n{_read(printed)}")
        line = self._shell.stdout.readline()
        if not line:
            raise DocFailure(f"{each.first}\nended the shell of the page\n{_read(printed)}")
        return int(line)

    def _serve(self, block: DocBlock, name: str) -> None:
        """Start a server, in place of the one that has its name, and wait until it is there."""
        if name in self._servers:
            _end(self._servers.pop(name).group)
        *before, last = commands(block)
        for each in before:
            self._run_command(each)
        self._count += 1
        printed = self._orders / f"{self._count:03}.server"
        # With job control it has a group of its own, and hears of Ctrl-C.
        source = f"set -m\n{{ {last.source.strip()}\n}} >'{printed}' 2>&1 &\necho $!; set +m{_LAST}"
        order = self._order(source)
        self._await_status(last, order)
        self._servers[name] = server = _Server(int(_read(Path(f"{order}.out"))), printed)
        deadline = time.monotonic() + START_S
        while not _is_there(last, _read(printed)):
            if not _alive(server.group) or time.monotonic() > deadline:
                what = compared(last.shown or ["its address"], _read(printed), last.numbers_vary)
                raise DocFailure(f"{last.first}\ndid not come to what was awaited\n{what}")
            time.sleep(0.02)


@contextmanager
def page_run(page: DocPage, folder: Path) -> Iterator[PageRun]:
    with ExitStack() as stack:
        if not _alone():
            stack.enter_context(locked("network"))
        run = PageRun(page, folder)
        stack.callback(run.close)
        yield run


@contextmanager
def locked(name: str, most: int = 1) -> Iterator[None]:
    """Held by so many processes of this user at a time; given back when one ends, however that
    is.
    """
    folder = Path(tempfile.gettempdir())
    with ExitStack() as stack:
        places = [
            stack.enter_context((folder / f"soundstage-docs-{os.getuid()}-{name}-{n}").open("w"))
            for n in range(most)
        ]
        for place in places:
            with suppress(BlockingIOError):
                fcntl.flock(place, fcntl.LOCK_EX | fcntl.LOCK_NB)
                break
        else:
            fcntl.flock(places[os.getpid() % most], fcntl.LOCK_EX)
        yield


def _is_there(each: DocCommand, printed: str) -> bool:
    if each.shown:
        return not compared([*each.shown, "…"], printed, each.numbers_vary)
    return _ADDRESS.search(printed) is not None


def _read(path: Path) -> str:
    return path.read_text("utf-8", "replace") if path.exists() else ""


def _alive(group: int) -> bool:
    with suppress(ProcessLookupError):
        os.killpg(group, 0)
        return True
    return False


def _end(group: int) -> None:
    """End a group of processes, in order and then by force."""
    for sign in (signal.SIGTERM, signal.SIGKILL):
        with suppress(ProcessLookupError):
            os.killpg(group, sign)
        _await_end(group)


def _await_end(group: int) -> None:
    deadline = time.monotonic() + 10
    while _alive(group) and time.monotonic() < deadline:
        time.sleep(0.02)


@functools.cache
def _alone() -> tuple[str, ...]:
    """What a command is begun with so that it has a network of its own; nothing if none can be."""
    for how in ((), ("--map-root-user",)):
        words = ("unshare", "--net", *how, sys.executable, "-ISc", _LOOPBACK)
        with suppress(OSError):
            if subprocess.run([*words, "true"], capture_output=True, check=False).returncode == 0:
                return words
    return ()


def _environment(folder: Path) -> dict[str, str]:
    """All that a page's commands see of ours: no key, no CI, nobody's own folder."""
    return {
        "PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}",
        "HOME": str(folder / "home"),
        "TMPDIR": str(folder / "tmp"),
        "LANG": "C.UTF-8",
        "TERM": "dumb",
        "NO_COLOR": "1",
        "COLUMNS": "80",
        "PYTHONUNBUFFERED": "1",  # what goes to two streams comes in its order
    }


def _make_clone(place: Path) -> None:
    for each in ROOT.iterdir():
        if each.name in COPIED:
            shutil.copytree(each, place / each.name, ignore=shutil.ignore_patterns("__pycache__"))
        elif each.name not in LEFT_OUT:
            (place / each.name).symlink_to(each)


def _put_back(before: Path, place: Path) -> None:
    """All in `place` is again as in `before`; the folder itself stays, servers stand in it."""
    for each in place.iterdir():
        shutil.rmtree(each) if each.is_dir() and not each.is_symlink() else each.unlink()
    shutil.copytree(before, place, symlinks=True, dirs_exist_ok=True)
