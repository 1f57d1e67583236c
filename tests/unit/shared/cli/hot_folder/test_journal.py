"""The journal holds what was planned, sent and moved, also for the next watcher."""

import os
from pathlib import Path

import pytest

from shared.cli.hot_folder.journal import Journal, JournalUnusable, KnownFile

A, B = KnownFile("a.jpg", "1" * 64, 3, 7), KnownFile("b.jpg", "2" * 64, 4, 8)


def test_a_plan_is_open_until_its_files_are_moved(tmp_path: Path) -> None:
    journal = Journal(tmp_path / "j")
    journal.plan("k", "lot 7", [A, B])
    journal.sent("k", "bat_1")
    journal.moved("k", ["a.jpg"], "done")
    journal.close()
    again = Journal(tmp_path / "j")
    (plan,) = again.open_plans()
    assert (plan.lot, plan.batch_id, plan.files) == ("lot 7", "bat_1", (B,))
    again.moved("k", ["b.jpg"], "changed")
    again.ended("k")
    assert again.open_plans() == []
    assert again.verdict_of("a.jpg", A.sha256) == "bat_1"
    assert again.verdict_of("a.jpg", B.sha256) is None, "another content is another image"
    assert again.verdict_of("b.jpg", B.sha256) is None, "it was written again before it was moved"
    again.close()


def test_a_file_that_failed_has_no_verdict_and_is_judged_again(tmp_path: Path) -> None:
    journal = Journal(tmp_path / "j")
    journal.plan("k", None, [A])
    journal.sent("k", "bat_1")
    journal.moved("k", ["a.jpg"], "failed")
    assert journal.verdict_of("a.jpg", A.sha256) is None
    journal.close()


def test_a_name_that_is_no_utf_8_is_kept_as_the_disk_has_it(tmp_path: Path) -> None:
    journal, old = Journal(tmp_path / "j"), KnownFile(os.fsdecode(b"Geh\xe4use.jpg"), "3" * 64, 3, 7)
    journal.plan("k", None, [old, A])
    assert journal.open_plans()[0].files == (old, A)
    journal.sent("k", "bat_1")
    journal.moved("k", [old.name], "done")
    assert journal.open_plans()[0].files == (A,)
    assert journal.verdict_of(old.name, old.sha256) == "bat_1"
    journal.drop("k", [old.name])
    assert journal.verdict_of(old.name, old.sha256) is None
    journal.close()


def test_a_plan_without_files_is_gone(tmp_path: Path) -> None:
    journal = Journal(tmp_path / "j")
    journal.plan("k", None, [A, B])
    journal.drop("k", ["a.jpg"])
    assert [plan.files for plan in journal.open_plans()] == [(B,)]
    journal.drop("k", ["b.jpg"])
    assert journal.open_plans() == []
    journal.close()


@pytest.mark.parametrize("left", [bytes(4096), b"no database at all" * 300])
def test_a_journal_that_cannot_be_read_is_said_with_the_price_of_going_on(
    tmp_path: Path, left: bytes
) -> None:
    (tmp_path / "journal.db").write_bytes(left)
    with pytest.raises(JournalUnusable, match="judged again"):
        Journal(tmp_path / "journal.db")
    (tmp_path / "folder").mkdir()
    with pytest.raises(JournalUnusable):
        Journal(tmp_path / "folder")


def test_an_empty_journal_is_a_new_one(tmp_path: Path) -> None:
    (tmp_path / "journal.db").write_bytes(b"")
    assert Journal(tmp_path / "journal.db").open_plans() == []
