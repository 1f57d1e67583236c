"""Fetches of images in the test's own process."""

from sqlalchemy import update

from shared.lifecycle import fetches
from shared.store.engine import database_time
from shared.store.tables import Fetch
from tests.harness.application import Application
from worker.fetching.fetch import Place, fetch


def place_of(app: Application) -> Place:
    here = app.runtime
    return Place.open(here.settings, here.celery, here.database, here.broker)


def due_items(app: Application) -> list[str]:
    with app.database.read() as connection:
        return fetches.due(connection, 10_000, database_time(connection))


def fetch_due(app: Application, *, until_none: bool = False) -> list[str]:
    """Try each fetch that is due, one after the other; with `until_none` those too that were put off. The outcomes."""
    place, outcomes = place_of(app), list[str]()
    while due := due_items(app):
        outcomes += [fetch(place, item) for item in due]
        if until_none:
            make_due(app)
    return outcomes


def make_due(app: Application) -> None:
    """Let the due time of every pending fetch come, as the time does."""
    with app.database.write() as connection:
        connection.execute(update(Fetch).values(due_at=0.0))
