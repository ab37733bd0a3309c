"""Text of others becomes visible: a line, a text, a document, and what leaves piece by piece."""

from __future__ import annotations

import io
import json
import random

import pytest
from hostile_text import ALL, SURROGATE, TEXTS, harms

from soundstage.output import outgoing, streams, visible

#: What people write, and what must come through as it is.
BENIGN = [
    "Grüße, 世界 🎵 👩‍🎤 ❤️",
    "می‌خواهم שלום العربية",
    "क्‍ष த்",
    "a::b std::vector http://[::1]:8000/ #1 ## heading [x] ##x",
    "50% (a|b) <c> & 'd' \"e\" \\n $HOME `f` ~g~",
    "# heading",
    "vso[task] teamcity[x] #[error] :error::",
    "n/a – 1.20 s … ✓ ✗ → ⏎",
    "non-breaking\xa0space and\u3000wide space",
]
CASES = [pytest.param(text, id=name) for name, text in TEXTS.items()]


@pytest.mark.parametrize("text", BENIGN, ids=range(len(BENIGN)))
def test_what_people_write_stays_as_it_is(text):
    assert visible.line(text) == visible.text(text) == visible.Flow().shown(text) == text
    assert json.loads(visible.in_json(json.dumps(text, ensure_ascii=False))) == text
    assert visible.in_markup(text) == text


@pytest.mark.parametrize("text", CASES)
def test_nothing_that_hurts_is_left(text):
    for shown in (visible.alone(text), visible.text(text), visible.Flow().shown(text)):
        assert not harms(shown)
    assert "\n" not in visible.line(text)
    assert visible.text(visible.text(text)) == visible.text(text), "done once, done for ever"


@pytest.mark.parametrize(
    ("hostile", "shown"),
    [
        ("\x1b[2Jgone", "\\x1b[2Jgone"),
        ("\x9b31m", "\\x9b31m"),
        ("a\r\nb\tc", "a\\r\\nb\\tc"),
        ("\x07\x7f\x00", "\\x07\\x7f\\x00"),
        ("user\u202etxt.exe", "user\\u202etxt.exe"),
        ("\u2066\u200f\u2028\ufeff", "\\u2066\\u200f\\u2028\\ufeff"),
        ("\ud800", "\\ud800"),
        ("\U000e0041", "\\U000e0041"),
        ("stre\u200dam\u200c", "stre\\u200dam\\u200c"),
        ("é\u200d\u200dé", "é\\u200d\\u200dé"),
    ],
)
def test_a_line_shows_what_it_holds(hostile, shown):
    assert visible.line(hostile) == shown
    assert visible.line(hostile).encode()


@pytest.mark.parametrize(
    ("order", "shown"),
    [
        ("::error::x", ":\\:error::x"),
        ("a\n \t::warning::x", "a\n \t:\\:warning::x"),
        ("\u3000::x", "\u3000:\\:x"),
        (":::x", ":\\::x"),
        ("a ##[group]b", "a ##\\[group]b"),
        ("###[x]", "###\\[x]"),
        ("##vso[a]##teamcity[b]", "##vso\\[a]##teamcity\\[b]"),
    ],
)
def test_an_order_is_broken_up_and_can_still_be_read(order, shown):
    assert visible.text(order) == shown


def test_an_order_is_broken_up_however_it_comes_in_pieces():
    rng = random.Random(4)
    whole = "".join(f"x{text}\n{text}" for text in TEXTS.values()) * 3
    for _ in range(200):
        flow, left, said = visible.Flow(), whole, ""
        while left:
            many = rng.choice((1, 1, 2, 3, 9, 40))
            said, left = said + flow.shown(left[:many]), left[many:]
        assert not harms(said)
        assert said.replace("\\", "") == visible.text(whole).replace("\\", "")


def test_our_own_sequences_pass_and_those_of_others_do_not():
    out = io.StringIO()
    screen = streams.screen(out)
    foreign = "\x1b[31m\x0e0123456789abcdef\x1b[2J\x0f"
    streams.say(f"{visible.painted('violates', '31')} {foreign}", screen)
    screen.write(visible.own("\r\x1b[K"))
    assert out.getvalue() == (
        "\x1b[31mviolates\x1b[0m \\x1b[31m\\x0e0123456789abcdef\\x1b[2J\\x0f\n\r\x1b[K"
    )


@pytest.mark.parametrize("ascii_only", [True, False])
@pytest.mark.parametrize("text", [*CASES, pytest.param(SURROGATE, id="surrogate")])
def test_a_json_document_means_the_same_and_does_no_harm(text, ascii_only):
    document = {text: [text, {"a": text}], "DEL\x7f": "\x7f"}
    for indent in (None, 2):
        written = json.dumps(document, ensure_ascii=ascii_only, indent=indent)
        shown = visible.in_json(written)
        assert json.loads(shown) == document
        assert not harms(shown)
        out = io.StringIO()
        streams.screen(out).write(shown)
        assert out.getvalue() == shown, "a screen has nothing to add"


def test_a_screen_is_a_stream_for_text_and_for_bytes():
    raw = io.BytesIO()
    inner = io.TextIOWrapper(raw, encoding="ascii", errors="strict")
    screen = streams.screen(inner)
    assert streams.screen(screen) is screen
    print("é", ALL, file=screen)
    screen.writelines(["##", "[error]x\n"])
    screen.buffer.write(b"\x1b[2J\n::error::x\xff\n")
    screen.flush()
    said = raw.getvalue()
    assert not harms(said)
    assert said.startswith(b"\\xe9 ")
    assert b"##\\[error]x\n\\x1b[2J\n:\\:error::x" in said


def test_a_document_of_orders_passes_and_nothing_else_in_it_does():
    out = io.StringIO()
    screen = streams.Screen(out)
    screen.document("::error title=x::said\x1b[2J\n", orders=True)
    screen.document("::error title=x::said\n")
    assert out.getvalue() == "::error title=x::said\\x1b[2J\n:\\:error title=x::said\n"


def test_a_screen_lets_no_secret_through(monkeypatch):
    monkeypatch.setattr(outgoing, "text", lambda text: text.replace("sk-secret", "[redacted]"))
    out = io.StringIO()
    streams.say("the key sk-secret was refused", streams.screen(out))
    streams.Screen(out).document('{"key": "sk-secret"}\n')
    assert "sk-secret" not in out.getvalue()


def test_a_table_has_columns_as_wide_as_what_they_show():
    rows = [("RUN", "EXCHANGES", ""), ("one\x1b[2J", "7", "x"), ("two", "1,234", "")]
    assert visible.table(rows, right={1}) == [
        "RUN         EXCHANGES",
        "one\\x1b[2J          7  x",
        "two             1,234",
    ]
