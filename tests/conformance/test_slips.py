"""One slip is one violation: what comes after it is judged as if it had been right."""

from __future__ import annotations

import json

import pytest

from made_up_api import folder
from soundstage.conformance.engine import StreamCheck
from soundstage.contract import load


def checked(contract, chunks):
    check = StreamCheck(contract)
    for chunk in chunks:
        check.event(chunk if isinstance(chunk, bytes) else json.dumps(chunk).encode())
    check.close()
    return [each.code for each in check.violations if each.severity == "error"], check


@pytest.fixture
def tune(tmp_path):
    """A made-up API whose `share` is any number, and never falls."""
    return load("no-tracks", folder(tmp_path, "no-tracks"))


def shares(*values: bytes) -> list[bytes]:
    """A stream whose sung chunks have these shares, written like this."""
    phases = [b'"wake"', *[b'"dream", "mood": "calm"'] * 2]
    phases += [b'"sing", "share": %s' % value for value in values]
    return [
        b'{"job": "j", "done": false, "n": %d, "phase": %s}' % (5 + 5 * number, phase)
        for number, phase in enumerate(phases)
    ]


@pytest.mark.parametrize(
    ("values", "falls"),
    [
        ((b"0.25", b"0.5", b"0.75"), 0),
        ((b"0.5", b"0.25"), 1),
        ((b"0.5", b"0.25", b"0.3"), 1),
        ((b"0.5", b"0"), 1),
        ((b"0", b"0.5", b"1"), 0),
        ((b"0.1", b"1e-400"), 1),
        ((b"1e-400", b"0.1"), 0),
    ],
)
def test_a_number_that_must_not_fall_may_have_a_fraction(tune, values, falls):
    _, check = checked(tune, shares(*values))
    found = [each for each in check.violations if each.code == "progress.decreased"]
    assert len(found) == falls
    assert all(each.path == "/share" for each in found)


def numbered(contract, chunks):
    field = contract.protocol.index.field.name
    return [{**chunk, field: number} for number, chunk in enumerate(chunks)]


def test_a_repeated_end_of_a_track_does_not_end_the_other(v6, song):
    # 9 and 10 are uploading and final of track 1, 11 and 12 those of track 2.
    repeated = numbered(v6, [*song[:11], song[10], *song[11:]])
    codes, check = checked(v6, repeated)
    assert codes == ["stage.repeated"]
    assert check.ended


def test_a_repeated_end_is_still_an_end_if_nothing_follows(v6, song):
    mislabelled = numbered(v6, [*song[:12], {**song[12], "version": 1}])
    codes, check = checked(v6, mislabelled)
    assert codes == ["stage.repeated"]
    assert check.ended


def test_after_a_whole_stream_nothing_may_come_whatever_slipped_before(v6, song):
    repeated = numbered(v6, [*song[:11], song[10], *song[11:], song[5]])
    codes, _ = checked(v6, repeated)
    assert codes == ["stage.repeated", "stream.after_end"]


def test_a_chunk_that_shows_that_the_stream_goes_on_undoes_a_doubtful_end(v5, song_v5):
    # The third chunk is of a stage that has come before and may come any number of times.
    perhaps, _ = checked(v5, [*song_v5[:3], b"{"])
    assert perhaps == ["json.syntax"]
    field = v5.protocol.index.field.name
    on = {**song_v5[2], field: song_v5[2][field] + 2 * v5.protocol.index.step}
    codes, check = checked(v5, [*song_v5[:3], b"{", on])
    assert codes == ["json.syntax", "stream.truncated"]
    assert not check.ended


def test_a_track_has_begun_once_any_chunk_names_it(v6, song):
    # Both chunks of this stage name it; after the first there is nothing to count in it.
    alone = [*song[:4], song[4], song[5], song[6], *song[8:11]]
    codes, _ = checked(v6, numbered(v6, alone))
    assert codes == ["track.missing"]
    begun = [*song[:4], song[4], {**song[5], "version": 2}, song[6], *song[8:11]]
    codes, _ = checked(v6, numbered(v6, begun))
    assert codes == ["stream.truncated"]


def test_a_count_goes_on_from_a_gap_or_from_before_it_but_not_from_both(v6, song):
    running = [dict(song[4]) for _ in range(3)]
    field = v6.protocol.index.field.name
    for chunk, value in zip(running, (10, 11, 5), strict=True):
        chunk[field] = value
    codes, _ = checked(v6, [*song[:4], *running])
    assert codes[:2] == ["index.gap", "index.decreased"]
    running[1][field] = 5
    codes, _ = checked(v6, [*song[:4], *running[:2]])
    assert codes[:2] == ["index.gap", "stream.truncated"]
