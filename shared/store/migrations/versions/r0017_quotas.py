"""Quotas: what each tenant stores, counted, and the bounds of its own"""

import sqlalchemy as sa
from alembic import op

revision = "0017"
down_revision = "0016"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_table(
        "quotas",
        sa.Column("tenant", sa.String(length=64), nullable=False),
        sa.Column("used_bytes", sa.BigInteger(), nullable=False),
        sa.Column("used_items", sa.BigInteger(), nullable=False),
        sa.Column("stored_bytes", sa.BigInteger(), nullable=True),
        sa.Column("stored_items", sa.BigInteger(), nullable=True),
        sa.Column("retention_s", sa.Double(), nullable=True),
        sa.Column("open_items", sa.BigInteger(), nullable=True),
        sa.Column("open_bytes", sa.BigInteger(), nullable=True),
        sa.PrimaryKeyConstraint("tenant"),
    )
    op.execute(
        "INSERT INTO quotas (tenant, used_bytes, used_items)"
        " SELECT tenant, SUM(bytes), SUM(total) FROM batches WHERE sealed GROUP BY tenant"
    )


def downgrade() -> None:
    op.drop_table("quotas")
