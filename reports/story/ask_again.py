"""How the exchange behind a finding is asked for again: a command that works as it is pasted.

Where the target is still there, that is `curl`. An emulator that was started for the run is gone
with it: then the command starts one with the same options and seed, sends just that request, and
judges the answer; or runs the whole run again, where one request alone cannot be sent. An answer of
the emulator names its course, by which it gives the same one again, whoever asked before.

Values in, values out.
"""

from __future__ import annotations

import re
import shlex
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Any, Final

from soundstage.contract import Contract
from soundstage.contract.json_schema import patterns
from soundstage.contract.placeholders import filled_in
from soundstage.contract.protocol import Endpoint
from soundstage.output.cutting import head
from soundstage.output.redact import MARK
from soundstage.reports.story.curl import ANY_KEY, BODY_LIMIT, KEY, curl, json_text, quoted

COURSE: Final = "Soundstage-Course"
_COURSE: Final = re.compile(r"[0-9a-f]{32}")
#: Nobody pastes a longer command, in characters; formats may rely on it.
LONGEST: Final = 12_000
#: What stands where private words were taken out begins so.
_TAKEN_OUT: Final = MARK[:-1]
#: Options of a run that its repetition has otherwise, or must do without: with how many values.
_NOT_AGAIN: Final = {
    "--emulator-args": 1,
    "--fault": 1,
    "--format": 1,
    "--header": 1,
    "--key-file": 1,
    "--out": 1,
    "--write-waivers": 1,
}
_WORDS: Final = (
    "Private words were taken out of the request; it is sent with what stands there now."
)
_COSTS: Final = "This asks the live API, and costs a generation."
_RUNS: Final = "The emulator of the run gives the same answer again, as long as it runs."
_STARTS: Final = "The emulator of the run is gone: this starts one like it, for the same answer."
_ONCE_MORE: Final = "One request alone does not show it: this is the run once more."


@dataclass(frozen=True, slots=True)
class AskAgain:
    """A `command` for a shell that asks again, and what to know before it is run (`note`)."""

    command: str
    note: str | None = None


@dataclass(frozen=True, slots=True)
class KeptExchange:
    """An exchange whose transcript a bundle keeps: its id and the word for its `bundle`, by which
    `soundstage show` finds it, its `contract` (None of an unknown version) and the name of the
    endpoint that was asked, the transcript's `header`. `followed`: somebody looked at what it made.
    """

    id: str
    bundle: str
    contract: Contract | None
    endpoint: str
    header: Mapping[str, Any]
    followed: bool = False


def ask_again(
    run: Mapping[str, Any], kept: KeptExchange, schemas: Sequence[str] = ()
) -> AskAgain | None:
    """The command for one exchange of a run (its run.json); None where nothing can be asked again.
    `schemas` are folders of contracts that are added.
    """
    target = run["target"]
    if "started_with" not in target:
        found = _of_target(target["kind"], kept)
    else:
        options = _options(target)
        found = _one_request(kept, options, schemas) or _whole_run(run, options, schemas)
    return found if found is not None and len(found.command) <= LONGEST else None


def course_of(header: Mapping[str, Any]) -> str | None:
    """The course that an emulator named in the head of its answer; None if none did."""
    headers = (header.get("response") or {}).get("headers") or ()
    named = (str(value) for name, value in headers if str(name).lower() == COURSE.lower())
    return next((each for each in named if _COURSE.fullmatch(each)), None)


def _of_target(kind: str, kept: KeptExchange) -> AskAgain | None:
    """Of a target that was there before the run, and may be there still."""
    request = kept.header.get("request")
    course = course_of(kept.header) if kind == "emulator" else None
    line = curl(
        request,
        stored=f"soundstage show {quoted(kept.bundle)} {quoted(kept.id)} --body",
        key=ANY_KEY if kind == "emulator" else KEY,
        headers=() if course is None else ((COURSE, course),),
    )
    if line is None:
        return None
    endpoint = _endpoint(kept)
    costs = kind == "live" and endpoint is not None and endpoint.billed
    notes = [_COSTS] if costs else [_RUNS] if kind == "emulator" else []
    notes += [_WORDS] if _lacks_words(request) else []
    return AskAgain(line, " ".join(notes) or None)


