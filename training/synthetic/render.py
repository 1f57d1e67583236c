"""Made-up photographs of cast and stamped parts, with the label and the flawed pixels known.

Pillow and numpy only. Every picture is drawn from its own random stream, split into one stream for each stage:
the design, how the part lies, the light, the marks a good part may carry, the flaw, the camera. So a picture
depends on nothing but (seed, place), whatever the number of processes; a flawed picture differs from its good
twin by the flaw alone; and no two seeds share a part.
"""

import csv
import functools
import multiprocessing
from collections.abc import Iterator
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw, ImageFilter, ImageFont

from training.synthetic.defects import KINDS, Field, Flaw, Rng, add_flaw
from training.synthetic.parts import Part, design

QUALITY = 90
VIEWS = 4  # photographs of specimens of one design; they share a group
_CHUNK = 16
_CHARACTERS = "ABCDEFHKLMNPRSTUXZ0123456789-/"
_PART_STREAM, _PICTURE_STREAM, _LABEL_STREAM = 1, 2, 3


@dataclass(frozen=True)
class Picture:
    image: NDArray[np.uint8]  # (H, W), grey
    mask: NDArray[np.bool_]  # (H, W), True on the flaw
    label: int  # 1 = defect
    kind: str  # of the flaw; "" on a good part
    area_share: float  # the flaw's share of the part's area
    family: str


