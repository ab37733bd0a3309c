"""What listeners would have met, as Markdown and as JSON; as a page: `listeners.html`."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any

from soundstage.reports.run.heard_playback import NONE, Continuity, Playback, Spread
from soundstage.reports.run.summary import Group
from soundstage.results.quantiles import finite


def as_markdown(groups: Iterable[Group], escaped: Callable[[object, int], str]) -> list[str]:
    """A table of all endpoints that somebody listened at, as a block; none where nobody did."""
    lines = [
        "| listeners | without a gap | first sound p50 | silent p50 | longest gap | real time |",
        "|---|---:|---:|---:|---:|---:|",
    ]
    for group in groups:
        if (heard := group.playback) is None:
            continue
        name = escaped(f"{group.api} {group.endpoint}", 60)
        said = escaped(heard.continuity.words, 120) if heard.continuity.heard else NONE
        worst = max((each for _, each in heard.factors), key=lambda each: each.p50, default=None)
        factor = NONE if worst is None else f"{worst.factors[0]}x"
        lines.append(f"| {name} | {said} | {NONE} | {NONE} | {NONE} | {factor} |")
        for track in heard.tracks:
            of, cells = track.continuity, (track.sound.cells[0], track.stalled.cells[0])
            lines.append(
                f"| {name}, track {escaped(track.name, 20)} | {of.continuous:,} / {of.heard:,} "
                f"| {cells[0]} | {cells[1]} | {track.underrun.cells[2]} | {NONE} |"
            )
    return ["\n".join(lines)] if len(lines) > 2 else []


def to_json(heard: Playback) -> dict[str, Any]:
    """`playback` of an endpoint in the summary; times are seconds, null is never or not known."""
    return {
        **_continuity(heard.continuity),
        "tracks": {
            track.name: {
                **_continuity(track.continuity),
                "first_sound": _spread(track.sound),
                "stalls": track.stalls,
                "stalled": _spread(track.stalled),
                "underrun": _spread(track.underrun),
            }
            for track in heard.tracks
        },
        "real_time_factor": [
            {"asked_s": asked, "n": factor.n, **_spread(factor)} for asked, factor in heard.factors
        ],
        "audio_s_per_s": finite(heard.audio_rate),
        "reasons": dict(heard.reasons),
    }


def _continuity(of: Continuity) -> dict[str, Any]:
    low, high = of.bounds
    return {
        "heard": of.heard,
        "continuous": of.continuous,
        "gapped": of.gapped,
        "unknown": of.unknown,
        "continuity": finite(of.share),
        "low": low,
        "high": high,
    }


def _spread(of: Spread) -> dict[str, float | None]:
    return {"p50": finite(of.p50), "p95": finite(of.p95), "max": finite(of.most)}
