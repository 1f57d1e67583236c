"""The tables of events; `shared.store.tables` names them with the others."""

from sqlalchemy import JSON, ForeignKey, Index, String, text
from sqlalchemy.orm import Mapped, mapped_column

from shared.contract.marks import Blocked
from shared.store.base import Base, Id, Word


class BatchEvent(Base):
    """A change of a batch's state, with the columns of the batch that changes move, as they stood then.

    `seq` is the batch's version at the change. The transaction that makes a version holds the lock of the batch's row
    until its commit, so the events of a batch become visible in the order of `seq`. `warnings` is how many the batch
    had: new ones are put before the others.
    """

    __tablename__ = "batch_events"

    batch_id: Mapped[str] = mapped_column(Id, ForeignKey("batches.id"), primary_key=True)
    seq: Mapped[int] = mapped_column(primary_key=True, autoincrement=False)
    type: Mapped[str] = mapped_column(String(64))
    at: Mapped[float]
    status: Mapped[str] = mapped_column(Word)
    outcome: Mapped[str | None] = mapped_column(Word)
    total: Mapped[int]
    queued: Mapped[int]
    processing: Mapped[int]
    succeeded: Mapped[int]
    failed: Mapped[int]
    cancelled: Mapped[int]
    expired: Mapped[int]
    defect: Mapped[int]
    no_defect: Mapped[int]
    review: Mapped[int]
    unfamiliar: Mapped[int]
    parts: Mapped[int]
    defect_parts: Mapped[int]
    no_defect_parts: Mapped[int]
    review_parts: Mapped[int]
    started_at: Mapped[float | None]
    finished_at: Mapped[float | None]
    deadline_at: Mapped[float | None]
    retain_until: Mapped[float | None]
    upload_lease_until: Mapped[float | None]
    blocked: Mapped[Blocked | None] = mapped_column(JSON(none_as_null=True))
    warnings: Mapped[int]
    idle_s: Mapped[float] = mapped_column(default=0.0, server_default="0")
    threshold: Mapped[float] = mapped_column(default=0.0, server_default="0")
    review_low: Mapped[float] = mapped_column(default=0.0, server_default="0")
    review_high: Mapped[float] = mapped_column(default=0.0, server_default="0")
    revision: Mapped[int] = mapped_column(default=0, server_default="0")

    __table_args__ = ({"sqlite_with_rowid": False},)


class Telling(Base):
    """How far the listeners of a batch have been told of its items and its progress (shared.lifecycle.telling).

    A batch without a listener has none. `done`: nothing is left to tell, until the batch is retried. `told_at` and
    `told_version` are those of the last message about progress; `alert_share` and `alert_after` are the batch's option.
    """

    __tablename__ = "tellings"

    batch_id: Mapped[str] = mapped_column(Id, ForeignKey("batches.id"), primary_key=True)
    tenant: Mapped[str] = mapped_column(String(64))
    done: Mapped[bool]
    alerted: Mapped[bool]
    told_at: Mapped[float | None]
    told_version: Mapped[int]
    alert_share: Mapped[float | None]
    alert_after: Mapped[int | None]

    __table_args__ = (
        Index(
            "ix_tellings_open",
            "batch_id",
            sqlite_where=text("done = 0"),
            postgresql_where=text("NOT done"),
        ),
        {"sqlite_with_rowid": False},
    )
