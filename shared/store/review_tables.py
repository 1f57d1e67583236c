"""The tables of reviews; `shared.store.tables` names them with the others.

No foreign keys: the row of the batch is locked before them, and it is deleted before them (shared.lifecycle.purging).
"""

from sqlalchemy import Index, String, Text, text
from sqlalchemy.orm import Mapped, mapped_column

from shared.store.base import Base, Id, RowId, Word


class ReviewEntry(Base):
    """An item in the queue of those that persons look at, or one that a person chose to review.

    `source` says why it is here, and `share` is the chance with which an item of its kind is. `place` orders the
    line. While `lease_until` has not passed, `holder` alone may review it. `rounds` persons must give an opinion,
    `given` have done so. `verdict` is theirs once `status` is `done`.
    """

    __tablename__ = "review_entries"

    batch_id: Mapped[str] = mapped_column(Id, primary_key=True)
    seq: Mapped[int] = mapped_column(primary_key=True, autoincrement=False)
    tenant: Mapped[str] = mapped_column(String(64))
    line: Mapped[str | None] = mapped_column(String(200))
    source: Mapped[str] = mapped_column(Word)
    share: Mapped[float]
    status: Mapped[str] = mapped_column(Word)
    place: Mapped[float]
    rounds: Mapped[int]
    given: Mapped[int] = mapped_column(default=0, server_default="0")
    holder: Mapped[str | None] = mapped_column(String(80))
    lease_until: Mapped[float | None]
    verdict: Mapped[str | None] = mapped_column(Word)
    reviewed_at: Mapped[float | None]

    __table_args__ = (
        Index(
            "ix_review_entries_line",
            "tenant",
            "place",
            "batch_id",
            "seq",
            sqlite_where=text("status = 'waiting'"),
            postgresql_where=text("status = 'waiting'"),
        ),
        Index(
            "ix_review_entries_done",
            "tenant",
            "reviewed_at",
            "batch_id",
            "seq",
            sqlite_where=text("status = 'done'"),
            postgresql_where=text("status = 'done'"),
        ),
        Index(
            "ix_review_entries_holder",
            "holder",
            sqlite_where=text("holder IS NOT NULL"),
            postgresql_where=text("holder IS NOT NULL"),
        ),
        {"sqlite_with_rowid": False},
    )


class Opinion(Base):
    """A person's verdict on an item. The history of an item keeps each; one that was taken back has `undone_at`."""

    __tablename__ = "opinions"

    id: Mapped[int] = mapped_column(RowId, primary_key=True, autoincrement=True)
    batch_id: Mapped[str] = mapped_column(Id)
    seq: Mapped[int]
    tenant: Mapped[str] = mapped_column(String(64))
    verdict: Mapped[str] = mapped_column(Word)
    note: Mapped[str | None] = mapped_column(Text)
    key_id: Mapped[str] = mapped_column(Id)
    name: Mapped[str] = mapped_column(String(200))
    at: Mapped[float]
    undone_at: Mapped[float | None]

    __table_args__ = (
        Index("ix_opinions_item", "batch_id", "seq", "id"),
        Index("ix_opinions_key", "key_id", "id"),
    )
