"""Secrets and private values are taken out."""

from __future__ import annotations

import base64
import json
from urllib.parse import quote

import pytest

from soundstage.wire.redact import Redactor

KEY = "sk-live/Ab+9_é~key=="


@pytest.mark.parametrize(
    "written",
    [
        KEY,
        quote(KEY, safe=""),
        quote(KEY),
        quote(KEY, safe="").lower().replace("ab", "Ab").replace("sk-live", "sk-live"),
        json.dumps(KEY)[1:-1],
        base64.b64encode(KEY.encode()).decode().rstrip("="),
        base64.urlsafe_b64encode(b"a:" + KEY.encode()).decode(),
        base64.b64encode(b"user:" + KEY.encode() + b"\n").decode(),
    ],
)
def test_a_secret_is_found_however_it_is_written(written):
    redactor = Redactor([KEY])
    text = f"before {written} after"
    cleaned = redactor.text(text)
    assert "[redacted]" in cleaned
    assert written not in cleaned
    assert cleaned.startswith("before ")
    assert redactor.data(text.encode()) == cleaned.encode()


def test_blank_secrets_change_nothing():
    redactor = Redactor(["", " "])
    assert redactor.text("a b") == "a b"
    assert redactor.data(b"a b") == b"a b"


def test_a_redactor_does_not_show_its_secrets():
    assert KEY not in repr(Redactor([KEY]))


def test_secret_headers_lose_their_values():
    headers = [
        ("Authorization", "Bearer other"),
        ("SET-COOKIE", "a=b"),
        ("x-api-key", "x"),
        ("X-Mine", "x"),
        ("Location", "https://u:p@h/p?X-Signature=abc"),
        ("X-Echo", f"you sent {KEY}"),
        ("Content-Type", "text/plain"),
    ]
    assert Redactor([KEY], headers=["x-mine"]).headers(headers) == [
        ("Authorization", "[redacted]"),
        ("SET-COOKIE", "[redacted]"),
        ("x-api-key", "[redacted]"),
        ("X-Mine", "[redacted]"),
        ("Location", "https://h/p?X-Signature=[redacted]"),
        ("X-Echo", "you sent [redacted]"),
        ("Content-Type", "text/plain"),
    ]


@pytest.mark.parametrize(
    ("url", "expected"),
    [
        ("https://h:1/p", "https://h:1/p"),
        ("https://h/p?a=1&b=&c", "https://h/p?a=[redacted]&b=[redacted]&[redacted]"),
        ("https://user:pw@h/p#token", "https://h/p#[redacted]"),
        ("/relative?x=1", "/relative?x=[redacted]"),
        ("http://[", "[redacted]"),
    ],
)
def test_urls_keep_their_shape_only(url, expected):
    assert Redactor().url(url) == expected


def test_private_urls_can_be_kept_but_never_credentials():
    redactor = Redactor([KEY], keep_private=True)
    assert redactor.url(f"https://u:p@h/?a=1&k={quote(KEY)}#f") == "https://h/?a=1&k=[redacted]#f"


def test_private_fields_of_bodies_are_counted_not_kept():
    body = {
        "prompt": "my words",
        "items": [{"lyrics": ["la", {"x": "la la"}], "n": 1}],
        "user_id": 17,
        "lyrics": None,
        "audio_url": "https://h/a.mp3?sig=1",
        "note": f"see http://h/?q=1 and {KEY}",
        "version": 2,
        "ok": True,
    }
    assert Redactor([KEY]).body(body) == {
        "prompt": "[redacted 8 chars]",
        "items": [{"lyrics": ["[redacted 2 chars]", {"x": "[redacted 5 chars]"}], "n": 1}],
        "user_id": "[redacted]",
        "lyrics": None,
        "audio_url": "https://h/a.mp3?sig=[redacted]",
        "note": "see http://h/?q=[redacted] and [redacted]",
        "version": 2,
        "ok": True,
    }
    assert body["prompt"] == "my words"


def test_private_fields_can_be_kept():
    redactor = Redactor([KEY], keep_private=True)
    assert redactor.body({"prompt": f"a {KEY}"}) == {"prompt": "a [redacted]"}


def test_deep_bodies_do_not_exhaust_the_stack():
    value: object = "secret words"
    for _ in range(5000):
        value = [value]
    cleaned = Redactor().body(value)
    for _ in range(201):
        (cleaned,) = cleaned
    assert cleaned == "[redacted]"
