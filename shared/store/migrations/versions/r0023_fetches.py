"""Fetches: items whose bytes are at a URL or in an object store"""

import sqlalchemy as sa
from alembic import op

revision = "0023"
down_revision = "0022"
branch_labels = None
depends_on = None
_PENDING = sa.text("status = 'pending'")


def upgrade() -> None:
    op.create_table(
        "fetches",
        sa.Column("batch_id", sa.String(40), nullable=False),
        sa.Column("seq", sa.Integer(), nullable=False),
        sa.Column("source", sa.Text(), nullable=False),
        sa.Column("line", sa.Text(), nullable=False),
        sa.Column("status", sa.String(16), nullable=False),
        sa.Column("tries", sa.Integer(), nullable=False),
        sa.Column("due_at", sa.Double(), nullable=False),
        sa.Column("token", sa.String(32), nullable=True),
        sa.Column("pack", sa.Integer(), nullable=True),
        sa.ForeignKeyConstraint(["batch_id"], ["batches.id"]),
        sa.PrimaryKeyConstraint("batch_id", "seq"),
        sqlite_with_rowid=False,
    )
    for name, columns in (("ix_fetches_line", ["line", "due_at"]), ("ix_fetches_due", ["due_at"])):
        op.create_index(name, "fetches", columns, sqlite_where=_PENDING, postgresql_where=_PENDING)


def downgrade() -> None:
    op.drop_table("fetches")
