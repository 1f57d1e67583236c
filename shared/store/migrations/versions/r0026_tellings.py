"""Tellings: how far the listeners of a batch have been told, and of each chunk how many positions"""

import sqlalchemy as sa
from alembic import op

revision = "0026"
down_revision = "0025"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_table(
        "tellings",
        sa.Column("batch_id", sa.String(40), nullable=False),
        sa.Column("tenant", sa.String(64), nullable=False),
        sa.Column("done", sa.Boolean(), nullable=False),
        sa.Column("alerted", sa.Boolean(), nullable=False),
        sa.Column("told_at", sa.Double(), nullable=True),
        sa.Column("told_version", sa.Integer(), nullable=False),
        sa.Column("alert_share", sa.Double(), nullable=True),
        sa.Column("alert_after", sa.Integer(), nullable=True),
        sa.ForeignKeyConstraint(["batch_id"], ["batches.id"]),
        sa.PrimaryKeyConstraint("batch_id"),
        sqlite_with_rowid=False,
    )
    op.create_index(
        "ix_tellings_open",
        "tellings",
        ["batch_id"],
        sqlite_where=sa.text("done = 0"),
        postgresql_where=sa.text("NOT done"),
    )
    op.add_column("chunks", sa.Column("told", sa.Integer(), nullable=False, server_default="0"))


def downgrade() -> None:
    with op.batch_alter_table("chunks") as batch_op:
        batch_op.drop_column("told")
    op.drop_table("tellings")
