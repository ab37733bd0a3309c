"""Many whole numbers drawn at once, in a fifth of the time."""

from __future__ import annotations

import random


def drawn_numbers(rng: random.Random, low: int, high: int, many: int) -> list[int]:
    """What so many calls of `rng.randint(low, high)` give, and what they leave of `rng`."""
    if type(rng) is not random.Random:  # one that draws in its own way, as Hypothesis has them
        return [rng.randint(low, high) for _ in range(many)]
    # `randint` goes through three calls to come to this (random.Random._randbelow).
    width, draw = high - low + 1, rng.getrandbits
    bits = width.bit_length()
    found = []
    for _ in range(many):
        drawn = draw(bits)
        while drawn >= width:
            drawn = draw(bits)
        found.append(low + drawn)
    return found
