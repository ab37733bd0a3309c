"""Jobs as they are saved: transcripts and archives of the contract of pictures, made by hand."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from soundstage.contract import load
from soundstage.saved.transcript import Transcript

GALLERY = Path(__file__).parents[2] / "examples" / "contracts"
PICTURES = load("pictures", GALLERY)
SONGS = load("songs", GALLERY)
HOST = "https://pictures.example"
ID = "job_0123456789ab"
QUEUED = {"job_id": ID, "status": "queued"}
FAILED = {"job_id": ID, "status": "failed", "error": "no paint"}


def painting(progress: float = 0.5) -> dict[str, Any]:
    """The state of a picture that is being made."""
    return {"job_id": ID, "status": "running", "progress": progress, "preview_url": None}


def painted(name: str = "hare") -> dict[str, Any]:
    """The last state of a picture."""
    images = [{"url": f"https://pictures.example/{name}.png"}]
    return {"job_id": ID, "status": "succeeded", "progress": 1, "images": images}


def _head(status: int, at: float) -> dict[str, Any]:
    return {"status": status, "headers": [["content-type", "application/json"]], "t": at}


def _end(at: float) -> dict[str, Any]:
    return {"kind": "complete", "fault_of": None, "message": "", "cut": None, "t": at}


def look(at: float, value: Any, *, status: int = 200, url: str = "") -> Transcript:
    """A look at a job, so many seconds after it was asked for."""
    asked = {"method": "GET", "url": url or f"{HOST}/v1/pictures/{ID}"}
    header = {"request": asked, "response": _head(status, at + 0.01), "t": at}
    return Transcript(header, [(at + 0.01, json.dumps(value).encode(), False)], _end(at + 0.02))


def job(*looks: Transcript, cut: str | None = None, **over: Any) -> Transcript:
    """The transcript of a job with these looks."""
    header = {
        "api": "pictures",
        "endpoint": "job",
        "request": {"method": "POST", "url": f"{HOST}/v1/pictures", "body": {"prompt": "A hare"}},
        "response": _head(202, 0.1),
    }
    accepted = [(0.1, json.dumps(QUEUED).encode(), False)]
    over = {"cut": cut, "t": 9.0, **over}
    return Transcript(header, accepted, _end(0.2), looks=list(looks), over=over)


def states(*values: Any) -> Transcript:
    """The transcript of a job that was seen in these states, a second apart."""
    return job(*(look(float(number), value) for number, value in enumerate(values, start=1)))


def entry(
    method: str,
    path: str,
    value: Any,
    *,
    status: int = 200,
    at: str | None = None,
    sent: Any = None,
) -> dict[str, Any]:
    """An entry of an archive. `at`: hours, minutes and seconds of when it was sent."""
    text = value if isinstance(value, str) else json.dumps(value)
    media = "text/event-stream" if text.startswith("data:") else "application/json"
    request: dict[str, Any] = {"method": method, "url": HOST + path, "headers": []}
    if sent is not None:
        request["postData"] = {"mimeType": "application/json", "text": json.dumps(sent)}
    when = {} if at is None else {"startedDateTime": f"2026-11-26T{at}Z", "time": 100}
    return {
        **when,
        "request": request,
        "response": {
            "status": status,
            "headers": [{"name": "content-type", "value": media}],
            "content": {"mimeType": media, "text": text},
        },
    }


def archive(*entries: dict[str, Any]) -> bytes:
    """An HTTP archive."""
    return json.dumps({"log": {"version": "1.2", "entries": entries}}).encode()
