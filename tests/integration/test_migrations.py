"""A database is brought to the newest revision from nothing, from the first one, twice, and by many at once."""

import subprocess
import sys
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from alembic import command
from alembic.autogenerate import compare_metadata
from alembic.config import Config
from alembic.migration import MigrationContext
from alembic.script import ScriptDirectory
from sqlalchemy import delete, inspect, select
from sqlalchemy.exc import IntegrityError

from shared.registry import versions
from shared.registry.artifact import read_artifact
from shared.settings import Settings
from shared.store import migrations
from shared.store.engine import Database
from shared.store.migrations.upgrade import migrate, newest, revision
from shared.store.tables import ApiKey, Base, Batch, Chunk, ModelVersion, ServiceSecret
from tests.harness.databases import empty_database_url

ROOT = Path(__file__).parents[2]
FOLDER = Path(migrations.__file__).parent


@pytest.fixture(params=["sqlite", "postgresql"])
def empty_url(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[str]:
    with empty_database_url(request.param, tmp_path) as url:
        yield url


def test_the_revisions_make_exactly_the_tables_of_the_code(database: Database) -> None:
    with database.read() as connection:
        context = MigrationContext.configure(connection, opts={"compare_type": True})
        assert compare_metadata(context, Base.metadata) == []


def test_every_index_of_the_code_is_there_partial_ones_included(database: Database) -> None:
    inspector = inspect(database.engine)
    for table in Base.metadata.tables.values():
        made = {index["name"] for index in inspector.get_indexes(table.name)}
        assert {index.name for index in table.indexes} <= made, table.name


def test_the_revisions_are_one_line(database: Database) -> None:
    script = ScriptDirectory(str(FOLDER))
    assert script.get_heads() == [newest()]
    with database.read() as connection:
        assert MigrationContext.configure(connection).get_current_revision() == newest()


def test_who_lacks_the_newest_revision_is_brought_to_it(database: Database) -> None:
    with database.write() as connection:
        config = Config()
        config.set_main_option("script_location", str(FOLDER))
        config.attributes["connection"] = connection
        command.downgrade(config, "0001")
    assert revision(database) == "0001"
    migrate(database)
    assert revision(database) == newest()


def test_migrating_again_changes_nothing(database: Database) -> None:
    with database.write() as connection:
        connection.execute(ServiceSecret.__table__.insert().values(name="x", value=b"kept"))  # type: ignore[attr-defined]
    before = revision(database)
    migrate(database)
    assert revision(database) == before
    with database.read() as connection:
        assert connection.scalar(select(ServiceSecret.value)) == b"kept"


def test_four_processes_may_migrate_at_once(empty_url: str) -> None:
    databases = [Database(empty_url) for _ in range(4)]
    with ThreadPoolExecutor(4) as pool:
        list(pool.map(migrate, databases))
    assert len({revision(database) for database in databases}) == 1
    for database in databases:
        database.dispose()


def test_the_command_prepares_an_installation_and_may_be_repeated(empty_url: str, tmp_path: Path) -> None:
    environment = Settings(data_dir=tmp_path / "data", database_url=empty_url).to_env()
    for _ in range(2):
        done = subprocess.run(
            [sys.executable, "-m", "shared.store.migrations"],
            cwd=ROOT,
            env={"PATH": "/usr/bin:/bin", **environment},
            capture_output=True,
            text=True,
            timeout=120,
            check=False,
        )
        assert (done.returncode, done.stdout) == (0, ""), done.stderr[-2000:]
    database = Database(empty_url)
    with database.read() as connection:
        secrets = connection.execute(select(ServiceSecret.name, ServiceSecret.value)).all()
        models = list(connection.scalars(select(ModelVersion.name)))
        active = versions.find(connection, None).name if models else None
    database.dispose()
    assert [(secret.name, len(secret.value)) for secret in secrets] == []
    shipped = sorted((ROOT / "shared" / "registry" / "published").glob("*/*.gonogo"))
    assert len(models) == len(set(models)) == len(shipped)
    assert active == (read_artifact(shipped[0]).name if shipped else None)


def test_a_database_of_the_second_revision_keeps_its_models_batches_and_first_key(empty_url: str) -> None:
    database = Database(empty_url)
    upgrade_to(database, "0002")
    with database.write() as connection:
        for statement in OLD_ROWS:
            connection.exec_driver_sql(statement)
    migrate(database)
    with database.read() as connection:
        for tenant in ("default", "another"):
            assert versions.find(connection, None, tenant).id == "mdl_old"
            assert versions.find(connection, "bolts", tenant).id == "mdl_old"
        row = connection.execute(select(Batch.model_id, Batch.blocked)).one()
        assert (row.model_id, row.blocked) == ("mdl_old", None)
        assert connection.scalar(select(Chunk.hand_backs)) == 0
        scopes = dict(connection.execute(select(ApiKey.id, ApiKey.scopes)).all())
    assert scopes["key_1"] == ["admin", "metrics", "operator", "read", "review", "submit"]
    assert scopes["key_2"] == ["admin"], "a tenant's admin is no operator"
    with database.write() as connection:  # the references are enforced again, and the old constraint is gone
        with pytest.raises(IntegrityError), connection.begin_nested():
            connection.execute(delete(ModelVersion))
        connection.exec_driver_sql(
            "INSERT INTO model_versions (id, name, sha256, threshold, review_low, review_high, card, created_at,"
            " tenant, status, trials) VALUES ('mdl_own', 'bolts', 'a', 0.5, 0.4, 0.6, '{}', 1, 'default', 'ready', 0)"
        )
    database.dispose()


OLD_ROWS = (
    "INSERT INTO model_versions (id, name, sha256, threshold, review_low, review_high, card, created_at)"
    " VALUES ('mdl_old', 'bolts', 'a', 0.5, 0.4, 0.6, '{}', 1)",
    "INSERT INTO model_activations (model_id, at) VALUES ('mdl_old', 1)",
    "INSERT INTO batches (id, tenant, status, origin, lane, sealed, version, model_id, threshold, review_low,"
    " review_high, metadata, on_error, total, queued, processing, succeeded, failed, cancelled, expired, defect,"
    " no_defect, review, bytes, created_at, retention_s) VALUES ('bat_1', 't', 'queued', 'batch', 'normal', true, 1,"
    " 'mdl_old', 0.5, 0.4, 0.6, '{}', 'continue', 1, 1, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1, 60)",
    "INSERT INTO chunks (batch_id, first_seq, last_seq, pack, lane, status, attempts, enqueued_at)"
    " VALUES ('bat_1', 0, 0, 0, 'normal', 'queued', 0, 1)",
    "INSERT INTO api_keys (id, tenant, name, prefix, sha256, scopes, created_at) VALUES ('key_1', 'default', 'admin',"
    ' \'p1\', \'s\', \'["admin", "submit", "read", "review"]\', 1)',
    "INSERT INTO api_keys (id, tenant, name, prefix, sha256, scopes, created_at) VALUES ('key_2', 'other', 'admin',"
    " 'p2', 's', '[\"admin\"]', 2)",
)


def upgrade_to(database: Database, revision: str) -> None:
    config = Config()
    config.set_main_option("script_location", str(FOLDER))
    with database.altering() as connection:
        config.attributes["connection"] = connection
        command.upgrade(config, revision)
