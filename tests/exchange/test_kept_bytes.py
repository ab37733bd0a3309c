"""Transcripts: what goes in comes out, but for what is nobody's business."""

from __future__ import annotations

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from soundstage.errors import UsageError
from soundstage.exchange.kept_bytes import redacted
from soundstage.output.redact import Redactor
from soundstage.saved.transcript import Transcript, looks_like_transcript, read

KEY = "sk-live-3f9a8b7c6d5e"
NOBODY = Redactor()
SECRET = Redactor([KEY])


def test_what_goes_in_comes_out_with_the_broken_bytes():
    pieces = [
        (0.0, b"data: \xff\xfe{\x00\n\n", False),
        (1.25, 'data: {"a": "\u2028é"}\r\n\r\n'.encode(), True),
        (2.0, b"data: half", False),
    ]
    end = {"kind": "reset", "fault_of": "api", "message": "reset", "cut": None, "t": 2.5}
    header = {"api": "v6", "endpoint": "stream", "response": {"status": 200, "headers": []}}
    raw = Transcript(header, pieces, end).to_bytes()
    assert looks_like_transcript(raw)
    assert raw.count(b"\n") == 5
    again = read(raw, "t")
    assert (again.header, again.pieces, again.end) == (header, pieces, end)
    assert again.to_bytes() == raw


@given(
    st.lists(st.tuples(st.integers(0, 10**6), st.binary(max_size=30), st.booleans()), max_size=6)
)
def test_any_bytes_survive(pieces):
    timed = [(ms / 1000, raw, coarse) for ms, raw, coarse in pieces]
    assert read(Transcript({"api": "v6"}, timed, {}).to_bytes(), "t").pieces == timed


def test_a_transcript_that_breaks_off_keeps_its_whole_lines():
    raw = Transcript(
        {"api": "v6"}, [(0.0, b"a", False), (1.0, b"b", False)], {"kind": "closed"}
    ).to_bytes()
    for end in range(len(raw.splitlines(keepends=True)[0]), len(raw)):
        again = read(raw[:end], "t")
        assert again.end is None
        assert again.pieces == [(0.0, b"a", False), (1.0, b"b", False)][: len(again.pieces)]


@pytest.mark.parametrize(
    ("raw", "says"),
    [
        (b'{"transcript":3}\n', "t:1: not a transcript of format 1 or 2"),
        (b'{"transcript":', "t:1: not JSON"),
        (b'{"transcript":1}\nnope\n', "t:2: not JSON"),
        (b'{"transcript":1}\n[1]\n', "t:2: not an object"),
        (b'{"transcript":1}\n{"t":1}\n', "t:2: not an event"),
        (b'{"transcript":1}\n{"t":"x","raw":""}\n', "t:2: not an event"),
        (b'{"transcript":1}\n{"t":1,"raw":"*"}\n', "t:2: not an event"),
        (b'{"transcript":1}\n{"t":1,"raw":7}\n', "t:2: not an event"),
        (b'{"transcript":1}\n{"end":7}\n', "t:2: the end is no object"),
        (b'{"transcript":1,"response":[]}\n', "t:1: not the head of a response"),
        (b'{"transcript":1,"response":{"status":"x"}}\n', "t:1: not the head of a response"),
        (b'{"transcript":1,"response":{"headers":[1]}}\n', "t:1: not the head of a response"),
        (b'{"transcript":1}\n' + b"[" * 100_000 + b"\n", "t:2: not JSON"),
    ],
)
def test_what_is_no_transcript_is_refused_by_its_line(raw, says):
    with pytest.raises(UsageError) as caught:
        read(raw, "t")
    assert str(caught.value).startswith(says)


def test_nothing_changes_where_there_is_nothing_to_hide():
    for raw in (
        b'data: {"status": "running",  "progress":  2}\n\n',
        b"data: \xff\xfe broken {\n\n",
        b'data: {"a": NaN, "a": "\\ud800", "b": "\\"x\\""}\n\n',
        b'data: {"song_name": "Lyrics of the prompt"}\n\n',
        b'{"audio_url": "https://a/b.mp3"}',
    ):
        assert redacted(raw, SECRET) == raw


