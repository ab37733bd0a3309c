"""Whatever an API repeats, and however it writes it: no command lets a key or a sender's own words
out, neither into a file nor onto a terminal. Real commands, a real socket, a search that undoes
codings.
"""

from __future__ import annotations

import io
import json
from pathlib import Path

import pytest
from tests.support.echoing import PLACES, echoing
from tests.support.leaks import forms, leaks, stands_in

from soundstage import cli
from soundstage.outgoing import KEY_VARIABLE

KEY = "sk-live-Zx9+8w/7V6u5T4s3"
PROMPT = "my grandmother's Gugelhupf recipe, sung by candlelight"
USER = "user-20770815-qzx"
BODY = {"prompt": PROMPT, "userId": USER, "projectId": "pj_0f9e8d7c6b5a"}


def of_key(key: str, _: dict) -> list[str]:
    return list(forms(key).values())


def of_texts(_: str, body: dict) -> list[str]:
    """The user's words, short and long, whole and in pieces, in several codings."""
    texts = [body.get("prompt", "-"), body.get("userId", "-"), body.get("prompt", "-")[4:34]]
    return [form for text in texts for form in list(forms(text).values())[:: 5 - len(text) % 2]]


@pytest.mark.parametrize("secret", [KEY, PROMPT, USER])
def test_the_search_finds_a_secret_in_every_form(secret):
    for name, form in forms(secret).items():
        assert stands_in(f"a {form} b".encode(), secret), name


@pytest.mark.parametrize("place", PLACES)
def test_a_key_that_comes_back_is_in_no_recording_and_nowhere_else(place, tmp_path, monkeypatch):
    monkeypatch.setenv(KEY_VARIABLE, KEY)
    with echoing([PLACES[place]], of_key) as api:
        said = _run("record", tmp_path, api.url, "--count", str(len(forms(KEY))))
    assert len(api.bodies) >= len(forms(KEY))
    assert leaks(tmp_path, said, KEY) == []


@pytest.mark.parametrize("place", PLACES)
def test_own_words_that_come_back_are_in_no_recording_and_nowhere_else(
    place, tmp_path, monkeypatch
):
    monkeypatch.setenv(KEY_VARIABLE, KEY)
    body = tmp_path.parent / f"{tmp_path.name}.json"
    body.write_text(json.dumps(BODY))
    with echoing([PLACES[place]], of_texts) as api:
        said = _run("record", tmp_path, api.url, "--count", "12", "--body", str(body))
    assert leaks(tmp_path, said, PROMPT, USER, PROMPT[4:34]) == []


def _run(command: str, folder: Path, url: str, *options: str) -> str:
    """What a command says, run in this process."""
    out, err = io.StringIO(), io.StringIO()
    arguments = ["--target", url, "--out", str(folder / "out"), "--api", "v6", *options]
    code = cli.run(command, arguments, out, err)
    assert code in (0, 1, 4, 6), err.getvalue()
    return out.getvalue() + err.getvalue()
