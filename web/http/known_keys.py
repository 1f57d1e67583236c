"""Remembers live API keys for a few seconds: a thousand clients that poll each second must not cost a query each.

A session is looked up at each request: a person's browser asks seldom, and a signed-out session ends at once in every
web process.
"""

import logging
import threading
import time

from sqlalchemy.exc import DBAPIError

from shared.access import keys, sessions
from shared.store.engine import Database
from shared.store.records import ApiKeyRecord

log = logging.getLogger(__name__)
_REMEMBER_S = 3.0
_NOTE_EVERY_S = 60.0
_AHEAD_S = 3600.0  # beyond the difference of two machines' clocks: a note from under a clock that ran ahead
_MOST = 10_000


class KnownKeys:
    """The live keys of one application, by their secret (bearer) or by a session's token (cookie)."""

    def __init__(self, database: Database) -> None:
        self._database = database
        self._known: dict[str, tuple[float, ApiKeyRecord]] = {}  # by secret
        self._noting: set[str] = set()  # keys whose use is being noted now
        self._lock, self._forgotten = threading.Lock(), 0

    def by_secret(self, secret: str) -> ApiKeyRecord | None:
        """The live key with this secret, as known for at most a few seconds."""
        at, row = self._known.get(secret, (0.0, None))
        if row is not None and time.monotonic() - at < _REMEMBER_S and not _is_over(row):
            return row
        forgotten = self._forgotten
        row = self.find_live(secret)
        with self._lock:
            if row is None:
                self._known.pop(secret, None)
            # A key that was revoked after the look-up, and before this line, must not be remembered as live.
            elif forgotten == self._forgotten:
                if len(self._known) > _MOST:
                    self._known.clear()
                self._known[secret] = (time.monotonic(), row)
        return row

    def by_session(self, token: str) -> ApiKeyRecord | None:
        """The live key of the session with this token."""
        with self._database.read() as connection:
            return sessions.find_key(connection, token)

    def forget(self) -> None:
        """Look up every key again: one was revoked or rotated in this process."""
        with self._lock:
            self._forgotten += 1
            self._known.clear()

    def find_live(self, secret: str) -> ApiKeyRecord | None:
        """The live key with this secret, from the database; its use is noted once a minute."""
        with self._database.read() as connection:
            row = keys.find_key(connection, secret)
        if row is None or row.id in self._noting:
            return row
        if not _is_noted(row):
            self._noting.add(row.id)
            threading.Thread(target=self._note_use, args=(row.id,), name="key-use", daemon=True).start()
        return row

    def _note_use(self, key_id: str) -> None:
        """Runs in a thread of its own: a request that only reads must not wait while the database is locked."""
        try:
            with self._database.write() as connection:
                keys.touch_key(connection, key_id)
        except DBAPIError as error:
            log.warning("the use of key %s is not noted: %s", key_id, error.orig)
        finally:
            self._noting.discard(key_id)


def _is_noted(row: ApiKeyRecord) -> bool:
    age_s = time.time() - (row.last_used_at or 0.0)
    return -_AHEAD_S < age_s < _NOTE_EVERY_S


def _is_over(row: ApiKeyRecord) -> bool:
    """Whether a remembered key has expired since; the look-up itself goes by the clock of the database."""
    return row.expires_at is not None and row.expires_at <= time.time()
