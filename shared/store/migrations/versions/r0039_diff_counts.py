"""Counts of diffs are kept"""

import sqlalchemy as sa
from alembic import op

revision = "0039"
down_revision = "0038"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_table(
        "diff_counts",
        sa.Column("a", sa.String(40), primary_key=True),
        sa.Column("b", sa.String(40), primary_key=True),
        sa.Column("state", sa.String(64), nullable=False),
        sa.Column("counts", sa.JSON(), nullable=True),
        sqlite_with_rowid=False,
    )
    op.create_index("ix_diff_counts_b", "diff_counts", ["b"])


def downgrade() -> None:
    op.drop_table("diff_counts")
