"""Tallies of ordinary work, and indexes that answer a scrape of the metrics without a scan"""

import sqlalchemy as sa
from alembic import op

revision = "0011"
down_revision = "0010"
branch_labels = None
depends_on = None

_QUEUED, _EXHAUSTED = sa.text("status = 'queued'"), sa.text("status = 'exhausted'")


def upgrade() -> None:
    op.create_table(
        "tallies",
        sa.Column("name", sa.String(length=64), nullable=False),
        sa.Column("label", sa.String(length=200), nullable=False),
        sa.Column("bucket", sa.Integer(), autoincrement=False, nullable=False),
        sa.Column("count", sa.BigInteger(), nullable=False),
        sa.Column("total", sa.Double(), nullable=False),
        sa.PrimaryKeyConstraint("name", "label", "bucket"),
    )
    op.create_index(
        "ix_chunks_waiting", "chunks", ["lane", "enqueued_at"], sqlite_where=_QUEUED, postgresql_where=_QUEUED
    )
    op.create_index(
        "ix_deliveries_exhausted", "webhook_deliveries", ["finished_at"],
        sqlite_where=_EXHAUSTED, postgresql_where=_EXHAUSTED,
    )  # fmt: skip


def downgrade() -> None:
    op.drop_index("ix_deliveries_exhausted", table_name="webhook_deliveries")
    op.drop_index("ix_chunks_waiting", table_name="chunks")
    op.drop_table("tallies")
