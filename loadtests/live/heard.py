"""What listeners met so far, for whoever looks on while a run goes on: counts and sums of rows."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterator, Mapping
from typing import Any, Final

from prometheus_client.core import CounterMetricFamily, Metric

from soundstage.output import outgoing
from soundstage.results.listening.listened import FIRST_SOUND, is_continuous

#: More tracks of an endpoint are not told apart: their names come from the API.
_MOST_TRACKS: Final = 100
_SAID: Final = {True: "yes", False: "no", None: "unknown"}


class Heard:
    """By (api, endpoint): `asked`, the songs whose first sound is known to have come or not; songs
    by whether they were heard without a gap; and of each track its music and silences, in seconds.
    """

    def __init__(self) -> None:
        self.asked: Counter[tuple[str, str]] = Counter()
        self._songs: Counter[tuple[str, str, str]] = Counter()
        self._audio: defaultdict[tuple[str, str, str], float] = defaultdict(float)
        self._stalled: defaultdict[tuple[str, str, str], float] = defaultdict(float)

    def add(self, row: Mapping[str, Any]) -> None:
        """Count a row of exchanges.ndjson.gz of the measured window."""
        if (playback := row.get("playback")) is None:
            return
        place = row["api"], row["endpoint"]
        if playback.get("streamed", True):
            self.asked[place] += FIRST_SOUND in row["milestones"]
            self._songs[*place, _SAID[is_continuous(row)]] += 1
        for track, told in playback["tracks"].items():
            key = (*place, track)
            if key in self._audio or len(self._audio) < _MOST_TRACKS:
                self._audio[key] += told["played_s"]
                self._stalled[key] += told["stalled_s"]

    def metrics(self) -> Iterator[Metric]:
        """As Prometheus scrapes them; none where nobody listens."""
        labels = ("api", "endpoint", "continuous")
        text = "Songs that were listened to, by whether they were heard without a gap."
        yield from _counter("songs_heard", text, labels, self._songs)
        labels = ("api", "endpoint", "track")
        text = "Music that came to listeners."
        yield from _counter("audio_seconds", text, labels, self._audio)
        text = "Time for which listeners heard nothing behind the first sound."
        yield from _counter("stalled_seconds", text, labels, self._stalled)


def _counter(
    name: str, text: str, labels: tuple[str, ...], values: Mapping[tuple[str, str, str], float]
) -> Iterator[Metric]:
    if values:
        family = CounterMetricFamily(f"soundstage_{name}", text, labels=labels)
        for place, value in values.items():
            family.add_metric(tuple(map(outgoing.text, place)), value)
        yield family
