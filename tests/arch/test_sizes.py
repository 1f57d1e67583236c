"""Files stay small: none over 350 lines, the 90th percentile at most 220, the median at most 80."""

from pathlib import PurePath
from statistics import median, quantiles

import pytest

from tests.arch.prose import ROOT, tracked

FOLDERS = ("web", "worker", "shared", "training", "tests", "bench")


@pytest.fixture(scope="module")
def lines() -> dict[str, int]:
    """Lines of each Python file under version control; empty files mark packages and do not count."""
    counted = {
        name: (ROOT / name).read_text(encoding="utf-8").count("\n")
        for name in tracked()
        if name.endswith(".py") and PurePath(name).parts[0] in FOLDERS
    }
    return {name: count for name, count in counted.items() if count}


def test_no_file_is_over_350_lines(lines: dict[str, int]) -> None:
    assert [f"{name}: {count}" for name, count in sorted(lines.items()) if count > 350] == []


def test_the_median_and_the_90th_percentile_are_small(lines: dict[str, int]) -> None:
    for folder in ("all", *FOLDERS):
        found = [count for name, count in lines.items() if folder in ("all", PurePath(name).parts[0])]
        high = quantiles(found, n=10)[-1]
        middle = median(found)
        print(
            f"{folder}: {len(found)} files, median {middle:.0f}, 90th percentile {high:.0f}, most {max(found)}"
        )
        assert folder != "all" or (middle <= 80 and high <= 220)
