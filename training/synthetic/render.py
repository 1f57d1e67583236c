"""A set of made-up photographs as a folder: images, table and, where asked, masks.

An image depends on nothing but (seed, place), whatever the number of processes, and no two seeds share a part.
"""

import csv
import multiprocessing
from collections.abc import Iterator
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from PIL import Image

from training.synthetic.defects import Rng
from training.synthetic.draw import draw
from training.synthetic.parts import design

QUALITY = 90
VIEWS = 4  # photographs of specimens of one design; they share a group
_CHUNK = 16
_PART_STREAM, _PICTURE_STREAM, _LABEL_STREAM = 1, 2, 3


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
    """Write `count` images to folder/defect and folder/no_defect, and `images.csv` next to them.

    A group is one design: up to four images of specimens of it, good and bad. Give test images another
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
