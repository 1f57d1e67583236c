"""Waiting files become a batch at once, or by lot, by hour, or by number."""

import gc
import re
import time

import pytest

from shared.cli.hot_folder.rules import Backlog, Rule, Waiting, lots, views


def waiting(*names: str, mtime: float = 0.0, ago: float = 0.0) -> list[Waiting]:
    return [Waiting(name, mtime, time.monotonic() - ago) for name in names]


def groups_of(
    rule: Rule, files: list[Waiting], *, at_end: bool = False
) -> list[tuple[str | None, list[str]]]:
    """The batches that are due, in their order."""
    backlog, found = Backlog(rule), []
    for file in files:
        backlog.add(file)
    while (due := backlog.take(at_end=at_end)) is not None:
        found.append((due[0], [file.name for file in due[1]]))
    assert len(backlog) == len(files) - sum(len(names) for _, names in found)
    return found


def test_at_once_each_lot_is_a_batch() -> None:
    groups = groups_of(Rule(lot_of=lots("folder")), waiting("7/a.jpg", "8/b.jpg", "7/c.jpg", "d.jpg"))
    assert groups == [("7", ["7/a.jpg", "7/c.jpg"]), ("8", ["8/b.jpg"]), (None, ["d.jpg"])]


def test_at_once_a_batch_has_a_most() -> None:
    groups = groups_of(Rule(most=2), waiting("a", "b", "c"))
    assert [names for _, names in groups] == [["a", "b"], ["c"]]


def test_by_number_a_rest_waits_until_the_end() -> None:
    rule = Rule(by="2")
    assert groups_of(rule, waiting("a", "b", "c")) == [(None, ["a", "b"])]
    assert groups_of(rule, waiting("c")) == []
    assert groups_of(rule, waiting("c"), at_end=True) == [(None, ["c"])]


def test_a_lot_is_over_when_it_is_quiet_or_another_begins() -> None:
    rule = Rule(by="lot", lot_of=lots(r"^lot(\d+)_"), quiet_s=60)
    old = waiting("lot7_a.jpg", ago=10)
    assert groups_of(rule, old) == []
    assert groups_of(rule, waiting("lot7_a.jpg", ago=61)) == [("7", ["lot7_a.jpg"])]
    assert groups_of(rule, old + waiting("lot8_b.jpg")) == [("7", ["lot7_a.jpg"])]


def test_an_hour_is_over_when_the_next_one_begins() -> None:
    rule = Rule(by="hour", clock=lambda: 7199.0)
    files = waiting("a", mtime=3600.0) + waiting("b", mtime=3599.0)
    assert groups_of(rule, files) == [(None, ["b"])]
    rule.clock = lambda: 7200.0
    assert sorted(names for _, names in groups_of(rule, files)) == [["a"], ["b"]]


def test_a_pattern_for_lots_has_one_group() -> None:
    with pytest.raises(re.error):
        lots("no group")
    assert lots("folder")("deep/er/a.jpg") == "deep/er"
    assert lots(None)("a/b.jpg") is None


def test_files_that_had_no_room_in_their_batch_are_due_though_they_are_few() -> None:
    backlog = Backlog(Rule(by="3"))
    for file in waiting("a", "b", "c", "d"):
        backlog.add(file)
    due = backlog.take()
    assert due is not None
    assert [file.name for file in due[1]] == ["a", "b", "c"]
    assert backlog.take() is None
    backlog.put_back(due[1][1:])
    due = backlog.take()
    assert due is not None
    assert {file.name for file in due[1]} == {"b", "c", "d"}


def test_many_waiting_files_cost_as_much_each_as_few() -> None:
    """Twenty times the files take twenty times the time; a look at all that wait for each batch takes 400 times."""

    def seconds(count: int) -> float:
        files = waiting(*(f"{number}.jpg" for number in range(count)))
        gc.disable()  # a collection walks all objects of the test run
        try:
            began = time.process_time()
            groups_of(Rule(most=10), files)
            return time.process_time() - began
        finally:
            gc.enable()

    seconds(1000)
    assert seconds(40_000) < 120 * max(min(seconds(2000) for _ in range(3)), 0.001)


def test_a_pattern_for_parts_names_the_part_and_perhaps_the_view() -> None:
    view_of = views(r"(?P<part>SN\d+)(?:_(?P<view>\w+))?\.jpg")
    assert view_of("lot7/SN12_top.jpg") == {"part_id": "SN12", "view": "top"}
    assert view_of("SN12.jpg") == {"part_id": "SN12"}
    assert view_of("other.jpg") == views(None)("SN12.jpg") == {}
    for wrong in (r"SN\d+", r"(SN\d+)", r"(?P<view>\w+)", r"(?P<part>\w+)(?P<lot>\d)", "("):
        with pytest.raises(re.error):
            views(wrong)
