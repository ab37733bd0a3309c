"""Patterns mean the same to both validators, and to us."""

from __future__ import annotations

import json
from pathlib import Path

import jsonschema
import jsonschema_rs
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from soundstage.contract import load

FIELDS = json.loads((Path(__file__).parents[2] / "schemas/fields.json").read_text())["$defs"]
URL = FIELDS["url"]["pattern"]
PROMPT = load("v6").endpoints["stream"].request["properties"]["prompt"]["allOf"][0]["pattern"]

odd = (
    st.sampled_from(list('hHtTpPsS:/?#[]@.%\\"<> \n\r\t\0\x7f\x85\xa0\u2028é😀\ud800'))
    | st.characters()
)
starts = st.sampled_from(["http://", "https://", "HTTPS://", "ftp://", "//", ""])
urlish = st.builds("{}{}".format, starts, st.text(odd, max_size=12))


def agree(pattern, text):
    schema = {"type": "string", "pattern": pattern}
    slow = jsonschema.Draft202012Validator(schema).is_valid(text)
    try:
        text.encode()
    except UnicodeEncodeError:
        return slow  # a lone surrogate never gets here: it is a fault of the JSON text
    assert jsonschema_rs.Draft202012Validator(schema).is_valid(text) is slow, (pattern, text)
    return slow


@given(urlish | st.text(odd, max_size=20))
@example("http://a\n")
@example("http://a\u2028b")
def test_the_pattern_of_a_url_means_the_same_to_both_libraries(text):
    agree(URL, text)


@given(st.text(odd, max_size=6))
@example("\n")
@example("\u2028")
@example("")
def test_the_pattern_of_a_prompt_means_the_same_to_both_libraries(text):
    assert agree(PROMPT, text) is any(character > " " for character in text)


@pytest.mark.parametrize(
    "text",
    [
        "https://storage.soundverse.ai/...",
        "https://storage.soundverse.ai/.../song.mp3",
        "http://a",
        "HTTPS://A/B",
        "https://a:8443/b?c=d&e=%20#f",
        "https://[::1]/a",
        "http://127.0.0.1:8000/é",
        "https://xn--n3h.example/😀",
    ],
)
def test_an_absolute_url_is_one(text):
    assert agree(URL, text)


@pytest.mark.parametrize(
    "text",
    ["", "a", "/a", "//a/b", "http:", "http:/a", "http://", "http:///a", "http://?a", "http://#a",
     "ftp://a", "javascript:alert(1)", " http://a", "http://a b", "http://a\n", "http://a\tb",
     "http://a/\x00", "http://a/<b>", 'http://a/"', "http://@a", "http://:80", "data:,a",
     "xhttp://a"],
)  # fmt: skip
def test_what_is_no_absolute_url_is_none(text):
    assert not agree(URL, text)


def test_the_two_kinds_of_url_have_the_same_pattern():
    assert FIELDS["url_or_null"]["pattern"] == URL
