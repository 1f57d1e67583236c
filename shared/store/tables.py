"""The tables. Times are seconds since the epoch (UTC); each table has its writers (tests/arch/test_writers.py)."""

from sqlalchemy import (
    JSON,
    BigInteger,
    ForeignKey,
    Index,
    String,
    Text,
    UniqueConstraint,
    false,
    text,
    true,
)
from sqlalchemy.orm import Mapped, mapped_column

from shared.contract.marks import BatchWarning, Blocked
from shared.json_text import Card, JsonObject
from shared.store.access_tables import ApiKey, AuditChain, AuditEntry, Session
from shared.store.base import Base, Id, RowId, Word
from shared.store.delivery_tables import Attempt, Delivery, WebhookEndpoint
from shared.store.diff_tables import DiffCounts
from shared.store.documents import Webhook
from shared.store.drift_tables import DriftWindow
from shared.store.event_tables import BatchEvent, Telling
from shared.store.item_tables import DraftPart, Fetch, Item, Judge, Part
from shared.store.known_tables import KnownImage
from shared.store.order_tables import OrderAsked, ScoreBlock
from shared.store.rescoring_tables import Rescoring
from shared.store.review_tables import Opinion, ReviewEntry
from shared.store.score_tables import ScoreBins
from shared.store.service_tables import Event, Quota, ServiceSecret, Submission, Tally, Worker
from shared.store.shadow_tables import Shadow, ShadowBatch, ShadowScore

__all__ = [
    "ApiKey",
    "Attempt",
    "AuditChain",
    "AuditEntry",
    "Base",
    "Batch",
    "BatchEvent",
    "Chunk",
    "Delivery",
    "DiffCounts",
    "DraftPart",
    "DriftWindow",
    "Event",
    "Fetch",
    "Item",
    "Judge",
    "KnownImage",
    "ModelActivation",
    "ModelVersion",
    "Opinion",
    "OrderAsked",
    "Part",
    "Quota",
    "Rescoring",
    "ReviewEntry",
    "ScoreBins",
    "ScoreBlock",
    "ServiceSecret",
    "Session",
    "Shadow",
    "ShadowBatch",
    "ShadowScore",
    "Submission",
    "Tally",
    "Telling",
    "WebhookEndpoint",
    "Worker",
]


def _label_index(label: str) -> Index:
    """For the list's filter by a label of the batch; batches without the label cost nothing."""
    given = text(f'"{label}" IS NOT NULL')
    return Index(f"ix_batches_{label}", "tenant", label, "id", sqlite_where=given, postgresql_where=given)


def _turn_index(column: str, *columns: str) -> Index:
    condition = text(f"{column} IS NOT NULL")
    return Index(f"ix_chunks_{column}", *columns, column, sqlite_where=condition, postgresql_where=condition)


class ModelVersion(Base):
    """An immutable published artifact of one tenant, or of the installation (tenant `*`).

    Its bytes are in the blob store under its sha256. `reason` says why it was refused. `trial_due_at` is when a
    worker may (again) try to load it, while it is `testing`.
    """

    __tablename__ = "model_versions"

    id: Mapped[str] = mapped_column(Id, primary_key=True)
    name: Mapped[str] = mapped_column(String(100))
    sha256: Mapped[str] = mapped_column(String(64))
    threshold: Mapped[float]
    review_low: Mapped[float]
    review_high: Mapped[float]
    card: Mapped[Card] = mapped_column(JSON)
    created_at: Mapped[float]
    tenant: Mapped[str] = mapped_column(String(64))
    status: Mapped[str] = mapped_column(Word)
    reason: Mapped[str | None] = mapped_column(Text)
    trials: Mapped[int] = mapped_column(default=0)
    trial_due_at: Mapped[float | None]
    guarded: Mapped[bool] = mapped_column(default=False, server_default=false())
    promised: Mapped[float | None]  # the largest escape rate that its operating point promises

    __table_args__ = (UniqueConstraint("tenant", "sha256", name="uq_model_versions_owner"),)


class ModelActivation(Base):
    """The version that new batches of a tenant use: its newest row, else the installation's (tenant `*`).

    Nothing is overwritten, so a rollback is one more row.
    """

    __tablename__ = "model_activations"

    id: Mapped[int] = mapped_column(RowId, primary_key=True, autoincrement=True)
    model_id: Mapped[str] = mapped_column(Id, ForeignKey("model_versions.id"))
    at: Mapped[float]
    tenant: Mapped[str] = mapped_column(String(64))

    __table_args__ = (Index("ix_model_activations_tenant", "tenant", "id"),)


