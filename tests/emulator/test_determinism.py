"""The same seed and the same requests in the same order give the same bytes, ids, delays and files.

`golden.json` holds a digest of each of 20 exchanges, of their files, and of delays as drawn. When
what the emulator says is changed on purpose, `python tests/emulator/test_determinism.py` writes it
anew.
"""

from __future__ import annotations

import hashlib
import json
import platform
from collections.abc import Iterator
from importlib.metadata import version
from pathlib import Path
from typing import Any

import httpx
import pytest

from soundstage.contract import load_all
from soundstage.emulator import Options, running
from soundstage.emulator.files import mp3
from soundstage.emulator.files.songs import song
from soundstage.emulator.generations.factory import (
    Factory,
    GenerationRequest,
    SongEndpoint,
    course_of,
)
from soundstage.emulator.pace.profiles import profile

CONTRACTS = load_all()
GOLDEN = Path(__file__).with_name("golden.json")
SEED = 20_240_229
#: Whatever is said about where the emulator is follows this, not its port.
HOST = {"Host": "emulator.example:1234"}
KEY = {"Authorization": "Bearer any-key"}


def exchanges() -> Iterator[tuple[str, str, str, dict[str, Any] | None, dict[str, str]]]:
    """(name, method, path, body, headers) of those whose answers depend on nothing before."""
    for api, contract in CONTRACTS.items():
        body = next(each.payload for each in contract.examples if each.of == "request")
        for endpoint in contract.endpoints.values():
            if endpoint.request is None:
                continue
            name, path = f"{api} {endpoint.name}", endpoint.path
            yield f"{name}", "POST", path, body, KEY
            yield f"{name} again", "POST", path, body, KEY
            yield f"{name} fails", "POST", path, {**body, "prompt": "failing-test-word"}, KEY
            yield f"{name} refused", "POST", path, {**body, "prompt": "nsfw-test-word"}, KEY
            if endpoint.kind == "stream":
                faulty = {**KEY, "Soundstage-Fault": "index/gap"}
                yield f"{name} faulty", "POST", path, body, faulty


def digest(data: str | bytes) -> str:
    return hashlib.sha256(data.encode() if isinstance(data, str) else data).hexdigest()[:16]


def digest_of(answer: httpx.Response) -> str:
    kind = answer.headers.get("content-type", "")
    return digest(f"{answer.status_code}\n{kind}\n".encode() + answer.content)


def said(seed: int, *, listen: bool = True, process: bool = False) -> dict[str, dict[str, str]]:
    """What a fresh emulator says (`told`), in a thread or in a process of its own."""
    with (
        running(Options(profile="instant", seed=seed), process=process) as emulator,
        httpx.Client(base_url=emulator.url, headers=HOST, timeout=30) as client,
    ):
        return told(client, listen=listen)


def told(client: httpx.Client, *, listen: bool = True) -> dict[str, dict[str, str]]:
    """A digest of each of the 20 exchanges and, to who listens, of each file that a plain stream
    names.
    """
    found: dict[str, str] = {}
    files: dict[str, str] = {}
    last: dict[str, Any] = {}
    for name, method, path, body, headers in exchanges():
        answer = client.request(method, path, json=body, headers=headers)
        found[name] = digest_of(answer)
        if name.endswith(" sync"):
            last = answer.json()
        if listen and name.endswith(" stream"):
            for file in paths_in(answer.text):
                files[f"{name} {file.rpartition('/')[2]}"] = digest_of(client.get(file))
    contract = next(c for c in CONTRACTS.values() if c.endpoint_of_kind("status"))
    status = contract.endpoint_of_kind("status")
    assert status is not None
    path = status.path.replace("{message_id}", last["message_id"])
    found["status"] = digest_of(client.get(path, headers=KEY))
    # The head of a file, which is the same whatever encodes it.
    head = client.head(paths_in(json.dumps(last))[0])
    found["asset"] = digest_of(head)
    assert head.status_code == 200
    return {"exchanges": found, "files": files}