@pytest.mark.parametrize(
    ("raw", "kept"),
    [
        (b'{"lyrics": "la la", "b": 1}', b'{"lyrics": "[redacted 5 chars]", "b": 1}'),
        (b'{"prompt":"a \\"b\\" c"}', b'{"prompt":"[redacted 7 chars]"}'),
        (b'{"prompt": "a", "prompt": "b"}',
         b'{"prompt": "[redacted 1 chars]", "prompt": "[redacted 1 chars]"}'),
        (b'{"lyrics": null, "b": "x"}', b'{"lyrics": null, "b": "x"}'),
        (b'{"userId": 12345, "n": 6}', b'{"userId": "[redacted]", "n": 6}'),
        (b'{"lyrics_sections": [{"text": "la", "at": 3}, "mi"], "v": 1}',
         (b'{"lyrics_sections": [{"text": "[redacted 2 chars]", "at": "[redacted]"}, '
          b'"[redacted 2 chars]"], "v": 1}')),
        (b'{"a": {"lyrics": ["x", ["y"]], "z": "k"}, "w": "k"}',
         b'{"a": {"lyrics": ["[redacted 1 chars]", ["[redacted 1 chars]"]], "z": "k"}, "w": "k"}'),
        (b'{"l\\u0079rics": "la"}', b'{"l\\u0079rics": "[redacted 2 chars]"}'),
        # broken JSON, broken UTF-8, a cut event, JSON over several data lines
        (b'{"lyrics": "la \xff la", "b": 1}', b'{"lyrics": "[redacted 7 chars]", "b": 1}'),
        (b'{"lyrics": "la la', b'{"lyrics": "[redacted 5 chars]'),
        (b'{"lyrics": ["la la", "mi', b'{"lyrics": ["[redacted 5 chars]", "[redacted 2 chars]'),
        (b'{"lyrics" "la", "prompt": "x"', b'{"lyrics" "la", "prompt": "[redacted 1 chars]"'),
        (b'data: {"lyrics":\ndata: "la la",\ndata: "b": 1}\n\n',
         b'data: {"lyrics":\ndata: "[redacted 5 chars]",\ndata: "b": 1}\n\n'),
        (b'{"lyrics": "bad \\q escape"}', b'{"lyrics": "[redacted 13 chars]"}'),
    ],
)  # fmt: skip
def test_private_values_are_taken_out_and_nothing_else(raw, kept):
    assert redacted(raw, NOBODY) == kept
    assert redacted(raw, Redactor(keep_private=True)) == raw


@pytest.mark.parametrize(
    "raw",
    [
        b'{"audio_url": "https://a/b.mp3?X-Sig=abcdef&e=1"}',
        b'{"audio_url": "HTTPS://a/b.mp3?X-Sig=abcdef"}',
        b'{"audio_url": "https:\\/\\/a\\/b.mp3?X-Sig=abcdef"}',
        b'{"audio_url": "https:\\u002f\\u002fa/b?X-Sig=abcdef"}',
        b'{"audio_url": "https:\\/\\/a\\/b?\\q=abcdef"}',
        b'{"audio_url": "https://a/b?X-Sig=abcdef',
        b"data: \xff https://a/b?X-Sig=abcdef \n\n",
    ],
)
def test_the_query_of_a_signed_url_is_taken_out_however_it_is_written(raw):
    kept = redacted(raw, NOBODY)
    assert b"abcdef" not in kept
    assert redacted(raw, Redactor(keep_private=True)) == raw


def test_the_key_is_taken_out_even_where_everything_is_kept():
    for raw in (KEY.encode(), b'{"content": "Bearer %s"}' % KEY.encode(), b"\xff" + KEY.encode()):
        for redactor in (SECRET, Redactor([KEY], keep_private=True)):
            assert KEY.encode() not in redacted(raw, redactor)


words = st.text(st.sampled_from('ab"\\,:{}[] \n\u00e9'), max_size=10)


@given(words, words)
def test_a_private_value_never_survives_in_valid_json(name, text):
    secret = "Xq7" + text + "Zw9"
    value = {name: 1, "lyrics": secret, "deep": [{"prompt": [secret, {"k": secret}]}], "end": "ok"}
    for ascii_only in (True, False):
        raw = json.dumps(value, ensure_ascii=ascii_only).encode()
        kept = json.loads(redacted(raw, NOBODY))
        assert b"Xq7" not in redacted(raw, NOBODY)
        assert kept["end"] == "ok"
        assert list(kept) == list(value)


@given(st.binary(max_size=60))
def test_no_bytes_are_too_odd_to_redact(raw):
    redacted(raw, SECRET)
    redacted(b'{"lyrics": ' + raw, SECRET)
