"""Music out of numbers: a small synthesiser on NumPy.

A `Score` follows from a generation's id, its prompt and the place of the track; every sample
follows from the score and its own number, so that a song can be made in pieces of any size. NumPy
is loaded with the first song.
"""

from __future__ import annotations

import json
import random
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cache, cached_property
from importlib.resources import files
from typing import TYPE_CHECKING, Any, Final

from soundstage.emulator.mp3 import RATE

if TYPE_CHECKING:
    import numpy as np

_SCALES: Final[Mapping[str, tuple[int, ...]]] = {  # semitones over the key note
    "major": (0, 2, 4, 5, 7, 9, 11),
    "minor": (0, 2, 3, 5, 7, 8, 10),
    "dorian": (0, 2, 3, 5, 7, 9, 10),
    "mixolydian": (0, 2, 4, 5, 7, 9, 10),
}
#: Chords of four bars, by the degrees of the scale that they stand on.
_PROGRESSIONS: Final = ((0, 4, 5, 3), (0, 5, 3, 4), (5, 3, 0, 4), (0, 3, 1, 4), (0, 2, 3, 4))
#: Strength of the partials of a tone, the fundamental first: what makes an instrument.
_TIMBRES: Final = (
    (1.0, 0.5, 0.25, 0.12, 0.06),  # soft reed
    (1.0, 0.0, 0.33, 0.0, 0.2, 0.0, 0.14),  # hollow, like a clarinet
    (1.0, 0.05, 0.02, 0.3),  # bell
    (0.8, 0.6, 0.5, 0.4, 0.3, 0.25, 0.2),  # bright
)
#: From one track to the next: semitones, and the factor of the tempo.
_TRACK_KEYS: Final = 5
_TRACK_TEMPOS: Final = (1.0, 0.84, 1.19, 0.92)

_STEPS: Final = 8  # eighths in a bar
_BARS: Final = 16  # after so many bars a song begins anew
_LOWEST_KEY: Final = 110.0  # Hz
_TABLE: Final = 4_096  # points of one cycle of a tone
_FADE_SECONDS: Final = 0.4
#: Which drum is hit at the steps of a bar: 0 the kick, 1 the snare, 2 the hat.
_BEAT: Final = (0, 2, 1, 2, 0, 0, 1, 2)
#: Samples that share one value of the slow swell of a chord.
_COARSE: Final = 16
#: How loud: melody, bass, each note of a chord, drums. The sum stays below 1.
_LEVELS: Final = (0.28, 0.24, 0.055, 0.22)


@cache
def defaults() -> Mapping[str, Any]:
    """`songs.json`: lengths in seconds, and what words of a prompt do to the music."""
    text = files(__package__).joinpath("songs.json").read_bytes()
    data: Mapping[str, Any] = json.loads(text)
    return data


def song_seconds(asked: float | None) -> float:
    """How long a song gets: what was asked for, but no more than there is room for."""
    lengths = defaults()
    if asked is None:
        asked = lengths["default_seconds"]
    return float(min(max(asked, 0), lengths["longest_seconds"]))


