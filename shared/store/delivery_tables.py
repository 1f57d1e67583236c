"""The tables of webhook deliveries; `shared.store.tables` names them with the others."""

from sqlalchemy import ForeignKey, Index, String, Text, UniqueConstraint, text
from sqlalchemy.orm import Mapped, mapped_column

from shared.store.base import Base, Id, RowId, Word


class Delivery(Base):
    """An event owed to a webhook receiver: the body is stored once and signed again at each attempt.

    `subject` is the id of the part that the event is about, and empty for an event about the batch. `line` names the
    receiver's host and the tenant: the deliveries of a line wait for each other.
    """

    __tablename__ = "webhook_deliveries"

    id: Mapped[str] = mapped_column(Id, primary_key=True)
    tenant: Mapped[str] = mapped_column(String(64), index=True)
    batch_id: Mapped[str] = mapped_column(Id)
    event: Mapped[str] = mapped_column(String(64))
    url: Mapped[str] = mapped_column(Text)
    secret: Mapped[str] = mapped_column(String(128))
    body: Mapped[str] = mapped_column(Text)
    status: Mapped[str] = mapped_column(Word)
    attempts: Mapped[int] = mapped_column(default=0)
    due_at: Mapped[float]
    created_at: Mapped[float]
    finished_at: Mapped[float | None]
    run: Mapped[int] = mapped_column(default=1, server_default="1")
    subject: Mapped[str] = mapped_column(String(200), default="", server_default="")
    line: Mapped[str] = mapped_column(Text)

    __table_args__ = (
        UniqueConstraint("batch_id", "event", "subject", "url", "run", name="uq_deliveries_event"),
        Index(
            "ix_deliveries_line",
            "line",
            "due_at",
            sqlite_where=text("status = 'pending'"),
            postgresql_where=text("status = 'pending'"),
        ),
        Index(
            "ix_deliveries_due",
            "due_at",
            sqlite_where=text("status = 'pending'"),
            postgresql_where=text("status = 'pending'"),
        ),
        Index(
            "ix_deliveries_exhausted",
            "finished_at",
            sqlite_where=text("status = 'exhausted'"),
            postgresql_where=text("status = 'exhausted'"),
        ),
    )


class Attempt(Base):
    """An HTTP try of a delivery, kept with what came back."""

    __tablename__ = "webhook_attempts"

    id: Mapped[int] = mapped_column(RowId, primary_key=True, autoincrement=True)
    delivery_id: Mapped[str] = mapped_column(Id, ForeignKey("webhook_deliveries.id"), index=True)
    at: Mapped[float]
    status: Mapped[int | None]
    latency_ms: Mapped[float]
    answer: Mapped[str] = mapped_column(Text)
    error: Mapped[str | None] = mapped_column(Text)
