"""What people save instead of a response, and how it is told: a sentence for each, never a verdict.

`not_a_response` knows what no API can have sent, whatever it is given as; `looks_like` finds words
for anything else that fits no contract.
"""

from __future__ import annotations

import json
import re
from typing import Any, Final

from soundstage.output.cutting import beginning, head

SAVE: Final = "save the response itself: curl -sN ... > stream.sse"
_RAW: Final = 65_536

#: What tools write of themselves: where it stands (pattern), what it is, and what to do.
_TOOLS: Final = tuple(
    (re.compile(pattern, re.MULTILINE), what, advice)
    for pattern, what, advice in (
        (rb"% Total +% Received % Xferd", "curl's progress meter is in it", SAVE),
        (
            rb"^curl: \([0-9]+\) ",
            "curl's own messages are in it",
            "keep them apart: curl -sN ... > stream.sse 2> errors.txt",
        ),
        (rb"\A== Info: |\A[=<]?[=>] (?:Send|Recv) (?:header|data)", "curl's trace", SAVE),
        (rb"\A--[0-9]{4}-[0-9]{2}-[0-9]{2} [0-9:]{8}--  http", "wget's own messages", SAVE),
        (
            rb"\A\s*\{\s*'[^'\n]*'\s*:|\A\s*\[\s*\{\s*'",
            "Python dicts as `print` writes them",
            SAVE,
        ),
        (
            rb"\A\s*b(?:'|\")(?:data:|event:|id:|:|\{)",
            "Python bytes as `print` writes them",
            SAVE,
        ),
        (
            rb"\A\s*\{\"log\":\s*\".*\"stream\":\s*\"std(?:out|err)\"",
            "a container's log in the form of Docker's json-file",
            "take its text (`docker logs NAME`), or " + SAVE,
        ),
        (
            rb"\A(?:---\s+)?(?:http_interactions|interactions):\s*$",
            "a cassette of recorded interactions (VCR)",
            "give the body of the response alone, or a HAR file",
        ),
        (
            rb"\A\s*<(?:\?xml[^>]*\?>\s*)?(?:<!DOCTYPE items|items burpVersion|testResults)",
            "another tool's export",
            "export it as HAR",
        ),
    )
)

#: JSON documents of other tools: what has these members, at the top.
_DOCUMENTS: Final = (
    (
        {"info", "item"},
        "a Postman collection",
        "save the response (Save Response > Save to a file)",
    ),
    ({"_type", "resources"}, "an Insomnia export", "export the response as HAR"),
    ({"type", "data", "metric"}, "k6's output", SAVE),
    ({"openapi", "paths"}, "an OpenAPI document", SAVE),
    (
        {"constants", "events"},
        "a network log of Chrome",
        "export a HAR file from the network panel",
    ),
    ({"interactions", "version"}, "a cassette of recorded interactions (VCR)", SAVE),
    ({"http_interactions", "recorded_with"}, "a cassette of recorded interactions (VCR)", SAVE),
    ({"traceEvents"}, "a trace of a browser", "export a HAR file from the network panel"),
    ({"file", "verdict", "violations"}, "what `soundstage lint` printed", SAVE),
    (
        {"format", "target", "verdict", "summary"},
        "a run of soundstage",
        "soundstage report shows it",
    ),
)

_MARKUP: Final = re.compile(rb"\s*<[!?a-zA-Z]")
_JSONP: Final = re.compile(rb"\s*(?:/\*.*?\*/)?\s*[A-Za-z_$][\w$.]*\(\s*[\[{\"]", re.DOTALL)
_GUARD: Final = re.compile(rb"\s*(?:\)\]\}'|for\s*\(;;\);|while\s*\(1\);)")
_SHELL: Final = re.compile(
    rb"\S*sh: |zsh: |.*(?:command not found|is not recognized)|Invoke-\w+ ?:|curl ?:|\$ |PS [A-Z]:"
)
_INSPECTED: Final = re.compile(rb"\s*\{\s*[A-Za-z_]\w*: ")
_STAMP: Final = re.compile(
    rb"[^\n]{0,60}(?:[0-9]{4}-[0-9]{2}-[0-9]{2}[T ]|[0-9]{2}:[0-9]{2}:[0-9]{2})"
)


