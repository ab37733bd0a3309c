"""Fields that point to files: found by role wherever they stand, each with its rules."""

from __future__ import annotations

import json
import shutil
from importlib.resources import files
from pathlib import Path

import pytest

from soundstage.contract import load, load_all
from soundstage.contract.asset_fields import KINDS, duration_of, found_in
from soundstage.contract.roles import assets_of
from soundstage.errors import ContractDataError

CONTRACTS = load_all()


@pytest.mark.parametrize("contract", CONTRACTS.values(), ids=CONTRACTS)
def test_every_field_of_a_file_has_its_rules_on_the_fields_grounds(contract) -> None:
    for kind in ("stream", "sync"):
        endpoint = contract.endpoint_of_kind(kind)
        fields = assets_of(contract, endpoint.name)
        assert {field.kind for field in fields.values()} == {"audio", "image"}
        asked = duration_of(endpoint.request) is not None
        for name, field in fields.items():
            prefix = f"{contract.api}/{endpoint.name}/asset"
            for aspect in ("address", "answer", "content"):
                assert contract.rules[f"{prefix}/{aspect}/{name}"].basis == field.basis
            assert contract.rules[f"{prefix}/media/{name}"].severity == "warning"
            measured = f"{prefix}/length/{name}" in contract.rules.rules
            assert measured == (asked and field.role == "audio_url")


def test_urls_are_found_at_any_depth_with_the_way_to_them() -> None:
    contract = next(c for c in CONTRACTS.values() if c.protocol.tracks)
    payload = next(each.payload for each in contract.examples if each.of == "response")
    fields = assets_of(contract, "sync")
    found = list(found_in(fields, payload))
    for each in found:
        value = payload
        for part in each.path.split("/")[1:]:
            value = value[int(part)] if isinstance(value, list) else value[part]
        assert value == each.url
    assert len([each for each in found if each.field.kind == "audio"]) == 2
    name = found[0].field.name
    deep: object = {name: "http://x/"}
    for _ in range(5_000):
        deep = [deep]
    assert list(found_in(fields, deep)) == []
    assert list(found_in(fields, {name: ["http://x/"], "other": "http://y/"})) == []
    assert {field.role for field in fields.values()} <= KINDS.keys()


def test_a_length_that_nothing_asks_for_is_refused(tmp_path: Path) -> None:
    installed = Path(str(files("soundstage.schemas")))
    contract = next(c for c in CONTRACTS.values() if c.protocol.song_length)
    for name in ("protocol.schema.json", "fields.json"):
        shutil.copy(installed / name, tmp_path / name)
    shutil.copytree(installed / contract.api, tmp_path / contract.api)
    assert load(contract.api, tmp_path).protocol.song_length == contract.protocol.song_length
    other = tmp_path / "other"
    shutil.copytree(tmp_path, other, ignore=shutil.ignore_patterns("other"))
    request = other / contract.api / "request.json"
    schema = json.loads(request.read_text())
    name, _ = duration_of(contract.endpoints["sync"].request) or ("", {})
    del schema["properties"][name]
    request.write_text(json.dumps(schema))
    with pytest.raises(ContractDataError, match="song_length: no request has a parameter"):
        load(contract.api, other)
