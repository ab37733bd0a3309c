"""Plain rows are decoded and judged in one go: nobody can tell from the rows."""

from __future__ import annotations

import json
import random
from typing import Any

import orjson
import pytest
from bundle_rows import row
from changed_rows import mutants

from soundstage.results import layout

ROW = row(
    1, silence=[1.0, 2], ended=2, transcript=None, reason="x", coarse=1, held_back="whole",
    milestones_low={"complete": 0.5}, errors={"field.missing": 1}, wall="2026-11-21T08:36:15Z",
)  # fmt: skip
#: Each of them as a value of JSON.
ODD = (
    b"01", b"-0", b"-0.0", b"1.0", b"2.5", b"1e3", b"1e999", b"1e-999", b"nan", b"-", b"1.",
    b"9223372036854775808", b"-9223372036854775809", b"1" + b"0" * 400, b"true", b"null", b'"\\q"',
    b'"\\ud800"', b'"\\ud83d\\ude00"', '"\N{CHECK MARK}"'.encode(), b'"\xff"',
    b'"\x01"', b'"\\u0000"', b"[1,]", b"[" * 1100 + b"]" * 1100, b"{", b"", b'{"":0}',
    b'{"a":1,"a":-1}',
)  # fmt: skip


def read(line: bytes) -> dict[str, Any] | None:
    """What the decoder of plain rows says to a line; None where it leaves it to others."""
    plain, refused = layout.row_decoder("exchange") or pytest.fail("there is none")
    try:
        return plain(line)
    except refused:
        return None


def held(line: bytes) -> dict[str, Any] | None:
    """What orjson and the schema say; None if one of them refuses it."""
    try:
        found = orjson.loads(line)
    except ValueError:
        return None
    return found if layout.why_unreadable("exchange", found) is None else None


def lines() -> list[bytes]:
    """Lines of which many are none of ours."""
    whole = json.dumps(ROW).encode()
    found = [json.dumps(changed).encode() for _, changed in mutants(ROW)]
    marker = b'"\\u0000marker"'
    for name in ROW:
        text = json.dumps({**ROW, name: "\0marker"}).encode()
        found += [text.replace(marker, odd) for odd in ODD]
        found.append(whole[:-1] + b',"%s":7}' % name.encode())
    rng = random.Random(7)
    for _ in range(4000):
        at = rng.randrange(len(whole))
        odd = rng.choice([b"", b"0", b'"', b",", b"{", b"}", b"-", b".", b"e", b" ", b"\0", b"\\"])
        found.append(whole[:at] + odd + whole[at + rng.randrange(2) :])
    return found


def test_what_is_decoded_in_one_go_is_what_the_schema_takes_to_the_last_type() -> None:
    taken = 0
    for line in filter(bytes.isascii, lines()):
        if (found := read(line)) is not None:
            good = held(line)
            assert good is not None, line
            known = {name: good[name] for name in found}
            assert repr(found) == repr(known), line
            taken += 1
    assert taken > 1000


@pytest.mark.parametrize(
    "more", [{}, {"started_ns": -5}, {"milestones": {"a": None, "b": 2}}, {"http_status": None}]
)
def test_a_row_of_a_stream_is_a_plain_one(more: dict[str, Any]) -> None:
    assert read(json.dumps(ROW | more).encode()) == ROW | more


def test_what_types_cannot_say_is_left_to_the_schema() -> None:
    polls = {"count": 1, "first": 0.0, "last": 0.0, "longest_gap": None}
    for more in ({"polls": polls}, {"playback": None}, {"playback": {}}):
        line = json.dumps(ROW | more).encode()
        assert read(line) is None
        assert held(line) is not None


def test_members_that_nobody_knows_are_left_out() -> None:
    assert read(json.dumps({**ROW, "later": {"x": [1]}}).encode()) == ROW
