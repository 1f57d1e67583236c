"""`check` refuses the sets that `train` refuses."""

import json
from pathlib import Path

import pytest

from tests.unit.training.data.files import put
from training.data.records import DataError, Record
from training.data.report import Report
from training.options import Options
from training.pipeline import refuse_untrainable, train_folder
from training.program import main


def report(good: int, defects: int, *, groups: int) -> Report:
    """`groups` of each label."""
    found = [
        Record(Path(f"{label}{place}.png"), label, f"{label}{place % groups}", None, f"{label}{place}")
        for label, count in ((0, good), (1, defects))
        for place in range(count)
    ]
    return Report("parts", records=found)


def test_check_tells_what_train_would_refuse_and_ends_with_1(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    for place in range(5):
        put(tmp_path / ("bad" if place < 2 else "good") / f"{place}.png", place)
    assert main(["check", str(tmp_path)]) == 1
    shown = capsys.readouterr()
    assert shown.out.startswith("5 images: 2 defect, 3 no_defect")
    assert shown.err == "training: 3 good images are too few: at least 10 are needed\n"
    assert main(["check", "--json", str(tmp_path)]) == 1
    shown = capsys.readouterr()
    assert json.loads(shown.out)["images"] == 5 and "too few" in shown.err
    with pytest.raises(DataError, match="3 good images are too few"):
        train_folder(tmp_path, Options("parts", tmp_path / "run"), say=lambda line: None)


def test_a_label_of_one_part_cannot_be_split() -> None:
    with pytest.raises(DataError, match="too few groups"):
        refuse_untrainable(Report("parts", records=[
            *report(40, 0, groups=1).records, *report(0, 40, groups=20).records,
        ]))  # fmt: skip


@pytest.mark.parametrize(("good", "defects", "groups"), [(20, 0, 20), (12, 12, 12), (200, 200, 100)])
def test_sets_that_train_takes_pass(good: int, defects: int, groups: int) -> None:
    refuse_untrainable(report(good, defects, groups=groups))
