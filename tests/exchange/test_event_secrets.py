"""Secrets go, and the form of what they stood in stays: a good stream is good with any key."""

from __future__ import annotations

import base64
import io
import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from urllib.parse import quote

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from soundstage import cli
from soundstage.conformance.judge import Judge
from soundstage.contract import load, load_all
from soundstage.contract.vocabulary import is_word, words_of
from soundstage.errors import UsageError
from soundstage.exchange.kept_bytes import redacted
from soundstage.exchange.session import open_session
from soundstage.output.outgoing import KEY_VARIABLE
from soundstage.output.redact import WIRE_WORDS, Redactor
from soundstage.wire.media_type import content_type_of

WORDS = words_of(load_all().values())
KEY = "sk-live-3f9a8b7c6d5e"
HEADERS = [("Content-Type", "text/event-stream; charset=utf-8"), ("Content-Length", "12345678")]


def events_of(body: bytes) -> list[bytes]:
    return [event + b"\n\n" for event in body.split(b"\n\n") if event]


def kept_with(key: str, events: list[bytes], **options: Any) -> tuple[Redactor, list[bytes]]:
    redactor = Redactor([key], words=WORDS, **options)
    return redactor, [redacted(event, redactor) for event in events]


def judged(api: str, kind: str, headers: list[tuple[str, str]], body: bytes) -> Any:
    contract = load(api)
    endpoint = contract.endpoint_of_kind(kind)
    assert endpoint is not None
    judge = Judge(contract, endpoint)
    judge.head(200, content_type_of(headers))
    judge.feed(body)
    judge.close()
    found = [(each.code, each.chunk, each.rule) for each in judge.violations]
    return judge.verdict(), judge.reason, judge.events, judge.framing, found


def texts(value: Any) -> Iterator[str]:
    """The texts and unknown names in a JSON value."""
    if isinstance(value, str):
        yield value
    elif isinstance(value, dict):
        yield from value
        for inner in value.values():
            yield from texts(inner)
    elif isinstance(value, list):
        for inner in value:
            yield from texts(inner)


def bare(text: str) -> str:
    """A text without what is never taken out of it: marks, schemes and hosts of URLs."""
    text = re.sub(r"\[redacted(?: [0-9]+ chars)?\]", "\0", text)
    return re.sub(r"^https?://[^/?#]*/?", "", text, flags=re.IGNORECASE)


keys = st.one_of(
    st.sampled_from(sorted({word for word in WORDS | WIRE_WORDS if " " not in word})),
    st.sampled_from(sorted(WORDS | WIRE_WORDS)).map(lambda word: word.replace(" ", "")[:9]),
    st.text("0123456789", min_size=1, max_size=9),
    st.text(st.characters(min_codepoint=33, max_codepoint=126), min_size=1, max_size=12),
    st.text(st.sampled_from('":,{}[]/\\.-aeh1'), min_size=1, max_size=3),
    st.sampled_from(["https", "http://", "://", "data:", "event", "true", "null", "utf-8", "1"]),
)


@pytest.mark.parametrize("api", ["v5", "v6"])
@given(key=keys, seed=st.integers(0, 5), keep_private=st.booleans())
@example(key="status", seed=3, keep_private=False)
@example(key="song", seed=3, keep_private=True)
@example(key="1", seed=3, keep_private=True)
@example(key=";", seed=0, keep_private=False)
@example(key="m;", seed=0, keep_private=False)
def test_a_good_stream_is_good_whatever_the_key_is(stream_of, api, key, seed, keep_private):
    events = events_of(stream_of(api, seed))
    redactor, kept = kept_with(key, events, keep_private=keep_private)
    before = judged(api, "stream", HEADERS, b"".join(events))
    assert before[0] == "conforms"
    assert judged(api, "stream", redactor.headers(HEADERS), b"".join(kept)) == before
    for event in kept:
        for text in texts(json.loads(event.removeprefix(b"data: "))):
            assert text in WORDS | WIRE_WORDS or key not in bare(text)


@given(data=st.data(), keep_private=st.booleans())
def test_a_good_stream_is_good_though_the_key_is_a_piece_of_it(stream_of, data, keep_private):
    body = stream_of("v6").decode()
    start = data.draw(st.integers(0, len(body) - 1))
    key = body[start : start + data.draw(st.integers(1, 40))].strip()
    events = events_of(body.encode())
    if key:
        redactor, kept = kept_with(key, events, keep_private=keep_private)
        before = judged("v6", "stream", HEADERS, b"".join(events))
        assert judged("v6", "stream", redactor.headers(HEADERS), b"".join(kept)) == before


