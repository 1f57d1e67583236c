"""Marks that a good part may carry: stamped lettering and rows of punch dots."""

import functools

import numpy as np
from PIL import Image, ImageDraw, ImageFont

from training.synthetic.defects import Field, Rng

_CHARACTERS = "ABCDEFHKLMNPRSTUXZ0123456789-/"


@functools.lru_cache(maxsize=32)
def _font(height: int) -> ImageFont.FreeTypeFont | ImageFont.ImageFont:
    return ImageFont.load_default(height)


def _stamp(rng: Rng, side: int) -> Image.Image:
    """Lettering or a regular row of punch dots, turned at random: white on black."""
    if rng.random() < 0.6:
        text = "".join(rng.choice(list(_CHARACTERS), int(rng.integers(2, 6))))
        height = max(8, round(side * rng.uniform(0.05, 0.075)))
        image = Image.new("L", (height * (len(text) + 1), height * 2), 0)
        ImageDraw.Draw(image).text((height // 2, height // 3), text, fill=255, font=_font(height))
    else:
        pitch, rows, columns = side * 0.024, int(rng.integers(2, 4)), int(rng.integers(4, 8))
        radius = pitch * 0.27
        image = Image.new("L", (round(pitch * (columns + 1)), round(pitch * (rows + 1))), 0)
        pen = ImageDraw.Draw(image)
        for row in range(rows):
            for column in range(columns):
                u, v = pitch * (column + 1), pitch * (row + 1)
                pen.ellipse((u - radius, v - radius, u + radius, v + radius), fill=255)
    return image.rotate(float(rng.uniform(0, 360)), Image.Resampling.BILINEAR, expand=True)


def draw_marks(rng: Rng, cover: Field) -> Field:
    """Stamps that belong there: coverage 0 to 1; at most two, each wholly on the part or left out."""
    height, width = cover.shape
    marks = np.zeros_like(cover)
    for _ in range(int(rng.choice([0, 1, 1, 2]))):
        ink = np.asarray(_stamp(rng, min(width, height)), dtype=np.float32) / np.float32(255)
        rows, columns = ink.shape
        if rows >= height or columns >= width:
            continue
        for _ in range(6):
            top, left = int(rng.integers(height - rows)), int(rng.integers(width - columns))
            place = np.s_[top : top + rows, left : left + columns]
            if float((ink * cover[place]).sum()) > 0.93 * float(ink.sum()):
                marks[place] = np.maximum(marks[place], ink)
                break
    return marks
