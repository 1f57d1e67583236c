"""The journal holds what was planned, sent and moved, also for the next watcher."""

from pathlib import Path

from shared.cli.hot_folder.journal import Journal, KnownFile

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
    assert again.judged_before("a.jpg", A.sha256)
    assert not again.judged_before("a.jpg", B.sha256), "another content is another image"
    assert not again.judged_before("b.jpg", B.sha256), "it was written again before it was moved"
    again.close()


def test_a_plan_without_files_is_gone(tmp_path: Path) -> None:
    journal = Journal(tmp_path / "j")
    journal.plan("k", None, [A, B])
    journal.drop("k", ["a.jpg"])
    assert [plan.files for plan in journal.open_plans()] == [(B,)]
    journal.drop("k", ["b.jpg"])
    assert journal.open_plans() == []
    journal.close()
