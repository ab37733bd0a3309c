"""Contract folders from strangers: every value of every file changed into what it must not be, and
the files themselves into links, devices and nonsense. What is refused must be refused in one line,
and what loads must serve every reader of contracts: no exception but ours, no hang.

In process; the real commands are started by the fuzz of files.
"""

from __future__ import annotations

import copy
import functools
import gc
import io
import json
import os
import random
import shutil
import tempfile
import time
import traceback
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from importlib.resources import files
from pathlib import Path
from typing import Any, Final

from benchmarks.mutators import ODD_VALUES, damaged
from soundstage import cli
from soundstage.contract import load
from soundstage.errors import SoundstageError

#: What one contract may take from its folder through all readers, in seconds of the processor.
SLOWEST: Final = 20.0
API: Final = "v6"
Steps = tuple[str | int, ...]


@dataclass
class Outcome:
    """What came of many folders. `bad`: a line for each that was neither refused nor served."""

    refused: int = 0
    loaded: int = 0
    bad: list[str] = field(default_factory=list)
    slowest: tuple[float, str] = (0.0, "")
    reasons: Counter[str] = field(default_factory=Counter)


def _deep(many: int, kind: str = "list") -> Any:
    value: Any = {}
    for _ in range(many):
        value = [value] if kind == "list" else {kind: [value]}
    return value


#: What contracts in particular trip over; `mutators.ODD_VALUES` come beside them.
_OF_CONTRACTS: Final[tuple[Any, ...]] = (
    2, 10**9, 10**18, 10**40, 10**299, -(10**300), "a", "é", "a/b", "a.b", "~", "..", "../..",
    "http://127.0.0.1:9/x.json", "#", "#/$defs/x", "#/$defs/url", "../fields.json#/$defs/url",
    "../fields.json#/$defs/nowhere", "{a}", "/{a}{b}{c}{d}{e}{f}{g}{h}x", "https://[",
    "https://a@b/", "http://localhost:99999", "documented", "inferred", "final", "running", "sync",
    "status", "error", "request", "message_id", "version", "chunkIndex", "GET", "POST",
    "(?!x)((a|aa)+)+$", "(.*a){25}", "a{1,100000}", "(", "(?:a{0,999}){0,999}", r"^(a+)+\1$",
    "(?<=a+)b", [{}], {"": 1}, {"a": 1}, ["a"], ["a", "a"], ["final", "final"], [["final"]],
    [5, 1], [1000000, None], [0, 10**9], list(range(2000)), {"type": "string"},
    {"type": "object"}, {"type": "array"}, {"type": ["null", "integer"]}, {"const": 1},
    {"enum": []}, {"enum": [1, "a", None]}, {"$ref": "../fields.json#/$defs/url"},
    {"minLength": 10**9}, {"type": "array", "minItems": 10**9},
    {"type": "string", "pattern": "(?!x)((a|aa)+)+$"},
    {"properties": {"a": {"type": "object", "properties": {"a": {}}}}}, {"anyOf": []}, {"not": {}},
)  # fmt: skip
#: What a value is changed into, each time anew, so that nothing is shared.
VALUES: Final[tuple[Callable[[], Any], ...]] = (
    *(functools.partial(copy.deepcopy, value) for value in (*ODD_VALUES, *_OF_CONTRACTS)),
    lambda: _deep(60),
    lambda: _deep(200),
    lambda: _deep(60, "allOf"),
    lambda: _deep(150, "allOf"),
)


def _places(value: Any) -> Iterator[Steps]:
    left: list[tuple[Any, Steps]] = [(value, ())]
    while left:
        value, at = left.pop()
        yield at
        if isinstance(value, dict):
            left += ((each, (*at, key)) for key, each in value.items())
        elif isinstance(value, list):
            left += ((each, (*at, key)) for key, each in enumerate(value))


def _at(value: Any, steps: Steps) -> Any:
    for step in steps:
        value = value[step]
    return value


def _mutated(value: Any, rng: random.Random) -> tuple[Any, str]:
    """A copy with one place changed, and which change in words."""
    value = copy.deepcopy(value)
    at = rng.choice(list(_places(value)))
    what = rng.choice(("put", "put", "put", "drop", "double", "rename", "add", "swap"))
    if not at:
        return rng.choice(VALUES)(), "put at the root"
    holder, key = _at(value, at[:-1]), at[-1]
    if what == "put" or (what == "rename" and isinstance(holder, list)):
        holder[key] = rng.choice(VALUES)()
        what = f"put {json.dumps(holder[key])[:80]}"
    elif what == "drop":
        del holder[key]
    elif what == "double" and isinstance(holder, list):
        holder.insert(int(key), copy.deepcopy(holder[int(key)]))
    elif what == "swap":
        other = rng.choice(list(_places(value)))
        taken = copy.deepcopy(_at(value, other))
        holder[key] = taken
        what = f"put what is at {other}"
    elif isinstance(holder, dict):
        word = rng.choice([*_WORDS, *holder])
        if what == "rename":
            holder[word] = holder.pop(key)
        else:
            holder[word] = rng.choice(VALUES)()
        what = f"{what} {word!r}: {json.dumps(holder[word])[:80]}"
    return value, f"{what} at /{'/'.join(map(str, at))}"


