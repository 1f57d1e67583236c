"""The guard's tables are measured by a command, and stay on the page when the sets are measured again."""

from dataclasses import replace
from pathlib import Path

import pytest

from shared.contract.operating_point import OperatingPoint
from shared.registry.artifact import Artifact, read_artifact
from shared.registry.versions import shipped
from tests.arch.prose import ROOT
from training.data.load import load
from training.data.records import Record
from training.proof.guard_images import CHANGES, FRAMES
from training.proof.guard_table import (
    END,
    START,
    Changed,
    kept_part,
    measure,
    with_section,
    write_guard_tables,
)
from training.proof.quality import Wanted, quality
from training.synthetic.render import render

COUNT = 8


@pytest.fixture(scope="module")
def parts() -> Artifact:
    return next(read_artifact(path) for path in shipped() if path.stem == "rendered-parts")


@pytest.fixture(scope="module")
def own(tmp_path_factory: pytest.TempPathFactory) -> list[Record]:
    folder = tmp_path_factory.mktemp("own")
    render(folder, count=COUNT, seed=21)
    return load(folder)


def test_other_images_are_flagged_and_own_ones_are_not(parts: Artifact, own: list[Record]) -> None:
    kinds, changed = measure(parts, own, {"copies": [record.path for record in own], "absent": []}, COUNT)
    changes = changed.flagged
    assert kinds.pop("own images, not seen in training") == kinds.pop("copies") <= 0.25
    assert kinds == pytest.approx(dict.fromkeys(FRAMES, 1.0), abs=0.13)
    assert list(changes) == list(CHANGES)
    assert changes["lower half at level 0"] == 1.0
    assert changes["light x 0.7"] <= 0.25 < changes["light x 3"]


def test_a_defect_that_got_no_defect_after_a_change_is_counted(parts: Artifact, own: list[Record]) -> None:
    """With a point that passes everything, the guard alone holds the defects: those that it flags are no escapes."""
    passing = replace(parts, operating_point=OperatingPoint(threshold=1.0, review_low=1.0, review_high=1.0))
    _, changed = measure(passing, own, {}, COUNT)
    assert changed.defects == sum(record.label for record in own) == COUNT // 2
    assert changed.passed["light x 0.7"] >= changed.defects - 1
    assert changed.passed["lower half at level 0"] == 0
    _, strict = measure(parts, own, {}, COUNT)
    assert strict.passed["light x 0.7"] == strict.passed["light x 0.25"] == 0


def test_a_model_whose_own_images_are_absent_gets_the_made_up_frames_alone(parts: Artifact) -> None:
    kinds, changed = measure(parts, [], {}, 2)
    assert (list(kinds), changed) == (list(FRAMES), Changed())


def test_the_command_replaces_its_own_tables_and_nothing_else(tmp_path: Path) -> None:
    page = tmp_path / "quality.md"
    page.write_text(f"# Quality\n\n{START}\nold tables\n{END}\n\nA remark.\n")
    for _ in range(2):
        write_guard_tables(tmp_path / "none", tmp_path, page, count=2, say=print)
    text = page.read_text()
    assert text.startswith(f"# Quality\n\n{START}\n## The guard")
    assert text.endswith(f"{END}\n\nA remark.\n")
    assert "old tables" not in text
    assert text.count("| lens cap with noise | 100.0 % | 100.0 % |") == 1
    # The set of solar-modules is not there, so its own images are a dash and no figure.
    assert "| lower half at level 0 | 100.0 %, 0 of 1 | - |" in text


def test_measuring_the_sets_again_keeps_the_guards_tables(tmp_path: Path) -> None:
    page, section = tmp_path / "quality.md", f"{START}\ntables\n{END}\n\nA remark.\n"
    page.write_text(f"# Quality\n\nold rows\n\n{section}")
    for _ in range(2):
        wanted = Wanted(tmp_path, tmp_path / "runs", page, 1, ["recipe"], ["no such set"], 1, few=True)
        quality(wanted, jobs=1)
    text = page.read_text()
    assert "old rows" not in text
    assert text.endswith(f"\n\n{section}")
    assert text.count(START) == 1


def test_a_page_without_tables_gets_them_at_its_end() -> None:
    assert with_section("# Quality\n", "tables") == f"# Quality\n\n{START}\ntables\n{END}\n"


def test_the_committed_page_has_the_marks_that_keep_its_tables() -> None:
    kept = kept_part((ROOT / "docs" / "quality.md").read_text())
    assert (kept.count(START), kept.count(END)) == (1, 1)
