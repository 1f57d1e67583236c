"""Rendered parts: reproducible, never shared between seeds, flaws known, small and yet visible."""

import csv
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from training.synthetic.defects import KINDS
from training.synthetic.draw import draw
from training.synthetic.parts import FAMILIES, design
from training.synthetic.render import VIEWS, render


def _rows(folder: Path) -> list[dict[str, str]]:
    with (folder / "images.csv").open(newline="") as file:
        return list(csv.DictReader(file))


def _twins(place: int, size: int = 300) -> Any:
    pair = [draw(np.random.default_rng([9, place]), size, defect=flawed) for flawed in (True, False)]
    return pair[0], pair[1]


@pytest.fixture(scope="module")
def flawed() -> Any:
    return [draw(np.random.default_rng([5, place]), 128, defect=True) for place in range(90)]


def test_a_folder_holds_what_its_table_says(tmp_path: Path) -> None:
    render(tmp_path, count=10, seed=3, size=96, defect_share=0.3, masks=True)
    rows = _rows(tmp_path)
    assert [row["label"] for row in rows].count("defect") == 3
    assert len({row["group"] for row in rows}) == -(-10 // VIEWS)
    for row in rows:
        assert row["file"].startswith(row["label"] + "/")
        with Image.open(tmp_path / row["file"]) as picture:
            assert (picture.size, picture.mode, picture.format) == ((96, 96), "L", "JPEG")
        mask = np.asarray(Image.open(tmp_path / "masks" / (Path(row["file"]).stem + ".png")))
        is_defect = row["label"] == "defect"
        assert mask.any() == is_defect == (row["kind"] in KINDS) == (float(row["area_share"]) > 0)


def test_the_same_seed_gives_the_same_bytes_whatever_the_number_of_processes(tmp_path: Path) -> None:
    for name, processes in (("one", 1), ("two", 2)):
        render(tmp_path / name, count=20, seed=8, size=64, processes=processes)
    files = sorted(path.relative_to(tmp_path / "one") for path in (tmp_path / "one").rglob("*.*"))
    assert len(files) == 21
    assert all((tmp_path / "one" / f).read_bytes() == (tmp_path / "two" / f).read_bytes() for f in files)


def test_two_seeds_share_no_group_and_no_image(tmp_path: Path) -> None:
    for seed in (1, 2):
        render(tmp_path / str(seed), count=12, seed=seed, size=64)
    folders = [tmp_path / "1", tmp_path / "2"]
    groups = [{row["group"] for row in _rows(folder)} for folder in folders]
    images = [{path.read_bytes() for path in folder.rglob("*.jpg")} for folder in folders]
    assert not groups[0] & groups[1]
    assert not images[0] & images[1]


def test_two_seeds_lay_and_light_even_the_same_part_differently(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    part = design(np.random.default_rng(0))
    monkeypatch.setattr("training.synthetic.draw.design", lambda rng: part)
    for seed in (1, 2):
        render(tmp_path / str(seed), count=6, seed=seed, size=64, defect_share=0)
    first, second = ({path.read_bytes() for path in (tmp_path / s).rglob("*.jpg")} for s in ("1", "2"))
    assert len(first) == len(second) == 6
    assert not first & second


def test_a_second_set_never_mixes_into_a_folder(tmp_path: Path) -> None:
    render(tmp_path, count=1, seed=1, size=64)
    with pytest.raises(ValueError, match="already holds"):
        render(tmp_path, count=1, seed=2, size=64)


def test_every_design_lies_within_its_circle() -> None:
    rng = np.random.default_rng(0)
    parts = [design(rng) for _ in range(200)]
    assert {part.family for part in parts} == set(FAMILIES)
    assert max(np.hypot(*face.outline.T).max() for part in parts for face in part.faces) < 1.2


def test_a_flaw_covers_little_of_the_part(flawed: Any) -> None:
    shares = np.array([picture.area_share for picture in flawed])
    assert 0.005 <= np.median(shares) <= 0.015
    assert shares.min() > 0.001
    assert shares.max() < 0.04
    assert {picture.kind for picture in flawed} == set(KINDS)


def test_the_mask_marks_the_flaw_and_nothing_else() -> None:
    for place in range(12):
        bad, good = _twins(place, 200)
        changed = np.abs(bad.image.astype(int) - good.image) > 12
        grown = np.zeros_like(bad.mask)
        rows, columns = np.nonzero(bad.mask)
        grown[max(0, rows.min() - 14) : rows.max() + 15, max(0, columns.min() - 14) : columns.max() + 15] = (
            True
        )
        assert not (changed & ~grown).any()  # a chip's own shadow may fall next to it, no further
        assert changed[bad.mask].mean() > 0.5


def test_a_flaw_can_still_be_seen_at_128_pixels() -> None:
    for place in range(20):
        small = [
            np.asarray(Image.fromarray(picture.image).resize((128, 128), Image.Resampling.BOX), np.float64)
            for picture in _twins(place)
        ]
        strongest = np.sort(np.abs(small[0] - small[1]).ravel())[-8:]
        assert strongest.mean() > 25  # grey levels, over eight pixels; the noise there is about 1.5


def test_label_does_not_show_in_brightness() -> None:
    means = [[picture.image.mean() for picture in _twins(place, 96)] for place in range(20)]
    assert np.abs(np.diff(means, axis=1)).max() < 4


def test_oblong_and_large_images_can_be_drawn() -> None:
    picture = draw(np.random.default_rng(1), (1600, 1200), defect=True)
    assert picture.image.shape == picture.mask.shape == (1200, 1600)
    assert 0.001 < picture.area_share < 0.04


def test_the_renderer_needs_no_torch() -> None:
    code = "import sys, training.synthetic.render; sys.exit('torch' in sys.modules or 'scipy' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False, timeout=60).returncode == 0
