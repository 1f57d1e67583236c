"""Windows of images: each counts once, and the batches that they belong to are warned once."""

import threading
from typing import Any

from sqlalchemy import select, update

from shared.clock import now
from shared.lifecycle import drift
from shared.store import tallies
from shared.store.engine import Database
from shared.store.records import DriftWindowRecord
from shared.store.tables import Batch, DriftWindow, Tally
from tests.harness.drifting import FAMILIAR, STRANGE, WINDOW, give_reference, look, tally
from tests.harness.rows import make_batch


def windows(database: Database, model_id: str) -> list[DriftWindowRecord]:
    with database.read() as connection:
        rows = connection.execute(
            select(DriftWindow.__table__).where(DriftWindow.model_id == model_id).order_by(DriftWindow.id)
        )
        return [DriftWindowRecord._make(row) for row in rows]


def warnings(database: Database, batch_id: str) -> list[dict[str, Any]]:
    with database.read() as connection:
        return connection.scalar(select(Batch.warnings).where(Batch.id == batch_id)) or []


def running(database: Database, model_id: str, **labels: Any) -> str:
    return make_batch(database, model_id, items=1, status="processing", started_at=now() - 5, **labels)


def test_fewer_images_than_a_window_wait_for_more(database: Database, model_id: str) -> None:
    with database.write() as connection:
        give_reference(connection, model_id)
        tally(connection, "t", model_id, "A3", [FAMILIAR] * (WINDOW - 1))
        assert drift.due(connection, WINDOW, 10) == []
        tally(connection, "t", model_id, "A3", [FAMILIAR])
        [label] = drift.due(connection, WINDOW, 10)
        assert drift.look(connection, label, WINDOW) == ()
        assert drift.look(connection, label, WINDOW) == (), "another sweep finds nothing left"
    [window] = windows(database, model_id)
    assert (window.images, window.line, window.drifted) == (WINDOW, "A3", False)


def test_lines_tenants_and_models_have_windows_of_their_own(database: Database, model_id: str) -> None:
    with database.write() as connection:
        give_reference(connection, model_id)
        for tenant, line in (("t", "A3"), ("t", "a, line"), ("u", "A3"), ("t", None)):
            tally(connection, tenant, model_id, line, [FAMILIAR] * WINDOW)
        for label in drift.due(connection, WINDOW, 10):
            drift.look(connection, label, WINDOW)
    seen = {(window.tenant, window.line) for window in windows(database, model_id)}
    assert seen == {("t", "A3"), ("t", "a, line"), ("u", "A3"), ("t", "")}


def test_batches_of_a_drifted_window_are_warned_once_and_no_others(database: Database, model_id: str) -> None:
    mine = running(database, model_id, line="A3")
    others = [
        running(database, model_id, line="B1"),
        running(database, model_id),
        running(database, model_id, line="A3", tenant="u"),
    ]
    with database.write() as connection:
        look(connection, "t", model_id, "A3", drifted=False)
    assert warnings(database, mine) == []
    long_ago = running(database, model_id, line="A3")
    with database.write() as connection:
        connection.execute(update(Batch).where(Batch.id == long_ago).values(finished_at=now() - 3600))
    for _ in range(2):
        with database.write() as connection:
            look(connection, "t", model_id, "A3", drifted=True)
    [warning] = warnings(database, mine)
    assert warning["code"] == "drift"
    assert "200 images of line A3" in warning["detail"]
    assert "score is 1.00" in warning["detail"]
    assert [warnings(database, each) for each in (*others, long_ago)] == [[]] * 4


def test_counts_that_come_while_a_window_is_taken_stay_for_the_next(
    database: Database, model_id: str
) -> None:
    """Sweeps and workers at once: no image is lost, and none counts twice."""
    with database.write() as connection:
        give_reference(connection, model_id)
    begin, rounds, done = threading.Barrier(4), 12, threading.Event()

    def work() -> None:
        begin.wait()
        for _ in range(rounds):
            with database.write() as connection:
                tally(connection, "t", model_id, "A3", [FAMILIAR] * 60 + [STRANGE] * 40)

    def sweep() -> None:
        begin.wait()
        while not done.is_set():
            with database.write() as connection:
                for label in drift.due(connection, WINDOW, 10):
                    drift.look(connection, label, WINDOW)

    threads = [threading.Thread(target=each) for each in (work, work, sweep, sweep)]
    for thread in threads:
        thread.start()
    for thread in threads[:2]:
        thread.join()
    done.set()
    for thread in threads[2:]:
        thread.join()
    with database.read() as connection:
        counts = select(Tally.count).where(Tally.name == tallies.DRIFT_COUNTS, Tally.label.contains(model_id))
        waiting = connection.scalars(counts).all()
    in_windows = [window.images for window in windows(database, model_id)]
    # Each image has two counts: of its score, and of its unfamiliarity.
    assert 2 * sum(in_windows) + sum(waiting) == 2 * 2 * rounds * 100
    assert len(in_windows) >= 2
    assert min(in_windows) >= WINDOW


def test_a_model_without_a_reference_makes_no_window(database: Database, model_id: str) -> None:
    with database.write() as connection:
        tally(connection, "t", model_id, None, [FAMILIAR] * WINDOW)
        [label] = drift.due(connection, WINDOW, 10)
        assert drift.look(connection, label, WINDOW) == ()
        assert drift.due(connection, WINDOW, 10) == []
    assert windows(database, model_id) == []
