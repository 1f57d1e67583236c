"""The table of drift windows."""

from sqlalchemy import JSON, Index, String
from sqlalchemy.orm import Mapped, mapped_column

from shared.store.base import Base, Id, RowId
from shared.store.documents import Counts, Distances


class DriftWindow(Base):
    """Images of one tenant, model version and production line, compared with the model's reference.

    `line` is empty for batches that name none. `counts` has the counts of the bins by measure, `distances` those from
    the reference (shared.vision.drift).
    """

    __tablename__ = "drift_windows"

    id: Mapped[int] = mapped_column(RowId, primary_key=True, autoincrement=True)
    tenant: Mapped[str] = mapped_column(String(64))
    model_id: Mapped[str] = mapped_column(Id)
    line: Mapped[str] = mapped_column(String(200))
    began_at: Mapped[float | None]
    ended_at: Mapped[float]
    images: Mapped[int]
    counts: Mapped[Counts] = mapped_column(JSON)
    distances: Mapped[Distances] = mapped_column(JSON)
    limit: Mapped[float]
    defect_share: Mapped[float]
    drifted: Mapped[bool]

    __table_args__ = (
        Index("ix_drift_windows_of", "tenant", "model_id", "line", "id"),
        Index("ix_drift_windows_tenant", "tenant", "id"),
        Index("ix_drift_windows_ended", "ended_at"),
    )
