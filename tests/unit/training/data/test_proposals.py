"""Parts that file names propose: taken where the images bear them out."""

from pathlib import Path

import numpy as np
from PIL import Image

from training.data.check import check


def put(path: Path, pixels: np.ndarray) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(pixels.clip(0, 255).astype(np.uint8)).save(path)


def hills(seed: int) -> np.ndarray:
    coarse = np.random.default_rng(seed).integers(40, 215, (6, 6), dtype=np.uint8)
    return np.asarray(Image.fromarray(coarse).resize((64, 64), Image.Resampling.BICUBIC), np.float64)


def crops(folder: Path, *, alike: bool) -> Path:
    """Twelve parts of five images; of one part alike, or each as it happens."""
    rng = np.random.default_rng(1)
    for part in range(12):
        for view in range(5):
            base = hills(part) if alike else hills(100 + 5 * part + view)
            label = "bad" if part % 2 else "good"
            put(folder / label / f"photo{part:02}_{view}.png", base + rng.normal(0, 25, (64, 64)))
    return folder


def test_crops_of_one_photograph_are_one_part(tmp_path: Path) -> None:
    report = check(crops(tmp_path, alike=True))
    assert len({record.group for record in report.records}) == 12
    assert "these 5 look like one part: bad/photo01_0.png, bad/photo01_1.png, …" in report.as_text()
    assert not report.has_groups


def test_names_alone_join_nothing(tmp_path: Path) -> None:
    report = check(crops(tmp_path, alike=False))
    assert len({record.group for record in report.records}) == 60
    assert report.proposed == []


def test_a_running_number_is_no_part(tmp_path: Path) -> None:
    rng = np.random.default_rng(2)
    for place in range(40):
        pixels = hills(place // 4) + rng.normal(0, 25, (64, 64))
        put(tmp_path / ("bad" if place % 2 else "good") / f"cast_def_0_{place}.png", pixels)
    assert check(tmp_path).proposed == []


def test_a_number_inside_the_names_is_the_part_where_images_bear_it_out(tmp_path: Path) -> None:
    rng = np.random.default_rng(4)
    for part in range(12):
        for shot in range(5):  # five exposures of each part: the first number says which
            label = "bad" if part % 3 == 0 else "good"
            pixels = hills(part) * (0.5 + 0.1 * shot) + rng.normal(0, 20, (64, 64))
            put(tmp_path / label / f"exp{shot}_num_{1000 + 7 * part}.png", pixels)
    report = check(tmp_path)
    assert len({record.group for record in report.records}) == 12
    assert len(report.proposed) == 12
