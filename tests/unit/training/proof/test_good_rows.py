"""The rows of good parts alone: every judged part is one that was not learned."""

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from shared.registry.artifact import Preprocessing
from training.data.check import check
from training.proof import good_rows
from training.proof.recipe_page import write_recipe_section


def draw(folder: Path) -> None:
    rng = np.random.default_rng(7)
    for place in range(36):
        label = "good" if place < 24 else "bad"
        pixels = rng.normal(110, 12, (24, 24))
        if label == "bad":
            pixels[8:13, 8:13] += 110
        (folder / label).mkdir(parents=True, exist_ok=True)
        Image.fromarray(pixels.clip(0, 255).astype(np.uint8)).save(folder / label / f"{place:03}.png")


def test_a_fold_of_good_parts_is_judged_with_all_defects(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(good_rows, "MINUTES", 0.02)
    draw(tmp_path / "set")
    said: list[str] = []
    rows = good_rows.good_rows(
        check(tmp_path / "set"), Preprocessing(24, 24, 1), 1, start="none", say=said.append
    )
    assert len(rows) == 1
    assert (rows[0]["learned"], rows[0]["judged"]) == (16, 8 + 12)
    assert rows[0]["escapes"].endswith("/12")
    assert rows[0]["auroc"] >= 0.9
    assert sum(rows[0]["weights"].values()) == pytest.approx(1, abs=1e-3)
    assert any("weights by drawn damage" in line for line in said)
    page = tmp_path / "page.md"
    page.write_text("# Quality\n")
    write_recipe_section(tmp_path / "no runs", page)
    assert page.read_text() == "# Quality\n"
