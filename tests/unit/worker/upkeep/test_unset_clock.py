"""Times that were noted before the machine's clock was set for the first time."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import insert, update

from shared.access import audit, audit_chain
from shared.access.audit import Actor
from shared.clock import FIRST_MOMENT, now
from shared.settings import Settings
from shared.store.engine import Database
from shared.store.tables import Batch, ModelVersion
from tests.harness.databases import prepare
from tests.harness.rows import batch_row, make_batch
from worker.upkeep.site import Site, open_site
from worker.upkeep.steps import deadlines, retention, unset_clock

DAY_S = 86_400.0
THEN = 1_000.0  # a quarter of an hour after a machine without a battery has started, in 1970


@pytest.fixture
def site(tmp_path: Path) -> Iterator[Site]:
    settings = Settings(data_dir=tmp_path, broker_url="redis://127.0.0.1:1/0", clock_settle_s=0.0)
    prepare(Database(settings.database))
    made = open_site(settings)
    with made.database.write() as connection:
        connection.execute(
            insert(ModelVersion).values(
                id="mdl_x", name="m", sha256="0" * 64, threshold=0.5, review_low=0.4, review_high=0.6,
                card={}, tenant="*", status="ready", created_at=now(),
            )
        )  # fmt: skip
    yield made
    made.database.dispose()


def batch(site: Site, **changed: Any) -> str:
    return make_batch(site.database, "mdl_x", retention_s=DAY_S, **changed)


def sweep(site: Site) -> tuple[list[str], list[str], list[str]]:
    """The batches that the steps found, in the order of the plan: dated, expired, purged."""
    dated = list(unset_clock.find(site, 10))
    unset_clock.mend(site, dated)
    return sorted(dated), list(deadlines.find(site, 10)), list(retention.find(site, 10))


def test_batches_of_before_the_first_correction_are_kept_and_may_run_from_then_on(site: Site) -> None:
    done = batch(site, created_at=THEN, started_at=THEN, finished_at=THEN + 9, retain_until=THEN + DAY_S,
                 status="completed")  # fmt: skip
    runs = batch(site, created_at=THEN, deadline_at=THEN + 3600)
    late = batch(site, created_at=THEN, finished_at=now() - 5, retain_until=now() + DAY_S)
    old = batch(
        site, created_at=FIRST_MOMENT + 1, finished_at=FIRST_MOMENT + 2, retain_until=FIRST_MOMENT + 3
    )
    began = now()
    assert sweep(site) == (sorted([done, runs]), [], [old])
    row = batch_row(site.database, done)
    assert began <= row.created_at <= row.finished_at <= now()
    assert row.retain_until == pytest.approx(began + DAY_S, abs=30)
    assert batch_row(site.database, runs).deadline_at == pytest.approx(began + 3600, abs=30)
    assert batch_row(site.database, runs).finished_at is None
    assert batch_row(site.database, late).created_at == THEN
    assert sweep(site) == ([], [], [old]), "each is dated once"
    with site.database.write() as connection:
        connection.execute(update(Batch).where(Batch.id == done).values(retain_until=now() - 1))
    assert sweep(site)[2] == [done, old] or sweep(site)[2] == [old, done]


def test_nothing_is_dated_while_the_clock_is_not_set(site: Site, monkeypatch: pytest.MonkeyPatch) -> None:
    batch(site, created_at=THEN)
    monkeypatch.setattr(site.clock, "now", lambda: THEN + 60)
    assert unset_clock.find(site, 10) == []


def test_audit_entries_of_before_go_with_the_next_one_that_has_a_time(
    site: Site, monkeypatch: pytest.MonkeyPatch
) -> None:
    times = iter([THEN, THEN + 1, now() - 3 * DAY_S, THEN + 2, now() - DAY_S])
    monkeypatch.setattr(audit, "now", lambda: next(times))
    with site.database.write() as connection:
        for _ in range(5):
            audit.append(connection, Actor("key_x", None, None), "batch.cancel", tenant="t", object_id="b")
    monkeypatch.undo()
    for before, removed in (
        (now() - 4 * DAY_S, 0),
        (now() - 2 * DAY_S, 3),
        (now() - 2 * DAY_S, 0),
        (now() - DAY_S / 2, 2),
    ):
        with site.database.write() as connection:
            chains = audit_chain.outlived(connection, before)
            assert (chains != []) == (removed > 0), (before, chains)
            assert sum(audit_chain.prune(connection, chain, before) for chain in chains or [1]) == removed
