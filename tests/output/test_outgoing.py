"""The register of secrets: whoever learns one hides it, and nothing leaves with it."""

from __future__ import annotations

import json
import logging

import pytest

from soundstage.output import outgoing

KEY = "sk-live-4f3e2d1c0b9a"


def test_what_holds_nothing_is_given_back_as_it_is():
    document = {"a": ["b", 1]}
    for _ in range(2):
        assert outgoing.text(text := "a line") is text
        assert outgoing.data(data := b"a line") is data
        assert outgoing.document(document) is document
        outgoing.hide([KEY])


def test_texts_bytes_and_documents_lose_what_is_hidden():
    outgoing.hide([KEY])
    assert outgoing.text(f"Bearer {KEY}!") == "Bearer [redacted]!"
    assert outgoing.data(b"\xff %s" % KEY.encode()) == b"\xff [redacted]"
    assert outgoing.document({"a": [f"x{KEY}", 7], KEY: None}) == {
        "a": ["x[redacted]", 7],
        "[redacted]": None,
    }
    assert outgoing.may_hold(json.dumps(f"{KEY}").encode())


@pytest.mark.parametrize("secret", [None, "", "  ", "short", "  sk-1234  ", "required"])
def test_what_cannot_be_told_from_good_text_is_not_hidden(secret):
    outgoing.hide([secret], words=["required"])
    text = "a short text that is required: sk-1234"
    assert outgoing.text(text) is text


def test_words_of_a_format_stay_even_with_a_secret_in_them():
    outgoing.hide(["streaming"], words=["streaming_ready"])
    document = {"streaming_ready": "streaming_ready", "x": "streaming on", "duration_streaming": 1}
    assert outgoing.document(document, ["duration_streaming"]) == {
        "streaming_ready": "streaming_ready",
        "x": "[redacted] on",
        "duration_streaming": 1,
    }


@pytest.mark.parametrize(
    ("url", "secrets"),
    [
        ("https://user:pa%2Fss-word@h/", ["user:pa%2Fss-word", "pa%2Fss-word", "user:pa/ss-word",
         "pa/ss-word"]),
        ("http://a-token@h:8080", ["a-token"]),
        ("user:password@proxy:3128", ["user:password", "password"]),
        ("https://h/p@th", []),
        ("", []),
    ],
)  # fmt: skip
def test_user_information_of_a_url_is_a_secret(url, secrets):
    assert outgoing.in_url(url) == secrets


def test_the_environment_is_hidden_whether_a_command_uses_it_or_not():
    outgoing.hide_environment(
        {outgoing.KEY_VARIABLE: KEY, "HTTPS_PROXY": "http://me:my-password@proxy.example:8080"}
    )
    said = outgoing.text(f"{KEY} via http://me:my-password@proxy.example:8080")
    assert said == "[redacted] via http://[redacted]@proxy.example:8080"
    outgoing.hide_environment({outgoing.KEY_VARIABLE: "sk-live-qwertzuiopasdfghjklyxcv"})
    assert outgoing.text("sk-live-qwertzuiopasdfghjklyxcv?") == "[redacted]?"
    outgoing.hide_environment({outgoing.KEY_VARIABLE: "completed"})
    assert outgoing.text("completed") == "completed"


def test_logs_lose_what_is_hidden_with_their_tracebacks(caplog):
    before = logging.getLogRecordFactory()
    try:
        outgoing.over_logs()
        outgoing.hide([KEY])
        log = logging.getLogger("soundstage.test")
        log.error("the key is %s", KEY)
        try:
            raise ValueError(KEY)
        except ValueError:
            log.exception("failed")
        assert KEY not in caplog.text
        assert "the key is [redacted]" in caplog.text
        assert "ValueError: [redacted]" in caplog.text
    finally:
        logging.setLogRecordFactory(before)
        outgoing._over_logs = False
