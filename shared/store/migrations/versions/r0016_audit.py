"""The audit trail"""

import sqlalchemy as sa
from alembic import op

revision = "0016"
down_revision = "0015"
branch_labels = None
depends_on = None

_CHAINS = 16  # transactions that add an entry at one moment without waiting for each other
_NO_HASH = "0" * 64


def upgrade() -> None:
    op.create_table(
        "audit_entries",
        sa.Column("chain", sa.Integer(), primary_key=True, autoincrement=False),
        sa.Column("seq", sa.BigInteger(), primary_key=True, autoincrement=False),
        sa.Column("id", sa.String(40), nullable=False),
        sa.Column("at", sa.Double(), nullable=False),
        sa.Column("tenant", sa.String(64), nullable=False),
        sa.Column("action", sa.String(32), nullable=False),
        sa.Column("object_id", sa.String(40), nullable=True),
        sa.Column("key_id", sa.String(40), nullable=True),
        sa.Column("address", sa.String(64), nullable=True),
        sa.Column("request_id", sa.String(128), nullable=True),
        sa.Column("detail", sa.Text(), nullable=False),
        sa.Column("previous", sa.String(64), nullable=False),
        sa.Column("hash", sa.String(64), nullable=False),
        sqlite_with_rowid=False,
    )
    op.create_index("ix_audit_entries_id", "audit_entries", ["id"])
    op.create_index("ix_audit_entries_object_id", "audit_entries", ["object_id"])
    op.create_index("ix_audit_entries_tenant", "audit_entries", ["tenant", "id"])
    chains = op.create_table(
        "audit_chains",
        sa.Column("chain", sa.Integer(), primary_key=True, autoincrement=False),
        sa.Column("seq", sa.BigInteger(), nullable=False),
        sa.Column("hash", sa.String(64), nullable=False),
        sa.Column("pruned_seq", sa.BigInteger(), nullable=False),
        sa.Column("pruned_hash", sa.String(64), nullable=False),
    )
    start = {"seq": 0, "hash": _NO_HASH, "pruned_seq": 0, "pruned_hash": _NO_HASH}
    op.bulk_insert(chains, [{"chain": chain, **start} for chain in range(1, _CHAINS + 1)])


def downgrade() -> None:
    op.drop_table("audit_chains")
    op.drop_table("audit_entries")
