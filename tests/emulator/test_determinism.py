"""The same seed and the same requests in the same order give the same bytes, ids, delays and files.

`golden.json` holds a digest of each of 20 exchanges. When what the emulator says is changed on
purpose, `python tests/emulator/test_determinism.py` writes it anew.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx

from soundstage.contract import load_all
from soundstage.emulator.app import Emulator
from soundstage.emulator.options import Options
from soundstage.emulator.requests import Asked
from soundstage.exchange.spawn import spawned_emulator

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


def digest(answer: httpx.Response) -> str:
    told = [str(answer.status_code), answer.headers.get("content-type", "")]
    return hashlib.sha256("\n".join(told).encode() + b"\n" + answer.content).hexdigest()[:16]


def digests(seed: int) -> dict[str, str]:
    """A digest of each of the 20 exchanges."""
    found = {}
    with (
        spawned_emulator(Options(profile="instant", seed=seed).arguments()) as url,
        httpx.Client(base_url=url, headers=HOST) as client,
    ):
        result: dict[str, Any] = {}
        for name, method, path, body, headers in exchanges():
            answer = client.request(method, path, json=body, headers=headers)
            found[name] = digest(answer)
            if name.endswith("sync"):
                result = answer.json()
        contract = next(c for c in CONTRACTS.values() if c.endpoint_of_kind("status"))
        status = contract.endpoint_of_kind("status")
        assert status is not None
        path = status.path.replace("{message_id}", result["message_id"])
        found["status"] = digest(client.get(path, headers=KEY))
        # Of a file the head: its bytes depend on the encoder.
        urls = sorted(url for url in json.dumps(result).split('"') if "/assets/" in url)
        head = client.head(urls[0].partition("1234")[2])
        found["asset"] = digest(head)
        assert head.status_code == 200
    return found


def delays(seed: int) -> list[list[float]]:
    """When the chunks of some generations are due, as drawn."""
    factory = Emulator(Options(seed=seed, profile="realistic"))._factory
    drawn = []
    for contract in CONTRACTS.values():
        endpoint = contract.endpoint_of_kind("stream")
        assert endpoint is not None
        for number in range(1, 6):
            made = factory.make(
                contract,
                endpoint,
                Asked("a song", None, {}),
                b"{}",
                "http://h",
                "sse",
                0.0,
                number=number,
                fails=False,
            )
            drawn.append([round(due, 9) for due in made.schedule])
    return drawn


def golden() -> dict[str, Any]:
    drawn = hashlib.sha256(json.dumps(delays(SEED)).encode()).hexdigest()[:16]
    return {"exchanges": digests(SEED), "delays": drawn}


def test_twenty_exchanges_and_their_delays_are_as_they_ever_were() -> None:
    known = json.loads(GOLDEN.read_bytes())
    assert len(known["exchanges"]) == 20
    assert golden() == known


def test_another_seed_gives_other_bytes_where_there_is_a_choice() -> None:
    one, other = digests(SEED), digests(SEED + 1)
    assert {name for name in one if one[name] == other[name]} == {
        name for name in one if "refused" in name or "sync fails" in name or name == "asset"
    }
    assert delays(SEED) != delays(SEED + 1)


def test_files_are_the_same_bytes_for_the_same_seed() -> None:
    def files() -> list[bytes]:
        with (
            spawned_emulator(Options(profile="instant", seed=SEED).arguments()) as url,
            httpx.Client(base_url=url, headers=HOST) as client,
        ):
            [method, path, body, headers] = next(
                each[1:] for each in exchanges() if each[0].endswith("sync")
            )
            told = json.dumps(client.request(method, path, json=body, headers=headers).json())
            paths = {u.partition("1234")[2] for u in told.split('"') if "/assets/" in u}
            return [client.get(path).content for path in sorted(paths)]

    first = files()
    assert len(first) >= 2
    assert files() == first


if __name__ == "__main__":
    GOLDEN.write_text(json.dumps(golden(), indent=2) + "\n")
