"""Idempotency keys of uploads that broke off, while the clock is in doubt and after."""

import time
from pathlib import Path

from sqlalchemy import insert, select, update

from shared.settings import Settings
from shared.store.engine import Database
from shared.store.tables import Submission
from tests.harness.databases import prepare
from worker.upkeep.site import Site, open_site
from worker.upkeep.steps import claims

A_YEAR_S = 365 * 86_400.0


def held_site(folder: Path, settle_s: float, **rows: tuple[float, str | None]) -> Site:
    """An installation that holds these keys: the end of the lease, and the fingerprint once the upload has ended."""
    settings = Settings(data_dir=folder, clock_settle_s=settle_s, upload_lease_s=0.05)
    database = Database(settings.database)
    prepare(database)
    with database.write() as connection:
        for key, (until, fingerprint) in rows.items():
            connection.execute(
                insert(Submission).values(
                    tenant="t", key=key, batch_id="bat_1", fingerprint=fingerprint, lease_until=until
                )
            )
    database.dispose()
    return open_site(settings)


def keys(site: Site) -> list[str]:
    return [key for _, key, _ in claims.find(site, 10)]


def test_a_key_whose_lease_has_ended_is_freed_and_others_stay(tmp_path: Path) -> None:
    now = time.time()
    site = held_site(tmp_path, 0.0, ended=(now - 5, None), running=(now + 60, None), done=(now - 5, "f"))
    assert keys(site) == ["ended"]
    claims.mend(site, claims.find(site, 10))
    with site.database.read() as connection:
        assert set(connection.scalars(select(Submission.key))) == {"running", "done"}
    site.database.dispose()


def test_while_the_clock_is_in_doubt_only_an_unrenewed_lease_counts(tmp_path: Path) -> None:
    """The clock may be a year ahead: every running upload would look as if it had broken off."""
    past = time.time() - A_YEAR_S
    site = held_site(tmp_path, 3600.0, dead=(past, None), running=(past, None))
    assert keys(site) == []
    time.sleep(0.1)
    with site.database.write() as connection:
        connection.execute(update(Submission).where(Submission.key == "running").values(lease_until=past + 1))
    assert keys(site) == ["dead"]
    site.database.dispose()


def test_a_lease_that_is_renewed_after_the_look_is_not_taken(tmp_path: Path) -> None:
    site = held_site(tmp_path, 0.0, ended=(time.time() - 5, None))
    found = claims.find(site, 10)
    with site.database.write() as connection:
        connection.execute(update(Submission).values(lease_until=time.time() + 60))
    claims.mend(site, found)
    with site.database.read() as connection:
        assert connection.scalar(select(Submission.key)) == "ended"
    site.database.dispose()
