"""A watcher notes its plans, and what was sent and moved, in a SQLite file. The notes survive a kill at any moment.

A plan is written before its images are sent, under the Idempotency-Key that it is sent with. So a watcher that starts
again sends the same plan with the same key, and the service answers with the batch that it made the first time.
"""

import os
import sqlite3
from collections.abc import Iterable
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path

from shared.errors import GonogoError

_SCHEMA = """
CREATE TABLE IF NOT EXISTS plans (
    key TEXT PRIMARY KEY, lot TEXT, batch_id TEXT, ended INTEGER NOT NULL DEFAULT 0
);
CREATE TABLE IF NOT EXISTS files (
    key TEXT NOT NULL REFERENCES plans (key), name TEXT NOT NULL, sha256 TEXT NOT NULL, size INTEGER NOT NULL,
    mtime_ns INTEGER NOT NULL, place TEXT, PRIMARY KEY (key, name)
);
CREATE INDEX IF NOT EXISTS ix_files_content ON files (name, sha256);
CREATE INDEX IF NOT EXISTS ix_plans_open ON plans (ended) WHERE ended = 0;
"""


class JournalUnusable(GonogoError):
    """The journal of a folder is damaged, or cannot be opened."""

    code = "unusable_input"


@dataclass(frozen=True, slots=True)
class KnownFile:
    """A file as it was read: its name inside the folder, the sha256 of its bytes, its size and its time."""

    name: str
    sha256: str
    size: int
    mtime_ns: int


@dataclass(frozen=True, slots=True)
class Plan:
    """Files that become one batch; `batch_id` is known once the service has answered."""

    key: str
    lot: str | None
    batch_id: str | None
    files: tuple[KnownFile, ...]


class Journal:
    """The journal of one folder. Each method is one transaction, durable when it returns."""

    def __init__(self, path: Path) -> None:
        try:
            self._connection = sqlite3.connect(path, isolation_level=None, timeout=30)
            self._connection.execute("PRAGMA journal_mode = DELETE")  # WAL does not work on network drives
            self._connection.execute("PRAGMA synchronous = FULL")
            self._connection.executescript(_SCHEMA)
        except sqlite3.DatabaseError as error:
            raise JournalUnusable(
                f"the journal {path} cannot be read ({error}): restore it, or move it away; without it, images that"
                " were judged and not moved yet are judged again"
            ) from error

    def close(self) -> None:
        self._connection.close()

    def plan(self, key: str, lot: str | None, files: Iterable[KnownFile]) -> Plan:
        """Keep a new plan."""
        made = Plan(key, lot, None, tuple(files))
        rows = [(key, _kept(file.name), file.sha256, file.size, file.mtime_ns) for file in made.files]
        with self._connection as connection:
            connection.execute("BEGIN IMMEDIATE")
            connection.execute("INSERT INTO plans (key, lot) VALUES (?, ?)", (key, lot))
            connection.executemany(
                "INSERT INTO files (key, name, sha256, size, mtime_ns) VALUES (?, ?, ?, ?, ?)", rows
            )
        return made

    def sent(self, key: str, batch_id: str) -> None:
        """The service has accepted the plan."""
        self._connection.execute("UPDATE plans SET batch_id = ? WHERE key = ?", (batch_id, key))

    def moved(self, key: str, names: Iterable[str], place: str) -> None:
        """The files have left the folder for `place`: done, failed, or `changed` where a file was written again."""
        with self._connection as connection:
            connection.execute("BEGIN IMMEDIATE")
            connection.executemany(
                "UPDATE files SET place = ? WHERE key = ? AND name = ?",
                [(place, key, _kept(name)) for name in names],
            )

    def ended(self, key: str) -> None:
        """All files of the plan have been moved."""
        self._connection.execute("UPDATE plans SET ended = 1 WHERE key = ?", (key,))

    def drop(self, key: str, names: Iterable[str]) -> None:
        """Forget files of a plan that was not accepted, since they are gone or were written again."""
        with self._connection as connection:
            connection.execute("BEGIN IMMEDIATE")
            connection.executemany(
                "DELETE FROM files WHERE key = ? AND name = ?", [(key, _kept(name)) for name in names]
            )
            empty = "SELECT key FROM plans WHERE key = ? AND NOT EXISTS (SELECT 1 FROM files WHERE key = plans.key)"
            for (gone,) in connection.execute(empty, (key,)).fetchall():
                connection.execute("DELETE FROM plans WHERE key = ?", (gone,))

    def open_plans(self) -> list[Plan]:
        """Plans whose files are not all moved, oldest first, each with the files that are left."""
        query = "SELECT key, lot, batch_id FROM plans WHERE ended = 0 ORDER BY rowid"
        return [
            Plan(key, lot, batch_id, self._left(key))
            for key, lot, batch_id in self._connection.execute(query).fetchall()
        ]

    def verdict_of(self, name: str, sha256: str) -> str | None:
        """The batch that gave a file of this name and content its verdict; None where none did."""
        query = (
            "SELECT batch_id FROM files JOIN plans USING (key)"
            " WHERE name = ? AND sha256 = ? AND place = 'done' LIMIT 1"
        )
        found = self._connection.execute(query, (_kept(name), sha256)).fetchone()
        return None if found is None else str(found[0])

    def _left(self, key: str) -> tuple[KnownFile, ...]:
        query = (
            "SELECT name, sha256, size, mtime_ns FROM files WHERE key = ? AND place IS NULL ORDER BY rowid"
        )
        with closing(self._connection.execute(query, (key,))) as rows:
            return tuple(KnownFile(_name(name), *rest) for name, *rest in rows)


def _kept(name: str) -> str | bytes:
    """A name as the journal keeps it: one that is no UTF-8 on the disk, as its bytes."""
    try:
        name.encode()
    except UnicodeEncodeError:
        return os.fsencode(name)
    return name


def _name(kept: str | bytes) -> str:
    return os.fsdecode(kept)
