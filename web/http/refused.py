"""Refused keys in the audit trail: the first of an address at once, repetitions as a number, and never without bound.

A client that retries with a dead key, or a guesser, could otherwise fill the database with entries.
"""

import logging
import threading
import time
from dataclasses import dataclass

from sqlalchemy.exc import DBAPIError

from shared.access import audit, keys
from shared.access.audit import Actor
from shared.registry.activations import INSTALLATION
from shared.store.engine import Database

log = logging.getLogger(__name__)
_AGAIN_S = 60.0  # after which a repetition from the same address with the same key gets an entry
_ENTRIES_A_MINUTE = 60  # of one process, whatever the addresses
_MOST = 10_000


@dataclass
class _Seen:
    at: float
    unwritten: int = 0


class RefusedKeys:
    """The refusals of one web process. Safe to call from any thread."""

    def __init__(self, database: Database) -> None:
        self._database = database
        self._seen: dict[tuple[str | None, str], _Seen] = {}
        self._minute, self._written = 0.0, 0
        self._lock = threading.Lock()

    def note(self, secret: str, actor: Actor) -> None:
        """Note a key that was refused. While the database is away the refusal goes on, and the log has a line."""
        prefix = _prefix(secret)
        times = self._due(actor.address, prefix)
        if not times:
            return
        try:
            self._write(secret, prefix, actor, times)
        except DBAPIError as error:
            log.warning("a refused key from %s has no audit entry: %s", actor.address, error.orig)

    def _due(self, address: str | None, prefix: str) -> int:
        """How many refusals the entry that is due now stands for; 0 where none is due."""
        now = time.monotonic()
        with self._lock:
            if now - self._minute > 60.0:
                self._minute, self._written = now, 0
            if len(self._seen) > _MOST:
                self._seen.clear()
            seen = self._seen.setdefault((address, prefix), _Seen(at=now - _AGAIN_S))
            seen.unwritten += 1
            if now - seen.at < _AGAIN_S or self._written >= _ENTRIES_A_MINUTE:
                return 0
            times, seen.unwritten, seen.at = seen.unwritten, 0, now
            self._written += 1
            return times

    def _write(self, secret: str, prefix: str, actor: Actor, times: int) -> None:
        with self._database.read() as connection:
            dead = keys.find_dead_key(connection, secret)
        tenant, key_id = (INSTALLATION, None) if dead is None else (dead.tenant, dead.id)
        with self._database.write() as connection:
            audit.append(
                connection,
                actor,
                "session.refuse",
                tenant=tenant,
                object_id=key_id,
                prefix=prefix,
                times=times,
            )


def _prefix(secret: str) -> str:
    """The public part of a key, by which an operator finds it; empty where the text has not the form of a key."""
    parts = secret.split("_")
    has_form = len(parts) == 3 and parts[0] == "gng" and len(parts[1]) == 12 and parts[1].isalnum()
    return parts[1] if has_form and parts[1].isascii() else ""