@pytest.mark.parametrize("api", ["v5", "v6"])
@given(key=keys)
def test_a_good_result_is_good_whatever_the_key_is(api, key):
    result = next(each.payload for each in load(api).examples if each.of == "response")
    raw = json.dumps(result, indent=2).encode()
    redactor, (kept,) = kept_with(key, [raw])
    headers = [("content-type", "application/json")]
    before = judged(api, "sync", headers, raw)
    assert judged(api, "sync", redactor.headers(headers), kept) == before


@pytest.mark.parametrize("error", load("v6").errors.known, ids=lambda error: error.name)
@pytest.mark.parametrize("key", ["message", "success", "Please", "false", "balance", "for"])
def test_a_printed_error_stays_the_error_that_it_is(error, key):
    raw = json.dumps(error.body).encode()
    _, (kept,) = kept_with(key, [raw])
    assert json.loads(kept) == error.body


@pytest.mark.parametrize(
    ("raw", "kept"),
    [
        # unknown names and values of any kind
        (b'{"KEY": 1, "status": "KEY", "a": "x KEY y"}',
         b'{"[redacted]": 1, "status": "[redacted]", "a": "x [redacted] y"}'),
        (b'{"a": ["KEY", {"b": ["-KEY-"]}]}', b'{"a": ["[redacted]", {"b": ["-[redacted]-"]}]}'),
        (b'{"audio_url": "https://KEY.example:8/a/KEY.mp3?k=1"}',
         b'{"audio_url": "https://redacted.example:8/a/[redacted].mp3?k=[redacted]"}'),
        (b'"KEY"', b'"[redacted]"'),
        # escapes
        (b'{"a": "\\u0073k-live-3f9a8b7c6d5e"}', b'{"a": "[redacted]"}'),
        (b'{"\\u0073k\\u002dlive-3f9a8b7c6d5e": "\\n"}', b'{"[redacted]": "\\n"}'),
        # the fields of an event
        (b"event: KEY\nid: KEY\ndata: {}\n\n", b"event: [redacted]\nid: [redacted]\ndata: {}\n\n"),
        (b": KEY\r\ndata: KEY\r\n\r\n", b": [redacted]\r\ndata: [redacted]\r\n\r\n"),
        (b'data: {"a":\r\ndata: "KEY",\r\ndata: "b": 1}\r\n\r\n',
         b'data: {"a":\r\ndata: "[redacted]",\r\ndata: "b": 1}\r\n\r\n'),
        (b'data:{"a": "KEY\ndata: KEY"}\n\n', b'data:{"a": "[redacted]\\n[redacted]"}\ndata: \n\n'),
        (b"data\nKEY\nKEY: 1\n\n", b"data\n[redacted]\n[redacted]: 1\n\n"),
        ('\ufeffdata: "KEY"\n\n'.encode(), '\ufeffdata: "[redacted]"\n\n'.encode()),
        # what is no JSON
        (b"<p>KEY</p>", b"<p>[redacted]</p>"),
        (b'{"status": "KEY', b'{"status": "[redacted]'),
        (b"data: {\xff KEY\n\n", b"data: {\xff [redacted]\n\n"),
        (b'{"a": "\xff KEY"}', b'{"a": "\xff [redacted]"}'),
        (b'{"a": "\\ud800 KEY"}', b'{"a": "\\ud800 [redacted]"}'),
    ],
)  # fmt: skip
def test_a_key_goes_wherever_it_stands(raw, kept):
    _, found = kept_with(KEY, [raw.replace(b"KEY", KEY.encode())])
    assert found == [kept]


@pytest.mark.parametrize(
    "written",
    [
        quote(KEY, safe=""),
        "".join(f"%{ord(letter):02x}" for letter in KEY),
        f"a%20{KEY}",
        base64.b64encode(f"user:{KEY}".encode()).decode(),
        json.dumps(KEY)[1:-1],
    ],
)
def test_a_key_goes_however_it_is_written(written):
    for raw in (f'{{"a": "x {written}"}}', f"data: {written}\n\n"):
        _, (kept,) = kept_with(KEY, [raw.encode()])
        assert b"[redacted]" in kept
        assert KEY.encode() not in kept
        assert written.encode() not in kept


def test_a_number_is_taken_out_where_the_contract_knows_of_none():
    key = "12345678"
    raw = b'{"progress": 12345678, "x": 12345678, "y": [1, -12345678.5], "z": "12345678"}'
    _, (kept,) = kept_with(key, [raw])
    assert kept == (
        b'{"progress": 12345678, "x": "[redacted]", "y": [1, "[redacted]"], "z": "[redacted]"}'
    )