def not_a_response(body: bytes) -> str | None:
    """What a file is that holds a tool's own words, and what to do, in one sentence; None if it may
    hold a response.
    """
    for pattern, what, advice in _TOOLS:
        if pattern.search(body):
            return f"{what}: {advice}"
    return None


def looks_like(body: bytes) -> str:
    """What a body that fits no contract looks like, and what to do, in one sentence."""
    text = body.strip()
    if not body:
        return f"an empty file: {SAVE}"
    if not text:
        return f"nothing but blank lines: {SAVE}"
    if _is_binary(body[:4096]):
        return f"binary data: {SAVE}"
    if _MARKUP.match(body):
        return "a page of HTML or XML: save what the endpoint itself answers (curl -isN ...)"
    if _GUARD.match(body):
        return f"JSON behind a guard against scripts: {SAVE}"
    if _JSONP.match(body):
        return f"JSONP, a script that calls a function: {SAVE}"
    if (said := _json(text)) is not None:
        return said
    if re.search(rb"^(?:data|event):", body[:_RAW], re.MULTILINE):
        if re.match(rb"\s*(?:data|event|id|retry)?:", body):
            return f"an event stream{_of_names(body)}: {SAVE}"
        return f"an event stream with other text in it, from its first line on: {SAVE}"
    if _INSPECTED.match(body):
        return f"objects as a program prints them: {SAVE}"
    if _SHELL.match(text):
        return f"what a shell said ({_beginning(text)}): {SAVE}"
    if _STAMP.match(text):
        return f"lines of a log: {SAVE}"
    return f"text that begins with {_beginning(text)}: {SAVE}"


def _json(text: bytes) -> str | None:
    first = text.partition(b"\n")[0]
    try:
        value = json.loads(text[: 8 * 2**20])
    except (ValueError, RecursionError):
        try:
            value = json.loads(first)
        except (ValueError, RecursionError):
            return f"JSON that breaks off: {SAVE}" if text[:1] in b"{[" and b'"' in first else None
        if not isinstance(value, dict):
            return None
        return _document(value) or f"lines of JSON with {_members(value)}: {SAVE}"
    if isinstance(value, str):
        return f"a response written as one JSON string: {SAVE}"
    if isinstance(value, list):
        return f"a JSON array of {len(value)}, not a response as it was sent: {SAVE}"
    if isinstance(value, dict):
        return _document(value) or _wrapped(value)
    return f"the JSON value {_beginning(text)}: {SAVE}"


def _document(value: dict[str, Any]) -> str | None:
    for members, what, advice in _DOCUMENTS:
        if members <= value.keys():
            return f"{what}: {advice}"
    return None


def _wrapped(value: dict[str, Any]) -> str:
    for name, inner in value.items():
        body = isinstance(inner, str) and inner.lstrip().startswith(("{", "data:", "["))
        if body or (isinstance(inner, dict | list) and inner):
            return (
                f"JSON with {_members(value)}: if it wraps the response, save what is under "
                f"{head(name, 40)!r} alone"
            )
    return f"JSON with {_members(value)}: {SAVE}"


def _members(value: dict[str, Any]) -> str:
    names = ", ".join(repr(head(name, 30)) for name in list(value)[:4])
    return (names or "no members") + (" and more" if len(value) > 4 else "")


def _of_names(body: bytes) -> str:
    names = re.findall(rb'"([\w.-]{1,30})"\s*:', body[:_RAW])[:4]
    if not names:
        return " without JSON objects"
    return " of " + ", ".join(dict.fromkeys(name.decode() for name in names))


def _is_binary(head: bytes) -> bool:
    odd = sum(byte < 9 or (13 < byte < 32 and byte != 27) for byte in head)
    return odd * 50 > len(head)


def _beginning(text: bytes) -> str:
    return repr(beginning(text, 40).decode("utf-8", "replace").partition("\n")[0])
