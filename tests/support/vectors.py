"""Cases of other projects' test suites, from the folder that SOUNDSTAGE_VECTORS names.

A form is `sse`, `json` or `http`: of each, all files of the folder whose names begin with it are
read. What a case expects stands in the case; no list of names is kept here or in the tests.
"""

from __future__ import annotations

import base64
import json
import os
import threading
from pathlib import Path
from typing import Any

import pytest

Case = dict[str, Any]


def cases(form: str) -> list[Any]:
    """Parameters, one a case; a skipped one, with the reason, where the folder is not given."""
    folder = os.environ.get("SOUNDSTAGE_VECTORS")
    if not folder:
        reason = "SOUNDSTAGE_VECTORS names no folder of vectors"
        return [pytest.param({}, marks=pytest.mark.skip(reason=reason), id="none")]
    found = [
        pytest.param(case, id=case["name"])
        for path in sorted(Path(folder).glob(f"{form}*.json"))
        for case in json.loads(path.read_bytes())
    ]
    assert found, f"{folder} has no vectors of the form {form}"
    return found


def steps(connection: Case, before_reset: threading.Event | None = None) -> list[tuple[Any, ...]]:
    """A connection as steps of `RawServer`. A reset waits for the event, or for a moment, so that
    what was sent before has been read.
    """
    found: list[tuple[Any, ...]] = []
    for step in connection["steps"]:
        if "send_base64" in step:
            found += [("send", base64.b64decode(step["send_base64"]))] * step.get("repeat", 1)
        elif "sleep_s" in step:
            found.append(("sleep", step["sleep_s"]))
        elif step.get("rst"):
            found += [("wait", before_reset) if before_reset else ("sleep", 0.05), ("rst",)]
        elif step.get("close"):
            found.append(("close",))
        else:
            raise ValueError(f"a step that the tests do not know: {step}")
    return found


def status(case: Case) -> int:
    """The status of a case's first answer."""
    first = base64.b64decode(case["connections"][0]["steps"][0]["send_base64"])
    return int(first.split(b" ", 2)[1])


def is_reset(case: Case) -> bool:
    """Whether its first connection is reset."""
    return any(step.get("rst") for step in case["connections"][0]["steps"])


def followed(case: Case) -> bool:
    """Whether a client that repeats its method and body, and no other, follows this redirect."""
    return case["verdict"] == "redirected" and status(case) in (307, 308)
