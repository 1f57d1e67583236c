"""An idempotency key outlives its batch by a day"""

import sqlalchemy as sa
from alembic import op

revision = "0024"
down_revision = "0023"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.add_column("submissions", sa.Column("forget_at", sa.Double(), nullable=True))
    op.create_index(
        "ix_submissions_forget_at",
        "submissions",
        ["forget_at"],
        sqlite_where=sa.text("forget_at IS NOT NULL"),
        postgresql_where=sa.text("forget_at IS NOT NULL"),
    )


def downgrade() -> None:
    op.drop_index("ix_submissions_forget_at", "submissions")
    op.drop_column("submissions", "forget_at")
