"""Each rule leads back to the line of data that it was made from."""

from __future__ import annotations

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from soundstage.contract import load_all
from soundstage.contract.source_lines import line_of, place_of
from soundstage.errors import UsageError

CONTRACTS = load_all()


@pytest.mark.parametrize(
    ("rule", "file", "said"),
    [
        (
            "v6/stream/streaming_ready/field/stream_url/required",
            "v6/chunks/streaming_ready.json",
            '"stream_url": {',
        ),
        ("v6/stream/order/uploading/after/completed", "v6/protocol.json", '"after"'),
        ("v6/stream/index/consecutive", "v6/protocol.json", '"index": {'),
        ("v6/stream/hosts", "v6/protocol.json", '"hosts": {'),
        ("v6/sync/field/album_art/value", "v6/response.json", '"album_art": {'),
        ("v6/request/field/vocal_url/value", "v6/request.json", '"vocal_url": {'),
        ("v5/error/nsfw/body", "v5/errors.json", "{"),
    ],
)
def test_a_rule_is_found_at_the_line_that_says_it(rule: str, file: str, said: str) -> None:
    place = place_of(rule)
    assert place.file == file
    assert place.at.read_text("utf-8").splitlines()[place.line - 1].strip().startswith(said)


@pytest.mark.parametrize("api", CONTRACTS)
def test_every_rule_has_a_place_and_fields_are_found_by_name(api: str) -> None:
    for rule in CONTRACTS[api].rules:
        place = place_of(rule.id)
        lines = place.at.read_text("utf-8").splitlines()
        assert 1 <= place.line <= len(lines)
        steps = rule.id.split("/")
        if "field" in steps:
            field = steps[steps.index("field") + 1].split(".")[-1]
            assert f'"{field}"' in lines[place.line - 1] or field in ("*", "[]", ""), rule.id


def test_a_rule_of_no_contract_is_refused() -> None:
    with pytest.raises(UsageError):
        place_of("v99/stream/index/start")


def nested(inner: st.SearchStrategy[object]) -> st.SearchStrategy[object]:
    lists = st.lists(inner, max_size=3)
    return lists | st.dictionaries(st.text(max_size=3), inner, max_size=3)


@given(st.recursive(st.none() | st.integers(), nested, max_leaves=12), st.data())
def test_any_value_is_found_where_json_put_it(value: object, data: st.DataObject) -> None:
    steps: list[str | int] = []
    marked = value
    while isinstance(marked, dict | list) and marked:
        keys = list(marked) if isinstance(marked, dict) else list(range(len(marked)))
        step = data.draw(st.sampled_from(keys))
        steps.append(step)
        marked = marked[step]  # type: ignore[index]
    text = json.dumps(value, indent=1)
    line = text.splitlines()[line_of(text, tuple(steps)) - 1].strip()
    if steps and isinstance(steps[-1], str):
        assert line.startswith(json.dumps(steps[-1]))
    elif steps:
        assert line.rstrip(",").startswith(json.dumps(marked, indent=1).splitlines()[0])
