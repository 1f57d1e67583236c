"""Rows of workers that are gone."""

from collections.abc import Sequence

from sqlalchemy import select

from shared.lifecycle import workers
from shared.store.tables import Worker
from worker.process import is_gone
from worker.upkeep.site import Site

NAME = "workers"
ABOUT = "rows of workers that are gone: removed"


def find(site: Site, most: int) -> Sequence[str]:
    """Workers without a heartbeat for a lease, and workers here whose process is dead.

    The latter need not wait: readyz must not call a lane served by a dead worker.
    """
    alive = workers.is_alive(site.settings.lease_s)
    query = select(Worker.id, Worker.host, Worker.pid, alive.label("alive"))
    with site.database.read() as connection:
        known = connection.execute(query).all()
    return [row.id for row in known if not row.alive or is_gone(row.host, row.pid)][:most]


def mend(site: Site, found: Sequence[str]) -> None:
    with site.database.write() as connection:
        workers.leave(connection, *found)