@dataclass(frozen=True)
class Score:
    """A song as notes. `samples` is its length; a step is an eighth note of `step` samples.
    `melody`, `bass` and `chords` are frequencies in Hz for each step (bar, for chords) of the 16
    bars that are played over and over; 0 is a rest.
    """

    samples: int
    step: int
    timbre: tuple[float, ...]
    melody: tuple[float, ...]
    bass: tuple[float, ...]
    chords: tuple[tuple[float, float, float], ...]

    @property
    def tempo(self) -> float:
        """Beats (quarter notes) a minute."""
        return 60 * RATE / (2 * self.step)

    def render(self, first: int, stop: int) -> np.ndarray:
        """Samples `first` to `stop` (exclusive) as int16; beyond the end of the song silence."""
        import numpy as np

        sound = self._sound
        at = np.arange(first, stop, dtype=np.int32)  # enough for twelve hours
        step, within = np.divmod(at, self.step)
        place = step % (_STEPS * _BARS)
        tone = sound.tone(sound.melody[place], within) * sound.pluck[within] * _LEVELS[0]
        tone += sound.pure(sound.bass[place], within) * sound.pluck[within] * _LEVELS[1]
        in_bar = at % (_STEPS * self.step)
        bar = place // _STEPS
        pad = sound.pure(sound.chords[0][bar], in_bar)
        pad += sound.pure(sound.chords[1][bar], in_bar)
        pad += sound.pure(sound.chords[2][bar], in_bar)
        tone += pad * sound.swell[in_bar // _COARSE] * _LEVELS[2]
        tone += sound.drums[sound.beat[place % _STEPS], within] * _LEVELS[3]
        left = np.clip((self.samples - at) / (_FADE_SECONDS * RATE), 0, 1)
        loud: np.ndarray = (tone * left * 32_767).astype(np.int16)
        return loud

    @cached_property
    def _sound(self) -> _Sound:
        return _Sound(self)


class _Sound:
    """The arrays that a score is rendered with."""

    def __init__(self, score: Score) -> None:
        import numpy as np

        cycle = 2 * np.pi * np.arange(_TABLE) / _TABLE
        wave = sum(weight * np.sin(n * cycle) for n, weight in enumerate(score.timbre, start=1))
        self._wave = np.asarray(wave / np.abs(wave).max(), dtype=np.float32)
        self._sine = np.sin(cycle).astype(np.float32)
        self.melody = np.array(score.melody, dtype=np.float32)
        self.bass = np.array(score.bass, dtype=np.float32)
        self.chords = np.array(score.chords, dtype=np.float32).T
        self.pluck = _envelope(score.step, attack=0.006, fall=3.0)
        bar = score.step * _STEPS
        self.swell = _envelope(bar, attack=0.12, fall=0.7)[::_COARSE].copy()
        self.drums = _drums(score.step)
        self.beat = np.array(_BEAT)

    def tone(self, hertz: np.ndarray, within: np.ndarray) -> np.ndarray:
        """The song's instrument: frequencies and samples since the note began, as float32."""
        return self._cycle(self._wave, hertz, within)

    def pure(self, hertz: np.ndarray, within: np.ndarray) -> np.ndarray:
        return self._cycle(self._sine, hertz, within)

    @staticmethod
    def _cycle(table: np.ndarray, hertz: np.ndarray, within: np.ndarray) -> np.ndarray:
        import numpy as np

        point = (hertz * (_TABLE / RATE)) * within
        sound: np.ndarray = table[point.astype(np.int32) & (_TABLE - 1)]
        return sound


def _envelope(samples: int, *, attack: float, fall: float) -> np.ndarray:
    """A note's loudness: up within `attack` seconds, down by e to the minus `fall`, then off."""
    import numpy as np

    at = np.arange(samples)
    rise = np.minimum(at / (attack * RATE), 1)
    off = np.minimum((samples - at) / (0.008 * RATE), 1)
    shape: np.ndarray = (rise * np.exp(-fall * at / samples) * off).astype(np.float32)
    return shape


def _drums(step: int) -> np.ndarray:
    """The drums, (3, samples of a step): kick, snare, hat."""
    import numpy as np

    at = np.arange(step) / RATE
    noise = np.random.default_rng(1).uniform(-1, 1, step)
    kick = np.sin(2 * np.pi * (45 * at + 4 * (1 - np.exp(-28 * at)))) * np.exp(-14 * at)
    snare = (0.7 * noise + 0.4 * np.sin(2 * np.pi * 190 * at)) * np.exp(-24 * at)
    hat = 0.35 * np.diff(noise, prepend=0.0) * np.exp(-70 * at)
    return np.stack([kick, snare, hat]).astype(np.float32)


def compose(origin: str, prompt: str, place: int, seconds: float) -> Score:
    """The score of a track. The same `origin`, prompt, place and length give the same score;
    tracks of one origin have the same mood, but another key, tempo, instrument and melody.
    """
    common = random.Random(f"{origin}/song")
    mood = _mood(prompt, common)
    tempo = common.uniform(*mood["tempo"]) * _TRACK_TEMPOS[place % len(_TRACK_TEMPOS)]
    key = (common.randrange(12) + place * _TRACK_KEYS) % 12
    instrument = common.randrange(len(_TIMBRES)) + place
    chords = common.choice(_PROGRESSIONS)
    rng = random.Random(f"{origin}/{place}")
    scale = _SCALES[mood["scale"]]

    def hertz(degree: int, octave: int) -> float:
        up, note = divmod(degree, len(scale))
        return float(_LOWEST_KEY * 2.0 ** ((key + scale[note]) / 12 + octave + up))

    bars = [chords[number % len(chords)] for number in range(_BARS)]
    verse, chorus = _phrases(rng, chords, leaps=3), _phrases(rng, chords, leaps=5)
    degrees = (verse + chorus) * (_BARS // 8)
    return Score(
        samples=round(seconds * RATE),
        step=round(RATE * 60 / tempo / 2),
        timbre=_TIMBRES[instrument % len(_TIMBRES)],
        melody=tuple(0.0 if degree is None else hertz(degree, 2) for degree in degrees),
        bass=tuple(
            hertz(root, -1) if step in (0, 3, 4, 6) else 0.0
            for root in bars
            for step in range(_STEPS)
        ),
        chords=tuple((hertz(root, 1), hertz(root + 2, 1), hertz(root + 4, 1)) for root in bars),
    )


def _phrases(rng: random.Random, chords: Sequence[int], *, leaps: int) -> list[int | None]:
    """Four bars of melody, as degrees of the scale: on a beat a note of the chord, at most `leaps`
    degrees away; between beats a step or a rest.
    """
    told: list[int | None] = []
    last = rng.randrange(5)
    for root in chords:
        for step in range(_STEPS):
            if step % 2 == 0:
                near = [
                    root + each for each in (-3, 0, 2, 4, 7) if abs(root + each - last) <= leaps
                ]
                last = rng.choice(near or [root])
            elif rng.random() < 0.45:
                told.append(None)
                continue
            else:
                last += rng.choice((-1, 1))
            last = max(-2, min(9, last))
            told.append(last)
    return told


def _mood(prompt: str, rng: random.Random) -> Mapping[str, Any]:
    """The first mood that the prompt has a word of; else any."""
    words = set(re.findall(r"[a-z-]+", prompt.lower()))
    moods: Sequence[Mapping[str, Any]] = defaults()["moods"]
    drawn = rng.choice(moods)
    return next((mood for mood in moods if not words.isdisjoint(mood["words"])), drawn)
