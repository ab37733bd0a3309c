"""One page's blocks, run from top to bottom in a folder of their own, as one person would in one
shell: where it is, and what it has exported, carries over from block to block.
"""

from __future__ import annotations

import contextlib
import difflib
import fcntl
import os
import re
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final

from page_blocks import Block, Page, commands
from page_output import unlike

ROOT: Final = Path(__file__).parents[2]
_PATIENCE_S: Final = 100
#: What measures, and says so where it could not: beside other tests there is too little CPU.
_LOADED: Final = re.compile(r"\bsoundstage load\b|\blocust\b")
_STARVED: Final = "saturated"
_TRIES: Final = 3
#: What a page's folder has where it is the top of the repository.
_OF_TOP: Final = ("examples", "schemas", "contracts", "loadtests", "reports", "docs", "action.yml")
_STATE: Final = ".state-of-the-shell"


class PageFailure(AssertionError):
    """A block did not do what its page says."""


class PageSession:
    """A shell for a page. `folder` is empty, and stays in the way of nobody."""

    def __init__(self, page: Page, folder: Path) -> None:
        self._page = page
        self._home = folder / "home"
        self._folder = folder / "here"
        self._started: list[subprocess.Popen[bytes]] = []
        self._home.mkdir()
        self._folder.mkdir()
        if page.at_top:
            for name in _OF_TOP:
                (self._folder / name).symlink_to(ROOT / name)
        self._state = folder / _STATE
        self._state.write_text(f"cd {self._folder}\n")

    def run(self) -> None:
        """Raises PageFailure."""
        with contextlib.ExitStack() as stack:
            stack.callback(self._end)
            text = "".join(each.text for each in self._page.run)
            # Pages say the ports that people would: one page at a time has them.
            for port in sorted(set(re.findall(r"\b(?:80\d\d|55\d\d|90\d\d)\b", text))):
                stack.enter_context(_alone(f"port-{port}"))
            if _LOADED.search(text):
                stack.enter_context(_alone("load"))
            for block in self._page.run:
                self._block(block)

    def _block(self, block: Block) -> None:
        if block.name is not None:
            file = self._where() / block.name
            file.parent.mkdir(parents=True, exist_ok=True)
            file.write_text(block.text, "utf-8")
        elif block.language == "python":
            self._commands(
                block, [("python - <<'END-OF-BLOCK'\n" + block.text + "END-OF-BLOCK", None)]
            )
        elif block.background:
            self._background(block)
        elif block.language == "sh":
            self._commands(block, [(block.text, None)])
        else:
            self._commands(block, commands(block))

    def _commands(self, block: Block, all: list[tuple[str, list[str] | None]]) -> None:
        for number, (command, expected) in enumerate(all, 1):
            due = block.code if number == len(all) else None
            for again in reversed(range(_TRIES)):
                code, printed = self._command(command)
                wrong = self._wrong(block, command, due, code, expected, printed)
                if wrong is None:
                    break
                if not (again and _LOADED.search(command) and _STARVED in printed):
                    raise PageFailure(wrong)

    def _command(self, command: str) -> tuple[int, str]:
        with tempfile.TemporaryFile() as out:
            child = self._spawn(command, out)
            try:
                code = child.wait(_PATIENCE_S)
            except subprocess.TimeoutExpired:
                os.killpg(child.pid, signal.SIGKILL)
                code = -1
            out.seek(0)
            return code, out.read().decode("utf-8", "replace")

    def _spawn(self, command: str, out: Any) -> subprocess.Popen[bytes]:
        """What is left in the background by `&` belongs to the page, and ends with it."""
        script = f"""
            set -eo pipefail
            source '{self._state}'
            left() {{
                local code=$?
                {{ declare -px; echo "cd '$PWD'"; }} > '{self._state}'
                exit $code
            }}
            trap left EXIT
        """
        child = subprocess.Popen(
            ["bash", "--noprofile", "--norc", "-c", script + command],
            env=self._environment(),
            stdin=subprocess.DEVNULL,
            stdout=out,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )
        self._started.append(child)
        return child

    def _background(self, block: Block) -> None:
        # A name that stays, since the page goes on while it is written to.
        file = self._state.with_name(f"background-{block.line}")
        with file.open("wb") as out:
            child = self._spawn(f"exec {block.text.strip()}", out)
        until = time.monotonic() + _PATIENCE_S
        while "://" not in (said := file.read_text("utf-8", "replace")):
            if child.poll() is not None or time.monotonic() > until:
                raise PageFailure(f"{block.place}: it does not serve:\n{said}")
            time.sleep(0.02)

    def _environment(self) -> dict[str, str]:
        kept = {name: os.environ[name] for name in ("LANG", "LC_ALL") if name in os.environ}
        first = Path(sys.executable).parent
        return {
            **kept,
            "PATH": f"{first}:{os.environ['PATH']}",
            "HOME": str(self._home),
            "NO_COLOR": "1",
            "TERM": "dumb",
        }

    def _where(self) -> Path:
        return Path(
            self._state.read_text().rstrip().splitlines()[-1].removeprefix("cd ").strip("'")
        )

    def _wrong(
        self,
        block: Block,
        command: str,
        due: int | None,
        code: int,
        expected: list[str] | None,
        printed: str,
    ) -> str | None:
        said = f"{block.place}: {command.strip()}"
        if due is not None and code != due:
            ended = "did not end" if code < 0 else f"ended with {code}"
            return f"{said}\n{ended}, not with {due}; it printed:\n{printed}"
        if expected is None:
            return None
        received = printed.rstrip("\n").splitlines() if printed.strip() else []
        at = unlike(expected, received)
        if at is None:
            return None
        missed = repr(expected[at]) if at < len(expected) else "the end"
        shown = "\n".join(difflib.unified_diff(expected, received, "page", "printed", lineterm=""))
        return f"{said}\nnot as the page shows it, at {missed}:\n{shown}"

    def _end(self) -> None:
        for child in self._started:
            with contextlib.suppress(ProcessLookupError):
                os.killpg(child.pid, signal.SIGTERM)
        for child in self._started:
            with contextlib.suppress(subprocess.TimeoutExpired):
                child.wait(10)
            with contextlib.suppress(ProcessLookupError):
                os.killpg(child.pid, signal.SIGKILL)
            child.wait()
        shutil.rmtree(self._folder, ignore_errors=True)


@contextlib.contextmanager
def _alone(what: str) -> Iterator[None]:
    """One test of this machine at a time."""
    with (Path(tempfile.gettempdir()) / f"soundstage-tests-{what}").open("w") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        yield
