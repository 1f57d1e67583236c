"""Rows of the result table."""

from pathlib import Path

from bench.table import Row, as_text, load, save


def test_a_reach_is_meant_for_the_ratio_where_there_is_one() -> None:
    assert Row("bulk", 700.0, "images/s", ratio=0.9, reach=0.85).meets is True
    assert Row("bulk", 700.0, "images/s", ratio=0.8, reach=0.85).meets is False
    assert Row("export", 60_000.0, "rows/s", reach=50_000).meets is True


def test_an_upper_bound_is_met_from_below() -> None:
    assert Row("poll", 1.5, "ms", reach=2, at_most=True).meets is True
    assert Row("poll", 2.5, "ms", reach=2, at_most=True).meets is False


def test_a_reach_above_the_ceiling_is_void_and_one_without_a_reach_is_stated() -> None:
    void = Row("peer", 400.0, "images/s", ratio=2.9, ceiling=3.0, reach=7)
    assert void.is_void
    assert void.meets is None
    assert "void" in as_text([void])
    assert "stated" in as_text([Row("solar", 1.0, "images/s")])


def test_rows_measured_at_different_times_share_the_file(tmp_path: Path) -> None:
    path = tmp_path / "results.json"
    first, second = Row("one", 1.0, "s", note="x"), Row("two", 2.0, "s", reach=3, at_most=True)
    save([first], path)
    save([second], path)
    assert load(path) == [first, second]
