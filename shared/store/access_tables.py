"""The tables of keys, sessions and the audit trail."""

from sqlalchemy import JSON, BigInteger, ForeignKey, Index, String, Text
from sqlalchemy.orm import Mapped, mapped_column

from shared.store.base import Base, Id


class ApiKey(Base):
    __tablename__ = "api_keys"

    id: Mapped[str] = mapped_column(Id, primary_key=True)
    tenant: Mapped[str] = mapped_column(String(64), index=True)
    name: Mapped[str] = mapped_column(String(200))
    prefix: Mapped[str] = mapped_column(String(16), unique=True)
    sha256: Mapped[str] = mapped_column(String(64))
    scopes: Mapped[list[str]] = mapped_column(JSON)
    created_at: Mapped[float]
    expires_at: Mapped[float | None]
    last_used_at: Mapped[float | None]
    revoked_at: Mapped[float | None]
    replaced_by: Mapped[str | None] = mapped_column(Id)  # the key of its rotation


class Session(Base):
    """A browser that has signed in with a key. The cookie holds a random token, the row its SHA-256."""

    __tablename__ = "sessions"

    id: Mapped[str] = mapped_column(Id, primary_key=True)
    sha256: Mapped[str] = mapped_column(String(64), unique=True)
    key_id: Mapped[str] = mapped_column(Id, ForeignKey("api_keys.id"), index=True)
    created_at: Mapped[float]
    expires_at: Mapped[float] = mapped_column(index=True)


class AuditEntry(Base):
    """An action and the caller behind it: number `seq` of a chain, with the hash of the entry before. `detail` is the
    JSON text that was hashed."""

    __tablename__ = "audit_entries"

    chain: Mapped[int] = mapped_column(primary_key=True, autoincrement=False)
    seq: Mapped[int] = mapped_column(BigInteger, primary_key=True, autoincrement=False)
    id: Mapped[str] = mapped_column(Id, index=True)
    at: Mapped[float]
    tenant: Mapped[str] = mapped_column(String(64))
    action: Mapped[str] = mapped_column(String(32))
    object_id: Mapped[str | None] = mapped_column(Id, index=True)
    key_id: Mapped[str | None] = mapped_column(Id)
    address: Mapped[str | None] = mapped_column(String(64))
    request_id: Mapped[str | None] = mapped_column(String(128))
    detail: Mapped[str] = mapped_column(Text)
    previous: Mapped[str] = mapped_column(String(64))
    hash: Mapped[str] = mapped_column(String(64))

    __table_args__ = (
        Index("ix_audit_entries_tenant", "tenant", "id"),
        # An entry is written for an act of a client and not for an image: an index for each filter costs little.
        Index("ix_audit_entries_key", "key_id", "id"),
        Index("ix_audit_entries_action", "tenant", "action", "id"),
        Index("ix_audit_entries_at", "tenant", "at"),
        {"sqlite_with_rowid": False},
    )


class AuditChain(Base):
    """The head of a chain: number and hash of its last entry. `pruned_…` are those of the last entry that was removed
    past its retention."""

    __tablename__ = "audit_chains"

    chain: Mapped[int] = mapped_column(primary_key=True, autoincrement=False)
    seq: Mapped[int] = mapped_column(BigInteger)
    hash: Mapped[str] = mapped_column(String(64))
    pruned_seq: Mapped[int] = mapped_column(BigInteger)
    pruned_hash: Mapped[str] = mapped_column(String(64))
