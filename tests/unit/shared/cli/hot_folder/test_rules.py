"""Waiting files become a batch at once, or by lot, by hour, or by number."""

import re
import time

import pytest

from shared.cli.hot_folder.rules import Rule, Waiting, lots


def waiting(*names: str, mtime: float = 0.0, ago: float = 0.0) -> list[Waiting]:
    return [Waiting(name, mtime, time.monotonic() - ago) for name in names]


def test_at_once_each_lot_is_a_batch() -> None:
    groups = Rule(lot_of=lots("folder")).groups(waiting("7/a.jpg", "8/b.jpg", "7/c.jpg", "d.jpg"))
    assert groups == [("7", ["7/a.jpg", "7/c.jpg"]), ("8", ["8/b.jpg"]), (None, ["d.jpg"])]


def test_at_once_a_batch_has_a_most() -> None:
    groups = Rule(most=2).groups(waiting("a", "b", "c"))
    assert [names for _, names in groups] == [["a", "b"], ["c"]]


def test_by_number_a_rest_waits_until_the_end() -> None:
    rule = Rule(by="2")
    assert rule.groups(waiting("a", "b", "c")) == [(None, ["a", "b"])]
    assert rule.groups(waiting("c")) == []
    assert rule.groups(waiting("c"), at_end=True) == [(None, ["c"])]


def test_a_lot_is_over_when_it_is_quiet_or_another_begins() -> None:
    rule = Rule(by="lot", lot_of=lots(r"^lot(\d+)_"), quiet_s=60)
    old = waiting("lot7_a.jpg", ago=10)
    assert rule.groups(old) == []
    assert rule.groups(waiting("lot7_a.jpg", ago=61)) == [("7", ["lot7_a.jpg"])]
    assert rule.groups(old + waiting("lot8_b.jpg")) == [("7", ["lot7_a.jpg"])]


def test_an_hour_is_over_when_the_next_one_begins() -> None:
    rule = Rule(by="hour", clock=lambda: 7199.0)
    files = waiting("a", mtime=3600.0) + waiting("b", mtime=3599.0)
    assert rule.groups(files) == [(None, ["b"])]
    rule.clock = lambda: 7200.0
    assert sorted(names for _, names in rule.groups(files)) == [["a"], ["b"]]


def test_a_pattern_for_lots_has_one_group() -> None:
    with pytest.raises(re.error):
        lots("no group")
    assert lots("folder")("deep/er/a.jpg") == "deep/er"
    assert lots(None)("a/b.jpg") is None
