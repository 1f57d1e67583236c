"""Remembers live API keys for a few seconds: a thousand clients that poll each second must not cost a query each."""

import logging
import threading
import time
from collections.abc import Callable
from typing import Literal

from sqlalchemy.exc import DBAPIError

from shared.access import keys
from shared.store.engine import Database
from shared.store.records import ApiKeyRecord

log = logging.getLogger(__name__)
_REMEMBER_S = 3.0
_NOTE_EVERY_S = 60.0
_MOST = 10_000


class KnownKeys:
    """The live keys of one application, by their secret (bearer) or id (cookie)."""

    def __init__(self, database: Database) -> None:
        self._database = database
        # A key's id, for which a cookie vouches, must never pass for its secret: the first member says which it is.
        self._known: dict[tuple[Literal["secret", "id"], str], tuple[float, ApiKeyRecord]] = {}
        self._noting: set[str] = set()  # keys whose use is being noted now

    def by_secret(self, secret: str) -> ApiKeyRecord | None:
        """The live key with this secret, as known for at most a few seconds."""
        return self._remembered("secret", secret, self.find_live)

    def by_id(self, key_id: str) -> ApiKeyRecord | None:
        """The live key with this id, as known for at most a few seconds."""
        return self._remembered("id", key_id, self._find_by_id)

    def forget(self) -> None:
        """Look up every key again: one was revoked in this process."""
        self._known.clear()

    def find_live(self, secret: str) -> ApiKeyRecord | None:
        """The live key with this secret, from the database; its use is noted once a minute."""
        with self._database.read() as connection:
            row = keys.find_key(connection, secret)
        if row is None or row.id in self._noting:
            return row
        if row.last_used_at is None or row.last_used_at < time.time() - _NOTE_EVERY_S:
            self._noting.add(row.id)
            threading.Thread(target=self._note_use, args=(row.id,), name="key-use", daemon=True).start()
        return row

    def _find_by_id(self, key_id: str) -> ApiKeyRecord | None:
        with self._database.read() as connection:
            return keys.get_key(connection, key_id)

    def _note_use(self, key_id: str) -> None:
        """Runs in a thread of its own: a request that only reads must not wait while the database is locked."""
        try:
            with self._database.write() as connection:
                keys.touch_key(connection, key_id)
        except DBAPIError as error:
            log.warning("the use of key %s is not noted: %s", key_id, error.orig)
        finally:
            self._noting.discard(key_id)

    def _remembered(
        self, kind: Literal["secret", "id"], credential: str, find: Callable[[str], ApiKeyRecord | None]
    ) -> ApiKeyRecord | None:
        at, row = self._known.get((kind, credential), (0.0, None))
        if row is not None and time.monotonic() - at < _REMEMBER_S:
            return row
        row = find(credential)
        if row is None:
            self._known.pop((kind, credential), None)
            return None
        if len(self._known) > _MOST:
            self._known.clear()
        self._known[kind, credential] = (time.monotonic(), row)
        return row
