"""Album covers: a WebP that is drawn from the generation's id, so that no two look alike."""

from __future__ import annotations

import colorsys
import io
import random
from functools import lru_cache
from typing import Final

SIZE: Final = 256  # pixels, both ways
#: Covers that are kept; each is a few KB.
_KEPT: Final = 256


@lru_cache(_KEPT)
def cover(origin: str, prompt: str) -> bytes:
    """The file. The same `origin` and prompt give the same picture. Pillow is loaded with the first
    one; about 5 ms of CPU.
    """
    from PIL import Image, ImageDraw

    rng = random.Random(f"{origin}/cover/{prompt}")
    hue = rng.random()

    def colour(turn: float, light: float) -> tuple[int, int, int]:
        red, green, blue = colorsys.hls_to_rgb((hue + turn) % 1, light, rng.uniform(0.45, 0.85))
        return round(red * 255), round(green * 255), round(blue * 255)

    ground = Image.linear_gradient("L").resize((SIZE, SIZE))
    ground = ground.rotate(rng.choice((0, 90, 180, 270)))
    above, below = colour(0, 0.25), colour(rng.uniform(0.05, 0.2), 0.55)
    image = Image.merge(
        "RGB",
        [
            ground.point([round(a + (b - a) * level / 255) for level in range(256)])
            for a, b in zip(above, below, strict=True)
        ],
    )
    draw = ImageDraw.Draw(image)
    middle = (rng.randrange(64, SIZE - 64), rng.randrange(64, SIZE - 64))
    for ring in range(rng.randint(3, 6), 0, -1):
        radius = ring * rng.randint(16, 30)
        box = (middle[0] - radius, middle[1] - radius, middle[0] + radius, middle[1] + radius)
        draw.ellipse(box, outline=colour(0.5, 0.7), width=rng.randint(2, 9))
    bars = rng.randint(12, 28)
    for bar in range(bars):
        high = rng.randint(8, 70)
        left = bar * SIZE / bars
        draw.rectangle((left, SIZE - high, left + SIZE / bars - 3, SIZE), fill=colour(0.55, 0.8))
    file = io.BytesIO()
    image.save(file, "WEBP", quality=75)
    return file.getvalue()