_WORDS: Final = (
    "type", "const", "enum", "minimum", "maximum", "minLength", "pattern", "minItems", "maxItems",
    "properties", "required", "items", "allOf", "anyOf", "not", "$ref", "x-basis", "x-source",
    "default", "title", "severity", "most", "ends", "failure", "charges", "milestones", "x-role",
    "framings", "request", "response", "tracks", "song_length", "$defs", "__proto__", "", "a/b",
    "x\ny",
)  # fmt: skip

_ODD_FILES: Final[tuple[tuple[str, Callable[[Path], object]], ...]] = (
    ("a link to a file outside", lambda path: path.symlink_to("/etc/hostname")),
    ("a link to nowhere", lambda path: path.symlink_to("nowhere")),
    ("a link to itself", lambda path: path.symlink_to(path.name)),
    ("a link to a device", lambda path: path.symlink_to("/dev/zero")),
    ("a FIFO", lambda path: os.mkfifo(path)),
    ("a folder", lambda path: path.mkdir()),
    ("a folder that holds itself", lambda path: path.symlink_to("..")),
    ("a link to the root", lambda path: path.symlink_to("/")),
    ("empty", lambda path: path.write_bytes(b"")),
    ("no UTF-8", lambda path: path.write_bytes(b'{"a": "\xff"}')),
    ("NaN", lambda path: path.write_bytes(b'{"a": NaN}')),
    ("a number that is none", lambda path: path.write_bytes(b'{"a": 1e999}')),
    ("a long number", lambda path: path.write_bytes(b'{"a": ' + b"9" * 100_000 + b"}")),
    ("a key twice", lambda path: path.write_bytes(b'{"a": 1, "a": 2}')),
    ("many keys twice", lambda path: path.write_text(_many_keys())),
    ("deep", lambda path: path.write_bytes(b"[" * 100_000)),
    ("deep and closed", lambda path: path.write_bytes(b"[" * 800 + b"]" * 800)),
    ("a lone surrogate", lambda path: path.write_bytes(rb'{"a": "\ud800"}')),
    ("large", lambda path: path.write_bytes(b" " * (5 * 2**20) + b"{}")),
    ("many values", lambda path: path.write_bytes(b"[" + b"0," * 500_000 + b"0]")),
    ("UTF-16", lambda path: path.write_text("{}", "utf-16")),
)  # fmt: skip


def _many_keys() -> str:
    pairs = [f'"{number}": 0' for number in range(60_000)]
    return "{" + ", ".join([*pairs, pairs[-1]]) + "}"


# --- reading --------------------------------------------------------------------------------------


def readers(stream: Path) -> tuple[list[str], ...]:
    """The commands that read a contract and send nothing. `stream` is a recorded stream."""
    of = ["--api", API]
    return (
        ["schema", *of],
        ["schema", *of, "--format", "openapi"],
        ["schema", *of, "--format", "mermaid"],
        ["schema", *of, "--format", "jsonschema"],
        ["explain", f"{API}/stream"],
        ["lint", *of, str(stream)],
        ["lint", *of, "--format", "json", str(stream)],
        ["faults", *of, "--list"],
        ["check", *of, "--target", "emulator", "--dry-run"],
        [
            "load",
            "--target",
            "emulator",
            "--api",
            API,
            "--rate",
            "1",
            "--duration",
            "1s",
            "--dry-run",
        ],
        ["record", *of, "--target", "emulator", "--out", "nowhere", "--dry-run"],
    )


def _serve(stream: Path) -> str | None:
    """Run every reader on the contract; what went wrong, None if nothing did."""
    for argv in readers(stream):
        out, errors = io.StringIO(), io.StringIO()
        try:
            code = cli.run(argv[0], argv[1:], out, errors)
        except SystemExit as ended:
            code = int(ended.code or 0)
        if code == 70:
            return f"{' '.join(argv[:3])}: {errors.getvalue()[-1200:]}"
    return _generated()