def paths_in(text: str) -> list[str]:
    """Where the files are that a payload names."""
    urls = {each for each in text.split('"') if each.startswith("http") and "/assets/" in each}
    return sorted(httpx.URL(url).path for url in urls)


def delays(seed: int) -> list[list[float]]:
    """When the chunks of some generations are due, as drawn."""
    factory = Factory(seed, profile("realistic"), 1.0)
    drawn = []
    for contract in CONTRACTS.values():
        endpoint = contract.endpoint_of_kind("stream")
        assert endpoint is not None
        for number in range(1, 6):
            made = factory.make(
                SongEndpoint.of(contract, endpoint, "sse"),
                GenerationRequest("a song", None, {}),
                course_of(seed, number, contract.api, b"{}"),
                "http://h",
                0.0,
                fails=False,
            )
            drawn.append([round(due, 9) for due in made.schedule])
    return drawn


def songs() -> bytes:
    """Two short songs."""
    return b"".join(song("golden", "a sad waltz", n, 4 * mp3.RATE).piece(0, 10**6) for n in (0, 1))


def encoders() -> dict[str, str]:
    """What the bytes of a file depend on beside the seed."""
    names = ("pillow",)
    built = {name: version(name) for name in names}
    return {**built, "machine": f"{platform.system()} {platform.machine()}"}


def golden() -> dict[str, Any]:
    return {
        **said(SEED),
        "delays": digest(json.dumps(delays(SEED))),
        "songs": digest(songs()),
        "encoders": encoders(),
    }


@pytest.fixture(scope="module")
def first() -> dict[str, dict[str, str]]:
    return said(SEED)


def test_twenty_exchanges_are_as_they_ever_were(first: dict[str, dict[str, str]]) -> None:
    known = json.loads(GOLDEN.read_bytes())["exchanges"]
    assert len(known) == 20
    assert first["exchanges"] == known


def test_delays_and_music_are_as_they_ever_were() -> None:
    known = json.loads(GOLDEN.read_bytes())
    assert digest(json.dumps(delays(SEED))) == known["delays"]
    assert digest(songs()) == known["songs"]


def test_files_are_as_they_ever_were(first: dict[str, dict[str, str]]) -> None:
    known = json.loads(GOLDEN.read_bytes())
    assert {name.rpartition(".")[2] for name in known["files"]} == {"mp3", "webp"}
    assert set(first["files"]) == set(known["files"])
    if known["encoders"] != encoders():
        pytest.skip(f"other encoders make other bytes: {encoders()}, not {known['encoders']}")
    assert first["files"] == known["files"]


def test_another_process_says_the_same_and_makes_the_same_files(
    first: dict[str, dict[str, str]],
) -> None:
    assert said(SEED, process=True) == first


def test_a_reset_makes_it_say_it_all_again(first: dict[str, dict[str, str]]) -> None:
    options = Options(profile="instant", seed=SEED)
    with (
        running(options) as emulator,
        httpx.Client(base_url=emulator.url, headers=HOST) as client,
    ):
        for _ in range(2):
            assert told(client, listen=False)["exchanges"] == first["exchanges"]
            reset = client.post("/_emulator/reset", json={}, headers={"Host": "localhost"})
            assert reset.status_code == 200


def test_another_seed_gives_other_bytes_where_there_is_a_choice(
    first: dict[str, dict[str, str]],
) -> None:
    one, other = first["exchanges"], said(SEED + 1, listen=False)["exchanges"]
    assert {name for name in one if one[name] == other[name]} == {
        name for name in one if "refused" in name or "sync fails" in name or name == "asset"
    }
    assert delays(SEED) != delays(SEED + 1)


if __name__ == "__main__":
    GOLDEN.write_text(json.dumps(golden(), indent=2) + "\n")
