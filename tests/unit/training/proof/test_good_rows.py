"""The rows of good parts alone: every judged part is one that was not learned."""

from pathlib import Path

import pytest

from shared.registry.artifact import Preprocessing
from tests.unit.training.proof.squares import draw
from training.data.check import check
from training.proof import good_rows
from training.proof.recipe_page import write_recipe_section


def test_a_fold_of_good_parts_is_judged_with_all_defects(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(good_rows, "MINUTES", 0.02)
    draw(tmp_path / "set", ["good"] * 24 + ["bad"] * 12, square=slice(8, 13), lighter=110, seed=7)
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
