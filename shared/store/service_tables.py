"""The tables of the installation itself; `shared.store.tables` names them with the others."""

from sqlalchemy import JSON, BigInteger, Index, LargeBinary, String, text
from sqlalchemy.orm import Mapped, mapped_column

from shared.store.base import Base, Id


class ServiceSecret(Base):
    """A value that all processes of an installation share: its id, and the last agreement of its clocks."""

    __tablename__ = "service_secrets"

    name: Mapped[str] = mapped_column(String(64), primary_key=True)
    value: Mapped[bytes] = mapped_column(LargeBinary)


class Submission(Base):
    """An Idempotency-Key and the batch it made. While the upload runs, the claim is a lease.

    `forget_at` is set where the batch has been deleted: until then the key makes no second batch.
    """

    __tablename__ = "submissions"
    __table_args__ = (
        Index(
            "ix_submissions_forget_at",
            "forget_at",
            sqlite_where=text("forget_at IS NOT NULL"),
            postgresql_where=text("forget_at IS NOT NULL"),
        ),
    )

    tenant: Mapped[str] = mapped_column(String(64), primary_key=True)
    key: Mapped[str] = mapped_column(String(255), primary_key=True)
    batch_id: Mapped[str] = mapped_column(Id)
    fingerprint: Mapped[str | None] = mapped_column(String(64))
    lease_until: Mapped[float]
    forget_at: Mapped[float | None]


class Worker(Base):
    """A live inference process; a row without a heartbeat is swept away."""

    __tablename__ = "workers"

    id: Mapped[str] = mapped_column(String(300), primary_key=True)
    host: Mapped[str] = mapped_column(String(255))
    pid: Mapped[int]
    lanes: Mapped[list[str]] = mapped_column(JSON)
    device: Mapped[str] = mapped_column(String(200))
    engine: Mapped[str] = mapped_column(String(64))
    threads: Mapped[int]
    models: Mapped[list[str]] = mapped_column(JSON)
    started_at: Mapped[float]
    last_seen_at: Mapped[float]
    last_progress_at: Mapped[float | None]
    items: Mapped[int] = mapped_column(default=0)
    items_per_s: Mapped[float | None]


class Event(Base):
    """A counter of events that should be rare: fenced records, expired leases, messages sent again (see metrics)."""

    __tablename__ = "event_counts"

    name: Mapped[str] = mapped_column(String(64), primary_key=True)
    count: Mapped[int] = mapped_column(BigInteger, default=0)


class Quota(Base):
    """The bytes and items that a tenant stores, and its own bounds (shared.access.quotas).

    A bound of None: the installation's bound holds.
    """

    __tablename__ = "quotas"

    tenant: Mapped[str] = mapped_column(String(64), primary_key=True)
    used_bytes: Mapped[int] = mapped_column(BigInteger, default=0)
    used_items: Mapped[int] = mapped_column(BigInteger, default=0)
    stored_bytes: Mapped[int | None] = mapped_column(BigInteger)
    stored_items: Mapped[int | None] = mapped_column(BigInteger)
    retention_s: Mapped[float | None]
    open_items: Mapped[int | None] = mapped_column(BigInteger)
    open_bytes: Mapped[int | None] = mapped_column(BigInteger)


class Tally(Base):
    """A counter of ordinary work, or a bucket of a latency histogram (see `shared.store.tallies`)."""

    __tablename__ = "tallies"

    name: Mapped[str] = mapped_column(String(64), primary_key=True)
    label: Mapped[str] = mapped_column(String(320), primary_key=True)
    bucket: Mapped[int] = mapped_column(primary_key=True, autoincrement=False)
    count: Mapped[int] = mapped_column(BigInteger)
    total: Mapped[float]
