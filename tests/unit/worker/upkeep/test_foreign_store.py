"""A database and a store that do not belong together: nothing is deleted, and the way out is said."""

import os
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from shared.blobs.store import BlobStore
from shared.settings import Settings
from shared.store.engine import Database
from shared.store.installation import identify
from shared.store.migrations.upgrade import migrate
from tests.unit.shared.test_programs import PROGRAMS, run
from worker.upkeep.repairing import repair
from worker.upkeep.site import Site, open_site
from worker.upkeep.steps import orphans

ORPHAN = "bat_zz"


def site_of(data_dir: Path, store: Path) -> Site:
    """An installation whose database is new."""
    data_dir.mkdir()
    settings = Settings(
        data_dir=data_dir, blob_url=f"file://{store}", broker_url="redis://127.0.0.1:1/0", clock_settle_s=0.0
    )
    migrate(Database(settings.database))
    return open_site(settings)


@pytest.fixture
def store(tmp_path: Path) -> Path:
    """A store in which a batch of long ago has bytes."""
    pack = BlobStore(tmp_path / "store").pack_path(ORPHAN, 0)
    pack.parent.mkdir(parents=True)
    pack.write_bytes(b"x")
    os.utime(pack, (1, 1))
    return tmp_path / "store"


@pytest.fixture
def first(tmp_path: Path, store: Path) -> Iterator[Site]:
    site = site_of(tmp_path / "first", store)
    assert site.blobs.belongs_to(identify(site.database))
    yield site
    site.database.dispose()


def test_bytes_of_another_database_stay_whatever_their_age(first: Site, tmp_path: Path, store: Path) -> None:
    """An operator restores the wrong database, or mistypes its URL: all images would look like orphans."""
    other = site_of(tmp_path / "other", store)
    with pytest.raises(orphans.ForeignStore, match="GONOGO_DATABASE_URL"):
        orphans.find(other, 10)
    (line,) = [found for found in repair(other, dry_run=False) if found.name == "orphans"]
    assert "installation" in line.put_off
    assert BlobStore(store).pack_path(ORPHAN, 0).exists()
    assert orphans.find(first, 10) == [ORPHAN]
    (store / "installation").unlink()  # as the line says
    assert orphans.find(other, 10) == [ORPHAN]


@pytest.mark.parametrize("left", [b"", bytes(12), b"\xff\x00"])
def test_a_name_that_a_power_cut_spoiled_is_written_again(first: Site, store: Path, left: bytes) -> None:
    (store / "installation").write_bytes(left)
    assert orphans.find(first, 10) == [ORPHAN]
    assert (store / "installation").read_text().strip() == identify(first.database)


def test_an_own_name_in_the_broker_changes_nothing(first: Site) -> None:
    renamed = replace(first, settings=replace(first.settings, installation="plant-7"))
    assert orphans.find(renamed, 10) == [ORPHAN]


def test_a_file_between_the_folders_of_batches_stops_no_look(first: Site, store: Path) -> None:
    (store / "batches" / ".DS_Store").write_text("")
    assert orphans.find(first, 10) == [ORPHAN]


@pytest.mark.parametrize("file", [None, b""])
def test_a_new_database_next_to_images_is_refused_in_one_line(
    file: bytes | None, tmp_path: Path, store: Path
) -> None:
    if file is not None:
        (tmp_path / "gonogo.db").write_bytes(file)
    lines = run(PROGRAMS["migrations"], GONOGO_DATA_DIR=str(tmp_path), GONOGO_BLOB_URL=f"file://{store}")
    assert len(lines) == 1 and "restore a backup" in lines[0] and str(store) in lines[0]
