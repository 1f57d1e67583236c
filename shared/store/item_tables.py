"""The tables of items and parts."""

from sqlalchemy import JSON, BigInteger, ForeignKey, Index, SmallInteger, String, Text, text
from sqlalchemy.orm import Mapped, mapped_column

from shared.contract.kinds import LONGEST_KIND
from shared.json_text import JsonObject
from shared.store.base import Base, Id, RowId, Word


class Item(Base):
    """A position in a batch. Its bytes are `length` bytes from `offset` of the batch's pack number `pack`."""

    __tablename__ = "items"

    batch_id: Mapped[str] = mapped_column(Id, ForeignKey("batches.id"), primary_key=True)
    seq: Mapped[int] = mapped_column(primary_key=True, autoincrement=False)
    filename: Mapped[str] = mapped_column(Text)
    custom_id: Mapped[str | None] = mapped_column(String(200))
    metadata_: Mapped[JsonObject | None] = mapped_column("metadata", JSON(none_as_null=True))
    sha256: Mapped[str | None] = mapped_column(String(64))
    pack: Mapped[int]
    offset: Mapped[int] = mapped_column(BigInteger)
    length: Mapped[int] = mapped_column(BigInteger)
    status: Mapped[str] = mapped_column(Word)
    verdict: Mapped[str | None] = mapped_column(Word)
    score: Mapped[float | None]
    threshold: Mapped[float | None]
    model_sha256: Mapped[str | None] = mapped_column(String(64))
    attempts: Mapped[int] = mapped_column(default=0)
    queue_ms: Mapped[float | None]
    decode_ms: Mapped[float | None]
    infer_ms: Mapped[float | None]
    error_code: Mapped[str | None] = mapped_column(String(32))
    error_detail: Mapped[str | None] = mapped_column(Text)
    created_at: Mapped[float]
    finished_at: Mapped[float | None]
    reasons: Mapped[str | None] = mapped_column(String(64))  # joined by commas
    part_id: Mapped[str | None] = mapped_column(String(200))
    view: Mapped[str | None] = mapped_column(String(200))
    frame: Mapped[int | None]  # from 1, where the bytes hold several images
    raw_score: Mapped[float | None]
    review_low: Mapped[float | None]
    review_high: Mapped[float | None]
    unfamiliarity: Mapped[float | None]
    judge_id: Mapped[int | None]  # no foreign key: a check of it would cost each verdict a look
    kind: Mapped[str | None] = mapped_column(String(LONGEST_KIND))  # a guess
    cached_from: Mapped[str | None] = mapped_column(
        Id
    )  # the item with the same bytes whose score this one has

    __table_args__ = (
        Index(
            "ix_items_custom_id",
            "batch_id",
            "custom_id",
            unique=True,
            sqlite_where=text("custom_id IS NOT NULL"),
            postgresql_where=text("custom_id IS NOT NULL"),
        ),
        Index(
            "ix_items_part",
            "batch_id",
            "part_id",
            sqlite_where=text("part_id IS NOT NULL"),
            postgresql_where=text("part_id IS NOT NULL"),
        ),
        {"sqlite_with_rowid": False},
    )


class Judge(Base):
    """A model as one worker process has loaded it: the evidence that its verdicts share. A row is never changed.

    A model that holds two networks has a judge for each; `network` names it.
    """

    __tablename__ = "judges"

    id: Mapped[int] = mapped_column(RowId, primary_key=True, autoincrement=True)
    worker: Mapped[str] = mapped_column(Id)
    device: Mapped[str] = mapped_column(String(200))
    engine: Mapped[str] = mapped_column(String(64))
    model_sha256: Mapped[str] = mapped_column(String(64))
    preprocessing_sha256: Mapped[str] = mapped_column(String(64))
    created_at: Mapped[float]
    network: Mapped[str | None] = mapped_column(String(16))


class Fetch(Base):
    """A queued item whose bytes are elsewhere: at a URL, or in an object store. It goes once the bytes are stored.

    `line` names the host and the tenant: the fetches of a line wait for each other. `due_at` is when a process may
    claim it: a claim moves it past the longest time that a fetch takes, and sets `token`, which fences, and `pack`,
    the number of the pack that the holder writes.
    """

    __tablename__ = "fetches"

    batch_id: Mapped[str] = mapped_column(Id, ForeignKey("batches.id"), primary_key=True)
    seq: Mapped[int] = mapped_column(primary_key=True, autoincrement=False)
    source: Mapped[str] = mapped_column(Text)
    line: Mapped[str] = mapped_column(Text)
    status: Mapped[str] = mapped_column(Word)
    tries: Mapped[int] = mapped_column(default=0)
    due_at: Mapped[float]
    token: Mapped[str | None] = mapped_column(String(32))
    pack: Mapped[int | None]

    __table_args__ = (
        Index(
            "ix_fetches_line",
            "line",
            "due_at",
            sqlite_where=text("status = 'pending'"),
            postgresql_where=text("status = 'pending'"),
        ),
        Index(
            "ix_fetches_due",
            "due_at",
            sqlite_where=text("status = 'pending'"),
            postgresql_where=text("status = 'pending'"),
        ),
        {"sqlite_with_rowid": False},
    )


class Part(Base):
    """The items of a sealed batch that share a `part_id`. It has a verdict once none of its `total` items is open.

    `score` is that of the view that decides, and `held` says whether other views hold the part back: see
    `shared.lifecycle.judged_parts`.
    """

    __tablename__ = "parts"

    batch_id: Mapped[str] = mapped_column(Id, ForeignKey("batches.id"), primary_key=True)
    part_id: Mapped[str] = mapped_column(String(200), primary_key=True)
    tenant: Mapped[str] = mapped_column(String(64))
    total: Mapped[int]
    verdict: Mapped[str | None] = mapped_column(Word)
    reasons: Mapped[str | None] = mapped_column(String(64))  # joined by commas
    missing_views: Mapped[list[str] | None] = mapped_column(JSON(none_as_null=True))
    created_at: Mapped[float]
    finished_at: Mapped[float | None]
    score: Mapped[float | None]
    held: Mapped[int | None] = mapped_column(SmallInteger)

    __table_args__ = (
        Index("ix_parts_part_id", "tenant", "part_id", "batch_id"),
        {"sqlite_with_rowid": False},
    )


class DraftPart(Base):
    """A part of a draft that has arrived, by the number that the client gave it."""

    __tablename__ = "draft_parts"

    batch_id: Mapped[str] = mapped_column(Id, ForeignKey("batches.id"), primary_key=True)
    number: Mapped[int] = mapped_column(primary_key=True, autoincrement=False)
    fingerprint: Mapped[str] = mapped_column(String(64))
    items: Mapped[int]
    created_at: Mapped[float]

    __table_args__ = ({"sqlite_with_rowid": False},)