def _generated() -> str | None:
    """What the emulator makes of the contract: streams, a result, the bodies of requests."""
    from soundstage.exchange.requests import valid_body
    from soundstage.generation.walk import payloads, plan, random_story, sync_result

    contract = load(API)
    for make in (
        lambda: [valid_body(contract, each, 0) for each in contract.endpoints.values()],
        lambda: sync_result(contract, random_story(random.Random(0), 2)),
        lambda: payloads(
            contract,
            plan(contract, random.Random(0)),
            random_story(random.Random(0), _tracks(contract)),
            random.Random(0),
            optional=0.5,
        ),
    ):
        try:
            make()
        except SoundstageError:
            pass
        except Exception:  # noqa: BLE001 - that is what is looked for
            return traceback.format_exc(limit=-4)[-1200:]
    return None


def _tracks(contract: Any) -> int:
    return len(contract.protocol.tracks.values) if contract.protocol.tracks else 1


def _forget() -> None:
    """Empty every cache of ours: contracts are kept for a process's life."""
    kept = (each for each in gc.get_objects() if isinstance(each, functools._lru_cache_wrapper))
    for each in kept:
        if each.__module__.startswith("soundstage"):
            each.cache_clear()
    from soundstage.generation import walk

    walk._PREPARED.clear()


def _try(folder: Path, stream: Path, what: str, outcome: Outcome, *, deep: bool) -> None:
    began = time.process_time()  # others may be busy
    try:
        load(API)
    except SoundstageError as error:
        outcome.refused += 1
        text = str(error)
        outcome.reasons[text.rpartition(": ")[2][:40]] += 1
        if "\n" in text:
            outcome.bad.append(f"{what}: the reason is not one line: {text[:200]!r}")
    except BaseException:  # noqa: BLE001 - that is what is looked for
        outcome.bad.append(f"{what}: {traceback.format_exc(limit=-4)[-1200:]}")
    else:
        outcome.loaded += 1
        wrong = _serve(stream) if deep else _generated()
        if wrong is not None:
            outcome.bad.append(f"{what}: {wrong}")
    took = time.process_time() - began
    if took > outcome.slowest[0]:
        outcome.slowest = (took, what)
    if took > SLOWEST:
        outcome.bad.append(f"{what}: took {took:.1f} s")


def run(many: int, seed: int = 0, *, deep_share: float = 0.1) -> Outcome:
    """Change a contract's folder `many` times, each anew, and read it. Of those that load, the
    share `deep_share` goes through every command that reads contracts.
    """
    rng = random.Random(seed)
    outcome = Outcome()
    before = os.environ.get("SOUNDSTAGE_SCHEMAS")
    with tempfile.TemporaryDirectory() as scratch:
        root = Path(scratch, "contracts")
        installed = Path(str(files("soundstage.schemas")))
        (root).mkdir()
        for name in (API, "fields.json", "protocol.schema.json"):
            source = installed / name
            (shutil.copytree if source.is_dir() else shutil.copy)(source, root / name)
        whole = {path: path.read_bytes() for path in sorted(root.rglob("*.json"))}
        weights = [3.0 if path.parent.name == API or path.parent == root else 1.0 for path in whole]
        stream = Path(scratch, "stream.sse")
        stream.write_bytes(_stream())
        os.environ["SOUNDSTAGE_SCHEMAS"] = str(root)
        try:
            for number in range(many):
                path = rng.choices(list(whole), weights)[0]
                name = path.relative_to(root)
                kind = rng.random()
                path.unlink()
                try:
                    if kind < 0.05:
                        what, make = rng.choice(_ODD_FILES)
                        make(path)
                    elif kind < 0.15:
                        what = "bytes"
                        path.write_bytes(damaged(whole[path], rng, 1))
                    else:
                        value, what = _mutated(json.loads(whole[path]), rng)
                        for _ in range(rng.choice((0, 0, 0, 1, 3))):
                            value, more = _mutated(value, rng)
                            what += f"; {more}"
                        path.write_text(json.dumps(value))
                    _forget() if number % 50 == 0 else load_again()
                    deep = rng.random() < deep_share
                    _try(root, stream, f"#{number} {name}: {what}", outcome, deep=deep)
                finally:
                    if path.is_dir() and not path.is_symlink():
                        path.rmdir()
                    else:
                        path.unlink(missing_ok=True)
                    path.write_bytes(whole[path])
        finally:
            _forget()
            if before is None:
                del os.environ["SOUNDSTAGE_SCHEMAS"]
            else:
                os.environ["SOUNDSTAGE_SCHEMAS"] = before
    return outcome


def load_again() -> None:
    """Forget the contract that was read last, since its folder has changed."""
    from soundstage.contract.contract import _load

    _load.cache_clear()


def _stream() -> bytes:
    from soundstage.generation.faults.catalogue import encoded, valid_stream

    contract = load(API)
    chunks = valid_stream(contract, random.Random(0), optional=0.5)
    return b"".join(encoded(chunks, "sse").frames)
