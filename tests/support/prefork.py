"""A program: runs `soundstage` commands as processes that need not import Locust again.

It imports Locust and our rooms once, and forks for each command. On its input it takes an object
of JSON a line: `words` (the arguments), `cwd`, and files for `out` and `err`; it prints the exit
code.
Locust itself forks in the same way for its `--processes`.
"""

from __future__ import annotations

import json
import os
import sys
import traceback

import locust  # noqa: F401 - first: it patches sockets

import soundstage.loadtests.capacity.trials
import soundstage.loadtests.live.view
import soundstage.loadtests.run.run_setup
import soundstage.loadtests.run.users
import soundstage.reports.cli
import soundstage.reports.formats.all_formats
import soundstage.reports.run.findings  # noqa: F401
from soundstage.cli import main


def _command(words: list[str], cwd: str, out: str, err: str) -> int:
    os.chdir(cwd)
    flags = os.O_WRONLY | os.O_CREAT | os.O_TRUNC
    for number, file in ((1, os.open(out, flags)), (2, os.open(err, flags))):
        os.dup2(file, number)
    os.dup2(os.open(os.devnull, os.O_RDONLY), 0)
    try:
        return main(words)
    except SystemExit as ended:
        return ended.code if isinstance(ended.code, int) else 1
    except BaseException:  # noqa: BLE001 - the parent's code must not go on in this process
        traceback.print_exc()
        return 1


for line in sys.stdin:
    asked = json.loads(line)
    pid = os.fork()
    if pid == 0:
        code = _command(**asked)
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(code)
    sys.stdout.write(f"{os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])}\n")
    sys.stdout.flush()
