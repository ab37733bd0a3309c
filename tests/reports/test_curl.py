"""The request of a finding as a line for a shell: what a shell makes of it, and what it hides."""

from __future__ import annotations

import json
import subprocess
from typing import Any

import pytest

from soundstage.reports.story.curl import ANY_KEY, BODY_LIMIT, curl

NASTY = 'it\'s "a" $(touch x) `id` \\ \x1b[31m\u202e\n!'


def request(**changes: Any) -> dict[str, Any]:
    asked = {
        "method": "POST",
        "url": "http://127.0.0.1:8000/v6/generate/song",
        "headers": [
            ["Authorization", "[redacted]"],
            ["Content-Type", "application/json"],
            ["Content-Length", "12"],
        ],
        "body": {"prompt": "[redacted 12 chars]"},
    }
    return {**asked, **changes}


def words(line: str | None) -> list[str]:
    """What a real shell hands to curl."""
    assert line is not None
    script = f'curl() {{ printf "%s\\0" "$@"; }}; {line}'
    done = subprocess.run(
        ["bash", "-c", script],
        capture_output=True,
        check=True,
        env={"SOUNDVERSE_API_KEY": "the key", "X_API_KEY": "another"},
    )
    return done.stdout.decode().split("\0")[:-1]


def test_a_shell_reads_what_was_asked() -> None:
    assert words(curl(request())) == [
        "-N",
        "-X",
        "POST",
        "http://127.0.0.1:8000/v6/generate/song",
        "-H",
        "Authorization: Bearer the key",
        "-H",
        "Content-Type: application/json",
        "--data-raw",
        '{"prompt":"[redacted 12 chars]"}',
    ]


@pytest.mark.parametrize(
    "body", [{"prompt": NASTY, NASTY: [1]}, NASTY, "\x00" * 3 + "x", "é" * 10, {"a": "\ud800"}]
)
def test_no_body_gets_out_of_its_quotes_or_to_the_terminal(body: Any) -> None:
    line = curl(request(body=body))
    assert line is not None
    assert line.isascii()
    assert line.isprintable()
    told = words(line)[-1] if "\x00" not in str(body) else None
    if isinstance(body, dict):
        assert told is not None
        assert json.loads(told) == body
    elif told is not None:
        assert told == body


@pytest.mark.parametrize(
    "url",
    [
        "http://user:secret@h/v6",
        "http://h/v6?signature=secret",
        "http://h/v6#secret",
        "http://h/';touch x;'",
        "http://h/\u202e\x1b[31m\n",
    ],
)
def test_a_url_keeps_its_secrets_and_stays_one_word(url: str) -> None:
    line = curl(request(url=url))
    assert line is not None
    assert "secret" not in line
    assert line.isascii()
    assert line.isprintable()
    assert words(line)[3].startswith("http://h/")


def test_a_key_is_never_shown_even_if_it_was_not_redacted() -> None:
    headers = [
        ["authorization", "Bearer sk-123"],
        ["X-API-Key", "sk-123"],
        ["Cookie", "session=sk-123"],
        ["X-Bad\r\nName", "sk-123"],
        ["X-Broken", "a\r\nb"],
        "no pair",
    ]
    line = curl(request(headers=headers))
    assert line is not None
    assert "sk-123" not in line
    told = words(line)
    assert "authorization: Bearer the key" in told
    assert "X-API-Key: another" in told
    assert not any("X-B" in each for each in told)


def test_a_body_that_nobody_would_paste_comes_from_a_command_that_has_it() -> None:
    line = curl(request(body="x" * (BODY_LIMIT + 1)), stored="soundstage show run e1 --body")
    assert line is not None
    assert line.startswith("soundstage show run e1 --body | curl -N ")
    assert line.endswith("--data-binary @-")
    assert len(line) < 500
    assert curl(request(body="x" * (BODY_LIMIT + 1))) is None


def test_on_this_machine_any_key_will_do() -> None:
    assert "Authorization: Bearer the key" in words(curl(request(), key=ANY_KEY))
    done = subprocess.run(
        ["bash", "-c", f'curl() {{ printf "%s\\0" "$@"; }}; {curl(request(), key=ANY_KEY)}'],
        capture_output=True,
        check=True,
        env={},
    )
    assert b"Authorization: Bearer any-key\0" in done.stdout


@pytest.mark.parametrize(
    "asked",
    [
        None,
        [],
        {},
        request(method="GET; rm -rf"),
        request(method=None),
        request(url="file:///etc/passwd"),
        request(url=3),
    ],
)
def test_what_is_no_request_gives_no_line(asked: object) -> None:
    assert curl(asked) is None


def test_odd_headers_are_no_error() -> None:
    line = curl(request(headers="none", body=None))
    assert words(line)[-1] == "http://127.0.0.1:8000/v6/generate/song"
