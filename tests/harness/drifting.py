"""A model version with a reference, and tallies of images that look like it or not."""

from collections.abc import Iterable

from sqlalchemy import Connection, select, update

from shared.lifecycle import drift
from shared.store import tallies
from shared.store.tables import ModelVersion
from shared.store.tallies import Tallies
from shared.vision.drift import Reference, counted

WINDOW = 200
FAMILIAR, STRANGE = (0.02, 0.3), (0.4, 1.5)


# Good parts score low and defects high, and both are familiar.
REFERENCE = Reference(good=counted([FAMILIAR] * 1000), defect=counted([(0.98, 0.4)] * 1000))


def give_reference(connection: Connection, model_id: str) -> None:
    """Write the reference into the card of a registered model version."""
    card = connection.scalar(select(ModelVersion.card).where(ModelVersion.id == model_id)) or {}
    changed = update(ModelVersion).where(ModelVersion.id == model_id)
    connection.execute(changed.values(card=card | {"reference": REFERENCE.as_card()}))


def tally(
    connection: Connection,
    tenant: str,
    model_id: str,
    line: str | None,
    measured: Iterable[tuple[float, float | None]],
) -> None:
    """Write the tallies of judged images, as a worker does with its heartbeat."""
    sums = Tallies()
    sums.add(drift.tallied(tenant, model_id, line, measured))
    tallies.add(connection, sums.take())


def look(connection: Connection, tenant: str, model_id: str, line: str, *, drifted: bool) -> tuple[str, ...]:
    """A window of images of a line; the ids of the deliveries that are owed."""
    give_reference(connection, model_id)
    tally(connection, tenant, model_id, line, [STRANGE if drifted else FAMILIAR] * WINDOW)
    deliveries: list[str] = []
    for label in drift.due(connection, WINDOW, 10):
        deliveries += drift.look(connection, label, WINDOW)
    return tuple(deliveries)
