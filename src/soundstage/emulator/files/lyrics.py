"""Lyrics as sections, `{"name": …, "lines": […]}`: those that were given, or written ones."""

from __future__ import annotations

import random
import re
from collections.abc import Sequence
from functools import cache
from typing import Any, Final

#: A heading of its own line: `[Chorus]`, `(Bridge)`, `Verse 2:`.
_HEADING: Final = re.compile(
    r"\[(?P<square>[^\[\]]{1,60})\]|\((?P<round>(?i:verse|chorus|bridge|intro|outro|hook)[^()]*)\)"
    r"|(?P<plain>(?i:verse|(?:pre-)?chorus|bridge|intro|outro|hook|refrain)(?: \d{1,2})?) ?:?"
)
_SUBJECT: Final = 60  # characters of a prompt that are sung about
#: Words at the end of which no line can stop.
_LOOSE: Final = frozenset(("a", "an", "the", "and", "or", "of", "with", "about", "for", "in", "by"))

_VERSES: Final = (
    ("They asked me for {subject}", "I wrote it down tonight", "{title}, on every window",
     "A little piece of light"),
    ("I heard it in the traffic", "I heard it in the rain", "{subject}",
     "And all of it again"),
    ("Somewhere between the stations", "The radio went low", "It played us {subject}",
     "As if it had to know"),
    ("We counted every lamp post", "We counted every mile", "And sang of {subject}",
     "And {title} all the while"),
)  # fmt: skip
_CHORUSES: Final = (
    ("Oh, {title}", "Stay until the light", "Oh, {title}", "We will be all right"),
    ("{title}, {title}", "Turn it up again", "{title}, {title}", "Sing it to the end"),
    ("Call it {title}", "Call it what you may", "Call it {title}", "It is here to stay"),
)
_BRIDGES: Final = (
    ("And if the song is over", "The room will hold the sound"),
    ("One more time, a little slower", "Until we come around"),
)


def sections(lyrics: str) -> list[dict[str, Any]]:
    """Given lyrics. Blank lines and headings part sections; a stanza without a heading is a verse,
    and one that comes again in the same words the chorus.
    """
    stanzas: list[tuple[str | None, list[str]]] = [(None, [])]
    for line in (line.strip() for line in lyrics.splitlines()):
        if heading := _HEADING.fullmatch(line):
            stanzas.append((next(filter(None, heading.groups())).strip(), []))
        elif line:
            stanzas[-1][1].append(line)
        elif stanzas[-1][1]:
            stanzas.append((None, []))
    # A heading without lines stands for a part that is played, or sung as before.
    told = [(name, lines) for name, lines in stanzas if name or lines]
    return _named(told)


def _named(stanzas: Sequence[tuple[str | None, list[str]]]) -> list[dict[str, Any]]:
    texts = [tuple(lines) for _, lines in stanzas]
    repeated = next((text for text in texts if text and texts.count(text) > 1), None)
    found, verses = [], 0
    for (name, lines), text in zip(stanzas, texts, strict=True):
        if name is None and text == repeated:
            name = "Chorus"
        elif name is None:
            verses += 1
            name = f"Verse {verses}"
        found.append({"name": name, "lines": lines})
    return found


def written(prompt: str, title: str, origin: str) -> list[dict[str, Any]]:
    """Lyrics where none were given, about the prompt and with the title in the chorus. The same
    `origin` gives the same lines.
    """
    rng = random.Random(f"{origin}/lyrics")
    words = {"subject": _subject(prompt), "title": title}
    first, second = rng.sample(_VERSES, 2)
    chorus = rng.choice(_CHORUSES)
    parts: list[tuple[str, Sequence[str]]]
    parts = [("Verse 1", first), ("Chorus", chorus), ("Verse 2", second), ("Chorus", chorus)]
    if rng.random() < 0.5:
        parts[3:] = [("Bridge", rng.choice(_BRIDGES)), ("Chorus", chorus)]
    return [{"name": name, "lines": [_put(line, words) for line in lines]} for name, lines in parts]


def _put(line: str, words: dict[str, str]) -> str:
    """The words in their places; braces of a prompt are no places."""
    return "".join([words[part] if n % 2 else part for n, part in enumerate(_parts(line))])


@cache
def _parts(line: str) -> list[str]:
    """A line of ours, cut at its places: every second part is the name of the words there."""
    return re.split(r"\{(subject|title)\}", line)


def _subject(prompt: str) -> str:
    """The beginning of a prompt, cut between words, without a full stop."""
    whole = " ".join(prompt.split())
    subject = whole[: _SUBJECT + 1]
    if len(subject) > _SUBJECT:
        kept = subject.split(" ")[:-1] or [subject[:_SUBJECT]]
        while len(kept) > 1 and kept[-1].casefold() in _LOOSE:
            kept.pop()
        subject = " ".join(kept)
    subject = subject.rstrip(".,;:!?… ") or "a song"
    lowered = subject[:1].lower() + subject[1:]
    return lowered if subject.split(" ")[0] in ("A", "An", "The") else subject
