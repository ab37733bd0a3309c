"""Songs are handed on in the order in which they were due, whatever ended first."""

from __future__ import annotations

import random
from typing import Any

from soundstage.loadtests.against.settled_songs import SettledSongs


def row(due: int, outcome: str = "ok", **changes: Any) -> dict[str, Any]:
    return {"intended_ns": due, "outcome": outcome, "verdict": "conforms", **changes}


def ready(songs: SettledSongs) -> list[int]:
    return [each["intended_ns"] for each in songs.ready]


def test_a_song_waits_for_all_that_were_due_before_it():
    songs = SettledSongs()
    for due in (1, 2, 3):
        songs.expect(due)
    songs.add(row(2))
    songs.add(row(3))
    assert ready(songs) == []
    songs.add(row(1))
    assert ready(songs) == [1, 2, 3]
    assert songs.quiet


def test_the_order_of_rows_changes_nothing():
    due = sorted(random.Random(1).choices(range(40), k=60))  # some are due at the same moment
    for seed in range(20):
        songs, rows = SettledSongs(), [row(each) for each in due]
        for each in due:
            songs.expect(each)
        random.Random(seed).shuffle(rows)
        for each in rows:
            songs.add(each)
        assert ready(songs) == due


def test_what_is_no_song_is_passed_over():
    songs = SettledSongs(measured_from_ns=2)
    for due in (1, 2, 3, 4):
        songs.expect(due)
    songs.add(row(1, warmup=True))
    songs.add(row(2, "dropped"))
    songs.add(row(3))
    songs.add(row(4, "timeout"))
    assert ready(songs) == [3, 4]
    assert songs.sent_by(3) == 2, "of the measured ones"


def test_a_song_that_the_end_of_the_run_cut_is_never_taken_for_slow():
    songs = SettledSongs()
    for due in (1, 2, 3):
        songs.expect(due)
    songs.add(row(1))
    songs.add(row(2, "censored"))
    songs.add(row(3))
    assert ready(songs) == [1]
    assert songs.blocked
