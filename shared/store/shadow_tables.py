"""The tables of shadows: candidates that score a share of the traffic."""

from sqlalchemy import Index, String, text
from sqlalchemy.orm import Mapped, mapped_column

from shared.store.base import Base, Id, Word


class Shadow(Base):
    """A candidate that also scores a share of the images that a tenant's model version judges, until it is stopped.

    `seen_until` is the end of the newest batch that the sweep has looked at. `scored` counts the scores that were kept,
    those of deleted batches too.
    """

    __tablename__ = "shadows"

    id: Mapped[str] = mapped_column(Id, primary_key=True)
    tenant: Mapped[str] = mapped_column(String(64))
    model_id: Mapped[str] = mapped_column(Id)
    candidate_id: Mapped[str] = mapped_column(Id)
    share: Mapped[float]
    started_at: Mapped[float]
    started_by: Mapped[str | None] = mapped_column(Id)
    stopped_at: Mapped[float | None]
    stopped_by: Mapped[str | None] = mapped_column(Id)
    seen_until: Mapped[float]
    scored: Mapped[int]

    __table_args__ = (
        Index("ix_shadows_tenant", "tenant", "id"),
        Index(
            "ix_shadows_running",
            "tenant",
            "model_id",
            "candidate_id",
            unique=True,
            sqlite_where=text("stopped_at IS NULL"),
            postgresql_where=text("stopped_at IS NULL"),
        ),
    )


class ShadowBatch(Base):
    """An ended batch that a shadow has to go through. `next_seq` is -1 once it has come to the end."""

    __tablename__ = "shadow_batches"

    shadow_id: Mapped[str] = mapped_column(Id, primary_key=True)
    batch_id: Mapped[str] = mapped_column(Id, primary_key=True)
    next_seq: Mapped[int]

    __table_args__ = (
        Index("ix_shadow_batches_batch", "batch_id"),
        Index(
            "ix_shadow_batches_open",
            "batch_id",
            "shadow_id",
            sqlite_where=text("next_seq >= 0"),
            postgresql_where=text("next_seq >= 0"),
        ),
        {"sqlite_with_rowid": False},
    )


class ShadowScore(Base):
    """A candidate's score of an item, and the verdict at the candidate's own operating point. It is no verdict."""

    __tablename__ = "shadow_scores"

    shadow_id: Mapped[str] = mapped_column(Id, primary_key=True)
    batch_id: Mapped[str] = mapped_column(Id, primary_key=True)
    seq: Mapped[int] = mapped_column(primary_key=True, autoincrement=False)
    verdict: Mapped[str] = mapped_column(Word)
    score: Mapped[float]
    at: Mapped[float]

    __table_args__ = (Index("ix_shadow_scores_batch", "batch_id"), {"sqlite_with_rowid": False})
