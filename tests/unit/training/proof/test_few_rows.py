"""The rows of 20 images a class: the whole recipe and features alone learn and judge the same images."""

import json
from pathlib import Path

import pytest

from tests.unit.training.proof.squares import draw
from training.data.check import check
from training.fit import recipe
from training.proof import few_rows, recipe_page
from training.proof.protocols import PROTOCOLS


def test_a_row_states_the_recipe_beside_features_alone_on_images_that_were_not_learned(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(recipe, "MAX_EPOCHS", 2)
    draw(tmp_path / "set", ["bad", "good"] * 30, square=slice(6, 14), lighter=60, seed=3)
    looked = check(tmp_path / "set")
    row = few_rows.few_row(looked, looked.records[::2], looked.records[1::2], say=lambda line: None)
    assert (row["learned"], row["judged"]) == (30, 30)
    if row["served"] == "features":
        assert row["recipe"] == row["features"]
    assert row["holds"] == (row["card"][1] <= row["recipe"]["accuracy"]["value"] <= row["card"][2])
    assert row["features"]["auroc"] > 0.8

    monkeypatch.setattr(recipe_page, "rows_path", lambda runs, name: runs / f"{name}.json")
    kept = tmp_path / f"{PROTOCOLS[0].folder}.json"
    kept.write_text(json.dumps([{**row, "set": PROTOCOLS[0].folder, "seed": 0}]))
    page = tmp_path / "page.md"
    recipe_page.write_recipe_section(tmp_path, page)
    assert f"| {PROTOCOLS[0].folder}, draw 0 | {row['served']} | 30 |" in page.read_text()
