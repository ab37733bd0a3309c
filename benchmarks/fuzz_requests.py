"""The request side of the emulator under attack: all phases of Schemathesis, then many thousand
mutated bodies over several connections. No 500, no traceback in a response, no memory that grows.
"""

from __future__ import annotations

import asyncio
import json
import os
import random
import re
import time
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final
from urllib.parse import urlsplit

from benchmarks import mutators
from benchmarks.result import Row
from soundstage.contract import Contract, load_all
from soundstage.contract.openapi import document
from soundstage.emulator import Options, running

BODIES: Final = 100_000
CONNECTIONS: Final = 8
EXAMPLES: Final = 200
#: What no response may hold: the signs of an exception that got out.
_SIGNS: Final = re.compile(
    rb"Traceback \(most recent|File \"[^\"]+\", line \d|Internal Server Error"
)
_TRIGGERS: Final = ("nsfw-test-word", "unavailable-test-word", "failing-test-word")


@dataclass
class Outcome:
    """What came of many requests."""

    statuses: Counter[int] = field(default_factory=Counter)
    bad: list[str] = field(default_factory=list)
    seconds: float = 0.0
    memory_mb: tuple[float, float] = (0.0, 0.0)

    def took(self, status: int, answer: bytes, body: bytes) -> None:
        self.statuses[status] += 1
        if (status == 500 or status >= 505 or _SIGNS.search(answer)) and len(self.bad) < 5:
            self.bad.append(f"{status} to {body[:200]!r}: {answer[:200]!r}")


# --- mutants --------------------------------------------------------------------------------------


def mutant(valid: dict[str, Any], rng: random.Random) -> bytes:
    """A body near a valid one: changed as JSON, as bytes, or both."""
    value: Any = dict(valid)
    for _ in range(rng.choice((0, 1, 1, 2, 4))):
        if rng.random() < 0.2 and isinstance(value, dict):
            value = {**value, rng.choice(_NAMES): rng.choice(_WORDS)}
        else:
            value = mutators.changed(value, rng)
    raw = mutators.as_text(value, rng)
    return mutators.damaged(raw, rng, rng.choice((0, 0, 0, 1, 1, 3, 9)))[:200_000]


_NAMES: Final = ("prompt", "lyrics", "duration", "seed", "model", "prompt ", "PROMPT", "")
_WORDS: Final = (*_TRIGGERS, "https://example.invalid/a.mp3", "A song", "", 30, "30", None)


# --- sending them ---------------------------------------------------------------------------------


async def _connection(
    url: str, places: list[tuple[str, dict[str, Any]]], many: int, seed: str, outcome: Outcome
) -> None:
    """One kept-alive connection that sends `many` mutants, one after another."""
    rng = random.Random(seed)
    place = urlsplit(url)
    reader: asyncio.StreamReader | None = None
    writer: asyncio.StreamWriter | None = None
    for _ in range(many):
        if writer is None or reader is None:
            reader, writer = await asyncio.open_connection(place.hostname, place.port, limit=2**20)
        path, valid = rng.choice(places)
        body = mutant(valid, rng)
        head = (
            f"POST {path} HTTP/1.1\r\nHost: {place.netloc}\r\nAuthorization: Bearer any-key\r\n"
            f"Content-Type: application/json\r\nContent-Length: {len(body)}\r\n\r\n"
        )
        writer.write(head.encode() + body)
        status, answer, open_still = await _answer(reader)
        outcome.took(status, answer, body)
        if not open_still:
            writer.close()
            writer = None
    if writer is not None:
        writer.close()


async def _answer(reader: asyncio.StreamReader) -> tuple[int, bytes, bool]:
    """(status, body, whether the connection stays open) of the next response."""
    head = await reader.readuntil(b"\r\n\r\n")
    status = int(head[9:12])
    headers = head.lower()
    if b"transfer-encoding: chunked" in headers:
        body = b""
        while size := int(await reader.readline(), 16):
            body += (await reader.readexactly(size + 2))[:-2]
        await reader.readline()
    else:
        length = re.search(rb"content-length: (\d+)", headers)
        body = await reader.readexactly(int(length[1]) if length else 0)
    return status, body, b"connection: close" not in headers


def _places(contracts: list[Contract]) -> list[tuple[str, dict[str, Any]]]:
    """The path and a valid body of each endpoint that takes one."""
    found = []
    for contract in contracts:
        printed = [each.payload for each in contract.examples if each.of == "request"]
        for endpoint in contract.endpoints.values():
            if endpoint.request is not None:
                found += [(endpoint.path, dict(payload)) for payload in printed]
    return found