def _options(target: Mapping[str, Any]) -> list[str]:
    """The options of the emulator that was started for the run, with the seed that it drew."""
    options = [str(each) for each in target["started_with"]]
    seeded = any(each.partition("=")[0] == "--seed" for each in options)
    if target.get("seed") is not None and not seeded:
        options += ["--seed", str(target["seed"])]
    return options


def _one_request(
    kept: KeptExchange, options: Sequence[str], schemas: Sequence[str]
) -> AskAgain | None:
    """A command that sends just this request to an emulator of its own; None where that cannot be:
    it looks up what another request made, is to be refused, or lacks words that it needs.
    """
    endpoint, request = _endpoint(kept), kept.header.get("request")
    if endpoint is None or not isinstance(request, Mapping) or kept.header.get("expect"):
        return None
    asked_alone = endpoint.makes_songs and not filled_in(endpoint.path, dict(endpoint.query))
    # A stream at whose generation somebody looked was left on purpose.
    left = kept.followed and endpoint.kind == "stream"
    if left or not asked_alone or request.get("method") != endpoint.method:
        return None
    body, sent = request.get("body"), ""
    if (body is None) is not (endpoint.request is None):
        return None
    command = [*_soundstage("record", schemas), "--target", "emulator"]
    # With "=": one word alone would be taken for an option of this program.
    command.append(f"--emulator-args={quoted(shlex.join(options))}")
    assert kept.contract is not None
    command += ["--api", _word(kept.contract.api), "--endpoint", _word(endpoint.name)]
    if (course := course_of(kept.header)) is not None:
        command += ["--header", quoted(f"{COURSE}: {course}")]
    if body is not None:
        if not patterns.validator(endpoint.request or {}).is_valid(body):
            return None
        text = json_text(body)
        sent = f"printf %s {quoted(text)} | "
        if len(text) > BODY_LIMIT:
            sent = f"soundstage show {quoted(kept.bundle)} {quoted(kept.id)} --body | "
        command += ["--body", "-"]
    judged = " ".join([*_soundstage("lint", schemas), "-"])
    line = f"{sent}{' '.join([*command, '--out', '-'])} | {judged}"
    return AskAgain(line, f"{_STARTS} {_WORDS}" if _lacks_words(request) else _STARTS)


def _whole_run(
    run: Mapping[str, Any], options: Sequence[str], schemas: Sequence[str]
) -> AskAgain | None:
    """The run once more, against an emulator with the same seed."""
    try:
        words = shlex.split(head(run["command"], LONGEST, end=""))
    except ValueError:
        return None
    # A bundle may come from anybody: only what such a run can have been is taken from it.
    if words[:2] not in (["soundstage", "check"], ["soundstage", "load"]):
        return None
    kept, skipped = [], 0
    for word in words:
        if skipped:
            skipped -= 1
            continue
        name, equals, _ = word.partition("=")
        if name in _NOT_AGAIN:
            skipped = 0 if equals else _NOT_AGAIN[name]
            continue
        kept.append(word)
    if not _asks_emulator(kept) or any(_TAKEN_OUT in word for word in kept):
        return None
    added = [f"--emulator-args={quoted(shlex.join(options))}"]
    added += [word for folder in schemas for word in ("--schemas", quoted(folder))]
    return AskAgain(" ".join([*map(_word, kept), *added]), _ONCE_MORE)


def _asks_emulator(words: Sequence[str]) -> bool:
    """Whether a command starts an emulator of its own, as far as its words say its target."""
    targets = [w.partition("=")[2] for w in words if w.startswith("--target=")]
    targets += [after for word, after in pairwise(words) if word == "--target"]
    return all(each == "emulator" for each in targets)


def _soundstage(command: str, schemas: Sequence[str]) -> list[str]:
    """`soundstage COMMAND`, with the folders of contracts that are added."""
    added = [word for folder in schemas for word in ("--schemas", quoted(folder))]
    return ["soundstage", command, *added]


def _word(text: str) -> str:
    """A word of a shell, in quotes only where it needs them."""
    return text if re.fullmatch(r"[A-Za-z0-9@%+=:,./_-]+", text) else quoted(text)


def _endpoint(kept: KeptExchange) -> Endpoint | None:
    return None if kept.contract is None else kept.contract.endpoints.get(kept.endpoint)


def _lacks_words(request: object) -> bool:
    body = request.get("body") if isinstance(request, Mapping) else None
    return body is not None and _TAKEN_OUT in json_text(body)
