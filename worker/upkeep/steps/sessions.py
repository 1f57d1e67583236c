"""Rows of sessions that have ended, by their own time or with their key."""

from collections.abc import Sequence

from shared.access import sessions
from worker.upkeep.site import Site

NAME = "sessions"
ABOUT = "rows of sessions that have ended: removed"


def find(site: Site, most: int) -> Sequence[str]:
    now = site.clock.now()
    with site.database.read() as connection:
        return sessions.outlived(connection, now, most)


def mend(site: Site, found: Sequence[str]) -> None:
    with site.database.write() as connection:
        sessions.forget(connection, list(found))