async def _attack(url: str, many: int, seed: int, outcome: Outcome) -> None:
    places = _places(list(load_all().values()))
    share = [many // CONNECTIONS + (n < many % CONNECTIONS) for n in range(CONNECTIONS)]
    await asyncio.gather(
        *(_connection(url, places, each, f"{seed}/{n}", outcome) for n, each in enumerate(share))
    )


def mutated(url: str, many: int, seed: int = 0) -> Outcome:
    """Send so many mutants of valid bodies to an emulator."""
    outcome = Outcome()
    begun = time.perf_counter()
    asyncio.run(_attack(url, many, seed, outcome))
    outcome.seconds = time.perf_counter() - begun
    return outcome


def explored(url: str, examples: int) -> Outcome:
    """All phases of Schemathesis, against every endpoint: examples, coverage, fuzzing of what the
    schema allows and what it rules out, and sequences of requests.
    """
    import hypothesis
    import schemathesis
    from schemathesis.generation.hypothesis import builder

    outcome = Outcome()
    begun = time.perf_counter()
    settings = hypothesis.settings(
        max_examples=examples,
        database=None,
        deadline=None,
        derandomize=True,
        phases=[hypothesis.Phase.explicit, hypothesis.Phase.generate],
        suppress_health_check=list(hypothesis.HealthCheck),
    )

    def sent(case: Any) -> Any:
        answer = case.call(base_url=url, headers=_KEY)
        outcome.took(answer.status_code, answer.content, repr(case.body).encode()[:200])
        return answer

    def tried(case: Any) -> None:
        sent(case)

    for contract in load_all().values():
        # Without a config of its own it would read a schemathesis.toml of the current folder.
        text = linked(contract, document(contract))
        described = schemathesis.openapi.from_dict(text, config=schemathesis.Config())
        described.config.update(base_url=url)
        config = builder.HypothesisTestConfig(
            project=described.config, modes=list(builder.HypothesisTestMode), settings=settings
        )
        for path in described:
            for operation in described[path].values():
                builder.create_test(operation=operation, test_func=tried, config=config)()
        if '"links"' in json.dumps(text):
            few = hypothesis.settings(
                settings, max_examples=max(1, examples // 4), stateful_step_count=6
            )
            _in_sequence(described, sent, few)
    outcome.seconds = time.perf_counter() - begun
    return outcome


_KEY: Final = {"Authorization": "Bearer any-key"}


def linked(contract: Contract, described: dict[str, Any]) -> dict[str, Any]:
    """A description that also says which field of a result another endpoint asks for in its path:
    Schemathesis makes no sequences without (OpenAPI, Link Object).
    """
    asking = [e for e in contract.endpoints.values() if e.request is None and "{" in e.path]
    for giving in contract.endpoints.values():
        fields = (giving.response or {}).get("properties", {})
        for endpoint in asking:
            names = re.findall(r"{([^}]+)}", endpoint.path)
            if set(names) <= fields.keys():
                operation = described["paths"][endpoint.path][endpoint.method.lower()]
                link = {
                    "operationId": operation["operationId"],
                    "parameters": {name: f"$response.body#/{name}" for name in names},
                }
                given = described["paths"][giving.path][giving.method.lower()]["responses"]["200"]
                given.setdefault("links", {})[endpoint.name] = link
    return described


def _in_sequence(described: Any, sent: Callable[[Any], Any], settings: Any) -> None:
    machine = described.as_state_machine()

    def call(self: Any, case: Any, **_: Any) -> Any:
        return sent(case)

    def validate_response(self: Any, answer: Any, case: Any, **_: Any) -> None:
        """What is wrong is told by what was sent."""

    methods = {"call": call, "validate_response": validate_response}
    type("InSequence", (machine,), methods).run(settings=settings)


# --- the measurement ------------------------------------------------------------------------------


def resident_mb(port: int) -> float:
    """Resident memory of the process that listens at a port of this machine."""
    inode = None
    for line in Path("/proc/net/tcp").read_text().splitlines()[1:]:
        local, state, number = (line.split()[n] for n in (1, 3, 9))
        if state == "0A" and int(local.rpartition(":")[2], 16) == port:
            inode = number
    for folder in Path("/proc").glob("[0-9]*"):
        try:
            links = [os.readlink(each) for each in (folder / "fd").iterdir()]
        except OSError:
            continue
        if f"socket:[{inode}]" in links:
            found = re.search(r"VmRSS:\s+(\d+)", (folder / "status").read_text())
            return int(found[1]) / 1024 if found else 0.0
    raise ProcessLookupError(f"no process listens at port {port}")


def attacked(bodies: int, examples: int) -> tuple[Outcome, Outcome]:
    """(what Schemathesis found, what the mutants found), on an emulator in its own process; the
    memory is taken after a tenth of the mutants, when all caches are warm, and at the end.
    """
    options = Options(profile="instant", seed=1)
    with running(options, process=True) as emulator:
        port = int(emulator.url.rpartition(":")[2])
        found = explored(emulator.url, examples)
        warm = mutated(emulator.url, bodies // 10, seed=1)
        before = resident_mb(port)
        rest = mutated(emulator.url, bodies - bodies // 10, seed=2)
        rest.memory_mb = (before, resident_mb(port))
        rest.statuses += warm.statuses
        rest.bad = [*warm.bad, *rest.bad]
        rest.seconds += warm.seconds
    return found, rest


def rows(bodies: int = BODIES, examples: int = EXAMPLES) -> list[Row]:
    """Rows of the table."""
    found, rest = attacked(bodies, examples)
    many = sum(rest.statuses.values())
    accepted = rest.statuses[200]
    before, after = rest.memory_mb
    first = next(iter([*found.bad, *rest.bad]), "")
    return [
        Row(
            "Schemathesis, all phases: 500s and tracebacks",
            f"{len(found.bad)} of {sum(found.statuses.values()):,} requests",
            target="0",
        ),
        Row(
            "mutated bodies: 500s and tracebacks",
            f"{len(rest.bad)} of {many:,} ({accepted:,} accepted), {many / rest.seconds:,.0f}/s",
            first[:60],
            target="0",
        ),
        Row(
            "emulator's memory from 10% of them to the last",
            f"{before:.0f} to {after:.0f} MB",
            "",
            f"{after / before:.2f}",
            "flat",
        ),
    ]
