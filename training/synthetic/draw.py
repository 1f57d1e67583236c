"""Draw made-up photographs of cast or stamped parts, with the label and the flawed pixels known.

Pillow and numpy only. Every image is drawn from its own random stream, split into one stream for each stage:
the design, how the part lies, the light, the marks a good part may carry, the flaw, the camera. A flawed image
differs from its good twin by the flaw alone.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw, ImageFilter

from training.synthetic.defects import KINDS, Field, Flaw, Rng, add_flaw
from training.synthetic.marks import draw_marks
from training.synthetic.parts import Part, design
from training.synthetic.surface import blurred, dust, grain, light_and_glare, relief_of, smooth


@dataclass(frozen=True)
class Picture:
    image: NDArray[np.uint8]  # (H, W), grey
    mask: NDArray[np.bool_]  # (H, W), True on the flaw
    label: int  # 1 = defect
    kind: str  # of the flaw; "" on a good part
    area_share: float  # the flaw's share of the part's area
    family: str


def _lay(rng: Rng, part: Part, width: int, height: int) -> tuple[Field, Field, float, float]:
    """Levels and coverage of the part as it lies in the image, and its centre."""
    side = min(width, height)
    turn, radius = rng.uniform(0, 2 * np.pi), side * rng.uniform(0.36, 0.45)
    reach = max(0.0, 0.48 - radius / side)
    x = width / 2 + side * rng.uniform(-reach, reach)
    y = height / 2 + side * rng.uniform(-reach, reach)
    tilt = rng.uniform(0.94, 1.0)
    matrix = radius * np.array([[np.cos(turn), -np.sin(turn)], [np.sin(turn) * tilt, np.cos(turn) * tilt]])
    zoom = 2 if max(width, height) <= 1024 else 1
    image = Image.new("L", (width * zoom, height * zoom), 0)
    pen = ImageDraw.Draw(image)
    for face in part.faces:
        placed = (face.outline @ matrix.T + np.array([x, y])) * zoom
        pen.polygon(placed.ravel().tolist(), fill=round(255 * face.level))
    if zoom > 1:
        image = image.reduce(zoom)
    levels = np.asarray(image, dtype=np.float32) / np.float32(255)
    return levels, np.minimum(levels * np.float32(2.5), np.float32(1)), x, y


def draw(
    rng: Rng, size: int | tuple[int, int] = 300, *, defect: bool | None = None, part: Part | None = None
) -> Picture:
    """A photograph of `size` pixels (square, or width and height).

    Without `defect` a coin decides; without `part` a new design is made. The same generator state with
    `defect` True and False gives twins that differ by the flaw alone.
    """
    width, height = (size, size) if isinstance(size, int) else size
    side = min(width, height)
    to_design, to_lay, to_light, to_mark, to_flaw, to_camera, to_surface = rng.spawn(7)
    part = part or design(to_design)
    flawed = bool(rng.random() < 0.5) if defect is None else defect

    levels, cover, x, y = _lay(to_lay, part, width, height)
    marks = draw_marks(to_mark, cover)
    kind = KINDS[int(to_flaw.integers(len(KINDS)))]
    flaw: Flaw | None = add_flaw(to_flaw, kind, cover, marks) if flawed else None

    light, glare = light_and_glare(to_light, width, height)
    tone = np.float32(to_surface.uniform(95, 165)) * (1 + grain(to_surface, part.finish, cover.shape, x, y))
    tone *= 1 - np.float32(to_mark.uniform(0.25, 0.45)) * marks
    relief_height = blurred(levels, side * to_surface.uniform(0.004, 0.012)) - np.float32(0.06) * marks
    if flaw is not None:
        rough = np.float32(flaw.rough) * smooth(to_flaw, width, height, 75) if flaw.rough else np.float32(0)
        tone *= 1 + flaw.cover * (np.float32(flaw.tone - 1) + rough)
        relief_height = relief_height - np.float32(flaw.depth) * flaw.cover
        if flaw.lost is not None:
            cover = cover * (1 - flaw.lost)
    surface = tone * (1 + relief_of(relief_height, to_light, side)) + glare

    bench = np.float32(to_surface.uniform(25, 215))
    ground = bench * (1 + np.float32(to_surface.uniform(0.01, 0.06)) * smooth(to_surface, width, height, 40))
    fall = (round(side * to_light.uniform(-0.025, 0.025)), round(side * to_light.uniform(-0.025, 0.025)))
    shadow = np.roll(blurred(cover, side * 0.012), fall, axis=(0, 1))
    ground *= 1 - np.float32(to_light.uniform(0.2, 0.5)) * shadow

    picture = (ground + cover * (surface - ground)) * light * (1 + dust(to_camera, width, height))
    return Picture(
        _photograph(to_camera, picture),
        flaw.cover > 0.5 if flaw is not None else np.zeros((height, width), dtype=np.bool_),
        int(flawed),
        kind if flawed else "",
        flaw.share if flaw is not None else 0.0,
        part.family,
    )


def _photograph(rng: Rng, picture: Field) -> NDArray[np.uint8]:
    """Lens blur, exposure and sensor noise, in grey levels."""
    side = min(picture.shape)
    picture = picture * np.float32(rng.uniform(0.85, 1.15))
    sharp = Image.fromarray(np.clip(picture, 0, 255).astype(np.uint8))
    radius = rng.uniform(0, 0.9) * side / 300
    seen = np.asarray(
        sharp.filter(ImageFilter.GaussianBlur(radius)) if radius > 0.3 else sharp, dtype=np.float32
    )
    noise = rng.standard_normal(picture.shape, dtype=np.float32) * np.float32(rng.uniform(1.5, 5))
    return np.clip(seen + noise, 0, 255).astype(np.uint8)
