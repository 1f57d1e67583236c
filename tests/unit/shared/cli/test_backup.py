"""A backup keeps the keys, and no session of a browser."""

import sqlite3
from contextlib import closing
from pathlib import Path

from shared.access import keys, sessions
from shared.cli.commands.backup import copy
from shared.store.engine import Database
from tests.harness.databases import prepare


def test_a_copy_has_the_keys_and_no_session(tmp_path: Path) -> None:
    source, target = tmp_path / "data", tmp_path / "copy"
    source.mkdir()
    target.mkdir()
    database = Database(f"sqlite:///{source / 'gonogo.db'}")
    prepare(database)
    with database.write() as connection:
        identifier, _ = keys.create_key(connection, tenant="t", name="n", scopes=["read"])
        sessions.begin(connection, identifier, 600)
    copy(source, target)
    counts = []
    for folder in (source, target):
        with closing(sqlite3.connect(folder / "gonogo.db")) as made:
            counts.append(
                [
                    made.execute(f"SELECT count(*) FROM {table}").fetchone()[0]
                    for table in ("api_keys", "sessions")
                ]
            )
    database.dispose()
    assert counts == [[1, 1], [1, 0]]
