"""The ledger by itself, on small made-up protocols: what each chunk counts as and leaves due."""

from __future__ import annotations

import pytest

from soundstage.conformance.order.stage_order import StageOrder
from soundstage.contract.protocol import Grounds, Protocol, Stage, Tracks

GROUNDS = Grounds("documented", "made up")


def stage(name, *after, times=(1, 1), per_track=False, ends=None):
    """A stage that comes after all of the groups; a group is written `a|b`."""
    return Stage(
        name=name,
        when={},
        schema={},
        after=tuple(tuple(group.split("|")) for group in after),
        times=times,
        per_track=per_track,
        ends=ends,
        failure=False,
        charges=False,
        milestones=(),
        grounds=GROUNDS,
    )


def ledger_of(*stages, tracks=(1, 2)):
    """An empty ledger for a protocol of these stages, and the stages by name."""
    by_name = {each.name: each for each in stages}
    protocol = Protocol(
        stages=stages,
        fields={},
        tracks=Tracks("track", tracks, GROUNDS) if tracks else None,
        index=None,
        constant=(),
        never_decrease=(),
        completion=None,
        by_name=by_name,
    )
    return StageOrder(protocol), by_name


#: start, then per track ready and last, with mixed between them; beat and note at any time.
SONG = (
    stage("start"),
    stage("beat", "start", times=(0, None)),
    stage("note", "start", times=(0, 9)),
    stage("ready", "start", per_track=True),
    stage("mixed", "ready", times=(1, 2)),
    stage("last", "ready", "mixed", per_track=True, ends="track"),
)


def song(*chunks, tracks=(1, 2)):
    """The ledger of SONG after regular chunks."""
    ledger, named = ledger_of(*SONG, tracks=tracks)
    for name, track in chunks:
        assert ledger.advance(named[name], track) is True, (name, track)
    return ledger, named


def still_missing(ledger):
    return [(each.name, track, times) for each, track, times in ledger.missing()]


# --- the regular course


def test_every_chunk_of_a_regular_stream_is_counted_at_once():
    regular = [
        ("start", None), ("beat", None), ("ready", 1), ("beat", None), ("ready", 2),
        ("mixed", 1), ("beat", None), ("last", 2), ("beat", None), ("last", 1),
    ]  # fmt: skip
    ledger, named = song(*regular[:-1])
    assert ledger.ended is False
    assert ledger.due() == ["last (track 1)"]
    assert ledger.advance(named["last"], 1) is True
    assert ledger.ended is True
    assert ledger.due() == []
    assert still_missing(ledger) == []


@pytest.mark.parametrize(
    ("before", "name", "track"),
    [
        ([], "ready", 1),  # too early
        ([("start", None)], "start", None),  # too often
        ([("start", None)], "ready", 3),  # of an unknown track
        ([("start", None)], "ready", None),  # of no track
        ([("start", None), ("ready", 1)], "ready", 1),  # too often on its track
        ([("start", None), ("ready", 1)], "last", 1),  # one of its groups is missing
    ],
)
def test_a_chunk_with_something_to_say_about_it_is_not_counted(before, name, track):
    ledger, named = song(*before)
    due = ledger.due()
    assert ledger.advance(named[name], track) is False
    assert ledger.due() == due


def test_a_chunk_of_a_track_that_has_ended_is_not_counted():
    again = stage("again", per_track=True, times=(0, None))
    ledger, named = ledger_of(again, stage("last", per_track=True, ends="track"))
    assert ledger.advance(named["last"], 1) is True
    assert ledger.track_ended(1) is True
    assert ledger.track_ended(2) is False
    assert ledger.advance(again, 1) is False
    assert ledger.advance(again, 2) is True


def test_a_stage_that_is_not_per_track_counts_once_for_all_tracks():
    ledger, named = song(("start", None), ("ready", 1), ("ready", 2), ("mixed", 1))
    for track in (None, 1, 2):
        assert ledger.times(named["mixed"], track) == 1
    assert ledger.times(named["ready"], None) == 0
    assert ledger.advance(named["mixed"], 2) is True
    assert ledger.times(named["mixed"], 1) == 2
    assert ledger.advance(named["mixed"], 1) is False
    ledger.see(named["mixed"], 1)
    assert ledger.times(named["mixed"], None) == 3


def test_a_stage_counts_until_it_has_come_often_enough():
    """Only then may it come unnoticed."""
    often = stage("often", times=(3, None))
    ledger, _ = ledger_of(often, stage("end", ends="stream"), tracks=())
    for times in (1, 2):
        assert ledger.advance(often, None) is True
        assert still_missing(ledger) == [("often", None, times), ("end", None, 0)]
        assert ledger.due() == ["often", "end"]
    assert ledger.advance(often, None) is True
    assert still_missing(ledger) == [("end", None, 0)]
    assert ledger.times(often, None) == 3


