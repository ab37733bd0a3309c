"""The table of violation codes (codes.toml), and which rules can give which code.

Read only when asked for (`soundstage explain`, docs/reference/violations.md, titles of findings):
an exchange is judged without it.
"""

from __future__ import annotations

import re
import tomllib
from dataclasses import dataclass
from functools import cache
from importlib.resources import files
from typing import Final

from soundstage.contract import Contract
from soundstage.contract.rules import BILLING, Rule
from soundstage.contract.stream_rules import AS_MADE
from soundstage.untrusted import json_text


@dataclass(frozen=True, slots=True)
class Code:
    """A stable, dotted name for a kind of violation: what it means, a line or a few that show it,
    what usually causes it, and what to do about it. `family` is the title of its family. `defect`
    is the title of a finding, with places for names; `as_said`: messages say it better
    (`defects.py`).
    """

    code: str
    family: str
    meaning: str
    example: str
    cause: str
    hint: str
    defect: str
    as_said: bool = False


@cache
def codes() -> dict[str, Code]:
    """Every code by name, in the order of the table."""
    text = files("soundstage.conformance").joinpath("codes.toml").read_text(encoding="utf-8")
    found = {}
    for family, table in tomllib.loads(text).items():
        title = table.pop("title")
        for name, row in table.items():
            found[f"{family}.{name}"] = Code(f"{family}.{name}", title, **row)
    return found


_JSON: Final = tuple(json_text.CODES)
_FIELD: Final = re.compile(r"(?:[^/]+/)?(?:field/.+|whole)/(required|type|value)(?:/[a-z]+)?")
_ASPECTS: Final = {"required": "field.missing", "type": "field.type", "value": "field.value"}
#: The shape of a rule's id after `API/ENDPOINT/` -> the codes that such a rule can give.
_OF_ENDPOINT: Final[dict[str, tuple[str, ...]]] = {
    "http/status": ("http.status", "http.redirect", "http.server_error"),
    "http/ok": ("http.status",),
    "http/content_type": ("http.content_type",),
    "http/answer": ("http.error_under_success",),
    "http/body": ("http.reset", "http.truncated", "http.framing", "http.content_encoding"),
    "framing": ("framing.unexpected", "framing.unterminated"),
    "json": (*_JSON, "json.not_object"),
    "end/reached": ("stream.truncated",),
    "end/nothing_after": ("stream.after_end",),
    "end/sentinel": ("stream.no_sentinel",),
    "stages": ("stage.unknown",),
    "times/*": ("stage.repeated", "stage.missing"),
    "order/*": ("stage.order",),
    "tracks/values": ("track.unknown",),
    "tracks/all": ("track.missing",),
    "tracks/ended": ("track.after_end",),
    AS_MADE: ("stream.buffered",),
    BILLING: ("billing.too_much", "billing.too_little"),
    "index/start": ("index.start",),
    "index/consecutive": ("index.gap", "index.repeated", "index.decreased"),
    "constant/*": ("identity.changed",),
    "never_decrease/*": ("progress.decreased",),
    "completion/before_last": ("field.value",),
    "completion/last": ("stream.not_closed",),
    "forward": ("job.backwards",),
    "terminal/stays": ("job.changed",),
    "status/known": ("job.unknown_id",),
    "status/not_behind": ("job.behind",),
    "result/same": ("job.other_result",),
    "charged/once": ("job.charged_twice",),
    "undocumented": ("field.undocumented",),
    "hosts": ("asset.host",),
    "asset/address": ("asset.address",),
    "asset/answer": ("asset.missing",),
    "asset/key": ("asset.needs_key",),
    "asset/media": ("asset.media_type",),
    "asset/content": ("asset.broken", "asset.not_decoded"),
    "asset/length": ("asset.length",),
}
#: The same for `API/error/`.
_OF_ERRORS: Final[dict[str, tuple[str, ...]]] = {
    "status": ("http.status",),
    "no_500": ("http.server_error",),
    "not_under_200": ("http.error_under_success",),
    "other/body": ("http.error_body", *_JSON),
    "*": ("http.error_body",),
}


def codes_of(contract: Contract, rule: Rule) -> tuple[str, ...]:
    """The codes that a broken rule can be reported under."""
    path = rule.id.split("/", 2)[2]
    if rule.endpoint == "request":
        return ("http.accepted_invalid",)
    if rule.endpoint == "error":
        return _OF_ERRORS.get(path) or _OF_ERRORS["*"]
    if field := _FIELD.fullmatch(path):
        return (_ASPECTS[field[1]],)
    if path.endswith("/event"):
        return ("event.name",)
    area, _, name = path.partition("/")
    if area == "asset":
        return _OF_ENDPOINT[path.rpartition("/")[0]]
    found = _OF_ENDPOINT.get(path) or _OF_ENDPOINT[f"{area}/*"]
    if area == "times":
        stage_name, _, limit = name.partition("/")
        protocol = contract.endpoints[rule.endpoint].protocol
        assert protocol is not None
        stage = protocol.by_name[stage_name]
        least, most = stage.times
        if limit:
            return ("stage.repeated",)
        if stage.most is not None:
            most = None
        possible = {"stage.repeated": most is not None, "stage.missing": least > 0}
        return tuple(code for code in found if possible[code])
    endpoint = contract.endpoints[rule.endpoint]
    described = endpoint.protocol is not None or "type" in (endpoint.response or {})
    if path == "json" and not described:
        return _JSON
    return found


def rules_of(contract: Contract, code: str) -> list[Rule]:
    """The rules of a contract that can be reported under a code; none for `stream.failed`."""
    return [rule for rule in contract.rules if code in codes_of(contract, rule)]
