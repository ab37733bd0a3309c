"""The page at `/`, for a person with a browser: what this is, how to call it, and, where the admin
API may be used without a token, the generations with their stages and players.

The page is one file without any other; its script asks only the emulator that served it. Whatever
comes from a request or a generation is put in as text, never as markup.
"""

from __future__ import annotations

import base64
import hashlib
import json
import random
import shlex
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass
from functools import cache
from importlib.metadata import version
from importlib.resources import files
from typing import TYPE_CHECKING, Any, Final

from starlette.types import Receive, Scope, Send

from soundstage.contract import Contract
from soundstage.contract.json_schema import patterns
from soundstage.contract.protocol import Endpoint
from soundstage.contract.roles import role_of
from soundstage.emulator.http.asgi import base_url, respond
from soundstage.emulator.http.guard import Guard
from soundstage.emulator.http.replies import Reply
from soundstage.generation.least_filled import LeastFilled
from soundstage.generation.sampler import Unmet, sampler_of
from soundstage.generation.walk import plan
from soundstage.output import visible

if TYPE_CHECKING:
    import jinja2

_DRAWN: Final = 20
#: What goes on behind it is on the next line of a command.
_NEXT_LINE: Final = " \\\n  "
_PROMPT: Final = "A slow waltz about a lighthouse in autumn"


_HOW: Final = {"stream": "as a stream", "sync": "all at once", "job": "as a job"}


@dataclass(frozen=True, slots=True)
class ExampleCall:
    """One way to call the emulator: the endpoint in words, and the command line."""

    title: str
    how: str
    command: str

    @property
    def on_one_line(self) -> str:
        return self.command.replace(_NEXT_LINE, " ")


class Page:
    """The handler of `/`."""

    def __init__(self, contracts: Mapping[str, Contract], guard: Guard, key: str) -> None:
        """`key`: the one that the page shows in its examples; it is told to everybody."""
        self._contracts = contracts
        self._guard = guard
        self._key = key

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        shows_all = self._guard.on and self._guard.refuses(scope) is None
        template, policy = _template()
        text = template.render(
            url=base_url(scope),
            version=version("soundstage"),
            calls=self.calls(base_url(scope)),
            stages=json.dumps({api: stages_of(each) for api, each in self._contracts.items()}),
            shows_all=shows_all,
        )
        headers = [
            (b"content-security-policy", policy),
            (b"cache-control", b"no-store"),
            (b"referrer-policy", b"no-referrer"),
            (b"x-content-type-options", b"nosniff"),
        ]
        await respond(scope, send, Reply(200, text.encode(), "text/html; charset=utf-8", headers))

    def calls(self, url: str) -> list[ExampleCall]:
        """A command line for each endpoint that makes songs; `url` is the emulator's own."""
        return [
            ExampleCall(
                contract.title,
                _HOW.get(endpoint.kind, endpoint.kind),
                curl_call(contract, endpoint, url, self._key),
            )
            for contract in self._contracts.values()
            for endpoint in contract.endpoints.values()
            if endpoint.makes_songs
        ]


def curl_call(contract: Contract, endpoint: Endpoint, url: str, key: str) -> str:
    """A request to an endpoint of the emulator at `url`, as a command for a shell."""
    body = json.dumps(_example(contract, endpoint), ensure_ascii=False)
    parts = [
        f"curl -N {shlex.quote(url + endpoint.path)}",
        f"-H {shlex.quote(f'{contract.auth.header}: {contract.auth.value(key)}')}",
    ]
    if endpoint.request is not None:
        parts += ["-H 'Content-Type: application/json'", f"-d {shlex.quote(body)}"]
    elif endpoint.method != "GET":
        parts.append(f"-X {endpoint.method}")
    return _NEXT_LINE.join(parts)


def _example(contract: Contract, endpoint: Endpoint) -> dict[str, Any]:
    """A request with what is required, as far as the page prints it, and a prompt of ours; one that
    is made up where the endpoint does not take that.
    """
    request = endpoint.request or {}
    printed: dict[str, Any] = next((e.payload for e in contract.examples if e.of == "request"), {})
    fields = request.get("properties", {})
    body: dict[str, Any] = {
        name: _PROMPT if role_of(fields.get(name, {})) == "prompt" else printed.get(name, name)
        for name in request.get("required", ())
    }
    wanted = {"allOf": [request, endpoint.when]} if endpoint.when is not None else request
    if not patterns.validator(wanted).is_valid(body):
        sampler = sampler_of(wanted)
        with suppress(Unmet):
            least = LeastFilled(sampler, {"prompt": lambda: _PROMPT})
            body = dict(sampler.draw(random.Random(0), least))
    return body


@cache
def stages_of(contract: Contract) -> list[str]:
    """The stages of a song in an order in which they may come."""
    courses = [
        list(dict.fromkeys(step.stage for step in plan(contract, random.Random(seed))))
        for seed in range(_DRAWN)
    ]
    return max(courses, key=len)


@cache
def _template() -> tuple[jinja2.Template, bytes]:
    """The page, and what a browser may do with it (Content Security Policy)."""
    import jinja2

    source = files(__package__).joinpath("page.html").read_text(encoding="utf-8")
    environment = jinja2.Environment(
        autoescape=True,
        undefined=jinja2.StrictUndefined,
        finalize=lambda value: visible.text(value) if type(value) is str else value,
    )
    style, script = (_hash(_inside(source, tag)) for tag in ("style", "script"))
    policy = (
        f"default-src 'none'; style-src '{style}'; script-src '{script}'; connect-src 'self'; "
        "media-src 'self'; img-src data:; base-uri 'none'; form-action 'none'; "
        "frame-ancestors 'none'"
    )
    return environment.from_string(source), policy.encode()


def _inside(source: str, tag: str) -> str:
    return source.partition(f"<{tag}>")[2].partition(f"</{tag}>")[0]


def _hash(text: str) -> str:
    return "sha256-" + base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()