def test_a_chunk_that_names_a_track_shows_that_the_track_has_begun():
    """Also one of a stage that is not per track, and comes often."""
    begun = [("start", None), ("ready", 1), ("mixed", None), ("beat", None)]
    ledger, _ = song(*begun, ("last", 1))
    assert ledger.lost_tracks() == [2]
    for name in ("beat", "note"):
        ledger, _ = song(*begun, (name, 2), ("last", 1))
        assert ledger.lost_tracks() == []
        assert ("ready", 2, 0) in still_missing(ledger)


# --- what is due


def test_what_is_due_is_in_the_order_in_which_it_can_come():
    deep = (
        stage("end", "c", ends="stream"),
        stage("c", "b"),
        stage("b", "a"),
        stage("free"),
        stage("a"),
        stage("each", "a", per_track=True),
    )
    ledger, _ = ledger_of(*deep)
    assert ledger.due() == [
        "free", "a", "b", "each (track 1)", "each (track 2)", "c", "end",
    ]  # fmt: skip


def test_stages_that_may_each_follow_the_other_do_not_turn_what_is_due_in_circles():
    around = (
        stage("end", "verse|chorus", ends="stream"),
        stage("verse", "intro|chorus"),
        stage("chorus", "verse"),
        stage("intro"),
    )
    ledger, _ = ledger_of(*around, tracks=())
    assert sorted(ledger.due()) == ["chorus", "end", "intro", "verse"]
    assert ledger.due()[0] == "intro"
    assert ledger.due()[-1] == "end"


def test_every_missing_stage_is_named_on_every_track_that_has_begun():
    ledger, named = song(("start", None))
    for track in (1, 2):
        ledger.see(named["last"], track)
    assert still_missing(ledger) == [("ready", 1, 0), ("ready", 2, 0), ("mixed", None, 0)]
    ledger, named = ledger_of(stage("a", times=(2, 3)), stage("b"), stage("c"), tracks=())
    ledger.see(named["a"], None)
    assert still_missing(ledger) == [("a", None, 1), ("b", None, 0), ("c", None, 0)]


# --- what is taken for granted


def test_what_is_unmet_is_named_once_for_each_stage_and_then_assumed():
    ledger, named = ledger_of(
        stage("a"), stage("b"), stage("after a", "a"), stage("after b", "b", "a|b"), tracks=()
    )
    assert not ledger.assumed(named["a"], None)
    assert ledger.unmet(named["after a"], None) == (("a",),)
    assert ledger.assumed(named["a"], None)
    assert ledger.assumed(named["a"], 1), "a stage that is not per track, whatever the track"
    assert ledger.unmet(named["after a"], None) == ()
    assert ledger.unmet(named["after b"], None) == (("b",),), "what else is unmet is named, too"
    assert ledger.unmet(named["after b"], None) == ()


def test_a_stage_is_assumed_on_the_track_where_it_was_missed():
    ledger, named = song(("start", None))
    assert ledger.unmet(named["last"], 1) == (("ready",), ("mixed",))
    assert [ledger.assumed(named["ready"], track) for track in (1, 2, None)] == [True, False, False]
    assert ledger.unmet(named["last"], 2) == (("ready",),)
    assert ledger.unmet(named["last"], 3) == (), "an unknown track owes nothing"


# --- credits


def test_chunks_of_no_known_stage_each_stand_for_one_that_was_due():
    stages = [stage(name, times=(2, 2)) for name in "ab"]
    ledger, named = ledger_of(*stages, tracks=())
    for _ in range(3):
        ledger.see_unknown()
    assert still_missing(ledger) == [("b", None, 1)]
    assert ledger.times(named["a"], None) == 2
    assert ledger.times(named["b"], None) == 1


def test_chunks_of_no_known_track_each_stand_for_one_track():
    ledger, named = song(("start", None), tracks=(1, 2, 3))
    for _ in range(2):
        ledger.see(named["ready"], None)
    ledger.see(named["mixed"], None)
    assert ledger.unmet(named["last"], 1) == ()
    assert ledger.times(named["ready"], 1) == 1
    assert ledger.unmet(named["last"], 2) == ()
    assert ledger.unmet(named["last"], 3) == (("ready",),)


def test_credits_make_up_for_every_time_that_a_stage_was_missed():
    ledger, named = ledger_of(stage("twice", per_track=True, times=(2, 2)), stage("other"))
    ledger.see(named["other"], 1)
    for _ in range(2):
        ledger.see(named["twice"], None)
    assert still_missing(ledger) == []
    assert ledger.times(named["twice"], 1) == 2