class Batch(Base):
    """A submission: the unit of completion and of webhooks. The counts change in the transaction that
    changes the items they count, so total = queued + processing + succeeded + failed + cancelled + expired.
    """

    __tablename__ = "batches"

    id: Mapped[str] = mapped_column(Id, primary_key=True)
    tenant: Mapped[str] = mapped_column(String(64))
    status: Mapped[str] = mapped_column(Word)
    outcome: Mapped[str | None] = mapped_column(Word)
    origin: Mapped[str] = mapped_column(Word)
    lane: Mapped[str] = mapped_column(Word)
    sealed: Mapped[bool]
    upload_lease_until: Mapped[float | None]
    version: Mapped[int] = mapped_column(default=1)
    model_id: Mapped[str] = mapped_column(Id, ForeignKey("model_versions.id"))
    threshold: Mapped[float]
    review_low: Mapped[float]
    review_high: Mapped[float]
    metadata_: Mapped[JsonObject] = mapped_column("metadata", JSON)
    webhook: Mapped[Webhook | None] = mapped_column(JSON)
    on_error: Mapped[str] = mapped_column(Word)
    traceparent: Mapped[str | None] = mapped_column(String(64))
    total: Mapped[int] = mapped_column(default=0)
    queued: Mapped[int] = mapped_column(default=0)
    processing: Mapped[int] = mapped_column(default=0)
    succeeded: Mapped[int] = mapped_column(default=0)
    failed: Mapped[int] = mapped_column(default=0)
    cancelled: Mapped[int] = mapped_column(default=0)
    expired: Mapped[int] = mapped_column(default=0)
    defect: Mapped[int] = mapped_column(default=0)
    no_defect: Mapped[int] = mapped_column(default=0)
    review: Mapped[int] = mapped_column(default=0)
    bytes: Mapped[int] = mapped_column(BigInteger, default=0)
    skipped: Mapped[int] = mapped_column(default=0, server_default="0")
    warnings: Mapped[list[BatchWarning]] = mapped_column(JSON, default=list, server_default="[]")
    created_at: Mapped[float]
    started_at: Mapped[float | None]
    finished_at: Mapped[float | None]
    deadline_at: Mapped[float | None]
    retention_s: Mapped[float]
    retain_until: Mapped[float | None]
    name: Mapped[str | None] = mapped_column(String(200))
    blocked: Mapped[Blocked | None] = mapped_column(JSON(none_as_null=True))
    guarded: Mapped[bool] = mapped_column(default=False, server_default=false())
    unfamiliar: Mapped[int] = mapped_column(default=0, server_default="0")
    run: Mapped[int] = mapped_column(default=1, server_default="1")  # a retry begins the next one
    lot: Mapped[str | None] = mapped_column(String(200))
    order: Mapped[str | None] = mapped_column(String(200))
    line: Mapped[str | None] = mapped_column(String(200))
    station: Mapped[str | None] = mapped_column(String(200))
    operator: Mapped[str | None] = mapped_column(String(200))
    part_rule: Mapped[str] = mapped_column(Word, default="any_defect", server_default="any_defect")
    expected_views: Mapped[list[str] | None] = mapped_column(JSON(none_as_null=True))
    parts: Mapped[int] = mapped_column(default=0, server_default="0")
    defect_parts: Mapped[int] = mapped_column(default=0, server_default="0")
    no_defect_parts: Mapped[int] = mapped_column(default=0, server_default="0")
    review_parts: Mapped[int] = mapped_column(default=0, server_default="0")
    draft: Mapped[JsonObject | None] = mapped_column(JSON(none_as_null=True))
    packs: Mapped[int] = mapped_column(default=0, server_default="0")
    retried_at: Mapped[float | None]  # when the newest retry began
    pace_at: Mapped[float | None]  # of the ETA: see shared.lifecycle.pace
    pace_done: Mapped[int] = mapped_column(default=0, server_default="0")
    mark_at: Mapped[float | None]
    mark_done: Mapped[int] = mapped_column(default=0, server_default="0")
    promised: Mapped[float | None]  # as of its model, unless it has an operating point of its own
    idle_s: Mapped[float] = mapped_column(default=0.0, server_default="0")  # between its ends and retries
    review_seq: Mapped[int] = mapped_column(
        default=0, server_default="0"
    )  # see shared.lifecycle.review_queue
    review_open: Mapped[bool] = mapped_column(default=True, server_default=true())
    revision: Mapped[int] = mapped_column(default=0, server_default="0")  # how often it was rescored
    rerun_of: Mapped[str | None] = mapped_column(Id)  # the batch that was submitted with its images
    known_seq: Mapped[int] = mapped_column(default=0, server_default="0")  # see shared.lifecycle.known_images

    __table_args__ = (
        # The list of batches: all of them, those that ended lately or not at all, and those of a status.
        Index("ix_batches_tenant", "tenant", "origin", "id"),
        Index("ix_batches_finished", "tenant", "origin", "finished_at"),
        Index("ix_batches_status", "tenant", "origin", "status", "id"),
        Index(
            "ix_batches_open",
            "id",
            sqlite_where=text("finished_at IS NULL"),
            postgresql_where=text("finished_at IS NULL"),
        ),
        Index("ix_batches_retain_until", "retain_until"),
        Index(
            "ix_batches_review",
            "tenant",
            "id",
            sqlite_where=text("review_open = 1"),
            postgresql_where=text("review_open"),
        ),
        Index(
            "ix_batches_unknown",
            "id",
            sqlite_where=text("finished_at IS NOT NULL AND known_seq < total"),
            postgresql_where=text("finished_at IS NOT NULL AND known_seq < total"),
        ),
        *(_label_index(label) for label in ("lot", "order", "line", "station", "operator")),
    )


