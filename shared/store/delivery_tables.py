"""The tables of webhook deliveries; `shared.store.tables` names them with the others."""

from sqlalchemy import JSON, ForeignKey, Index, String, Text, UniqueConstraint, text
from sqlalchemy.orm import Mapped, mapped_column

from shared.contract.filters import EndpointFilters
from shared.store.base import Base, Id, RowId, Word


class WebhookEndpoint(Base):
    """A receiver of a tenant: which events it wants, its secrets, and its run of failed tries.

    `events` is a text with a space before and after each event, so that a condition on a column finds one.
    `key` and `fingerprint` are those of the idempotent request that made it, and the other two those of the one that
    last rotated its secret. `older_secrets` are those before the old one, each with the end of its grace.
    """

    __tablename__ = "webhook_endpoints"

    id: Mapped[str] = mapped_column(Id, primary_key=True)
    tenant: Mapped[str] = mapped_column(String(64))
    url: Mapped[str] = mapped_column(Text)
    description: Mapped[str | None] = mapped_column(String(200))
    events: Mapped[str] = mapped_column(Text)
    filters: Mapped[EndpointFilters] = mapped_column(JSON)
    format: Mapped[str] = mapped_column(Word)
    secret: Mapped[str] = mapped_column(String(128))
    old_secret: Mapped[str | None] = mapped_column(String(128))
    old_secret_until: Mapped[float | None]
    enabled: Mapped[bool]
    disabled_reason: Mapped[str | None] = mapped_column(Word)
    disabled_at: Mapped[float | None]
    failures: Mapped[int]
    failing_since: Mapped[float | None]
    created_at: Mapped[float]
    key: Mapped[str | None] = mapped_column(String(255))
    fingerprint: Mapped[str | None] = mapped_column(String(64))
    older_secrets: Mapped[list[tuple[str, float]]] = mapped_column(JSON, default=list, server_default="[]")
    rotation_key: Mapped[str | None] = mapped_column(String(255))
    rotation_fingerprint: Mapped[str | None] = mapped_column(String(64))

    __table_args__ = (
        UniqueConstraint("tenant", "key", name="uq_endpoints_key"),
        Index("ix_endpoints_tenant", "tenant", "id"),
    )


class Delivery(Base):
    """An event owed to a webhook receiver: the body is stored once and signed again at each attempt.

    `batch_id` is empty for an event that is about no batch. `subject` is the id of the part, item or other object that
    the event is about, and empty for an event about the batch. `endpoint_id` is empty for the webhook of a batch; a
    delivery of an endpoint has neither URL nor secret of its own: each try takes the endpoint's. `line` names the
    receiver, its host and the tenant: the deliveries of a line wait for each other.
    """

    __tablename__ = "webhook_deliveries"

    id: Mapped[str] = mapped_column(Id, primary_key=True)
    tenant: Mapped[str] = mapped_column(String(64))
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
    endpoint_id: Mapped[str] = mapped_column(Id, default="", server_default="")

    __table_args__ = (
        UniqueConstraint(
            "batch_id", "event", "subject", "url", "endpoint_id", "run", name="uq_deliveries_receiver"
        ),
        Index("ix_deliveries_tenant", "tenant", "id"),
        Index(
            "ix_deliveries_endpoint",
            "endpoint_id",
            "id",
            sqlite_where=text("endpoint_id <> ''"),
            postgresql_where=text("endpoint_id <> ''"),
        ),
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
