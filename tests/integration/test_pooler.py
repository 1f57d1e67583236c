"""PgBouncer in transaction mode, told and untold."""

import subprocess
import sys
from pathlib import Path

import pytest

from shared.errors import SettingsError
from shared.settings import Settings
from shared.store.engine import Database
from shared.store.migrations.upgrade import migrate, newest, revision
from tests.harness.databases import empty_database_url
from tests.harness.pooler import needs_pooler, through_pooler
from tests.harness.processes import ROOT, environment


@pytest.mark.row(43)
def test_a_url_that_does_not_say_pgbouncer_is_refused_in_a_line_that_tells_how(tmp_path: Path) -> None:
    needs_pooler()
    with empty_database_url("postgresql", tmp_path) as url:
        told = through_pooler(url)
        database = Database(told)
        migrate(database)
        assert revision(database) == newest()
        database.dispose()
        untold = told.partition("?")[0]
        with pytest.raises(SettingsError, match="pgbouncer=true"):
            revision(Database(untold))
        settings = Settings(data_dir=tmp_path, database_url=untold)
        done = subprocess.run(
            [sys.executable, "-m", "shared.store.migrations"],
            cwd=ROOT, env=environment(**settings.to_env()), capture_output=True, text=True, timeout=60, check=False,
        )  # fmt: skip
        assert (done.returncode, done.stderr) == (
            1, "gonogo: GONOGO_DATABASE_URL leads to a PgBouncer: add ?pgbouncer=true to it\n"
        )  # fmt: skip