class Chunk(Base):
    """The items first_seq..last_seq of a batch, which a worker claims together. `pack` is the number of the blob that
    holds their bytes. `token` fences: only its holder may record. `place`, `turn_began` and `turn_ended` share out a
    lane (see shared.lifecycle.turns).
    """

    __tablename__ = "chunks"

    id: Mapped[int] = mapped_column(RowId, primary_key=True, autoincrement=True)
    batch_id: Mapped[str] = mapped_column(Id, ForeignKey("batches.id"))
    first_seq: Mapped[int]
    last_seq: Mapped[int]
    pack: Mapped[int]
    lane: Mapped[str] = mapped_column(Word)
    status: Mapped[str] = mapped_column(Word)
    token: Mapped[str | None] = mapped_column(String(32))
    lease_until: Mapped[float | None]
    attempts: Mapped[int] = mapped_column(default=0)
    host: Mapped[str | None] = mapped_column(String(255))
    pid: Mapped[int | None]
    enqueued_at: Mapped[float]
    hand_backs: Mapped[int] = mapped_column(default=0)
    tenant: Mapped[str] = mapped_column(String(64))
    place: Mapped[int] = mapped_column(BigInteger)
    turn_began: Mapped[int | None] = mapped_column(BigInteger)
    turn_ended: Mapped[int | None] = mapped_column(BigInteger)
    told: Mapped[int] = mapped_column(
        default=0, server_default="0"
    )  # how many of its positions have been told

    __table_args__ = (
        Index("ix_chunks_batch", "batch_id", "first_seq"),
        # Partial: no planner may take one of them for a tenant's chunks, and walk through all that are done.
        _turn_index("turn_ended", "lane", "tenant"),
        _turn_index("turn_began", "lane"),
        Index(
            "ix_chunks_line",
            "lane",
            "tenant",
            "place",
            "id",
            sqlite_where=text("status = 'queued'"),
            postgresql_where=text("status = 'queued'"),
        ),
        Index(
            "ix_chunks_queued",
            "lane",
            "id",
            sqlite_where=text("status = 'queued'"),
            postgresql_where=text("status = 'queued'"),
        ),
        Index(
            "ix_chunks_leased",
            "lease_until",
            sqlite_where=text("status = 'leased'"),
            postgresql_where=text("status = 'leased'"),
        ),
        Index(  # the wait of the oldest chunk of a lane, for the metrics
            "ix_chunks_waiting",
            "lane",
            "enqueued_at",
            sqlite_where=text("status = 'queued'"),
            postgresql_where=text("status = 'queued'"),
        ),
    )
