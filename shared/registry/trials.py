"""The rows of trials: an uploaded version is `testing` until a worker has loaded it, then `ready` or `refused`.

Each change is a compare-and-set. A claim moves the due time, so a trial that dies leaves a due time that passes, and
the sweep sends it again.
"""

from sqlalchemy import Connection, select, update

from shared.contract.states import ModelStatus
from shared.store.engine import clock
from shared.store.tables import ModelVersion

MOST_TRIALS = 5
_LOST = f"its trial did not come to an end in {MOST_TRIALS} tries: the worker died or was killed each time"


def due(connection: Connection, limit: int, *, overdue_s: float = 0.0) -> list[str]:
    """Ids of at most `limit` versions whose trial has been due for `overdue_s` seconds."""
    query = select(ModelVersion.id).where(
        ModelVersion.status == ModelStatus.TESTING, ModelVersion.trial_due_at <= clock() - overdue_s
    )
    return list(connection.scalars(query.order_by(ModelVersion.trial_due_at).limit(limit)))


def claim(connection: Connection, model_id: str, hold_s: float) -> str | None:
    """Claim a trial for `hold_s` seconds and count it; returns the sha256 of the artifact, None where it is not due.

    A version whose trials were all lost is refused.
    """
    testing = (ModelVersion.id == model_id, ModelVersion.status == ModelStatus.TESTING)
    is_due = ModelVersion.trial_due_at <= clock()
    connection.execute(
        update(ModelVersion)
        .where(*testing, is_due, ModelVersion.trials >= MOST_TRIALS)
        .values(status=ModelStatus.REFUSED, reason=_LOST)
    )
    return connection.scalar(
        update(ModelVersion)
        .where(*testing, is_due)
        .values(trials=ModelVersion.trials + 1, trial_due_at=clock() + hold_s)
        .returning(ModelVersion.sha256)
    )


def end(connection: Connection, model_id: str, reason: str | None) -> bool:
    """Record how a trial ended: refused for this reason, or ready where there is none. False if it ended before."""
    status = ModelStatus.READY if reason is None else ModelStatus.REFUSED
    changed = connection.execute(
        update(ModelVersion)
        .where(ModelVersion.id == model_id, ModelVersion.status == ModelStatus.TESTING)
        .values(status=status, reason=reason)
    )
    return changed.rowcount == 1