def _smooth(rng: Rng, width: int, height: int, cells: int) -> Field:
    """Random hills about `cells` to the shorter side, mean 0 and deviation about 1, shape (height, width)."""
    side = min(width, height)
    columns, rows = max(2, cells * width // side), max(2, cells * height // side)
    coarse = rng.standard_normal((rows, columns), dtype=np.float32)
    return np.asarray(Image.fromarray(coarse).resize((width, height), Image.Resampling.BICUBIC))


def _blurred(field: Field, radius: float) -> Field:
    image = Image.fromarray(np.clip(field * 255, 0, 255).astype(np.uint8))
    return np.asarray(image.filter(ImageFilter.GaussianBlur(radius)), dtype=np.float32) / np.float32(255)


def _lay(rng: Rng, part: Part, width: int, height: int) -> tuple[Field, Field, float, float]:
    """Levels and coverage of the part as it lies in the picture, and its centre."""
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


def _marks(rng: Rng, cover: Field) -> Field:
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


def _dust(rng: Rng, width: int, height: int) -> Field:
    """Specks as a change of tone: bright and dark, about one pixel in 300, on part and background alike."""
    side = min(width, height)
    specks = np.zeros((height, width), dtype=np.float32)
    radius = max(1, round(side * 0.0035))
    for _ in range(int(rng.poisson(9))):
        x, y = int(rng.integers(width - radius)), int(rng.integers(height - radius))
        specks[y : y + radius, x : x + radius] += np.float32(rng.choice([-0.35, 0.4, 0.55]))
    return specks


def _grain(rng: Rng, finish: str, shape: tuple[int, int], x: float, y: float) -> Field:
    """The surface's own pattern as a change of tone, mean 0: cast grain, turning marks, brushing, or paint."""
    height, width = shape
    side = min(shape)
    strength = rng.uniform(0.6, 1.2)
    if finish == "cast":
        grain = 0.05 * _smooth(rng, width, height, 100) + 0.035 * _smooth(rng, width, height, 14)
    elif finish == "turned":
        rows, columns = np.ogrid[:height, :width]
        distance = np.sqrt(np.square(columns - np.float32(x)) + np.square(rows - np.float32(y)))
        pitch = side * rng.uniform(0.009, 0.016)
        grain = 0.05 * np.sin(distance.astype(np.float32) * np.float32(2 * np.pi / pitch))
        grain += 0.02 * _smooth(rng, width, height, 60)
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
        grain = 0.02 * _smooth(rng, width, height, 120) + 0.02 * _smooth(rng, width, height, 6)
    return np.float32(strength) * grain


def _light(rng: Rng, width: int, height: int) -> tuple[Field, Field]:
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


def _relief(height: Field, rng: Rng, side: int) -> Field:
    """Change of tone where the surface is turned to or from the lamp."""
    turn, strength = rng.uniform(0, 2 * np.pi), rng.uniform(1.0, 1.8) * side / 300
    relief = np.zeros_like(height)
    relief[:, 1:-1] += np.float32(strength * np.cos(turn)) * (height[:, 2:] - height[:, :-2])
    relief[1:-1] += np.float32(strength * np.sin(turn)) * (height[2:] - height[:-2])
    return np.clip(relief, -0.45, 0.45)


def draw(
    rng: Rng, size: int | tuple[int, int] = 300, *, defect: bool | None = None, part: Part | None = None
) -> Picture:
    """One photograph of `size` pixels (square, or width and height).

    Without `defect` a coin decides; without `part` a new design is made. The same generator state with
    `defect` True and False gives twins that differ by the flaw alone.
    """
    width, height = (size, size) if isinstance(size, int) else size
    side = min(width, height)
    to_design, to_lay, to_light, to_mark, to_flaw, to_camera, to_surface = rng.spawn(7)
    part = part or design(to_design)
    flawed = bool(rng.random() < 0.5) if defect is None else defect

    levels, cover, x, y = _lay(to_lay, part, width, height)
    marks = _marks(to_mark, cover)
    kind = KINDS[int(to_flaw.integers(len(KINDS)))]
    flaw: Flaw | None = add_flaw(to_flaw, kind, cover, marks) if flawed else None

    light, glare = _light(to_light, width, height)
    tone = np.float32(to_surface.uniform(95, 165)) * (1 + _grain(to_surface, part.finish, cover.shape, x, y))
    tone *= 1 - np.float32(to_mark.uniform(0.25, 0.45)) * marks
    relief_height = _blurred(levels, side * to_surface.uniform(0.004, 0.012)) - np.float32(0.06) * marks
    if flaw is not None:
        rough = np.float32(flaw.rough) * _smooth(to_flaw, width, height, 75) if flaw.rough else np.float32(0)
        tone *= 1 + flaw.cover * (np.float32(flaw.tone - 1) + rough)
        relief_height = relief_height - np.float32(flaw.depth) * flaw.cover
        if flaw.lost is not None:
            cover = cover * (1 - flaw.lost)
    surface = tone * (1 + _relief(relief_height, to_light, side)) + glare

    bench = np.float32(to_surface.uniform(25, 215))
    ground = bench * (1 + np.float32(to_surface.uniform(0.01, 0.06)) * _smooth(to_surface, width, height, 40))
    fall = (round(side * to_light.uniform(-0.025, 0.025)), round(side * to_light.uniform(-0.025, 0.025)))
    shadow = np.roll(_blurred(cover, side * 0.012), fall, axis=(0, 1))
    ground *= 1 - np.float32(to_light.uniform(0.2, 0.5)) * shadow

    picture = (ground + cover * (surface - ground)) * light * (1 + _dust(to_camera, width, height))
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


@dataclass(frozen=True)
class _Job:
    folder: Path
    seed: int
    size: int
    masks: bool
    first: int
    labels: tuple[int, ...]


def _stream(seed: int, *place: int) -> Rng:
    return np.random.default_rng(np.random.SeedSequence((seed, *place)))


def _write(job: _Job) -> list[tuple[str, str, str, str, str]]:
    rows = []
    for place, label in enumerate(job.labels, start=job.first):
        part = design(_stream(job.seed, _PART_STREAM, place // VIEWS))
        rng = _stream(job.seed, _PICTURE_STREAM, place)
        picture = draw(rng, job.size, defect=bool(label), part=part)
        name = "defect" if label else "no_defect"
        file = f"{name}/{place:06d}.jpg"
        Image.fromarray(picture.image).save(job.folder / file, quality=QUALITY)
        if job.masks:
            Image.fromarray(picture.mask).save(job.folder / "masks" / f"{place:06d}.png")
        group = f"seed{job.seed}-part{place // VIEWS:05d}"
        rows.append((file, name, group, picture.kind, f"{picture.area_share:.5f}"))
    return rows


def render(
    folder: Path,
    *,
    count: int,
    seed: int,
    size: int = 300,
    defect_share: float = 0.5,
    masks: bool = False,
    processes: int | None = None,
) -> None:
    """Write `count` pictures to folder/defect and folder/no_defect, and `images.csv` beside them.

    A group is one design: up to four pictures of specimens of it, good and bad. Give test pictures another
    seed: no design of one seed appears under another. `processes` None uses every core for larger sets.

    Raises ValueError where the folder already holds an images.csv, or a number makes no sense.
    """
    if count < 1 or size < 64 or not 0 <= defect_share <= 1 or seed < 0:
        raise ValueError("count at least 1, size at least 64, defect_share from 0 to 1, seed at least 0")
    if (folder / "images.csv").exists():
        raise ValueError(f"{folder} already holds a set: render into a new folder")
    for name in ("defect", "no_defect", *(["masks"] if masks else [])):
        (folder / name).mkdir(parents=True, exist_ok=True)
    labels = np.zeros(count, dtype=np.int64)
    labels[: round(count * defect_share)] = 1
    labels = _stream(seed, _LABEL_STREAM).permutation(labels)
    jobs = [
        _Job(folder, seed, size, masks, first, tuple(labels[first : first + _CHUNK].tolist()))
        for first in range(0, count, _CHUNK)
    ]
    wanted = processes or (multiprocessing.cpu_count() if count >= 200 else 1)
    with (folder / "images.csv").open("w", newline="") as file:
        table = csv.writer(file, lineterminator="\n")
        table.writerow(("file", "label", "group", "kind", "area_share"))
        for rows in _results(jobs, min(wanted, len(jobs))):
            table.writerows(rows)


def _results(jobs: list[_Job], processes: int) -> Iterator[list[tuple[str, str, str, str, str]]]:
    if processes <= 1:
        yield from map(_write, jobs)
        return
    # spawn: a forked child would inherit the threads' locks of whatever the caller has imported
    with ProcessPoolExecutor(processes, mp_context=multiprocessing.get_context("spawn")) as pool:
        yield from pool.map(_write, jobs)
