"""The tape of an exchange: gives back what it was given, and is small."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from soundstage.exchange.held.tape import Likeness, Tape

PIECES = st.lists(
    st.tuples(
        st.integers(0, 2**62),
        st.one_of(st.binary(max_size=40), st.integers(0, 20_000).map(bytes)),
        st.booleans(),
    ),
    max_size=30,
)


def filled(pieces, likeness=None):
    tape = Tape(likeness=likeness)
    for piece in pieces:
        tape.append(*piece)
    return tape


@given(PIECES)
def test_a_tape_gives_back_every_piece_as_it_was(pieces):
    tape = filled(pieces)
    assert tape.pieces() == pieces
    assert tape.pieces() == pieces, "looking at it changes nothing"
    assert len(tape) == len(pieces)


@given(st.lists(PIECES, max_size=4))
def test_tapes_that_resemble_each_other_give_back_every_piece_too(tapes):
    likeness = Likeness()
    several = [filled(pieces, likeness) for pieces in tapes]
    assert [tape.pieces() for tape in several] == tapes


def test_a_tape_that_was_begun_before_the_first_block_resembles_it_from_then_on():
    likeness = Likeness()
    early, first = Tape(likeness=likeness), Tape(likeness=likeness)
    early.append(1, b"a" * 9_000, False)
    first.append(1, b"b" * 9_000, False)
    early.append(2, b"ab" * 9_000, False)
    assert [raw for _, raw, _ in early.pieces()] == [b"a" * 9_000, b"ab" * 9_000]
    assert first.pieces() == [(1, b"b" * 9_000, False)]


def test_streams_that_resemble_each_other_take_less(stream_of):
    events = [part + b"\n\n" for part in stream_of("v6").split(b"\n\n") if part]
    pieces = [(number, event, False) for number, event in enumerate(events)]
    likeness = Likeness()
    alone, first, second = filled(pieces), filled(pieces, likeness), filled(pieces, likeness)
    assert second.kept_bytes < first.kept_bytes < alone.kept_bytes


def test_a_tape_can_be_added_to_after_it_was_looked_at():
    tape = filled([(1, b"a" * 9_000, False)])
    assert tape.pieces() == [(1, b"a" * 9_000, False)]
    tape.append(2, b"b", True)
    assert tape.pieces() == [(1, b"a" * 9_000, False), (2, b"b", True)]


def test_a_long_stream_takes_a_fraction_of_its_bytes(stream_of):
    body = stream_of("v6")
    events = [part + b"\n\n" for part in body.split(b"\n\n") if part] * 20
    tape = filled((number, event, False) for number, event in enumerate(events))
    size = sum(map(len, events))
    assert size > 50_000
    # A block waits unpacked; times and lengths take 16 bytes an event.
    assert tape.kept_bytes < 8_192 + 16 * len(events) + size / 5
    assert [raw for _, raw, _ in tape.pieces()] == events
