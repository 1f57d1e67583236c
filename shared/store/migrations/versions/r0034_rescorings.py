"""Rescorings of a batch, the histogram of its scores, and the operating point in its events"""

import sqlalchemy as sa
from alembic import op

revision = "0034"
down_revision = "0033"
branch_labels = None
depends_on = None
_POINT = ("threshold", "review_low", "review_high")
_FILL = (
    "UPDATE batch_events SET {name} = (SELECT {name} FROM batches WHERE batches.id = batch_events.batch_id)"
)


def upgrade() -> None:
    op.create_table(
        "rescorings",
        sa.Column("batch_id", sa.String(40), nullable=False),
        sa.Column("revision", sa.Integer(), nullable=False, autoincrement=False),
        sa.Column("at", sa.Double(), nullable=False),
        sa.Column("key_id", sa.String(40), nullable=True),
        *(sa.Column(name, sa.Double(), nullable=False) for name in ("old_threshold", "old_low", "old_high")),
        *(sa.Column(name, sa.Double(), nullable=False) for name in _POINT),
        sa.Column("items", sa.JSON(), nullable=False),
        sa.Column("parts", sa.JSON(), nullable=False),
        sa.PrimaryKeyConstraint("batch_id", "revision"),
        sqlite_with_rowid=False,
    )
    op.create_table(
        "score_bins",
        sa.Column("batch_id", sa.String(40), nullable=False),
        sa.Column("run", sa.Integer(), nullable=False, autoincrement=False),
        sa.Column("bins", sa.JSON(), nullable=False),
        sa.PrimaryKeyConstraint("batch_id", "run"),
        sqlite_with_rowid=False,
    )
    op.add_column("batches", sa.Column("revision", sa.Integer(), nullable=False, server_default="0"))
    for name in _POINT:
        op.add_column("batch_events", sa.Column(name, sa.Double(), nullable=False, server_default="0"))
    op.add_column("batch_events", sa.Column("revision", sa.Integer(), nullable=False, server_default="0"))
    # Until now a batch kept its operating point, so that of each earlier event is the batch's.
    for name in _POINT:
        op.execute(_FILL.format(name=name))


def downgrade() -> None:
    with op.batch_alter_table("batch_events") as batch_op:
        for name in (*_POINT, "revision"):
            batch_op.drop_column(name)
    with op.batch_alter_table("batches") as batch_op:
        batch_op.drop_column("revision")
    op.drop_table("score_bins")
    op.drop_table("rescorings")
