"""A worker's own measure of its speed."""

import pytest

from worker.inference.pace import Pace


def test_nothing_is_known_before_anything_was_done() -> None:
    assert Pace().items_per_s is None


def test_it_is_the_time_of_the_work_however_it_came() -> None:
    pace = Pace()
    for items, seconds in ((1, 0.01), (32, 0.16), (256, 0.512)):
        pace.add(items, seconds)
    assert pace.items_per_s == pytest.approx(289 / 0.682)


def test_what_lies_some_thousand_items_back_hardly_counts() -> None:
    pace = Pace()
    for _ in range(100):
        pace.add(256, 25.6)
    for _ in range(40):
        pace.add(256, 0.256)
    assert pace.items_per_s == pytest.approx(1000, rel=0.1)
