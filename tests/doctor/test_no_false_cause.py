"""Where all is well nothing is found: emulators of every contract, also one that hides that it is
one, and one that is slow or out of money.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import httpx
import orjson
import pytest
from tests.support.asking_doctor import KEY, doctor
from tests.support.emulated import served
from tests.support.gateway import gateway

from soundstage.commands.new_files.file_schemas import file_schema
from soundstage.contract.json_schema import patterns
from soundstage.emulator.options import Options
from soundstage.process import contract_folders

GALLERY = Path(__file__).parents[2] / "examples/contracts"
APIS = ["v5", "v6", *sorted(each.name for each in GALLERY.iterdir() if each.is_dir())]


@pytest.fixture(autouse=True)
def the_gallery_is_there() -> Iterator[None]:
    before = contract_folders.now()
    contract_folders.add([str(GALLERY)])
    yield
    contract_folders.restore(before)


@pytest.mark.parametrize("api", APIS)
def test_an_emulator_has_no_cause(api: str) -> None:
    with served(Options(profile="instant", apis=(api,))) as url:
        found = doctor(url, "--api", api, key=None)
    assert (found.code, found.cause) == (0, None)
    assert found.document["kind"] == "emulator"
    assert all(each["outcome"] == "ok" for each in found.document["checks"])


@pytest.mark.parametrize("api", APIS)
def test_an_api_that_is_no_emulator_for_all_that_is_seen_has_no_cause(api: str) -> None:
    """The gateway answers 404 where an emulator says that it is one."""
    posts = []

    def rule(method: str, path: str, has_key: bool, _: bytes) -> None:
        if method == "POST":
            posts.append((path, has_key))

    with served(Options(profile="instant", apis=(api,))) as url, gateway(url, rule) as before:
        found = doctor(before, "--api", api)
    assert (found.code, found.cause) == (0, None)
    assert posts
    assert not any(has_key for _, has_key in posts)


def test_all_that_is_printed_as_json_meets_its_schema() -> None:
    valid = patterns.validator(orjson.loads(file_schema("doctor")))
    with served(Options(profile="instant")) as url:
        for found in (doctor(url), doctor("http://127.0.0.1:1"), doctor(url, "--api", "v5")):
            assert list(valid.iter_errors(found.document)) == []


def test_a_key_that_an_emulator_knows_is_good_and_another_is_dead() -> None:
    with served(Options(profile="instant", keys=(KEY,))) as url:
        assert doctor(url).outcome("key") == "ok"
        assert doctor(url, key="another-key-0123456789").cause == "key.dead"


def test_nothing_is_charged_and_nothing_made() -> None:
    with served(Options(profile="instant", keys=(f"{KEY}:10",))) as url:
        assert doctor(url, "--api", "v5", "--api", "v6").code == 0
        state = httpx.get(f"{url}/_emulator/state").json()
    assert state["number"] == 0
    assert {each["number"] for each in state["charges"].values()} == {0}
    assert set(state["refusals"]) == {"unauthorized"}
