"""Drift windows: the images that a tenant's line has sent to a model version are compared with its reference.

Workers count bins in their tallies, so an item costs no statement. The sweep takes the tallies of a line away as soon
as they count enough images, and writes the window that they make. A worker that is killed takes the counts since its
last heartbeat with it: a window then has fewer images, and none of them counts twice.
"""

from collections.abc import Iterable, Iterator, Sequence
from typing import NamedTuple

from sqlalchemy import Connection, bindparam, delete, func, insert, or_, select

from shared.contract.drift import drift_payload
from shared.contract.events import DRIFT_DETECTED
from shared.contract.marks import DRIFT, BatchWarning
from shared.lifecycle import warned
from shared.store.engine import clock, database_time
from shared.store.records import DriftWindowRecord, ModelRecord
from shared.store.tables import Batch, DriftWindow, ModelVersion, Tally
from shared.store.tallies import DRIFT_COUNTS, Key, Sum
from shared.vision.drift import (
    BINS,
    SCORE,
    UNFAMILIARITY,
    Compared,
    compare,
    read_reference,
    score_bin,
    unfamiliarity_bin,
)
from shared.webhooks import owed
from shared.webhooks.receivers import Content

_FIRST_BUCKET = {SCORE: 0, UNFAMILIARITY: 100}
_MOST_WARNED = 500  # batches that one window warns
KEPT_S = 90 * 86400.0

_OF_LINE = (Tally.name == DRIFT_COUNTS, Tally.label == bindparam("in_label"))
_DUE = (
    select(Tally.label)
    .where(Tally.name == DRIFT_COUNTS, Tally.bucket < _FIRST_BUCKET[UNFAMILIARITY])
    .group_by(Tally.label)
    .having(func.sum(Tally.count) >= bindparam("images"))
    .limit(bindparam("most"))
)
# In the order in which workers add to them, so that no two transactions wait for each other.
_LOCK = select(Tally.bucket, Tally.count).where(*_OF_LINE).order_by(Tally.bucket).with_for_update()
_TAKE = delete(Tally).where(*_OF_LINE, Tally.bucket.in_(bindparam("buckets", expanding=True)))
_BEFORE = (
    select(DriftWindow.__table__)
    .where(
        DriftWindow.tenant == bindparam("of_tenant"),
        DriftWindow.model_id == bindparam("of_model"),
        DriftWindow.line == bindparam("on_line"),
    )
    .order_by(DriftWindow.id.desc())
    .limit(1)
)
_OUTLIVED = delete(DriftWindow).where(DriftWindow.ended_at < clock() - KEPT_S)


class _Line(NamedTuple):
    """The images that are looked at together."""

    tenant: str
    model_id: str
    line: str

    @property
    def label(self) -> str:
        """As the tallies are labelled. A tenant's name and a model's id have no comma."""
        return ",".join(self)


def tallied(
    tenant: str, model_id: str, line: str | None, measured: Iterable[tuple[float, float | None]]
) -> Iterator[tuple[Key, Sum]]:
    """The tallies of judged images, each given as (score, unfamiliarity)."""
    label = _Line(tenant, model_id, line or "").label
    for score, distance in measured:
        yield Key(DRIFT_COUNTS, label, _FIRST_BUCKET[SCORE] + score_bin(score)), Sum(1)
        if distance is not None:
            yield Key(DRIFT_COUNTS, label, _FIRST_BUCKET[UNFAMILIARITY] + unfamiliarity_bin(distance)), Sum(1)


def due(connection: Connection, images: int, most: int) -> Sequence[str]:
    """Labels of at most `most` lines of which at least `images` images wait for a look."""
    return list(connection.scalars(_DUE, {"images": images, "most": most}))


def look(connection: Connection, label: str, images: int) -> tuple[str, ...]:
    """Make a window of the images that wait, if they are enough: note it, warn the batches that it belongs to, and owe
    `drift.detected` where the window before had no drift. Returns the ids of the deliveries.
    """
    rows = {row[0]: row[1] for row in connection.execute(_LOCK, {"in_label": label})}
    window = {
        measure: [rows.get(_FIRST_BUCKET[measure] + number, 0) for number in range(BINS[measure])]
        for measure in BINS
    }
    if sum(window[SCORE]) < images:
        return ()  # another sweep has taken them
    connection.execute(_TAKE, {"in_label": label, "buckets": [*rows]})
    connection.execute(_OUTLIVED)
    line = _Line(*label.split(",", 2))
    found = connection.execute(select(ModelVersion.__table__).where(ModelVersion.id == line.model_id)).first()
    model = ModelRecord._make(found) if found is not None else None
    reference = read_reference(model.card) if model is not None else None
    if reference is None:
        return ()
    compared = compare(window, reference)
    before, row = _note(connection, line, window, compared)
    if not row.drifted:
        return ()
    _warn(connection, row)
    if before is not None and before.drifted:
        return ()
    at = database_time(connection)
    event = owed.Event(DRIFT_DETECTED, drift_payload(row), at, str(row.id), Content(line=row.line or None))
    return owed.owe_event(connection, event, tenant=row.tenant)


def _note(
    connection: Connection, line: _Line, window: dict[str, list[int]], compared: Compared
) -> tuple[DriftWindowRecord | None, DriftWindowRecord]:
    """Write the window; returns the one before, and the new one."""
    parameters = {"of_tenant": line.tenant, "of_model": line.model_id, "on_line": line.line}
    found = connection.execute(_BEFORE, parameters).first()
    before = DriftWindowRecord._make(found) if found is not None else None
    written = connection.execute(
        insert(DriftWindow)
        .values(
            **line._asdict(),
            began_at=before.ended_at if before is not None else None,
            ended_at=clock(),
            images=compared.images,
            counts=window,
            distances=compared.distances,
            limit=compared.limit,
            defect_share=compared.defect_share,
            drifted=compared.drifted,
        )
        .returning(DriftWindow.__table__)
    ).one()
    return before, DriftWindowRecord._make(written)


def _warn(connection: Connection, row: DriftWindowRecord) -> None:
    """Warn the batches whose images are in the window, each once."""
    batches = select(Batch.id, Batch.warnings).where(
        Batch.tenant == row.tenant,
        Batch.model_id == row.model_id,
        Batch.line == row.line if row.line else Batch.line.is_(None),
        Batch.started_at <= row.ended_at,
        or_(Batch.finished_at.is_(None), Batch.finished_at >= (row.began_at or 0.0)),
        Batch.origin != "predict",
    )
    found = connection.execute(batches.order_by(Batch.id.desc()).limit(_MOST_WARNED)).all()
    where = f"of line {row.line}" if row.line else "without a line"
    farthest = max(row.distances, key=lambda measure: row.distances[measure])
    warning: BatchWarning = {
        "code": DRIFT,
        "detail": (
            f"a window of {row.images} images {where} does not look like the model's reference: the distance of "
            f"their {farthest} is {row.distances[farthest]:.2f}, and chance explains {row.limit:.2f}"
        ),
    }
    for batch in sorted(found, key=lambda batch: str(batch.id)):
        if not any(each["code"] == DRIFT for each in batch.warnings or []):
            warned.warn(connection, batch.id, warning)