def test_numbers_belong_to_the_member_that_they_stand_in():
    _, (kept,) = kept_with("7", [b'{"x": [{"progress": 7}, 7], "progress": [{"x": 7}, 7]}'])
    assert json.loads(kept) == {
        "x": [{"progress": 7}, "[redacted]"],
        "progress": [{"x": "[redacted]"}, 7],
    }


def test_what_was_taken_out_is_not_taken_out_again():
    redactor = Redactor(["acted", "chars"])
    text = redactor.text("acted [redacted] [redacted 5 chars]")
    assert text == "[redacted] [redacted] [redacted 5 chars]"
    assert redactor.data(text.encode()) == text.encode()


def test_paths_and_fields_that_are_known_stay_in_the_story_of_a_request():
    redactor = Redactor(["song"], words=WORDS)
    url = "http://127.0.0.1:8000/v6/generate/song/a-song?song=song#song"
    assert redactor.url(url) == (
        "http://127.0.0.1:8000/v6/generate/song/a-[redacted]?[redacted]=[redacted]#[redacted]"
    )
    assert Redactor(["127", "8000"], words=WORDS).url(url).startswith("http://127.0.0.1:8000/")
    assert redactor.body({"prompt": "song", "songs": {"a song": "my song"}}) == {
        "prompt": "[redacted 4 chars]",
        "[redacted]s": {"a [redacted]": "my [redacted]"},
    }


def test_fields_that_say_how_a_message_is_framed_stay():
    headers = [
        ("Content-Type", "text/event-stream;charset=utf-8"),
        ("Content-Length", "1234"),
        ("Transfer-Encoding", "chunked"),
        ("X-Chunked", "chunked by event 1234"),
    ]
    assert Redactor(["event"]).headers(headers)[:3] == headers[:3]
    assert Redactor(["1234"]).headers(headers)[:3] == headers[:3]
    assert Redactor(["chunked"]).headers(headers) == [
        *headers[:3],
        ("X-Chunked", "[redacted] by event 1234"),
    ]


# --- which keys are fit for use


def test_words_are_what_the_contracts_fix():
    assert {"chunkIndex", "completed", "streaming_ready", "generate", "userId", "v6"} <= WORDS
    for key in ("song", "STATUS", "Completed", "event-stream", "json", "balance", "soundverse"):
        assert is_word(key, WORDS)
    for key in ("octopus", "sk-live-song", "1", "completedly"):
        assert not is_word(key, WORDS)


@pytest.mark.parametrize(
    ("key", "what"),
    [("1", "fewer than 8"), ("sk-live", "fewer than 8"), ("streaming_ready", "a word of the")],
)
def test_a_key_that_cannot_be_told_from_other_text_is_for_this_machine_only(
    raw_server, monkeypatch, tmp_path, key, what
):
    monkeypatch.delenv(KEY_VARIABLE, raising=False)
    file = tmp_path / "secret"
    file.write_text(key)
    for target in ("https://api.example", load("v6").base_url):
        with pytest.raises(UsageError, match=what) as caught:
            open_session(target, key_file=str(file))
        assert re.search(rf"\b{key}\b", str(caught.value).replace(str(file), "")) is None
        assert "\n" not in str(caught.value)
    server = raw_server([("send", b"HTTP/1.1 404 Not Found\r\nContent-Length: 0\r\n\r\n")])
    (warning,) = open_session(server.url(""), key_file=str(file)).warnings
    assert what in warning
    assert str(file) in warning


def test_a_key_of_eight_characters_is_fit_for_any_target(raw_server, monkeypatch) -> None:
    monkeypatch.setenv(KEY_VARIABLE, "sk-live1")
    assert open_session(load("v6").base_url).warnings == ()


def test_a_recording_with_an_ordinary_word_as_key_is_warned_about_and_conforms(
    monkeypatch, tmp_path: Path
) -> None:
    monkeypatch.setenv(KEY_VARIABLE, "status")
    out, told = tmp_path / "recorded", io.StringIO()
    asked = ["--target", "emulator", "--out", str(out), "--api", "v6"]
    assert cli.run("record", asked, io.StringIO(), told) == 0, told.getvalue()
    assert told.getvalue().count("cannot be told from other text") == 1
    said = io.StringIO()
    files = [str(file) for file in out.iterdir()]
    assert cli.run("lint", files, said, told) == 0, said.getvalue()