def test_one_chunk_of_no_known_track_is_enough_for_what_needs_any_track():
    ledger, named = song(("start", None))
    ledger.see(named["ready"], None)
    assert ledger.advance(named["mixed"], None) is True


def test_a_stage_that_an_unknown_chunk_stood_for_is_there_for_all_that_follows():
    ledger, named = ledger_of(*SONG, stage("sold", "ready"))
    ledger.see_unknown()
    assert ledger.unmet(named["mixed"], None) == ()
    assert ledger.unmet(named["sold"], None) == ()


def test_a_chunk_counts_for_its_own_track_unless_it_is_said_to_be_a_slip():
    ledger, named = song(("start", None))
    ledger.see(named["ready"], 1)
    assert ledger.times(named["ready"], 1) == 1
    assert ledger.unmet(named["last"], 2) == (("ready",), ("mixed",)), "no credit for track 2"
    ledger, named = song(("start", None))
    ledger.see(named["ready"], 1, slip=True)
    assert ledger.times(named["ready"], 1) == 0
    assert ledger.unmet(named["last"], 2) == (("mixed",),)


def test_chunks_without_a_track_are_not_counted_as_a_track_of_their_own():
    ledger, named = song(("start", None))
    for _ in range(2):
        ledger.see(named["ready"], None)
    assert ledger.times(named["ready"], None) == 0
    for times in (1, 2):
        ledger.see(named["ready"], 7)
        assert ledger.times(named["ready"], 7) == times, "but an unknown track is"


# --- ends

ENDS_OF_STREAM = (stage("beat", times=(0, None)), stage("end", ends="stream"))


@pytest.mark.parametrize("way", ["advance", "see"])
def test_an_unknown_chunk_may_have_been_the_end_until_a_known_one_follows(way):
    ledger, named = ledger_of(*ENDS_OF_STREAM, tracks=())
    assert ledger.advance(named["beat"], None) is True
    assert not ledger.perhaps_ended()
    ledger.see_unknown()
    assert ledger.perhaps_ended()
    getattr(ledger, way)(named["beat"], None)
    assert not ledger.perhaps_ended()
    ledger.see_unknown()
    assert ledger.perhaps_ended()


def test_an_unknown_chunk_may_have_been_any_of_the_stages_that_end_something():
    for order in (1, -1):
        ends = [stage("end", ends="stream"), stage("last", "a", per_track=True, ends="track")]
        ledger, _ = ledger_of(*ends[::order], stage("a"))
        ledger.see_unknown()
        assert ledger.perhaps_ended()


def test_unknown_chunks_may_have_ended_only_tracks_that_could_end():
    ledger, _ = song(("start", None), ("ready", 1), ("mixed", None), ("last", 1))
    ledger.see_unknown()
    assert not ledger.perhaps_ended(), "track 2 has not been ready"
    ready = [("start", None), ("ready", 1), ("ready", 2), ("mixed", None)]
    ledger, _ = song(*ready)
    ledger.see_unknown()
    assert not ledger.perhaps_ended(), "one chunk cannot end both tracks"
    ledger.see_unknown()
    assert ledger.perhaps_ended()
    ledger, named = song(*ready)
    ledger.see(named["last"], None)
    ledger.see_unknown()
    assert ledger.perhaps_ended(), "an end of no known track and an unknown chunk can"


def test_ends_of_no_known_track_end_the_stream_when_there_is_one_for_each_track():
    for tracks in ((1, 2), (1, 2, 3)):
        ready = [("ready", track) for track in tracks]
        ledger, named = song(("start", None), *ready, ("mixed", None), tracks=tracks)
        for _ in tracks:
            assert ledger.ended is False
            ledger.see(named["last"], None)
        assert ledger.ended is True


def test_tracks_are_lost_only_if_nothing_else_explains_the_end():
    delivered = [("start", None), ("ready", 1), ("mixed", None), ("last", 1)]
    tracks = (1, 2, 3)
    ledger, named = song(*delivered, tracks=tracks)
    assert ledger.lost_tracks() == [2, 3]
    ledger.see(named["last"], None)
    assert ledger.lost_tracks() == [], "one end was of no known track"
    ledger, _ = song(*delivered, tracks=tracks)
    ledger.see_unknown()
    assert ledger.lost_tracks() == [], "one chunk may have been of another track"
    ledger, _ = song(*delivered, ("ready", 2), tracks=tracks)
    assert ledger.lost_tracks() == [], "track 2 has begun and not ended"
    ledger, _ = song(*delivered[:-1], tracks=tracks)
    assert ledger.lost_tracks() == [], "no track has ended"
