"""Fetches of images in the test's own process."""

import contextlib
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

from sqlalchemy import func, select, update

from shared.lifecycle import fetches
from shared.store.engine import database_time
from shared.store.tables import Fetch
from tests.harness.application import Application, application
from tests.harness.databases import migrated_database_url
from tests.integration.lifecycle.truth import check_counters
from worker.fetching.fetch import Place, fetch

LOOPBACK = "127.0.0.0/8"
MOST_BYTES = 300_000


@contextlib.contextmanager
def fetching_application(
    kind: str, folder: Path, artifact: Path, broker_url: str, **changed: Any
) -> Iterator[Application]:
    """An installation whose fetches reach loopback, wait little, and take images of at most MOST_BYTES."""
    settings = {
        "fetch_allowed_networks": LOOPBACK, "fetch_timeout_s": 2.0, "fetch_silence_s": 1.0,
        "max_item_bytes": MOST_BYTES, **changed,
    }  # fmt: skip
    with (
        migrated_database_url(kind, folder) as url,
        application(folder, artifact, broker_url, url, **settings) as made,
    ):
        yield made


def place_of(app: Application) -> Place:
    here = app.runtime
    return Place.open(here.settings, here.celery, here.database, here.broker)


def due_items(app: Application) -> list[str]:
    with app.database.read() as connection:
        return fetches.due(connection, 10_000, database_time(connection))


def fetch_due(app: Application, *, until_none: bool = False, **changed: Any) -> list[str]:
    """Try each fetch that is due, under changed settings; with `until_none` those too that were put off. Outcomes."""
    place, outcomes = place_of(app), list[str]()
    place = replace(place, settings=replace(place.settings, **changed))
    while due := due_items(app):
        outcomes += [fetch(place, item) for item in due]
        if until_none:
            make_due(app)
    return outcomes


def make_due(app: Application) -> None:
    """Let the due time of every pending fetch come, as the time does."""
    with app.database.write() as connection:
        connection.execute(update(Fetch).values(due_at=0.0))


def submit(app: Application, inputs: list[dict[str, Any]], query: str = "", **options: Any) -> Any:
    answer = app.call("POST", f"/v1/batches{query}", json={"inputs": inputs, "options": options})
    assert answer.status_code == 202, answer.text
    return answer.get_json()


def batch_of(app: Application, batch_id: str) -> Any:
    """The batch as GET shows it; its counters agree with its items."""
    with app.database.read() as connection:
        check_counters(connection)
    found = app.get(f"/v1/batches/{batch_id}")
    counts = dict(found["counts"])
    assert counts.pop("total") == sum(counts.values())
    return found


def fetch_rows(app: Application, batch_id: str) -> int:
    with app.database.read() as connection:
        counted = select(func.count()).select_from(Fetch).where(Fetch.batch_id == batch_id)
        return int(connection.scalar(counted) or 0)


def stored_packs(app: Application, batch_id: str) -> int:
    return len([*app.service.blobs.batch_folder(batch_id).glob("*")])


def errors_of(app: Application, batch_id: str) -> list[str | None]:
    return [item["error"] and item["error"]["code"] for item in app.results(batch_id)]
