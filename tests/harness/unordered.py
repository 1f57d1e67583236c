"""SQLite gives the rows of every SELECT without ORDER BY in reverse.

On PostgreSQL such rows may come in any order: a new row takes the place of one that is gone. SQLite nearly always
gives them as they were written, so that a test or a statement which relies on it passes by luck. `tests.conftest`
installs this in the test process; children install it by TEST_HOOKS (see hooks).
"""

import functools
import sqlite3
from sqlite3 import dbapi2


def install() -> None:
    """Set the pragma on every connection that this process opens from now on."""
    real = sqlite3.connect

    @functools.wraps(real)
    def connect(*args, **kwargs):  # type: ignore[no-untyped-def]
        connection = real(*args, **kwargs)
        connection.execute("PRAGMA reverse_unordered_selects = ON")
        return connection

    sqlite3.connect = dbapi2.connect = connect
