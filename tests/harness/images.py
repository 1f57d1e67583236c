"""Small grey JPEGs for tests, made from a seed."""

import io
import random

from PIL import Image


def jpeg(chance: random.Random, *, side: int = 96, blocks: int = 8) -> bytes:
    """A JPEG of side x side pixels that shows blocks x blocks random grey values."""
    image = Image.frombytes("L", (blocks, blocks), chance.randbytes(blocks * blocks)).resize((side, side))
    buffer = io.BytesIO()
    image.save(buffer, "JPEG")
    return buffer.getvalue()


def jpegs(count: int, seed: int = 0, *, side: int = 96, blocks: int = 8) -> list[tuple[str, bytes]]:
    """(name, bytes) of `count` different JPEGs."""
    chance = random.Random(seed)
    return [(f"part-{place:05d}.jpg", jpeg(chance, side=side, blocks=blocks)) for place in range(count)]
