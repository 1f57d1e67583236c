"""The look of a surface: grain, dust, light and relief. Every field is (height, width), float32."""

import numpy as np
from PIL import Image, ImageFilter

from training.synthetic.defects import Field, Rng


def smooth(rng: Rng, width: int, height: int, cells: int) -> Field:
    """Random hills about `cells` to the shorter side, mean 0 and deviation about 1, shape (height, width)."""
    side = min(width, height)
    columns, rows = max(2, cells * width // side), max(2, cells * height // side)
    coarse = rng.standard_normal((rows, columns), dtype=np.float32)
    return np.asarray(Image.fromarray(coarse).resize((width, height), Image.Resampling.BICUBIC))


def blurred(field: Field, radius: float) -> Field:
    image = Image.fromarray(np.clip(field * 255, 0, 255).astype(np.uint8))
    return np.asarray(image.filter(ImageFilter.GaussianBlur(radius)), dtype=np.float32) / np.float32(255)


def dust(rng: Rng, width: int, height: int) -> Field:
    """Specks as a change of tone: bright and dark, about one pixel in 300, on part and background alike."""
    side = min(width, height)
    specks = np.zeros((height, width), dtype=np.float32)
    radius = max(1, round(side * 0.0035))
    for _ in range(int(rng.poisson(9))):
        x, y = int(rng.integers(width - radius)), int(rng.integers(height - radius))
        specks[y : y + radius, x : x + radius] += np.float32(rng.choice([-0.35, 0.4, 0.55]))
    return specks


def grain(rng: Rng, finish: str, shape: tuple[int, int], x: float, y: float) -> Field:
    """The surface's own pattern as a change of tone, mean 0: cast grain, turning marks, brushing, or paint."""
    height, width = shape
    side = min(shape)
    strength = rng.uniform(0.6, 1.2)
    if finish == "cast":
        grain = 0.05 * smooth(rng, width, height, 100) + 0.035 * smooth(rng, width, height, 14)
    elif finish == "turned":
        rows, columns = np.ogrid[:height, :width]
        distance = np.sqrt(np.square(columns - np.float32(x)) + np.square(rows - np.float32(y)))
        pitch = side * rng.uniform(0.009, 0.016)
        grain = 0.05 * np.sin(distance.astype(np.float32) * np.float32(2 * np.pi / pitch))
        grain += 0.02 * smooth(rng, width, height, 60)
    elif finish == "brushed":
        stripes = rng.standard_normal((150, 5), dtype=np.float32)
        image = Image.fromarray(stripes).resize((round(side * 1.5),) * 2, Image.Resampling.BILINEAR)
        image = image.rotate(float(rng.uniform(0, 180)), Image.Resampling.NEAREST)
        left = round(side * 0.25)
        image = image.crop((left, left, left + side, left + side))
        if width != height:
            image = image.resize((width, height))
        grain = 0.06 * np.asarray(image)
    else:
        grain = 0.02 * smooth(rng, width, height, 120) + 0.02 * smooth(rng, width, height, 6)
    return np.float32(strength) * grain


def light_and_glare(rng: Rng, width: int, height: int) -> tuple[Field, Field]:
    """The light that falls on each pixel (about 1), and the glare to add in grey levels, both (height, width)."""
    v, u = np.mgrid[-1:1:32j, -1:1:32j].astype(np.float32)
    turn = rng.uniform(0, 2 * np.pi)
    light = 1 + rng.uniform(0.05, 0.3) * (u * np.cos(turn) + v * np.sin(turn))
    if rng.random() < 0.4:  # something stands in the light: a wide, soft-edged shadow
        turn, edge = rng.uniform(0, 2 * np.pi), rng.uniform(-0.6, 0.6)
        across = (u * np.cos(turn) + v * np.sin(turn) - edge) / rng.uniform(0.1, 0.3)
        light = light * (1 - rng.uniform(0.15, 0.35) / (1 + np.exp(-4 * across)))
    spot = np.square(u - rng.uniform(-0.6, 0.6)) + np.square(v - rng.uniform(-0.6, 0.6))
    glare = rng.uniform(0, 45) * np.exp(-spot / (2 * rng.uniform(0.15, 0.4) ** 2))
    to_size = [
        np.asarray(Image.fromarray(f.astype(np.float32)).resize((width, height), Image.Resampling.BILINEAR))
        for f in (light, glare)
    ]
    return to_size[0], to_size[1]


def relief_of(height: Field, rng: Rng, side: int) -> Field:
    """Change of tone where the surface is turned to or from the lamp."""
    turn, strength = rng.uniform(0, 2 * np.pi), rng.uniform(1.0, 1.8) * side / 300
    relief = np.zeros_like(height)
    relief[:, 1:-1] += np.float32(strength * np.cos(turn)) * (height[:, 2:] - height[:, :-2])
    relief[1:-1] += np.float32(strength * np.sin(turn)) * (height[2:] - height[:-2])
    return np.clip(relief, -0.45, 0.45)
