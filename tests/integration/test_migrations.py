"""A database is brought to the newest revision from nothing, from the first one, twice, and by many at once."""

import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from alembic import command
from alembic.autogenerate import compare_metadata
from alembic.config import Config
from alembic.migration import MigrationContext
from alembic.script import ScriptDirectory
from sqlalchemy import inspect, select

from shared.registry import versions
from shared.registry.artifact import read_artifact
from shared.settings import Settings
from shared.store import migrations
from shared.store.engine import Database
from shared.store.migrations import migrate, newest, revision
from shared.store.tables import Base, ModelVersion, ServiceSecret

ROOT = Path(__file__).parents[2]
FOLDER = Path(migrations.__file__).parent


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


def test_four_processes_may_migrate_at_once(database_url: str) -> None:
    databases = [Database(database_url) for _ in range(4)]
    with ThreadPoolExecutor(4) as pool:
        list(pool.map(migrate, databases))
    assert len({revision(database) for database in databases}) == 1
    for database in databases:
        database.dispose()


def test_the_command_prepares_an_installation_and_may_be_repeated(database_url: str, tmp_path: Path) -> None:
    environment = Settings(data_dir=tmp_path / "data", database_url=database_url).to_env()
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
    database = Database(database_url)
    with database.read() as connection:
        secrets = connection.execute(select(ServiceSecret.name, ServiceSecret.value)).all()
        models = list(connection.scalars(select(ModelVersion.name)))
        active = versions.find(connection, None).name if models else None
    database.dispose()
    assert [(secret.name, len(secret.value)) for secret in secrets] == [("session", 32)]
    shipped = sorted((ROOT / "shared" / "registry" / "published").glob("*/*.gonogo"))
    assert len(models) == len(set(models)) == len(shipped)
    assert active == (read_artifact(shipped[0]).name if shipped else None)
