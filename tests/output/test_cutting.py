"""Text that is shortened gives no part of a secret away, wherever it is cut."""

from __future__ import annotations

import base64
import json
from urllib.parse import quote

import pytest
from hypothesis import given
from hypothesis import strategies as st

from soundstage.conformance.fields import received, shown
from soundstage.conformance.violations import Compared, Severity, Violation
from soundstage.output import cutting, outgoing
from soundstage.output.redact import Redactor
from soundstage.reports.words import plain
from soundstage.results.failure_tally import LONGEST_REASON, why_failed
from soundstage.untrusted import json_text

#: A piece of a key as long as this gives it away.
_TELLING = 8
KEY = "sk-live-4f3e2d1c0b9a-QqWwEeRrTtZzUuIiOoPp-0123456789-abcdefghijklm"

_LETTERS = "abcdefghjkmnpqrstuvwxyzABCDEFGHJKLMNPQRSTUVWXYZ23456789-_"
_KEYS = st.text(_LETTERS, min_size=10, max_size=120).map(lambda text: f"sk-{text}7")
_WRITTEN = (
    str,
    lambda key: quote("".join(f"%{byte:02X}" for byte in key.encode()), safe="%"),
    lambda key: "".join(f"\\u{ord(each):04x}" for each in key),
    lambda key: base64.b64encode(key.encode()).decode(),
    lambda key: json.dumps(json.dumps({"key": key})),
    lambda key: key * 40,
)


def _pieces(written: str, key: str) -> list[str]:
    """The pieces of a key as it is written that would give eight characters of it away."""
    many = _TELLING * -(-len(written) // len(key)) if len(written) < 20 * len(key) else _TELLING
    return [written[at : at + many] for at in range(len(written) - many + 1)]


def _given_away(said: str, written: str, key: str) -> list[str]:
    return [piece for piece in _pieces(written, key) if piece in said]


@given(
    key=_KEYS,
    write=st.sampled_from(_WRITTEN),
    before=st.integers(0, 300),
    after=st.integers(0, 400),
    most=st.integers(40, 320),
)
def test_no_cut_leaves_a_piece_of_a_key(key, write, before, after, most):
    written = write(key)
    text = ". " * (before // 2) + written + " ." * (after // 2)
    with pytest.MonkeyPatch.context() as process:
        process.setattr(outgoing, "_redactor", Redactor([key], keep_private=True))
        for said in (
            cutting.cut(text, most),
            cutting.head(text, most),
            cutting.part(text, most // 2, most // 2 + most),
            cutting.beginning(text.encode(), most).decode(),
        ):
            said = outgoing.text(said)  # as all that leaves
            assert not _given_away(said, written, key), said


@pytest.mark.parametrize("text", ["", "short", "x" * 400, "ü" * 400])
@pytest.mark.parametrize("hidden", [False, True])
def test_what_is_cut_is_as_long_as_was_asked_and_the_rest_stays(text, hidden):
    if hidden:
        outgoing.hide([KEY])
    for most in (40, 41, 100):
        assert len(cutting.head(text, most)) == min(len(text), most)
        assert len(cutting.cut(text, most)) <= most
        assert cutting.head(text, most).rstrip("…") in text
    assert cutting.head(text, 500) is text
    assert cutting.cut(text, 500) is text
    assert cutting.head("a long word", 6) == "a lon…"
    assert cutting.head("a long word", 6, end="") == "a long"
    assert cutting.part("a long word", 2, 6) == "long"


def _messages(text: str):
    """What various rooms say of a text of somebody else."""
    yield "fields.shown", shown(text)
    yield "fields.received", received(text)
    yield "fields.received of names", received({text: 1, text + "x": 2})
    compared = Compared(text, text)
    violation = Violation("code", Severity.ERROR, 0, f"/{text}", text, "r", compared=compared)
    yield "violation", json.dumps(violation.to_json())
    yield "words.plain", plain(text)
    yield "words.plain of a few", plain(text, 60)
    yield "reasons", why_failed(text, ())
    for raw in (f"[{text}]", f'{{"{text}": 1, "{text}": 2}}', f"1 {text}", f'["{text}"'):
        yield "json", "; ".join(str(each) for each in json_text.parse(raw.encode()).problems)


@pytest.mark.parametrize("before", [*range(0, 70, 9), *range(230, 320, 13), *range(430, 510, 13)])
def test_no_message_holds_a_piece_of_a_key(before):
    outgoing.hide([KEY])
    for text in (f"{'.' * before}{KEY}", f"{'.' * before}{KEY}{'.' * 700}", f"{KEY * 60}."):
        for place, said in _messages(text):
            assert not _given_away(outgoing.text(said), KEY, KEY), (place, said)


def test_reasons_are_cut_where_they_were():
    assert len(why_failed("x" * 5000, ())) == LONGEST_REASON
