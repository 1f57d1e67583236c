"""Views that were turned or mirrored: found where a set shows them again, and nowhere else."""

from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image

from training.data.check import check
from training.data.rings import alike_at_any_turn, take_rings
from training.data.turned import views_of

Pixels = NDArray[np.float64]
SIDE = 144
_DOWN, _ACROSS = np.mgrid[:SIDE, :SIDE] - (SIDE - 1) / 2
_FROM_MIDDLE = np.hypot(_DOWN, _ACROSS)


def casting(seed: int) -> Image.Image:
    """A round part: all have the same rings, and each its own marks."""
    rng = np.random.default_rng(seed)
    coarse = rng.normal(0, 40, (48, 48))
    marks = np.asarray(
        Image.fromarray(coarse.astype(np.float32)).resize((SIDE, SIDE), Image.Resampling.BICUBIC)
    )
    pixels = 120 + 40 * np.sin(_FROM_MIDDLE / 5) + marks * (_FROM_MIDDLE < 62)
    return Image.fromarray(pixels.clip(0, 255).astype(np.uint8))


def cell(seed: int) -> Image.Image:
    """A part that lies as all others do: the same bars, and its own faint marks."""
    rng = np.random.default_rng(seed)
    pixels = np.where(np.abs(_DOWN % 36 - 18) < 3, 40.0, 180.0) - 60 * (np.abs(_ACROSS + _DOWN / 3) < 2)
    return Image.fromarray((pixels + rng.normal(0, 4, (SIDE, SIDE))).clip(0, 255).astype(np.uint8))


def seen(part: Image.Image, rng: np.random.Generator, *, turned: bool = True) -> Image.Image:
    """The part in other light, with noise, and turned, moved or mirrored."""
    if turned:
        moved = tuple(rng.integers(-3, 4, 2).tolist())
        part = part.rotate(rng.uniform(0, 360), Image.Resampling.BICUBIC, translate=moved, fillcolor=120)
        if rng.random() < 0.5:
            part = part.transpose(Image.Transpose.FLIP_LEFT_RIGHT)
    shade = 30 * _ACROSS / SIDE * rng.uniform(-1, 1) + rng.normal(0, 4, (SIDE, SIDE))
    pixels = np.asarray(part, np.float64) * rng.uniform(0.7, 1.1) + shade
    return Image.fromarray(pixels.clip(0, 255).astype(np.uint8))


def put(folder: Path, images: list[Image.Image]) -> Path:
    """In an order and under names that say nothing about the part."""
    names = np.random.default_rng(5).permutation(len(images))
    for name, image in zip(names, images, strict=True):
        path = folder / ("bad" if name % 3 == 0 else "good") / f"{'abcdefgh'[name % 8]}{name}.png"
        path.parent.mkdir(parents=True, exist_ok=True)
        image.save(path)
    return folder


def test_castings_seen_again_at_every_turn_are_groups(tmp_path: Path) -> None:
    rng = np.random.default_rng(1)
    images = [seen(casting(part), rng) for part in range(12) for _ in range(6)]
    images += [seen(casting(part), rng) for part in (50, 51)]  # these are seen once
    report = check(put(tmp_path, images))
    names = np.random.default_rng(5).permutation(len(images))
    parts = [frozenset(names[6 * part : 6 * part + 6].tolist()) for part in range(12)]
    found = {frozenset(int(Path(name).stem[1:]) for name in names) for names in report.turned}
    assert found == set(parts)
    assert len({record.group for record in report.records}) == 14
    assert "12 views seen again turned or mirrored" in report.as_text()
    assert "these 6 look like one part: " in report.as_text()
    assert report.as_json()["views_seen_turned"] == 12
    assert not report.knows_parts  # one part may have several views


@pytest.mark.parametrize("shown", ["other castings", "cells in one position", "one casting alone"])
def test_no_views_are_proposed_where_none_are_seen_again(tmp_path: Path, shown: str) -> None:
    rng = np.random.default_rng(2)
    if shown == "cells in one position":
        images = [seen(cell(place), rng, turned=False) for place in range(60)]
    else:
        images = [seen(casting(place if shown == "other castings" else 0), rng) for place in range(60)]
    assert check(put(tmp_path, images)).turned == []


def test_views_in_one_position_are_left_to_names_and_likeness(tmp_path: Path) -> None:
    rng = np.random.default_rng(3)
    images = [seen(casting(part), rng, turned=False) for part in range(12) for _ in range(5)]
    assert check(put(tmp_path, images)).turned == []


def test_given_parts_are_kept(tmp_path: Path) -> None:
    rng = np.random.default_rng(1)
    put(tmp_path, [seen(casting(part), rng) for part in range(10) for _ in range(5)])
    files = sorted(tmp_path.rglob("*.png"))
    rows = [f"{file.relative_to(tmp_path)},{file.parent.name},p{place}" for place, file in enumerate(files)]
    (tmp_path / "images.csv").write_text("\n".join(["file,label,group", *rows]))
    report = check(tmp_path)
    assert report.turned == []
    assert len({record.group for record in report.records}) == 50


def test_a_turned_and_mirrored_image_is_alike_and_says_by_how_much() -> None:
    rng = np.random.default_rng(4)
    box = (8, 8, 136, 136)
    first = take_rings(np.asarray(casting(1).crop(box)))
    turned = take_rings(np.asarray(casting(1).rotate(90, fillcolor=120).crop(box)))
    mirrored = take_rings(np.asarray(casting(1).transpose(Image.Transpose.FLIP_TOP_BOTTOM).crop(box)))
    other = take_rings(np.asarray(seen(casting(2), rng).crop(box)))
    likeness, turns = alike_at_any_turn(first[None], np.stack([first, turned, mirrored, other]))
    assert likeness[0, :3] == pytest.approx(1, abs=0.1)
    assert likeness[0, 3] < 0.3
    assert turns[0, 0] == 0
    assert turns[0, 1] in (32, 96)


def test_one_false_pair_joins_no_two_large_views() -> None:
    within = [(a, b) for first in (0, 6) for a in range(first, first + 6) for b in range(a + 1, first + 6)]
    views = [[0, 1, 2, 3, 4, 5], [6, 7, 8, 9, 10, 11]]
    assert views_of(13, np.array([*within, (5, 6)])) == views
    assert views_of(13, np.array([*within, *((a, b) for a in range(6) for b in (6, 7))])) == [list(range(12))]
