"""The part of an exchange's story that is shown where all of it is too long: how it began, what is
around each place that broke, how it ended; what is left out between them is counted.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from soundstage.reports.story.story_steps import StoryStep
from soundstage.reports.words import plain, plural


@dataclass(frozen=True, slots=True)
class LeftOut:
    """Steps that are not shown: how many, and of which stages."""

    many: int
    stages: tuple[tuple[str, int], ...]

    @property
    def words(self) -> str:
        """`33 chunks: running x30, processing x3`."""
        kinds = ", ".join(f"{plain(name, 60)} x{count:,}" for name, count in self.stages)
        return plural(self.many, "chunk") + (f": {kinds}" if kinds else "")


def window(
    steps: Sequence[StoryStep], *, most: int, here: int | None = None
) -> Iterator[StoryStep | LeftOut]:
    """At most `most` of the steps (three at least), in order, with what is left out between them.
    `here` is the number of a chunk that must be among them; places that broke come next.
    """
    shown = _shown(steps, most, here)
    out: list[StoryStep] = []
    for place, step in enumerate(steps):
        if place in shown:
            if out:
                yield _left_out(out)
                out = []
            yield step
        else:
            out.append(step)
    if out:
        yield _left_out(out)


def _shown(steps: Sequence[StoryStep], most: int, here: int | None) -> set[int]:
    if len(steps) <= most:
        return set(range(len(steps)))
    at = [place for place, step in enumerate(steps) if here is not None and step.number == here]
    broken = [place for place, step in enumerate(steps) if step.breaks]
    shown: set[int] = set()
    # Around places that broke, and from both ends inwards, as long as there is room.
    wider = (
        place
        for far in range(1, most)
        for place in (*(each - far for each in at + broken[:1]), far, len(steps) - 1 - far)
    )
    # What matters most comes first, until there is no room for more.
    for place in (
        *at,
        0,
        len(steps) - 1,
        *(each + beside for each in at for beside in (-1, 1, -2)),
        *broken,
        *(each + beside for each in broken for beside in (-1, 1)),
        *wider,
    ):
        if len(shown) >= max(3, most):
            break
        if 0 <= place < len(steps):
            shown.add(place)
    return shown


def _left_out(steps: Sequence[StoryStep]) -> LeftOut:
    stages = Counter(each.stage for each in steps if each.stage is not None)
    return LeftOut(len(steps), tuple(stages.most_common(5)))
